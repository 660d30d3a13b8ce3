"""Charts of how well classes are predicted: ROC and precision-recall curves, confusions, probabilities, calibration.

All take the same arguments: the outcome, and the tests, whom these do not name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve

from mri3d.outcome.class_scores import confusion_matrix
from mri3d.report.charts import COLOURS, GRAY, chart, chart_picture, class_look, short_label, tell
from mri3d.report.elements import Html, element, scrolled
from mri3d.report.picture import Picture
from mri3d.report.shown_tests import ShownTests
from mri3d.texts import number_text

if TYPE_CHECKING:
    from mri3d.outcome import Classes

_MANY = 4  # classes; with more, names and cells need room of their own


def roc_chart(outcome: Classes, tests: ShownTests) -> Picture:
    """Draw the ROC curve of the positive class of two, or of each of more against all others."""
    classes, targets, proba = outcome.names, tests.targets, tests.predictions
    many = len(classes) > _MANY
    with chart(height=_height(len(classes) + 1 if many else 0)) as figure:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=GRAY, linestyle=":", linewidth=1.2, label="Chance")
        for target, truth in _against_others(classes, targets):
            false_rate, true_rate, thresholds = roc_curve(truth, proba[:, target])
            label = short_label(classes[target])
            axes.plot(false_rate, true_rate, **class_look(target), linewidth=2, clip_on=False, label=label)
            rates = {"False positive rate": false_rate, "True positive rate": true_rate}
            tell(axes, false_rate, true_rate, _steps(classes[target], thresholds, rates))
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="False positive rate", ylabel="True positive rate")
        if many:
            figure.legend(loc="outside upper left", ncols=2)
        else:
            axes.legend(loc="lower right")
        curves = f"ROC curve of {classes[1]}" if len(classes) == 2 else "ROC curve of each class against all others"
        alt = f"{curves}: true positive rate against false positive rate."
        return chart_picture(figure, alt, f"{curves}. The closer to the upper left corner, the better.")


def precision_recall_chart(outcome: Classes, tests: ShownTests) -> Picture:
    """Draw the precision-recall curve of the positive class of two, or of each of more against all others.

    Chance is how frequent the class is; average precision is that of scikit-learn, of all tests together.
    """
    classes, targets, proba = outcome.names, tests.targets, tests.predictions
    many, areas = len(classes) > _MANY, list[str]()
    with chart(height=_height(len(classes) if many else 0)) as figure:
        axes = figure.add_subplot()
        for target, truth in _against_others(classes, targets):
            precision, recall, thresholds = precision_recall_curve(truth, proba[:, target], drop_intermediate=True)
            look = class_look(target)
            chance = {"color": GRAY, "label": "Chance"} if len(classes) == 2 else {"color": look["color"]}
            axes.axhline(truth.mean(), linestyle=":", linewidth=1.2, **chance)
            label = short_label(classes[target])
            axes.plot(recall, precision, **look, drawstyle="steps-post", linewidth=2, clip_on=False, label=label)
            rates = {"Recall": recall[:-1], "Precision": precision[:-1]}  # the last one is there by convention
            tell(axes, recall[:-1], precision[:-1], _steps(classes[target], thresholds, rates))
            area = average_precision_score(truth, proba[:, target])
            areas.append(f"of {classes[target]} is {area:.3f} (chance {truth.mean():.3f})")
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="Recall", ylabel="Precision")
        if many:
            figure.legend(loc="outside upper left", ncols=2)
        elif areas:
            axes.legend(loc="lower left")
        several = len(classes) > 2
        curves = "Precision-recall curve of " + ("each class against all others" if several else classes[1])
        chance_is = "Dotted lines: chance, how frequent each class is" if several else "Dotted line: chance"
        told = f" Average precision {', '.join(areas)}." if areas else ""
        return chart_picture(figure, f"{curves}: precision against recall.", f"{curves}. {chance_is}.{told}")


def confusion_table(outcome: Classes, tests: ShownTests) -> Html:
    """Count tests by true class (rows) and predicted class (columns)."""
    classes, targets, proba = outcome.names, tests.targets, tests.predictions
    cells = confusion_matrix(targets, proba.argmax(axis=1), len(classes))
    rows = []
    for name, counts in zip(classes, cells, strict=True):
        shares = counts / max(counts.sum(), 1)
        filled = [
            element("td", element("b", str(count)), f"{100 * share:.0f} %", style=f"--share:{share:.3f}")
            for count, share in zip(counts, shares, strict=True)
        ]
        rows.append(element("tr", element("th", f"True: {name}"), *filled))
    many = len(classes) > _MANY
    head = element("tr", element("th", ""), *(element("th", f"Predicted: {name}") for name in classes))
    cells_css = "confusion dense" if many else "confusion"
    grid = scrolled(element("table", head, element("tbody", *rows), css=cells_css))
    caption = "Confusion matrix: number of tests, and their percentage of each true class."
    return element("figure", grid, element("figcaption", caption), css="wide" if many else "")


def probability_chart(outcome: Classes, tests: ShownTests) -> Picture:
    """Draw the distribution of the predicted probabilities by true class.

    Two classes: the probability of the positive one. More: the probability of the true one.
    """
    classes, targets, proba = outcome.names, tests.targets, tests.predictions
    binary = len(classes) == 2
    of_class = short_label(classes[1]) if binary else "the true class"
    with chart(height=_height(len(classes))) as figure:
        axes = figure.add_subplot()
        bins, counted = np.linspace(0, 1, 21), list[np.ndarray]()
        for target, name in enumerate(classes):
            values = proba[targets == target, 1 if binary else target]
            counts, _ = np.histogram(values, bins)
            counted.append(counts)
            axes.stairs(counts, bins, fill=True, alpha=0.25, color=class_look(target)["color"])
            axes.stairs(counts, bins, **class_look(target), linewidth=1.8, label=short_label(name))
        axes.set(xlim=(0, 1), xlabel=f"Predicted probability of {of_class}", ylabel="Number of tests")
        columns = [(ends, here) for ends, *here in zip(pairwise(bins), *counted, strict=True) if any(here)]
        told = [_column_text(ends, classes, here) for ends, here in columns]
        tell(axes, [ends for ends, _ in columns], [axes.get_ylim()] * len(columns), told)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside upper left", ncols=2, title="True class", alignment="left")
        better = "The less the classes overlap, the better." if binary else "The further to the right, the better."
        alt = f"Histogram of the predicted probability of {of_class}, one for each true class."
        return chart_picture(figure, alt, f"Predicted probabilities by true class. {better}")


def calibration_chart(outcome: Classes, tests: ShownTests) -> Picture:
    """Draw observed frequencies against predicted probabilities, in ten bins.

    Two classes: the probability of the positive one. More: of the predicted one. Bars are 95 % Wilson intervals.
    """
    classes, targets, proba = outcome.names, tests.targets, tests.predictions
    binary = len(classes) == 2
    predicted = proba[:, 1] if binary else proba.max(axis=1)
    observed = targets == (1 if binary else proba.argmax(axis=1))
    bins = np.minimum((predicted * 10).astype(int), 9)
    of_class = short_label(classes[1]) if binary else "the predicted class"
    with chart() as figure:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=GRAY, linestyle=":", linewidth=1.2)
        for number in np.unique(bins):
            here = bins == number
            low, high = wilson_interval(int(observed[here].sum()), int(here.sum()))
            middle, area = predicted[here].mean(), 15 + 240 * here.mean()
            axes.plot([middle, middle], [low, high], color=COLOURS[0], alpha=0.45, linewidth=1.5)
            mark = {"s": area, "color": COLOURS[0], "edgecolors": "white", "zorder": 3}
            axes.scatter(middle, observed[here].mean(), clip_on=False, **mark)
            told = [
                f"Predicted {number / 10:.1f} to {(number + 1) / 10:.1f}, mean {middle:.3f}",
                f"Observed {observed[here].mean():.3f} ({low:.3f} to {high:.3f})",
                f"{observed[here].sum()} of {number_text(int(here.sum()), 'test')}",
            ]
            tell(axes, [middle], [[low, high]], ["\n".join(told)])
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.set(xlabel=f"Predicted probability of {of_class}", ylabel="Observed frequency")
        caption = (
            "Calibration, in ten bins of predicted probability. On the dotted line, a predicted 0.8 comes true in 8 "
            "tests of 10. Lines are 95 % intervals (Wilson), as if each test were another subject's; a larger mark "
            "stands for more tests."
        )
        return chart_picture(figure, "Calibration: observed frequency against predicted probability.", caption)


def _against_others(classes: Sequence[str], targets: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each class with a curve, of two the positive one, and which tests [T] are of it: some, and not all."""
    for target in [1] if len(classes) == 2 else range(len(classes)):
        truth = targets == target
        if truth.any() and not truth.all():
            yield target, truth


def _steps(name: str, thresholds: np.ndarray, rates: Mapping[str, np.ndarray]) -> list[str]:
    """Write from which probability of a class on it is predicted at each step of a curve [S], and what follows."""
    first = [
        f"Probability of {name} from {least:.3f} on" if np.isfinite(least) else f"Never {name}" for least in thresholds
    ]
    told = [[f"{title} {value:.3f}" for value in values] for title, values in rates.items()]
    return list(map("\n".join, zip(first, *told, strict=True)))


def _column_text(ends: tuple[float, float], classes: Sequence[str], counts: Sequence[int]) -> str:
    each = [f"{name}: {count}" for name, count in zip(classes, counts, strict=True) if count]
    return "\n".join([f"Probability {ends[0]:.2f} to {ends[1]:.2f}", *each])


def _height(num_names: int) -> float:
    """Return the height in inches of a chart with a legend above it, which has two names in a line."""
    return 3.6 + 0.2 * max(0, (num_names - 1) // 2)


def wilson_interval(num_hits: int, num_trials: int) -> tuple[float, float]:
    """Compute the 95 % interval of a proportion (Wilson 1927).

    >>> [round(limit, 3) for limit in wilson_interval(8, 10)]
    [0.49, 0.943]
    """
    z = 1.959964
    share, spread = num_hits / num_trials, z * z / num_trials
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * np.sqrt(share * (1 - share) / num_trials + spread / num_trials / 4)
    return float(middle - half), float(middle + half)
