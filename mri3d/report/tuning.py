"""What the inner folds chose: how many folds chose each value of a parameter, and validation curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mri3d.report.elements import Html, element, figure, mean_and_sd, score_title, table
from mri3d.report.training_charts import validation_chart
from mri3d.texts import parameter_text

_TRAIN, _VALIDATION = "train_", "validation_"  # before the name of the score that led the choice


@dataclass(frozen=True, eq=False)
class ValidationCurve:
    """Scores against the values of one parameter.

    Attributes:
        name: Of the parameter.
        criterion: The score that led the choice, such as `auc`.
        values: What was tried, L of them.
        train_scores: For each value its scores on the rows fitted on, one for each fold and each of its inner folds.
        validation_scores: The same on the rows held out.
        num_chosen: How many folds chose each value [L].
    """

    name: str
    criterion: str
    values: list[Any]
    train_scores: list[list[float]]
    validation_scores: list[list[float]]
    num_chosen: list[int]


def tuning_sections(metrics: Mapping[str, Any], search: Sequence[Mapping[str, Any]]) -> list[Html]:
    """Count for each parameter which values the folds chose, and draw its validation curve.

    Args:
        metrics: The content of metrics.json.
        search: The rows of search.csv, see `validation_curves`.

    Returns:
        The section; nothing where there was nothing to choose from.
    """
    fits = [fold.get("fits", [fold]) for fold in metrics["folds"]]
    places = [(fold, fit) for fold, of_fold in enumerate(fits) for fit in range(len(of_fold))]
    number = {place: which for which, place in enumerate(places)}
    rows = [
        {name: value for name, value in row.items() if name != "fit"} | {"fold": number[row["fold"], row.get("fit", 0)]}
        for row in search
    ]
    curves = validation_curves([fit["chosen"] for of_fold in fits for fit in of_fold], rows)
    if not curves:
        return []
    num_fits, what = len(places), "fit" if len(places) > len(fits) else "fold"
    shown = []
    for curve in curves:
        others = f", all others as each {what} chose them" if len(curves) > 1 else ""
        spread = f"mean ± SD over {len(curve.validation_scores[0])} inner folds"
        caption = f"Validation curve: {score_title(curve.criterion)} against {curve.name}{others}; {spread}."
        curve_scores = {"Training": curve.train_scores, "Validation": curve.validation_scores}
        chart = validation_chart(curve.name, curve.values, curve_scores, caption, criterion=curve.criterion)
        shown += [figure(chart), _choices(curve, num_fits, what)]
    fair = (
        f"Each of {num_fits} {what}s chose within its own training sessions, and was then tested on other sessions."
        if num_fits > 1
        else "The choice was made within the training sessions."
    )
    return [
        element("h2", "What the inner folds chose"),
        element(
            "p",
            f"{fair} The validation scores below led the choice and are therefore too good: only a test says how good "
            "the model is.",
        ),
        element("div", *shown, css="grid"),
    ]


def validation_curves(
    chosen: Sequence[Mapping[str, Any]], search: Sequence[Mapping[str, Any]]
) -> list[ValidationCurve]:
    """Cut through the grid along each parameter that has several values, where each fold chose all others to be.

    Args:
        chosen: For each fold the chosen value of each parameter.
        search: One row for each fold, point of its grid and inner fold: `fold` (an index into `chosen`), a value for
            each parameter, `inner_fold`, and `train_<criterion>` and `validation_<criterion>` for the score that led
            the choice.
    """
    searches: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}  # a fold may have chosen in two steps
    for row in search:
        searches.setdefault(_parameters(row), []).append(row)
    curves = [_cut(name, names, chosen, rows) for names, rows in searches.items() for name in names]
    return [curve for curve in curves if len(curve.values) > 1]


def _criterion(row: Mapping[str, Any]) -> str:
    """Find the score that led the choice by the names of its two columns."""
    names = (column.removeprefix(_VALIDATION) for column in row if column.startswith(_VALIDATION))
    return next(name for name in names if _TRAIN + name in row)


def _parameters(row: Mapping[str, Any]) -> tuple[str, ...]:
    criterion = _criterion(row)
    others = ("fold", "search", "inner_fold", _TRAIN + criterion, _VALIDATION + criterion)
    return tuple(name for name in row if name not in others)


def _cut(
    name: str, names: Sequence[str], chosen: Sequence[Mapping[str, Any]], search: Sequence[Mapping[str, Any]]
) -> ValidationCurve:
    """Follow one of several parameters over the values that every fold tried."""
    fixed = [other for other in names if other != name]
    rows = [row for row in search if all(row[other] == chosen[row["fold"]][other] for other in fixed)]
    criterion = _criterion(search[0])
    curve = ValidationCurve(name, criterion, [], [], [], [])
    for value in (row[name] for row in rows):
        here = [row for row in rows if row[name] == value]
        if value in curve.values or len({row["fold"] for row in here}) < len(chosen):
            continue
        curve.values.append(value)
        curve.train_scores.append([row[_TRAIN + criterion] for row in here])
        curve.validation_scores.append([row[_VALIDATION + criterion] for row in here])
        curve.num_chosen.append(sum(setting[name] == value for setting in chosen))
    return curve


def _choices(curve: ValidationCurve, num_fits: int, what: str) -> Html:
    """List how many fits chose each value, and the numbers of the curve."""
    rows = [
        [
            parameter_text(value),
            f"{count} of {num_fits}",
            mean_and_sd(train),
            mean_and_sd(held_out),
        ]
        for value, count, train, held_out in zip(
            curve.values, curve.num_chosen, curve.train_scores, curve.validation_scores, strict=True
        )
    ]
    return table([curve.name, f"{what.capitalize()}s that chose it", "Training", "Validation"], rows, css="numbers")
