"""What the inner folds chose: how often each value won, and validation curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mri3d.report.charts import validation_chart
from mri3d.report.elements import Html, as_text, element, figure, mean_and_sd, table

_NO_PARAMETERS = ("fold", "search", "inner_fold", "train_auc", "validation_auc")


@dataclass(frozen=True, eq=False)
class ValidationCurve:
    """Scores against the values of one parameter.

    Attributes:
        name: Of the parameter.
        values: What was tried, L of them.
        train_scores: For each value its AUCs on the rows fitted on, one for each fold and each of its inner folds.
        validation_scores: The same on the rows held out.
        num_chosen: How many folds chose each value [L].
    """

    name: str
    values: list[Any]
    train_scores: list[list[float]]
    validation_scores: list[list[float]]
    num_chosen: list[int]


def tuning_sections(metrics: Mapping[str, Any], search: Sequence[Mapping[str, Any]]) -> list[Html]:
    """Tell for each parameter which values the folds chose, and draw its validation curve.

    Args:
        metrics: The content of metrics.json.
        search: The rows of search.csv, see `validation_curves`.

    Returns:
        The section; nothing where there was nothing to choose from.
    """
    curves = validation_curves([fold["chosen"] for fold in metrics["folds"]], search)
    if not curves:
        return []
    num_folds = len(metrics["folds"])
    shown = []
    for curve in curves:
        others = ", all others as each fold chose them" if len(curves) > 1 else ""
        spread = f"mean ± SD over {len(curve.validation_scores[0])} inner folds"
        caption = f"Validation curve: AUC against {curve.name}{others}; {spread}."
        curve_scores = {"training": curve.train_scores, "held out": curve.validation_scores}
        shown += [figure(validation_chart(curve.name, curve.values, curve_scores, caption)), _choices(curve, num_folds)]
    fair = (
        f"Each of {num_folds} folds chose inside its own training subjects, and was then tested on others."
        if num_folds > 1
        else "The choice was made inside the training subjects."
    )
    return [
        element("h2", "What the inner folds chose"),
        element("p", f"{fair} The held-out scores below led the choice and so flatter it: they are not the result."),
        element("div", *shown, css="grid"),
    ]


def validation_curves(
    chosen: Sequence[Mapping[str, Any]], search: Sequence[Mapping[str, Any]]
) -> list[ValidationCurve]:
    """Cut through the grid along each parameter that has several values, where each fold chose all others to be.

    Args:
        chosen: For each fold the chosen value of each parameter.
        search: One row for each fold, point of its grid and inner fold: `fold` (an index into `chosen`), a value for
            each parameter, `inner_fold`, `train_auc`, `validation_auc`.
    """
    searches: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}  # a fold may have chosen in two steps
    for row in search:
        searches.setdefault(tuple(name for name in row if name not in _NO_PARAMETERS), []).append(row)
    curves = [_cut(name, chosen, rows) for names, rows in searches.items() for name in names]
    return [curve for curve in curves if len(curve.values) > 1]


def _cut(name: str, chosen: Sequence[Mapping[str, Any]], search: Sequence[Mapping[str, Any]]) -> ValidationCurve:
    """Follow one parameter over the values that every fold tried."""
    fixed = {name, *_NO_PARAMETERS}
    rows = [
        row
        for row in search
        if all(value == chosen[row["fold"]][key] for key, value in row.items() if key not in fixed)
    ]
    curve = ValidationCurve(name, [], [], [], [])
    for value in (row[name] for row in rows):
        here = [row for row in rows if row[name] == value]
        if value in curve.values or len({row["fold"] for row in here}) < len(chosen):
            continue
        curve.values.append(value)
        curve.train_scores.append([row["train_auc"] for row in here])
        curve.validation_scores.append([row["validation_auc"] for row in here])
        curve.num_chosen.append(sum(setting[name] == value for setting in chosen))
    return curve


def _choices(curve: ValidationCurve, num_folds: int) -> Html:
    """Give the counts, and the numbers of the curve."""
    rows = [
        [as_text(value), f"{count} of {num_folds}", mean_and_sd(train), mean_and_sd(held_out)]
        for value, count, train, held_out in zip(
            curve.values, curve.num_chosen, curve.train_scores, curve.validation_scores, strict=True
        )
    ]
    return table([curve.name, "chosen", "training", "held out"], rows, css="numbers")
