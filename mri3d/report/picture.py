"""Pictures: image files in memory, and the black canvas in pixels that those of volumes are drawn on."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

# Distinct for every kind of colour vision, with bright ends: anatomy beneath is grey.
AGAINST_AND_FOR = LinearSegmentedColormap.from_list(
    "against and for", ["#b0e4ff", "#3aa5ff", "#0b3a8c", "#101010", "#c43c00", "#ff9e1b", "#fff3b0"]
)
TEXT: dict[str, Any] = {"color": "#d0d0d0", "ha": "center", "va": "center", "parse_math": False}
WHOLE = (0.0, 1.0, 0.0, 1.0)
"""Where an image lies that fills its axes, for `extent`."""

_DPI = 100  # sizes below are in pixels


@dataclass(frozen=True)
class Picture:
    """An image file in memory, with the words that belong to it.

    Attributes:
        data: The file's bytes.
        media_type: Such as "image/png".
        alt: What a person who cannot see it should know.
        caption: What everybody should know.
    """

    data: bytes
    media_type: str
    alt: str
    caption: str = ""


def black_figure(width: float, height: float) -> Figure:
    """Make an empty figure of a size in pixels."""
    return Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="black")


def add_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add bare axes at a place given in pixels from the lower left corner."""
    across, tall = figure.get_size_inches() * _DPI
    axes = figure.add_axes((left / across, bottom / tall, width / across, height / tall))
    axes.set_axis_off()
    return axes


def plane(volume: np.ndarray, axis: int, at: int) -> np.ndarray:
    """Cut a plane: its second remaining axis upwards [rows], its first to the right [columns]."""
    return np.asarray(np.moveaxis(volume, axis, 0)[at].T)


def show(axes: Axes, image: np.ndarray) -> None:
    """Fill axes with the image of a plane."""
    axes.imshow(image, origin="lower", extent=WHOLE, aspect="auto", interpolation="bilinear")


def mark_sides(axes: Axes, axis: int) -> None:
    """Mark the sides (left and right, front and back) of the plane across an axis of RAS+."""
    for letter, across in zip("PLL"[axis] + "ARR"[axis], (0.03, 0.97), strict=True):
        axes.text(across, 0.95, letter, size=9, **TEXT)


def intensity_window(volume: np.ndarray) -> tuple[float, float]:
    """Choose the intensities of black and white so that a spike voxel or a wide background does not matter."""
    return gray_window(volume[::2, ::2, ::2].astype(np.float32))


def gray_window(sample: np.ndarray) -> tuple[float, float]:
    """Choose the intensities of black and white by a sample of those of an image, see `intensity_window`."""
    low, high = np.percentile(sample, [1, 99.5])
    inside = sample[sample > low + 0.1 * (high - low)]
    return float(low), float(np.percentile(inside, 99.5) if inside.size else high)


def shortened(text: str, length: int = 18) -> str:
    """Cut a text to a number of letters.

    >>> shortened("lowers verbal memory"), shortened("age")
    ('lowers verbal mem…', 'age')
    """
    return text if len(text) <= length else text[: length - 1] + "…"


def render(figure: Figure, kind: str) -> bytes:
    """Render a figure as a `jpeg` or `png`."""
    buffer = io.BytesIO()
    arguments = {"quality": 88, "optimize": True} if kind == "jpeg" else {"optimize": True}
    figure.savefig(buffer, format=kind, pil_kwargs=arguments)
    return buffer.getvalue()
