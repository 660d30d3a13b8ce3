"""A forest plot: values with their intervals beneath each other."""

from collections.abc import Sequence

from mri3d.outcome.score import Score
from mri3d.report.charts import COLOURS, GRAY, chart, chart_picture, reach, short_label, tell
from mri3d.report.elements import in_full
from mri3d.report.picture import Picture

MAX_ROWS = 40


def forest_chart(
    rows: Sequence[tuple[Sequence[str], Score]], *, axis: str, reference: float | None, alt: str, caption: str
) -> Picture:
    """Draw values with their intervals, the first on top; what is not defined leaves its row empty.

    Args:
        rows: For each value the names that it stands for, joined by "against", and the value; the first 40 are drawn.
        axis: What the values are.
        reference: Where a dotted line stands: no difference, or what guessing gives; None for no line.
        alt: See `Picture`.
        caption: See `Picture`; what is left out is added.
    """
    drawn = rows[:MAX_ROWS]
    with chart(7.2, 1.0 + 0.3 * len(drawn)) as drawing:
        axes = drawing.subplots()
        if reference is not None:
            axes.axvline(reference, color=GRAY, linestyle=":", linewidth=1.2)
        for place, (_, score) in enumerate(drawn):
            if score.low is not None and score.high is not None:
                axes.plot([score.low, score.high], [place, place], color=COLOURS[0], linewidth=1.8)
            if score.value is not None:
                axes.scatter(score.value, place, s=46, color=COLOURS[0], edgecolors="white", zorder=3)
        told = [f"{' against '.join(names)}\n{axis} {in_full(vars(score))}" for names, score in drawn]
        tell(axes, [reach(score.value, score.low, score.high) for _, score in drawn], range(len(drawn)), told)
        labels = [" against ".join(map(short_label, names)) for names, _ in drawn]
        axes.set_yticks(range(len(drawn)), labels)
        axes.set(xlabel=axis, ylim=(len(drawn) - 0.5, -0.5))
        axes.grid(axis="y", color=GRAY, alpha=0.2)
        left_out = f" {len(rows) - len(drawn)} more are left out." if len(rows) > len(drawn) else ""
        return chart_picture(drawing, alt, f"{caption}{left_out}")
