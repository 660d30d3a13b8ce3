"""Pictures of heads: slices on three planes, with the evidence and an outline on top."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from mri3d.files import write_bytes

# Both are distinct for every kind of colour vision, and end bright: anatomy beneath is grey.
_FOR = LinearSegmentedColormap.from_list("for", ["#3b0f00", "#c43c00", "#ff9e1b", "#fff3b0"])
AGAINST_AND_FOR = LinearSegmentedColormap.from_list(
    "against and for", ["#b0e4ff", "#3aa5ff", "#0b3a8c", "#101010", "#c43c00", "#ff9e1b", "#fff3b0"]
)
_OUTLINE = "#35e0c0"
_DPI = 100  # sizes below are in pixels
_WHOLE = (0.0, 1.0, 0.0, 1.0)  # an image fills its axes
TEXT: dict[str, Any] = {"color": "#d0d0d0", "ha": "center", "va": "center", "parse_math": False}


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


@dataclass(frozen=True, eq=False)
class HeadView:
    """What one picture of a head is drawn from.

    Attributes:
        volume: Intensities [X, Y, Z] in any stored order, finite, arbitrary unit.
        affine: Voxel to RAS+ world, mm [4, 4]; the picture is turned to RAS+ by it.
        heatmap: Evidence on the same grid [X, Y, Z], 0 where there is none; or None.
        outline: Region on the same grid [X, Y, Z], true inside; or None.
        title: Short text above, or empty.
        high: What positive values of the heatmap mean, for the scale beside it.
        low: What negative values mean; "none" stands there where there are no negative ones.
    """

    volume: np.ndarray
    affine: np.ndarray
    heatmap: np.ndarray | None = None
    outline: np.ndarray | None = None
    title: str = ""
    high: str = "for"
    low: str = "against"


def slices(head: HeadView, *, alt: str, caption: str = "", height: int = 260) -> Picture:
    """Draw one head on a sagittal, a coronal and an axial plane, left and right marked.

    The planes meet at the peak of the heatmap, else in the middle of the outline, else of the head.

    Args:
        head: The head.
        alt: See `Picture`.
        caption: See `Picture`.
        height: Of the image in pixels; below 200 the scale of the heatmap is left out.

    Returns:
        A JPEG.
    """
    view = _Canonical.of(head)
    gap, top = 12, 28 if head.title else 12
    bar = _scale_width(view.words, size=8) if head.heatmap is not None and height >= 200 else 0
    scale = (height - gap - top) / max(view.size_mm[1:])  # pixels per mm, the same on all planes
    sizes = [np.array(view.plane_mm(axis)) * scale for axis in range(3)]
    figure = black_figure(sum(size[0] for size in sizes) + 4 * gap + bar, height)
    left = float(gap)
    for axis, (width, tall) in enumerate(sizes):
        view.draw(add_axes(figure, left, gap + (height - gap - top - tall) / 2, width, tall), axis)
        left += width + gap
    if bar:
        _draw_scale(add_axes(figure, left + gap, 0.3 * height, 7, 0.4 * height), view.words, signed=view.signed, size=8)
    if head.title:
        figure.text(0.5, 1 - 13 / height, head.title, size=9, **TEXT)
    return Picture(render(figure, "jpeg"), "image/jpeg", alt, caption)


def heads_picture(path: Path, heads: Sequence[HeadView], *, width: int = 1600) -> None:
    """Write a wide PNG of several heads side by side, axial above coronal.

    Args:
        path: The file.
        heads: From left to right. Each heatmap is scaled to its own strongest value.
        width: Of the image in pixels.
    """
    views = [_Canonical.of(head) for head in heads]
    planes = (2, 1)
    signed = any(view.signed for view in views)
    words = next((view.words for view in views if view.signed), views[0].words)
    gap, top = 16, 48
    bar = _scale_width(words, size=12) if any(head.heatmap is not None for head in heads) else 0
    column = (width - bar - gap * (len(heads) + 1)) / len(heads)
    scale = column / max(view.size_mm[0] for view in views)
    rows = [max(view.plane_mm(axis)[1] for view in views) * scale for axis in planes]
    height = top + sum(rows) + gap * len(rows)
    figure = black_figure(width, height)
    for number, view in enumerate(views):
        left, bottom = gap + number * (column + gap), height - top
        figure.text((left + column / 2) / width, 1 - top / 2 / height, view.title, size=14, **TEXT)
        for axis, row in zip(planes, rows, strict=True):
            bottom -= row
            across, tall = np.array(view.plane_mm(axis)) * scale
            view.draw(add_axes(figure, left + (column - across) / 2, bottom + (row - tall) / 2, across, tall), axis)
            bottom -= gap
    if bar:
        _draw_scale(add_axes(figure, width - bar + 8, 0.3 * height, 12, 0.4 * height), words, signed=signed, size=12)
    write_bytes(path, render(figure, "png"))


@dataclass(frozen=True, eq=False)
class _Canonical:
    """A head turned to RAS+ and cut to its bounding box: views, of which only the planes that are drawn are scaled."""

    volume: np.ndarray  # [X, Y, Z]
    black_white: tuple[float, float]  # intensities
    heatmap: np.ndarray | None  # [X, Y, Z]
    strongest: float  # of the heatmap, whatever its sign
    signed: bool  # whether some of it is negative
    words: tuple[str, str]  # what its high and its low end mean
    outline: np.ndarray | None  # [X, Y, Z], bool
    size_mm: np.ndarray  # [3]
    point: np.ndarray  # [3], the voxel where the planes meet
    title: str

    @classmethod
    def of(cls, head: HeadView) -> "_Canonical":
        orientation = nib.io_orientation(head.affine)
        spacing_mm = np.empty(3)
        spacing_mm[orientation[:, 0].astype(int)] = np.linalg.norm(head.affine[:3, :3], axis=0)
        volume = nib.apply_orientation(head.volume, orientation)
        black, white = black_white = intensity_window(volume)
        box = _bounding_box(volume > black + 0.1 * (white - black))
        volume = volume[box]
        point = np.array(volume.shape) // 2
        outline = heatmap = None
        strongest, signed = 0.0, False
        if head.outline is not None:
            outline = nib.apply_orientation(head.outline, orientation)[box] > 0
            point = np.argwhere(outline).mean(axis=0).round().astype(int) if outline.any() else point
        if head.heatmap is not None:
            heatmap = nib.apply_orientation(head.heatmap, orientation)[box]
            strongest, signed = max(float(heatmap.max()), -float(heatmap.min())), bool(heatmap.min() < 0)
            if strongest:
                peak = (np.abs(heatmap) if signed else heatmap).argmax()
                point = np.array(np.unravel_index(peak, heatmap.shape))
        size_mm = np.array(volume.shape) * spacing_mm
        words = head.high, head.low if signed else "none"
        return cls(volume, black_white, heatmap, strongest, signed, words, outline, size_mm, point, head.title)

    def plane_mm(self, axis: int) -> np.ndarray:
        """Width and height [2] of the plane across an axis."""
        return np.asarray(np.delete(self.size_mm, axis))

    def draw(self, axes: Axes, axis: int) -> None:
        """Draw the plane across an axis: its first remaining axis to the right, its second upwards."""
        at = int(self.point[axis])
        black, white = self.black_white
        gray = ((plane(self.volume, axis, at) - black) / ((white - black) or 1.0)).clip(0, 1)
        show(axes, np.repeat(gray[..., None] * 0.85, 3, axis=-1))
        if self.heatmap is not None:
            values = plane(self.heatmap, axis, at) / (self.strongest or 1.0)
            colours = AGAINST_AND_FOR((values + 1) / 2) if self.signed else _FOR(values)
            colours[..., 3] = 0.9 * np.abs(values) ** 0.7  # weak evidence leaves the anatomy visible
            show(axes, colours)
        if self.outline is not None and (region := plane(self.outline, axis, at)).any():
            axes.contour(region, levels=[0.5], origin="lower", extent=_WHOLE, colors=_OUTLINE, linewidths=1.3)
        mark_sides(axes, axis)


def plane(volume: np.ndarray, axis: int, at: int) -> np.ndarray:
    """Cut a plane: its second remaining axis upwards [rows], its first to the right [columns]."""
    return np.asarray(np.moveaxis(volume, axis, 0)[at].T)


def show(axes: Axes, image: np.ndarray) -> None:
    """Fill axes with the image of a plane."""
    axes.imshow(image, origin="lower", extent=_WHOLE, aspect="auto", interpolation="bilinear")


def mark_sides(axes: Axes, axis: int) -> None:
    """Mark the sides (left and right, front and back) of the plane across an axis of RAS+."""
    for letter, across in zip("PLL"[axis] + "ARR"[axis], (0.03, 0.97), strict=True):
        axes.text(across, 0.95, letter, size=9, **TEXT)


def intensity_window(volume: np.ndarray) -> tuple[float, float]:
    """Choose the intensities of black and white so that a spike voxel or a wide background does not matter."""
    sample = volume[::2, ::2, ::2].astype(np.float32)
    low, high = np.percentile(sample, [1, 99.5])
    inside = sample[sample > low + 0.1 * (high - low)]
    return float(low), float(np.percentile(inside, 99.5) if inside.size else high)


def _bounding_box(bright: np.ndarray) -> tuple[slice, ...]:
    """Find the head: on each axis from the first to the last plane of which a hundredth is bright [X, Y, Z]."""
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        planes = np.flatnonzero(bright.mean(axis=others) > 0.01)
        box.append(slice(max(planes[0] - 2, 0), planes[-1] + 3) if len(planes) else slice(None))
    return tuple(box)


def black_figure(width: float, height: float) -> Figure:
    """Make an empty figure of a size in pixels."""
    return Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="black")


def add_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add bare axes at a place given in pixels from the lower left corner."""
    across, tall = figure.get_size_inches() * _DPI
    axes = figure.add_axes((left / across, bottom / tall, width / across, height / tall))
    axes.set_axis_off()
    return axes


def _scale_width(words: tuple[str, str], *, size: int) -> int:
    """Return how many pixels the scale takes up with its words in a font size."""
    return 3 * size + round(0.92 * size * max(len(shortened(word)) for word in words))


def shortened(text: str, length: int = 18) -> str:
    """Cut a text to a number of letters.

    >>> shortened("lowers verbal memory"), shortened("age")
    ('lowers verbal mem…', 'age')
    """
    return text if len(text) <= length else text[: length - 1] + "…"


def _draw_scale(axes: Axes, words: tuple[str, str], *, signed: bool, size: int) -> None:
    """Draw what the colours of a heatmap mean: its high end on top."""
    colours = AGAINST_AND_FOR if signed else _FOR
    axes.imshow(np.linspace(0, 1, 256)[:, None], cmap=colours, origin="lower", aspect="auto")
    for height, word in zip((1.0, 0.0), words, strict=True):
        axes.text(1.6, height, shortened(word), transform=axes.transAxes, size=size, **(TEXT | {"ha": "left"}))


def render(figure: Figure, kind: str) -> bytes:
    """Render a figure as a `jpeg` or `png`."""
    buffer = io.BytesIO()
    arguments = {"quality": 88, "optimize": True} if kind == "jpeg" else {"optimize": True}
    figure.savefig(buffer, format=kind, pil_kwargs=arguments)
    return buffer.getvalue()
