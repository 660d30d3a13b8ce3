"""How well a run predicts: the charts of its outcome, and a table of all scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mri3d.report.class_charts import (
    calibration_chart,
    confusion_table,
    precision_recall_chart,
    probability_chart,
    roc_chart,
)
from mri3d.report.elements import (
    Html,
    details,
    element,
    figure,
    in_full,
    mean_and_sd,
    num_decimals,
    number,
    score_title,
    table,
)
from mri3d.report.measure_charts import error_against_true_chart, predicted_against_true_chart
from mri3d.report.picture import Picture
from mri3d.report.shown_tests import ShownTests

if TYPE_CHECKING:
    from mri3d.outcome import Outcome

ScoreChart = Callable[[Any, ShownTests], Picture | Html]
"""Draws tests of an outcome."""

SCORE_CHARTS: dict[str, ScoreChart] = {
    "roc": roc_chart,
    "precision_recall": precision_recall_chart,
    "confusion": confusion_table,
    "probability": probability_chart,
    "calibration": calibration_chart,
    "predicted_against_true": predicted_against_true_chart,
    "error_against_true": error_against_true_chart,
}
"""What an outcome may name in `charts`."""

_MAX_COLUMNS = 6  # folds that stand beside their mean
_SIZES = {
    "num_train": "Training sessions",
    "num_validation": "Validation sessions",
    "num_test": "Test sessions",
    "epochs": "Epochs",
    "seconds": "Seconds of training",
}


def score_section(outcome: Outcome, metrics: Mapping[str, Any], tests: ShownTests) -> list[Html]:
    """Draw the charts of an outcome, and list all scores.

    Args:
        outcome: What is predicted.
        metrics: The content of metrics.json.
        tests: Those that are drawn.
    """
    drawn = [SCORE_CHARTS[name](outcome, tests) for name in outcome.charts]
    shown = [figure(part) if isinstance(part, Picture) else part for part in drawn]
    parts = [element("h2", "Test results"), element("div", *shown, css="grid"), score_table(metrics)]
    about = metrics.get("intervals")  # runs of earlier versions have none
    return [*parts, element("p", _about_intervals(about, len(metrics["folds"])))] if about else parts


def _about_intervals(about: Mapping[str, Any], num_folds: int) -> str:
    """Write what the intervals in brackets are about."""
    if about["about"] == "model":
        return (
            "In brackets: 95 % intervals. They are about this model, as it is, on people like those who were tested; "
            "another training could give a better or a worse one."
        )
    source = "measured by fits within folds, Bates et al. 2024" if about.get("measured") else "Nadeau and Bengio 2003"
    return (
        f"In brackets: 95 % intervals. They are about this way of training on about {about['num_train']} sessions, not "
        f"about one of the {num_folds} models. Folds share training sessions, so the intervals are "
        f"{about['widening']:.2f} times as wide as those of as many independent tests ({source})."
    )


def score_table(metrics: Mapping[str, Any]) -> Html:
    """List every score of all tests together, and with several folds the mean and each fold; then the sizes.

    Many folds have a table of their own, a row for each, folded away: as columns they would be wider than a page.
    """
    pooled, folds = metrics["test"], metrics["folds"]
    sizes = _sizes(metrics)
    decimals = {name: num_decimals([pooled[name]["value"], *_of_folds(folds, name)]) for name in pooled}
    rows = [[score_title(name), in_full(pooled[name], decimals=decimals[name])] for name in pooled]
    for key in sizes:  # the folds' training sessions overlap, and have no sum
        summable = len(folds) == 1 or key in ("num_test", "seconds")
        rows.append([_SIZES[key], _size(key, sum(fold[key] for fold in folds)) if summable else ""])
    header = ["", "All tests"]
    if len(folds) == 1:
        return table(header if pooled else [], rows, css="numbers")
    means = [*(mean_and_sd(_of_folds(folds, name)) for name in pooled), *[""] * len(sizes)]
    rows = [[*row, mean] for row, mean in zip(rows, means, strict=True)]
    header.append("Mean ± SD")
    names, cells = [_fold_title(fold) for fold in folds], []
    for fold in folds:
        scores = [number(fold["scores"].get(name), decimals=decimals[name]) for name in pooled]
        cells.append(scores + [_size(key, fold[key]) for key in sizes])
    if len(folds) <= _MAX_COLUMNS:
        rows = [[*row, *of_folds] for row, *of_folds in zip(rows, *cells, strict=True)]
        return table([*header, *names], rows, css="numbers")
    titles = [row[0] for row in rows]
    each = table(["", *titles], [[name, *row] for name, row in zip(names, cells, strict=True)], css="numbers folds")
    return element("div", table(header, rows, css="numbers"), details(f"Each of {len(folds)} folds", each))


def _fold_title(fold: Mapping[str, Any]) -> str:
    return f"Fold {fold['fold']}" + (f", {fold['name']}" if "name" in fold else "")


def _of_folds(folds: Sequence[Mapping[str, Any]], name: str) -> list[float | None]:
    return [fold["scores"].get(name) for fold in folds]


def _size(key: str, value: float) -> str:
    return f"{value:.1f}" if key == "seconds" else str(value)


def _sizes(metrics: Mapping[str, Any]) -> list[str]:
    """Name the sizes that a run has: epochs where there are any, tests where there are any."""
    optional = ("epochs", "num_test")
    return [key for key in _SIZES if key not in optional or any(fold[key] for fold in metrics["folds"])]
