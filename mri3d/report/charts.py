"""Charts of a run: ROC curve, probabilities, calibration, training, choice of parameters; and of several runs."""

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import roc_curve

from mri3d.report.elements import as_text
from mri3d.report.figures import Picture

# Okabe and Ito (2008): told apart by every colour vision. More classes repeat them with other dashes.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DASHES = ("solid", "dashed", "dotted", "dashdot")
GRAY = "#777777"
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text: small, and shown in letters that our font lacks
    "svg.hashsalt": "mri3d",  # the same run gives the same bytes
    "text.parse_math": False,  # a class may be called $x$
}


def roc_chart(targets: np.ndarray, proba: np.ndarray, classes: Sequence[str]) -> Picture:
    """Draw how many are found against how many are falsely called, for the positive class of two or each of more.

    Args:
        targets: Index of the true class of each test [T].
        proba: Probability of each class [T, K].
        classes: Names of the K classes.
    """
    with chart() as figure:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=GRAY, linestyle=":", linewidth=1.2, label="chance")
        for target in [1] if len(classes) == 2 else range(len(classes)):
            truth = targets == target
            if truth.any() and not truth.all():
                alarms, found, _ = roc_curve(truth, proba[:, target])
                axes.plot(
                    alarms, found, **class_look(target), linewidth=2, clip_on=False, label=short_label(classes[target])
                )
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="share of the others called so by mistake")
        axes.set_ylabel("share of the class found")
        axes.legend(loc="lower right")
        alt = "ROC curve: the share of the class that is found against the share of the others called so by mistake."
        return chart_picture(figure, alt, "ROC curve. The further to the upper left, the better.")


def probability_chart(targets: np.ndarray, proba: np.ndarray, classes: Sequence[str]) -> Picture:
    """Draw how the probabilities are spread, by true class; arguments as for `roc_chart`.

    Two classes: the probability of the positive one. More: the probability of the true one.
    """
    binary = len(classes) == 2
    with chart() as figure:
        axes = figure.add_subplot()
        bins = np.linspace(0, 1, 21)
        for target, name in enumerate(classes):
            values = proba[targets == target, 1 if binary else target]
            counts, _ = np.histogram(values, bins)
            axes.stairs(counts, bins, fill=True, alpha=0.25, color=class_look(target)["color"])
            axes.stairs(counts, bins, **class_look(target), linewidth=1.8, label=short_label(name))
        axes.set(xlim=(0, 1), ylabel="number of tests")
        axes.set_xlabel(f"probability of {short_label(classes[1])}" if binary else "probability of the true class")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="best", title="true class")
        alt = "Histogram of the probabilities, one for each true class."
        better = "The less the classes overlap, the better." if binary else "The further to the right, the better."
        return chart_picture(figure, alt, f"Probabilities by true class. {better}")


def calibration_chart(targets: np.ndarray, proba: np.ndarray, classes: Sequence[str]) -> Picture:
    """Draw how often what was given a probability came true; arguments as for `roc_chart`.

    Two classes: the probability of the positive one. More: of the predicted one. Bars are 95 % Wilson intervals.
    """
    binary = len(classes) == 2
    said = proba[:, 1] if binary else proba.max(axis=1)
    came_true = targets == (1 if binary else proba.argmax(axis=1))
    bins = np.minimum((said * 10).astype(int), 9)
    with chart() as figure:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=GRAY, linestyle=":", linewidth=1.2)
        for number in np.unique(bins):
            here = bins == number
            share, (low, high) = came_true[here].mean(), wilson_interval(int(came_true[here].sum()), int(here.sum()))
            middle = said[here].mean()
            axes.plot([middle, middle], [low, high], color=COLOURS[0], alpha=0.45, linewidth=1.5)
            area = 15 + 240 * here.mean()
            axes.scatter(middle, share, s=area, color=COLOURS[0], edgecolors="white", zorder=3, clip_on=False)
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.set_xlabel(f"probability of {short_label(classes[1])}" if binary else "probability of the predicted class")
        axes.set_ylabel("share that was so")
        alt = "Calibration: for groups of tests, the share that came true against the mean probability."
        return chart_picture(
            figure, alt, "Calibration. On the dotted line 0.8 means 8 of 10; a larger mark stands for more tests."
        )


def training_chart(histories: Sequence[Sequence[Mapping[str, float]]]) -> Picture:
    """Draw training epoch by epoch, a line for each fold.

    Args:
        histories: For each fold its epochs, each with `epoch` and some of `train_loss`, `val_loss`, `val_auc`,
            `val_accuracy`.
    """
    panels = {"loss": ("train_loss", "val_loss"), "validation score": ("val_auc", "val_accuracy")}
    names = {"train_loss": "training", "val_loss": "validation", "val_auc": "AUC", "val_accuracy": "accuracy"}
    width = 1.8 if len(histories) == 1 else 1.0
    with chart(9.4, 3.0) as figure:
        for place, (title, keys) in enumerate(panels.items(), start=1):
            axes = figure.add_subplot(1, 2, place)
            for colour, key in zip(COLOURS, keys, strict=False):
                label: str | None = names[key]
                for history in histories:
                    points = [(epoch["epoch"], epoch[key]) for epoch in history if key in epoch]
                    if points:
                        axes.plot(*zip(*points, strict=True), color=colour, linewidth=width, alpha=0.85, label=label)
                        label = None
            axes.set(xlabel="epoch", ylabel=title)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if axes.lines:
                axes.legend(loc="upper right" if title == "loss" else "lower right")
        folds = "" if len(histories) == 1 else f" A line for each of {len(histories)} folds."
        alt = "Training and validation loss, and validation scores, by epoch."
        return chart_picture(
            figure, alt, f"Training. Validation loss that rises while training loss falls is over-fitting.{folds}"
        )


def validation_chart(
    name: str, values: Sequence[Any], curves: Mapping[str, Sequence[Sequence[float]]], caption: str
) -> Picture:
    """Draw scores against the values of a parameter: their mean, and a band of one standard deviation.

    Whole numbers or fractions have an axis of numbers, a logarithmic one where they span a decade; values of several
    kinds (`0.9`, `50`, `null`) stand side by side in the order given.

    Args:
        name: Of the parameter.
        values: What was tried [L].
        curves: Name of each curve to the scores at each value [L, S].
        caption: See `Picture`.
    """
    numeric = all(type(value) is int for value in values) or all(type(value) is float for value in values)
    places = np.array(values if numeric else range(len(values)), dtype=float)
    order = np.argsort(places)
    with chart() as figure:
        axes = figure.add_subplot()
        for colour, dash, (label, scores) in zip(COLOURS, _DASHES, curves.items(), strict=False):
            mean = np.array([np.mean(some) for some in scores])[order]
            spread = np.array([np.std(some, ddof=1) if len(some) > 1 else 0.0 for some in scores])[order]
            axes.fill_between(places[order], mean - spread, mean + spread, color=colour, alpha=0.18, linewidth=0)
            axes.plot(places[order], mean, color=colour, linestyle=dash, marker="o", linewidth=1.8, label=label)
        if numeric and places.min() > 0 and places.max() >= 10 * places.min():
            axes.set_xscale("log")
        long = sum(len(as_text(value)) + 2 for value in values) > 50
        axes.set_xticks(places, [short_label(as_text(value)) for value in values], rotation=45 if long else 0)
        axes.minorticks_off()
        axes.set(xlabel=short_label(name), ylabel="AUC")
        axes.legend(loc="best")
        alt = f"Validation curve: scores of {' and '.join(curves)} subjects for each value of {name}."
        return chart_picture(figure, alt, caption)


def sweep_chart(
    names: Sequence[str],
    scores: Mapping[str, Sequence[tuple[float | None, Sequence[float | None]]]],
    chance: Mapping[str, float],
) -> Picture:
    """Draw the scores of several runs beneath each other.

    Args:
        names: Of the runs, the first on top [R].
        scores: Name of each score to that of all tests together and those of the folds, for each run [R].
        chance: What guessing gives, by the name of the score.
    """
    with chart(9.4, 1.2 + 0.3 * len(names)) as figure:
        panels = figure.subplots(1, len(scores), sharey=True, squeeze=False)[0]
        for axes, (title, of_runs) in zip(panels, scores.items(), strict=True):
            axes.axvline(chance[title], color=GRAY, linestyle=":", linewidth=1.2)
            for place, (pooled, folds) in enumerate(of_runs):
                defined = [score for score in folds if score is not None] if len(folds) > 1 else []
                axes.scatter(defined, [place] * len(defined), s=22, color=COLOURS[0], alpha=0.4, linewidth=0)
                if pooled is not None:
                    axes.scatter(pooled, place, s=60, marker="D", color=COLOURS[1], edgecolors="white", zorder=3)
            axes.set_yticks(range(len(names)), [short_label(name) for name in names])
            axes.set(xlabel=title, ylim=(len(names) - 0.5, -0.5))
            axes.grid(axis="y", color=GRAY, alpha=0.2)
        alt = f"{' and '.join(scores)} of {len(names)} runs."
        caption = "Diamonds: all tests together. Dots: the folds. Dotted line: guessing. In the order of the table."
        return chart_picture(figure, alt, caption)


def wilson_interval(num_hits: int, num_trials: int) -> tuple[float, float]:
    """Give the 95 % interval of a share (Wilson 1927).

    >>> [round(limit, 3) for limit in wilson_interval(8, 10)]
    [0.49, 0.943]
    """
    z = 1.959964
    share, spread = num_hits / num_trials, z * z / num_trials
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * np.sqrt(share * (1 - share) / num_trials + spread / num_trials / 4)
    return float(middle - half), float(middle + half)


def class_look(target: int) -> dict[str, Any]:
    """Give a class its colour and dash."""
    return {"color": COLOURS[target % len(COLOURS)], "linestyle": _DASHES[target // len(COLOURS) % len(_DASHES)]}


def short_label(text: str) -> str:
    """Make any text fit for a chart; a legend would leave out what begins with an underscore."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    text = text if len(text) <= 24 else text[:23] + "…"
    return f" {text}" if text.startswith("_") else text


@contextmanager
def chart(width: float = 4.6, height: float = 3.6) -> Iterator[Figure]:
    """Give a figure in our style, sizes in inches, for drawing and rendering within the block."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the browser has it
        yield Figure(figsize=(width, height), layout="constrained")


def chart_picture(figure: Figure, alt: str, caption: str) -> Picture:
    """Render a chart as SVG, in the letters of the page around it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    data = buffer.getvalue().replace(b"'DejaVu Sans'", b"system-ui, 'DejaVu Sans'")
    return Picture(data, "image/svg+xml", alt, caption)
