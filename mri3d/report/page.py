"""The report of a run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix

from mri3d.report import charts
from mri3d.report.elements import (
    SCORES,
    Html,
    details,
    element,
    figure,
    heading,
    headline,
    mean_and_sd,
    number,
    picture_sections,
    table,
    write_page,
)
from mri3d.report.figures import Picture
from mri3d.report.tuning import tuning_sections

_FEW = 30  # tests of a class; with fewer, the standard error of a share of 0.8 is above 0.07
_MAX_ROWS = 50  # of a list that cohort.csv has in full


def write_report(
    path: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    metrics: Mapping[str, Any],
    targets: np.ndarray,
    proba: np.ndarray,
    cohort: Sequence[Mapping[str, str]],
    histories: Sequence[Sequence[Mapping[str, float]]] = (),
    search: Sequence[Mapping[str, Any]] = (),
    sections: Sequence[tuple[str, Sequence[Picture]]] = (),
    configuration: str = "",
) -> None:
    """Write one HTML file that opens anywhere, offline.

    Args:
        path: The file.
        title: Of the run.
        facts: What to know first, name to text: model, resolution, data, time.
        metrics: The content of metrics.json.
        targets: Index of the true class of each test [T].
        proba: Probability of each class [T, K].
        cohort: The rows of cohort.csv: `subject`, `label`, `left_out`, `warnings`.
        histories: For each fold its epochs, see `charts.training_chart`.
        search: What the inner folds told, see `tuning.validation_curves`.
        sections: Title and pictures of each further section; the first pictures are shown, as many as a page may hold.
        configuration: Every setting, as text.
    """
    body = [heading(title, facts), _result(metrics, targets), *_cautions(metrics, targets)]
    body += _judgement(metrics, targets, proba)
    if any(histories):
        body += [element("h2", "Training"), figure(charts.training_chart(histories))]
    body += tuning_sections(metrics, search)
    body += [element("h2", "Who took part"), *_cohort(cohort), *picture_sections(sections)]
    body += [element("h2", "How to read this"), _reading(metrics["classes"])]
    if configuration:
        setting = details("Every setting of this run", element("pre", configuration))
        body += [element("h2", "Configuration"), setting]
    write_page(path, title=title, sections=body)


def _result(metrics: Mapping[str, Any], targets: np.ndarray) -> Html:
    name = next(name for name in ("auc", "balanced_accuracy", "accuracy") if metrics["test"][name]["value"] is not None)
    score, classes, num_folds = metrics["test"][name], metrics["classes"], len(metrics["folds"])
    interval = "" if score["low"] is None else f", 95 % interval {score['low']:.3f} to {score['high']:.3f}"
    tests = f"{len(targets)} tests" + (f" in {num_folds} folds" if num_folds > 1 else "")
    fair = "no model was trained on a scan that it is tested on"
    sentence = {
        "auc": "is the area under the ROC curve (AUC)",
        "balanced_accuracy": "is the balanced accuracy, the mean share of each class that is recognised",
        "accuracy": "of the tests are classified rightly",
    }[name]
    sentence += f"{interval}, on {tests}; {fair}."
    if name == "auc" and len(classes) == 2:
        rank = f"{100 * score['value']:.1f}".removesuffix(".0")
        sentence += f" Shown one {classes[0]} and one {classes[1]}, it tells which is which {rank} times in 100;"
        sentence += " guessing does so 50 times."
    elif name == "auc":
        sentence += f" It is the mean over {len(classes)} classes, each against the others; guessing gives 0.50."
    return headline(f"{score['value']:.3f}", sentence)


def _cautions(metrics: Mapping[str, Any], targets: np.ndarray) -> list[Html]:
    """Say what the reader must know before using the number."""
    texts = []
    counts = {name: int((targets == target).sum()) for target, name in enumerate(metrics["classes"])}
    few = [f"{count} of {name}" for name, count in counts.items() if count < _FEW]
    if few:
        texts.append(
            f"Few tests: only {' and '.join(few)}. Another draw of subjects could move the result by 0.1 or more"
            + ("; evaluation=kfold tests every subject." if len(metrics["folds"]) == 1 else ".")
        )
    error = metrics["test"]["expected_calibration_error"]["value"]
    if error > 0.15 and len(targets) >= 50:  # fewer tests raise it by chance alone
        texts.append(f"The probabilities are off by {error:.2f} on average: read them as a ranking, not as chances.")
    return [element("p", text, css="caution") for text in texts]


def _judgement(metrics: Mapping[str, Any], targets: np.ndarray, proba: np.ndarray) -> list[Html]:
    """Draw how the tests came out, and give every score."""
    classes = metrics["classes"]
    judged = [
        figure(charts.roc_chart(targets, proba, classes)),
        _confusion(targets, proba, classes),
        figure(charts.probability_chart(targets, proba, classes)),
        figure(charts.calibration_chart(targets, proba, classes)),
    ]
    return [element("h2", "How well it does"), element("div", *judged, css="grid"), _score_table(metrics)]


def _confusion(targets: np.ndarray, proba: np.ndarray, classes: Sequence[str]) -> Html:
    """Count tests by true class (rows) and predicted class (columns)."""
    cells = confusion_matrix(targets, proba.argmax(axis=1), labels=range(len(classes)))
    rows = []
    for name, counts in zip(classes, cells, strict=True):
        shares = counts / max(counts.sum(), 1)
        filled = [
            element("td", element("b", str(count)), f"{100 * share:.0f} %", style=f"--share:{share:.3f}")
            for count, share in zip(counts, shares, strict=True)
        ]
        rows.append(element("tr", element("th", f"truly {name}"), *filled))
    head = element("tr", element("th", ""), *(element("th", f"called {name}") for name in classes))
    grid = element("div", element("table", head, element("tbody", *rows), css="confusion"), css="scroll")
    return element("figure", grid, element("figcaption", "Confusion matrix, with shares of each true class."))


def _score_table(metrics: Mapping[str, Any]) -> Html:
    """Give every score of all tests together, and with several folds their mean and each of them."""
    pooled, folds = metrics["test"], metrics["folds"]
    header, rows = ["", "all tests"], [[SCORES.get(name, name), _with_interval(pooled[name])] for name in pooled]
    sizes = {"num_train": "training subjects", "num_validation": "validation subjects", "num_test": "test subjects"}
    if any(fold["epochs"] for fold in folds):
        sizes["epochs"] = "epochs"
    sizes["seconds"] = "seconds of training"
    for key, title in sizes.items():
        total = sum(fold[key] for fold in folds)
        rows.append([title, f"{total:.0f}" if len(folds) == 1 or key in ("num_test", "seconds") else ""])
    if len(folds) == 1:
        return table(header, rows, css="numbers")
    spreads = [mean_and_sd([fold["scores"][name] for fold in folds]) for name in pooled] + [""] * len(sizes)
    columns = {"mean ± SD": spreads}
    for fold in folds:
        scores = [number(fold["scores"][name]) for name in pooled]
        columns[f"fold {fold['fold']}"] = scores + [f"{fold[key]:.0f}" for key in sizes]
    rows = [[*row, *cells] for row, *cells in zip(rows, *columns.values(), strict=True)]
    return table([*header, *columns], rows, css="numbers")


def _with_interval(score: Mapping[str, float | None]) -> str:
    low, high = score["low"], score["high"]
    return number(score["value"]) + ("" if low is None else f" ({number(low)} to {number(high)})")


def _cohort(cohort: Sequence[Mapping[str, str]]) -> list[Html]:
    """Count the classes; name who was left out and why, and whose scan was warned of."""
    taking_part = Counter(row["label"] for row in cohort if not row["left_out"])
    counts = [[f"class {name}", str(count)] for name, count in sorted(taking_part.items())]
    unlabelled = sum(not row["label"] for row in cohort)
    left_out = [[row["subject"], row["left_out"]] for row in cohort if row["label"] and row["left_out"]]
    warned = [[row["subject"], row["warnings"]] for row in cohort if row["warnings"]]
    counts += [["without a label", str(unlabelled)], ["left out", str(len(left_out))], ["in all", str(len(cohort))]]
    sections = [table(["", "subjects"], counts)]
    for rows, title, column in ((left_out, "Left out", "why"), (warned, "With warnings", "warning")):
        if rows:
            more = f"{len(rows) - _MAX_ROWS} more stand in cohort.csv." if len(rows) > _MAX_ROWS else ""
            listed = table(["subject", column], rows[:_MAX_ROWS])
            sections.append(details(f"{title}: {len(rows)}", listed, element("p", more)))
    return sections


def _reading(classes: Sequence[str]) -> Html:
    """Explain the numbers, and what they do not say."""
    positive = f" {classes[1]} is the positive class." if len(classes) == 2 else ""
    texts = [
        f"AUC does not depend on a threshold; every other score calls the most probable class.{positive}",
        "Balanced accuracy is the mean of each class's share that is recognised: guessing gives "
        f"{1 / len(classes):.2f}, however unequal the classes. Accuracy can be high by always naming the largest.",
        "Log loss, Brier score and calibration error judge the probabilities themselves: less is better.",
        "The result holds for subjects like these, scanned like these. Where the classes differ in anything else, such "
        "as scanner, age or head size, the model may have learnt that instead: compare the classes in those first.",
        "A heatmap shows where the model found its evidence; it does not show disease or a cause. L and R are the "
        "subject's left and right.",
        "Research use only: not for decisions about patients.",
    ]
    return element("ul", *(element("li", text) for text in texts))
