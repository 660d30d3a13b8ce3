"""Charts of principal components: how much variance each explains, and the sessions' scores on them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from mri3d.report.charts import COLOURS, GRAY, chart, chart_picture, class_look, short_label, tell
from mri3d.report.picture import Picture

NAMED = (10, 100, 500)
"""Numbers of components whose explained variance is written out, as in the seed study."""

_MARKERS = ("o", "^", "s", "D", "v", "P")


def scree_chart(ratios: np.ndarray, *, named: Sequence[int] = NAMED, note: str = "") -> Picture:
    """Draw the variance that each component explains, and the cumulative variance that the first components explain.

    Args:
        ratios: Share of the total variance that each component explains [P], largest first.
        named: Numbers of components whose cumulative share is written out; those above P are left out.
        note: More for the caption.
    """
    numbers, together = np.arange(1, len(ratios) + 1), np.cumsum(ratios)
    with chart(9.4, 3.2) as figure:
        each, summed = figure.subplots(1, 2)
        few = {"marker": "o", "markersize": 3.5} if len(ratios) <= 60 else {}
        each.plot(numbers, 100 * ratios, color=COLOURS[0], linewidth=1.6, **few)
        each.set(yscale="log", xlabel="Component", ylabel="Variance explained (%)")
        each.yaxis.set_major_formatter("{x:g}")
        summed.plot(numbers, 100 * together, color=COLOURS[0], linewidth=1.8)
        for axes, shares, word in ((each, 100 * ratios, "Component"), (summed, 100 * together, "Components up to")):
            told = [
                f"{word} {count}\n{share:.3g} % of the variance" for count, share in zip(numbers, shares, strict=True)
            ]
            tell(axes, numbers, shares, told)
        summed.set(xlabel="Number of components", ylabel="Cumulative variance explained (%)", ylim=(0, 104))
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
        said = ", ".join(
            f"{count} component{'s' * (count != 1)} explain{'s' * (count == 1)} {100 * together[count - 1]:.1f} %"
            for count in named_counts(ratios)
        )
        alt = f"Variance explained by each component, and cumulatively: {said}."
        return chart_picture(figure, alt, f"Variance explained by each component, and cumulatively: {said}. {note}")


def sessions_chart(
    scores: np.ndarray,
    ratios: np.ndarray,
    cells: Sequence[str] | Sequence[float],
    *,
    name: str,
    continuous: bool,
    word: str,
    sessions: Sequence[str] = (),
    note: str = "",
) -> Picture:
    """Draw the sessions by their scores on the first two components, and on the first three where there are so many.

    Args:
        scores: [N, P]; with one component only, the other axis is 0.
        ratios: Share of the total variance that each component explains [P].
        cells: What colours each session [N].
        name: What the cells are, such as "sex" or "age".
        continuous: Whether they are numbers that a colour bar shows, or names that a legend lists, see `Outcome`.
        word: What to call a session, see `mri3d.cohort.people.session_word`.
        sessions: What each is called [N], to be read off its mark; empty where that is not known.
        note: More for the caption.
    """
    padded = np.pad(scores, ((0, 0), (0, max(0, 2 - scores.shape[1]))))
    names = [f"Component {number} ({100 * ratio:.1f} %)" for number, ratio in enumerate(ratios[:3], start=1)]
    names += [""] * (2 - len(names))
    in_space = scores.shape[1] >= 3
    with chart(9.4 if in_space else 4.8, 4.4) as figure:
        plane = figure.add_subplot(1, 2 if in_space else 1, 1)
        plane.set(xlabel=names[0], ylabel=names[1])
        panels = [(plane, padded[:, :2])]
        if in_space:
            panels.append((_space(figure, names), padded[:, :3]))
        for axes, points in panels:
            coloured = _scatter(axes, points, cells, continuous=continuous)
        told = [f"{name} {cell}" for cell in cells]
        if sessions:
            told = [f"{session}\n{text}" for session, text in zip(sessions, told, strict=True)]
        tell(plane, padded[:, 0], padded[:, 1], told)
        if coloured is None:
            plane.legend(loc="best", title=short_label(name))
        else:
            figure.colorbar(coloured, ax=plane, location="top", aspect=40, label=short_label(name))
        on = "the first two" + (" and the first three" if in_space else "") + " components"
        alt = f"{word.capitalize()}s by their scores on {on}, coloured by {name}."
        caption = f"Scores of the {word}s on {on}, with the variance that each explains; colour: {name}. {note}"
        return chart_picture(figure, alt, caption)


def named_counts(ratios: np.ndarray) -> tuple[int, ...]:
    """Return the numbers of components to write out: those of `NAMED` that exist, or else that of all components."""
    return _existing(NAMED, len(ratios)) or (len(ratios),)


def _existing(counts: Sequence[int], num_components: int) -> tuple[int, ...]:
    return tuple(count for count in counts if count <= num_components)


def _space(figure: Figure, names: Sequence[str]) -> Axes:
    """Add axes for three components, whose names are clear of their ticks."""
    space: Any = figure.add_subplot(1, 2, 2, projection="3d", computed_zorder=False)
    for axis, name in zip((space.xaxis, space.yaxis, space.zaxis), names, strict=True):
        axis.set_label_text(name)
        axis.labelpad = 7.0
        axis.set_major_locator(MaxNLocator(4))
        axis.set_major_formatter(EngFormatter(sep=""))  # 300k: there is little room
    space.set_box_aspect(None, zoom=0.84)
    drawn: Axes = space
    return drawn


def _scatter(
    axes: Axes, points: np.ndarray, cells: Sequence[str] | Sequence[float], *, continuous: bool
) -> PathCollection | None:
    """Draw points [N, 2 or 3] coloured by their cells; return what a colour bar needs where these are continuous."""
    size, values = 26 if len(points) < 200 else 12, np.asarray(cells)
    look: dict[str, Any] = {"s": size, "alpha": 0.75, "linewidths": 0}
    if continuous:
        return axes.scatter(*points.T, c=values, cmap="viridis", **look)  # type: ignore[misc]
    for place, name in enumerate(sorted(set(cells), key=str)):
        marker = _MARKERS[place // len(COLOURS) % len(_MARKERS)]
        colour, label = class_look(place)["color"], short_label(str(name))
        axes.scatter(*points[values == name].T, color=colour, marker=marker, label=label, **look)
    return None
