"""Charts of principal components: how much each holds, and where the subjects lie among them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mri3d.report.charts import COLOURS, GRAY, chart, chart_picture, class_look, short_label
from mri3d.report.figures import Picture

NAMED = (10, 100, 500)
"""Numbers of components that are named, as in the seed study."""

_MARKERS = ("o", "^", "s", "D", "v", "P")


def scree_chart(ratios: np.ndarray, *, named: Sequence[int] = NAMED, note: str = "") -> Picture:
    """Draw the share of the variance that each component holds, and that the first components hold together.

    Args:
        ratios: Share of each component in the total variance [P], largest first.
        named: Numbers of components whose share together is written out; those above P are left away.
        note: More for the caption.
    """
    numbers, together = np.arange(1, len(ratios) + 1), np.cumsum(ratios)
    with chart(9.4, 3.2) as figure:
        each, summed = figure.subplots(1, 2)
        few = {"marker": "o", "markersize": 3.5} if len(ratios) <= 60 else {}
        each.plot(numbers, 100 * ratios, color=COLOURS[0], linewidth=1.6, **few)
        each.set(yscale="log", xlabel="component", ylabel="variance explained (%)")
        each.yaxis.set_major_formatter("{x:g}")
        summed.plot(numbers, 100 * together, color=COLOURS[0], linewidth=1.8)
        summed.set(xlabel="number of components", ylabel="variance explained together (%)", ylim=(0, 104))
        for axes in (each, summed):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(color=GRAY, alpha=0.2)
        for count in _existing(named, len(ratios)):
            share = 100 * together[count - 1]
            summed.plot([count, count], [0, share], color=GRAY, linestyle=":", linewidth=1.2)
            summed.plot(count, share, color=COLOURS[1], marker="o")
            right = count > 0.7 * len(ratios)
            summed.annotate(
                f"{count}: {share:.1f} %",
                (count, share),
                xytext=(-7, -36) if right else (7, -13),  # clear of the curve,
                textcoords="offset points",
                ha="right" if right else "left",
            )
        said = ", ".join(f"{count} components hold {100 * together[count - 1]:.1f} %" for count in named_counts(ratios))
        alt = f"Variance explained by each component and by the first components together: {said}."
        return chart_picture(figure, alt, f"Variance explained, by each component and together: {said}. {note}")


def subjects_chart(
    scores: np.ndarray, ratios: np.ndarray, targets: np.ndarray, classes: Sequence[str], *, note: str = ""
) -> Picture:
    """Draw the subjects in the plane of the first two components and in the space of the first three, by class.

    Args:
        scores: [N, P]; with one component only, the plane's other axis is 0, and below three the space is left away.
        ratios: Share of each component in the total variance [P].
        targets: Class of each subject [N], an index into `classes`.
        classes: Names of the K classes.
        note: More for the caption.
    """
    padded = np.pad(scores, ((0, 0), (0, max(0, 2 - scores.shape[1]))))
    names = [f"component {number} ({100 * ratio:.1f} %)" for number, ratio in enumerate(ratios[:3], start=1)]
    names += [""] * (2 - len(names))
    in_space = scores.shape[1] >= 3
    with chart(9.4 if in_space else 4.8, 4.2) as figure:
        plane = figure.add_subplot(1, 2 if in_space else 1, 1)
        _scatter(plane, padded[:, :2], targets, classes)
        plane.set(xlabel=names[0], ylabel=names[1])
        plane.legend(loc="best", title="class")
        if in_space:
            space = figure.add_subplot(1, 2, 2, projection="3d", computed_zorder=False)
            _scatter(space, padded[:, :3], targets, classes)
            for axis, name in zip((space.xaxis, space.yaxis, space.zaxis), names, strict=True):
                axis.set_label_text(name)
                axis.labelpad = 7.0
                axis.set_major_locator(MaxNLocator(4))
            space.set_box_aspect(None, zoom=0.92)
        alt = "Subjects by their scores on the first two and three components, coloured by class."
        where = "the plane of the first two components" + (" and the space of the first three" if in_space else "")
        return chart_picture(
            figure, alt, f"Subjects in {where}, with the share of the variance that each explains. {note}"
        )


def named_counts(ratios: np.ndarray) -> tuple[int, ...]:
    """Give the numbers of components to name: those of `NAMED` that exist, or else all components together."""
    return _existing(NAMED, len(ratios)) or (len(ratios),)


def _existing(counts: Sequence[int], num_components: int) -> tuple[int, ...]:
    return tuple(count for count in counts if count <= num_components)


def _scatter(axes: Axes, points: np.ndarray, targets: np.ndarray, classes: Sequence[str]) -> None:
    size = 26 if len(points) < 200 else 12
    for target, name in enumerate(classes):
        axes.scatter(
            *points[targets == target].T,
            s=size,  # type: ignore[misc]
            color=class_look(target)["color"],
            marker=_MARKERS[target // len(COLOURS) % len(_MARKERS)],
            alpha=0.75,
            linewidths=0,
            label=short_label(name),
        )
