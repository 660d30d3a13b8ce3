"""The page of an external validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mri3d.report.calibration_section import calibration_section
from mri3d.report.decision_section import curve_section, decision_section
from mri3d.report.elements import (
    Html,
    details,
    element,
    figure,
    heading,
    headline,
    in_full,
    num_decimals,
    score_title,
    table,
    write_page,
)
from mri3d.report.picture import Picture
from mri3d.report.reading import reading_section
from mri3d.report.score_section import SCORE_CHARTS
from mri3d.report.shown_tests import ShownTests
from mri3d.report.strata_section import strata_section
from mri3d.texts import number_text

if TYPE_CHECKING:
    from mri3d.outcome import Outcome

_MAX_ROWS = 50  # of a list that predictions.csv has in full
_ABOUT = (
    "In brackets: 95 % intervals. They are about this model, as it is, on people like these. Nothing of the model was "
    "fitted to them."
)
_OWN = (
    "Beside them the scores of the model's own test. Where they were better, people or scanners may differ from those "
    "that the model was trained on; the intervals say how far chance may reach."
)


def write_validation_page(
    path: Path,
    *,
    facts: Mapping[str, str],
    outcome: Outcome,
    metrics: Mapping[str, Any],
    tests: ShownTests,
    cohort: Sequence[Mapping[str, str]],
    sessions: Sequence[Mapping[str, Any]],
    knows_training: bool = True,
) -> None:
    """Write one HTML file that opens anywhere, offline.

    Args:
        path: The file.
        facts: What to know first, name to text: the model, the people.
        outcome: What is predicted, with its threshold.
        metrics: The content of the validation's metrics.json.
        tests: Of each session that is scored.
        cohort: A row for each session there is: `subject`, `label`, `left_out`.
        sessions: The rows of predictions.csv.
        knows_training: Whether the model can tell the scans that it was trained on.
    """
    told = _for_words(metrics, knows_training=knows_training)
    body = [heading("External validation", facts), headline(*outcome.words.result_sentence(told, tests.targets))]
    cautions = _cautions(outcome, told, tests.targets, knows_training=knows_training)
    body += [element("p", text, css="caution") for text in cautions]
    body += [element("h2", "Who they are"), *_people(outcome, metrics, tests.targets, cohort)]
    body += _scores(outcome, metrics, tests)
    body += _calibration(outcome, metrics["calibration"])
    body += decision_section(outcome, metrics.get("decisions"))
    body += curve_section(metrics.get("decision_curve"))
    body += strata_section(outcome, metrics)
    body += _noted(sessions)
    body += reading_section(outcome.words.reading(), outcome.words)
    write_page(path, title="External validation", sections=body)


def _for_words(metrics: Mapping[str, Any], *, knows_training: bool) -> dict[str, Any]:
    """Return the metrics as the words of an outcome take them: of tests in one fold, of which nothing is sure."""
    unsure = {} if knows_training else {"leaks": {"near_copies": [{"folds": [0], "certain": True}]}}
    return {**metrics, "folds": [{}], **unsure}


def _cautions(outcome: Outcome, told: Mapping[str, Any], targets: np.ndarray, *, knows_training: bool) -> list[str]:
    """Write what a reader must know before using the number."""
    texts, counts = [], told["num_subjects"]
    if counts["seen"]:
        whose = number_text(counts["seen"], "session", "is", "are")
        texts.append(
            f"{whose} left out of the scores: the model was trained on these scans, or on near-copies of them."
        )
    if not knows_training:
        texts.append(
            "This model keeps no record of its training scans, so nobody was told apart whom it has seen. Make sure "
            "that none of these people was among them."
        )
    if counts["unusual"]:
        whose = number_text(counts["unusual"], "scan", "is", "are")
        texts.append(f"{whose} unlike the training scans, see below. They are scored like the others.")
    if counts["outside"]:
        whose = number_text(counts["outside"], "scan", "is", "are")
        texts.append(
            f"{whose} outside of what the model was trained on, see below: predict would not predict them. They are "
            "scored like the others."
        )
    if told.get("better_than_chance") is False:
        title = score_title(outcome.evidence)
        texts.append(
            f"No evidence that the model is better than chance on these people: the 95 % interval of the {title} does "
            "not lie above what guessing gives."
        )
    if lacking := outcome.lacking(targets):
        texts.append(f"There is {lacking}: scores that need it are left empty.")
    # Of one fold they would advise to test more by evaluation=kfold; what only the own test has, such as scores before
    # predictions were corrected, says how the model makes them.
    known = {**told, "folds": [{}, {}], "test": {**told["own_test"], **told["test"]}}
    return [*texts, *outcome.words.cautions(known, targets)]


def _people(
    outcome: Outcome, metrics: Mapping[str, Any], targets: np.ndarray, cohort: Sequence[Mapping[str, str]]
) -> list[Html]:
    """Count those who are scored, and name who was left out and why."""
    counts = metrics["num_subjects"]
    rows = [[name[:1].upper() + name[1:], text] for name, text in outcome.words.cohort_rows(targets)]
    rows.append(["Scored", str(counts["tested"])])
    named = {
        "seen": "Predicted, not scored: seen in training",
        "failed": "Not predicted",
        "unlabelled": "Without a label",
        "left_out": "Left out",
    }
    rows += [[title, str(counts[key])] for key, title in named.items() if counts[key]]
    rows.append(["Sessions in all", str(counts["total"])])
    left_out = [[row["subject"], row["left_out"]] for row in cohort if row["label"] and row["left_out"]]
    listed = details(f"Left out: {len(left_out)}", table(["Session", "Reason"], left_out[:_MAX_ROWS]))
    return [table([], rows), *([listed] if left_out else [])]


def _scores(
    outcome: Outcome,
    metrics: Mapping[str, Any],
    tests: ShownTests,
) -> list[Html]:
    """Draw the charts of an outcome, and list all scores, beside those of the model's own test."""
    drawn = [SCORE_CHARTS[name](outcome, tests) for name in outcome.charts]
    shown = [figure(part) if isinstance(part, Picture) else part for part in drawn]
    test, own = metrics["test"], metrics["own_test"]
    rows = []
    for name, score in test.items():
        decimals = num_decimals([score["value"]])
        beside = [in_full(own[name], decimals=decimals) if name in own else "–"] if own else []
        rows.append([score_title(name), in_full(score, decimals=decimals), *beside])
    header = ["", "These people", *(["The model's own test"] if own else [])]
    texts = [_ABOUT, *([_OWN] if own else [])]
    parts = [element("h2", "Scores"), element("div", *shown, css="grid"), table(header, rows, css="numbers")]
    return [*parts, *(element("p", text) for text in texts)]


def _calibration(outcome: Outcome, content: Mapping[str, Any]) -> list[Html]:
    """Say whether predictions come true as they say."""
    if content.get("prevalence", {}) is not None:
        return calibration_section(outcome, content)
    title, _, *others = calibration_section(outcome, {**content, "prevalence": {}})
    unknown = "The model keeps no record of how frequent its classes were in training: its probabilities hold for that."
    return [title, element("p", unknown), *others]


def _noted(sessions: Sequence[Mapping[str, Any]]) -> list[Html]:
    """List the sessions that somebody should look at, those that are unlike every training scan first."""
    noted = [row for row in sessions if row["warnings"]]
    noted.sort(key=lambda row: row["status"] == "ok")  # stable
    if not noted:
        return []
    rows = [[str(row[key]) for key in ("subject", "label", "status", "warnings")] for row in noted[:_MAX_ROWS]]
    more = f"{len(noted) - _MAX_ROWS} more are listed in predictions.csv." if len(noted) > _MAX_ROWS else ""
    shown = table(["Session", "Label", "Status", "Warnings"], rows, css="scans")
    return [element("h2", "Scans to look at"), shown, *([element("p", more)] if more else [])]
