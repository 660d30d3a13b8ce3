"""What all charts share: style, colours, labels, and rendering."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from mri3d.report.picture import Picture

# Okabe and Ito (2008): distinct for every kind of colour vision. More classes repeat them with other dashes.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("solid", "dashed", "dotted", "dashdot")
GRAY = "#777777"
_LONG_NUMBER = 4  # letters
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
    "svg.hashsalt": "mri3d",  # the same run gives the same bytes
    "text.parse_math": False,  # a class may be called $x$
}


def class_look(target: int) -> dict[str, Any]:
    """Return the colour and dash of a class."""
    return {"color": COLOURS[target % len(COLOURS)], "linestyle": DASHES[target // len(COLOURS) % len(DASHES)]}


def short_label(text: str) -> str:
    """Shorten a text for a chart; matplotlib hides legend entries that begin with an underscore, hence the space."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    text = text if len(text) <= 24 else text[:23] + "…"
    return f" {text}" if text.startswith("_") else text


@contextmanager
def chart(width: float = 4.6, height: float = 3.6) -> Iterator[Figure]:
    """Open a figure in our style, sizes in inches, to be drawn and rendered within the block."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the browser has it
        yield Figure(figsize=(width, height), layout="constrained")


def chart_picture(figure: Figure, alt: str, caption: str) -> Picture:
    """Render a chart as SVG, in the letters of the page around it."""
    _thin_long_ticks(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    data = buffer.getvalue().replace(b"'DejaVu Sans'", b"system-ui, 'DejaVu Sans'")
    return Picture(data, "image/svg+xml", alt, caption)


def _thin_long_ticks(figure: Figure) -> None:
    """Leave fewer ticks on the axes from left to right whose numbers are so long that they would overlap."""
    for axis in (axes.xaxis for axes in figure.axes):
        written = axis.get_major_formatter()
        if isinstance(written, ScalarFormatter):
            longest = max(map(len, written.format_ticks(list(axis.get_majorticklocs()))), default=0)
            if longest > _LONG_NUMBER:
                axis.set_major_locator(MaxNLocator(4))
