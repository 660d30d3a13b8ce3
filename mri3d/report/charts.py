"""What all charts share: style, colours, labels, values to read off, and rendering."""

import html
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter
from numpy.typing import ArrayLike

from mri3d.report.picture import Picture

# Okabe and Ito (2008): distinct for every kind of colour vision. More classes repeat them with other dashes.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("solid", "dashed", "dotted", "dashdot")
GRAY = "#777777"
_LONG_NUMBER = 4  # letters
_ROUNDING = 1e-6  # of a share of a figure
_MOST_MARKS = 1500  # of a chart that say what they stand for; of more, some do
_MOST_READ_OUT = 100  # marks that a screen reader finds one by one
_RADII = {60: 6.0, 250: 4.0, _MOST_MARKS: 2.5}  # of what the pointer hits, in points, up to so many marks
_NAMESPACES = ' xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
_TOLD = '<g class="told"'
_FIRST = '<g id="figure_1">'  # before it, matplotlib writes metadata and a style, which would be the whole page's
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.formatter.limits": (-6, 9),  # 0.0001 and 10000000 stand at their ticks, not as a power beside the axis
    "axes.formatter.useoffset": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text: small, and shown in letters that our font lacks
    "text.parse_math": False,  # a class may be called $x$
}


def class_look(target: int) -> dict[str, Any]:
    """Return the colour and dash of a class."""
    return {"color": COLOURS[target % len(COLOURS)], "linestyle": DASHES[target // len(COLOURS) % len(DASHES)]}


class Chart(Figure):
    """A figure in which marks say what they stand for, see `tell`.

    Attributes:
        told: Axes, where their marks begin and end in the axes' units [N, 2, 2], and the text of each.
    """

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), layout="constrained")
        self.told: list[tuple[Axes, np.ndarray, list[str]]] = []


def short_label(text: str) -> str:
    """Shorten a text for a chart; matplotlib hides legend entries that begin with an underscore, hence the space."""
    text = _printable(text)
    text = text if len(text) <= 24 else text[:23] + "…"
    return f" {text}" if text.startswith("_") else text


@contextmanager
def chart(width: float = 4.6, height: float = 3.6) -> Iterator[Chart]:
    """Open a figure in our style, sizes in inches, to be drawn and rendered within the block."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the browser has it
        yield Chart(width, height)


def tell(axes: Axes, xs: ArrayLike, ys: ArrayLike, texts: Sequence[str]) -> None:
    """Let marks of a chart say what they stand for: a page shows the text of the mark that the pointer rests on.

    Marks that lie outside of the axes, or nowhere, are left out.

    Args:
        axes: Where they are drawn.
        xs: Where each of them stands [N], or from where to where it reaches [N, 2]; NaN for nowhere.
        ys: The same upwards.
        texts: Of each [N]; it may have several lines.
    """
    both = [np.asarray(values, dtype=np.float64) for values in (xs, ys)]
    ends = [values[:, None] if values.ndim == 1 else values for values in both]
    places = np.stack([np.broadcast_to(each, (len(texts), 2)) for each in ends], axis=-1)  # [N, 2, 2]
    drawing = axes.figure
    assert isinstance(drawing, Chart)
    drawing.told.append((axes, places, list(texts)))


def reach(value: float | None, low: float | None, high: float | None) -> tuple[float, float]:
    """Return from where to where a value and its interval are drawn; NaN for nowhere.

    >>> reach(0.5, 0.25, 0.75), reach(0.5, 0.25, None), reach(None, None, None)
    ((0.25, 0.75), (0.5, 0.5), (nan, nan))
    """
    if value is None:
        return np.nan, np.nan
    return (value, value) if low is None or high is None else (low, high)


def chart_picture(figure: Chart, alt: str, caption: str) -> Picture:
    """Render a chart as SVG, in the letters of the page around it."""
    _thin_long_ticks(figure)
    # The same run gives the same bytes, and charts of a page that say different things have no id in common.
    mpl.rcParams["svg.hashsalt"] = ascii((alt, caption, [texts for *_, texts in figure.told]))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    whole = buffer.getvalue().decode().replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans'").removesuffix("</svg>\n")
    _, first, rest = whole.partition(_FIRST)
    width, height = 72 * figure.get_size_inches()
    size = f'width="{width:g}pt" height="{height:g}pt" viewBox="0 0 {width:g} {height:g}"'
    drawn = f'<g aria-hidden="true">{first}{rest}</g>\n{_told_marks(figure, width, height)}'
    data = f'<svg{_NAMESPACES} {size} stroke-linejoin="round">\n{drawn}</svg>\n'
    return Picture(data.encode(), "image/svg+xml", alt, caption)


def inline_chart(picture: Picture) -> str:
    """Return a chart as a part of an HTML page.

    A screen reader says the chart's alternative text. It finds the marks too where they are few: nobody wants to hear
    the values of a thousand points.
    """
    svg = re.sub('<g id="[^"]*"', "<g", picture.data.decode())  # every chart has a figure_1
    role = "group" if 0 < svg.count("<title>") <= _MOST_READ_OUT else "img"
    svg = svg if role == "group" else svg.replace(_TOLD, f'{_TOLD} aria-hidden="true"')
    return svg.replace(_NAMESPACES, f' class="chart" role="{role}" aria-label="{html.escape(picture.alt)}"', 1)


def _told_marks(figure: Chart, width: float, height: float) -> str:
    """Write what the pointer hits, above the marks that say something: shapes that cannot be seen.

    Args:
        figure: As it was rendered.
        width: Of the figure in points.
        height: The same.
    """
    marks = [mark for axes, places, texts in figure.told for mark in _within(axes, places, texts)]
    if len(marks) > _MOST_MARKS:
        marks = [marks[place] for place in np.linspace(0, len(marks) - 1, _MOST_MARKS).round().astype(int)]
    radius = next(radius for most, radius in _RADII.items() if len(marks) <= most)
    shapes = [_shape(ends * [width, height], height, radius, _lines(text)) for ends, text in marks]
    look = f'fill-opacity="0" stroke-opacity="0" stroke-width="{2 * radius}" stroke-linecap="round"'
    return f"{_TOLD} {look}>\n{''.join(shapes)}</g>\n" if shapes else ""


def _shape(ends: np.ndarray, height: float, radius: float, title: str) -> str:
    """Write one of them: a rectangle, or of no width or no height a line, or of neither a circle."""
    (x, y2), (x2, y) = np.sort(ends, axis=0)
    y, y2 = height - y, height - y2  # which runs down
    if x == x2 and y == y2:
        return f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius}"><title>{title}</title></circle>\n'
    if x == x2 or y == y2:
        place = f'x1="{x:.2f}" y1="{y:.2f}" x2="{x2:.2f}" y2="{y2:.2f}" stroke="#000"'
        return f"<line {place}><title>{title}</title></line>\n"
    place = f'x="{x:.2f}" y="{y:.2f}" width="{x2 - x:.2f}" height="{y2 - y:.2f}"'
    return f"<rect {place}><title>{title}</title></rect>\n"


def _within(axes: Axes, places: np.ndarray, texts: Sequence[str]) -> list[tuple[np.ndarray, str]]:
    """Return where marks begin and end [2, 2] as shares of the figure, cut to the axes, and their texts."""
    shares = axes.transData - axes.figure.transFigure  # from one to the other
    ends = shares.transform(places.reshape(-1, 2)).reshape(-1, 2, 2)
    low, high = axes.get_position().get_points()
    seen = ((ends.max(axis=1) >= low - _ROUNDING) & (ends.min(axis=1) <= high + _ROUNDING)).all(axis=1)  # no NaN
    return [(np.clip(each, low, high), text) for each, text, drawn in zip(ends, texts, seen, strict=True) if drawn]


def _lines(text: str) -> str:
    return "\n".join(html.escape(_printable(line)) for line in text.split("\n"))


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _thin_long_ticks(figure: Figure) -> None:
    """Leave fewer ticks on the axes from left to right whose numbers are so long that they would overlap."""
    for axis in (axes.xaxis for axes in figure.axes):
        written = axis.get_major_formatter()
        if isinstance(written, ScalarFormatter):
            longest = max(map(len, written.format_ticks(list(axis.get_majorticklocs()))), default=0)
            if longest > _LONG_NUMBER:
                axis.set_major_locator(MaxNLocator(4))
