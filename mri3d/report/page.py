"""The report of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mri3d.outcome.score import p_text
from mri3d.report.association_section import association_cautions, association_section
from mri3d.report.calibration_section import calibration_section
from mri3d.report.confound_section import confound_cautions, confound_section
from mri3d.report.elements import (
    Html,
    details,
    element,
    figure,
    heading,
    headline,
    picture_sections,
    score_title,
    table,
    write_page,
)
from mri3d.report.harmonization_section import harmonization_cautions, harmonization_section
from mri3d.report.importance_section import importance_section
from mri3d.report.leak_section import leak_cautions, leak_section
from mri3d.report.learning_curve_section import learning_curve_section
from mri3d.report.met_section import met_section
from mri3d.report.permutation_section import permutation_section
from mri3d.report.picture import Picture
from mri3d.report.reading import reading_section
from mri3d.report.score_section import score_section, score_table
from mri3d.report.seed_section import seed_section
from mri3d.report.shown_tests import ShownTests
from mri3d.report.strata_section import strata_section
from mri3d.report.training_charts import History, training_chart
from mri3d.report.trust_section import trust_section
from mri3d.report.tuning import tuning_sections

if TYPE_CHECKING:
    from mri3d.outcome import Outcome

_MAX_ROWS = 50  # of a list that cohort.csv has in full


@dataclass(frozen=True)
class Parts:
    """Sections of the page that are laid out by whoever has what they show; each may be empty.

    Attributes:
        scans: What is to be shown of the scans of the cohort, see `scans_page.scans_section`.
        others: How other runs on the same tests did.
        subjects: The tests one by one, see `subject_table.subject_section`.
        pictures: Title and pictures of each further section; the first are shown, as many as a page may hold.
        viewer: Scans in 3D, see `viewer.viewer_section`.
        paper: What a paper needs: methods, checklists, and the command that repeats the run.
    """

    scans: Sequence[Html] = ()
    others: Sequence[Html] = ()
    subjects: Sequence[Html] = ()
    pictures: Sequence[tuple[str, Sequence[Picture]]] = ()
    viewer: Sequence[Html] = ()
    paper: Sequence[Html] = ()


def write_report(
    path: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    outcome: Outcome,
    metrics: Mapping[str, Any],
    tests: ShownTests,
    cohort: Sequence[Mapping[str, str]],
    taking_part: Sequence[tuple[str, str]],
    histories: Sequence[History] = (),
    search: Sequence[Mapping[str, Any]] = (),
    parts: Parts = Parts(),
    configuration: str = "",
) -> None:
    """Write one HTML file that opens anywhere, offline.

    Args:
        path: The file.
        title: Of the run.
        facts: What to know first, name to text: model, resolution, data, time.
        outcome: What is predicted.
        metrics: The content of metrics.json; `test` is empty where nobody was tested.
        tests: Those that are drawn.
        cohort: The rows of cohort.csv: `subject`, `label`, `left_out`, `warnings`.
        taking_part: Rows that describe the targets of all who take part, see `Words.cohort_rows`.
        histories: For each fold its epochs, see `training_charts.History`.
        search: What the inner folds found, see `tuning.validation_curves`.
        parts: What is laid out already.
        configuration: Every setting, as text.
    """
    tested = bool(metrics["test"])
    body = [heading(title, facts)]
    body += _answer(outcome, metrics, tests.targets) if tested else [element("p", _untested(metrics), css="caution")]
    body += association_section(metrics.get("confounds"))
    body += leak_section(metrics.get("leaks"))
    body += [element("h2", "Who took part"), *_cohort(cohort, taking_part), *parts.scans]
    body += met_section(metrics.get("scans")) if tested else []
    body += _training(metrics, histories)
    body += tuning_sections(metrics, search)
    if tested:
        body += score_section(outcome, metrics, tests)
        body += calibration_section(outcome, metrics.get("calibration"))
        body += strata_section(outcome, metrics) if metrics.get("strata", {}).get("members") else []
        body += importance_section(metrics.get("covariates"))
        body += confound_section(metrics.get("confounds"), outcome.compared)
        body += harmonization_section(metrics.get("harmonization"), outcome.compared)
        body += permutation_section(metrics.get("permutation"))
        body += learning_curve_section(metrics.get("learning_curve"), outcome.compared)
    body += seed_section(metrics, outcome.compared)
    body += [*parts.others, *parts.subjects]
    body += trust_section(metrics.get("maps"))
    body += [*picture_sections(parts.pictures), *parts.viewer]
    body += reading_section(outcome.words.reading() if tested else [], outcome.words)
    body += parts.paper
    if configuration:
        setting = details("Every setting of this run", element("pre", configuration))
        body += [element("h2", "Configuration"), setting]
    write_page(path, title=title, sections=body)


def _answer(outcome: Outcome, metrics: Mapping[str, Any], targets: np.ndarray) -> list[Html]:
    """Write the result, and what speaks against it."""
    cautions = [
        *leak_cautions(metrics.get("leaks")),
        *_chance(metrics, outcome),
        *association_cautions(metrics.get("confounds")),
        *confound_cautions(metrics.get("confounds")),
        *harmonization_cautions(metrics.get("harmonization")),
        *outcome.words.cautions(metrics, targets),
    ]
    result = headline(*outcome.words.result_sentence(metrics, targets))
    return [result, *(element("p", text, css="caution") for text in cautions)]


def _chance(metrics: Mapping[str, Any], outcome: Outcome) -> list[str]:
    """Say that there is no evidence, where there is none."""
    if metrics.get("better_than_chance") is not False:  # runs of earlier versions say nothing
        return []
    test = metrics.get("permutation")
    p = test["scores"][test["primary"]]["p"] if test else None
    reason = (
        f"the 95 % interval of the {score_title(outcome.evidence)} does not lie above what guessing gives"
        if p is None
        else f"with permuted labels the score is as good with probability {p_text(p)}"
    )
    return [f"No evidence that the model is better than chance: {reason}."]


def _untested(metrics: Mapping[str, Any]) -> str:
    """Explain that a model was trained on all rows, and what follows from that."""
    num_train, num_validation = (sum(fold[key] for fold in metrics["folds"]) for key in ("num_train", "num_validation"))
    has_epochs = any(fold["epochs"] for fold in metrics["folds"])  # other models learn from the validation rows too
    stopping = (
        f", {num_validation} of which only decided when to stop training" if num_validation and has_epochs else ""
    )
    return (
        f"This model was trained on all {num_train + num_validation} sessions{stopping}. None was left to test it on, "
        "so it has no test score. To measure how well such a model predicts, run the same settings with "
        "evaluation=kfold."
    )


def _training(metrics: Mapping[str, Any], histories: Sequence[History]) -> list[Html]:
    """Draw the epochs; without a table of scores, give the sizes here."""
    shown = [figure(training_chart(histories))] if any(histories) else []
    if not metrics["test"]:
        shown.append(score_table(metrics))
    return [element("h2", "Training"), *shown] if shown else []


def _cohort(cohort: Sequence[Mapping[str, str]], taking_part: Sequence[tuple[str, str]]) -> list[Html]:
    """Describe who took part; name who was left out and why, and whose scan has warnings."""
    unlabelled = sum(not row["label"] for row in cohort)
    left_out = [[row["subject"], row["left_out"]] for row in cohort if row["label"] and row["left_out"]]
    warned = [[row["subject"], row["warnings"]] for row in cohort if row["warnings"]]
    rows = [[name[:1].upper() + name[1:], text] for name, text in taking_part]
    rows += [
        ["Without a label", str(unlabelled)],
        ["Left out", str(len(left_out))],
        ["Sessions in all", str(len(cohort))],
    ]
    parts = [table([], rows)]
    for listed, title, column in ((left_out, "Left out", "Reason"), (warned, "With warnings", "Warning")):
        if listed:
            more = f"{len(listed) - _MAX_ROWS} more are listed in cohort.csv." if len(listed) > _MAX_ROWS else ""
            shown = table(["Session", column], listed[:_MAX_ROWS])
            parts.append(details(f"{title}: {len(listed)}", shown, element("p", more)))
    return parts
