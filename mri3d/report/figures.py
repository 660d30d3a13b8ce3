"""Pictures of heads: slices on three planes, with the evidence and an outline on top."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from mri3d.report.picture import (
    AGAINST_AND_FOR,
    TEXT,
    WHOLE,
    Picture,
    add_axes,
    black_figure,
    intensity_window,
    mark_sides,
    plane,
    render,
    shortened,
    show,
)

_FOR = LinearSegmentedColormap.from_list("for", ["#3b0f00", "#c43c00", "#ff9e1b", "#fff3b0"])
_OUTLINE = "#35e0c0"
_IN_BOX = 0.01  # share of a plane that is bright where the head is
_MARGIN = 2  # voxels around it


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
    view = CanonicalHead.of(head)
    gap, top = 12, 28 if head.title else 12
    bar = scale_width(view.words, size=8) if head.heatmap is not None and height >= 200 else 0
    scale = (height - gap - top) / max(view.size_mm[1:])  # pixels per mm, the same on all planes
    sizes = [np.array(view.plane_mm(axis)) * scale for axis in range(3)]
    figure = black_figure(sum(size[0] for size in sizes) + 4 * gap + bar, height)
    left = float(gap)
    for axis, (width, tall) in enumerate(sizes):
        view.draw(add_axes(figure, left, gap + (height - gap - top - tall) / 2, width, tall), axis)
        left += width + gap
    if bar:
        draw_scale(add_axes(figure, left + gap, 0.3 * height, 7, 0.4 * height), view.words, signed=view.signed, size=8)
    if head.title:
        figure.text(0.5, 1 - 13 / height, head.title, size=9, **TEXT)
    return Picture(render(figure, "jpeg"), "image/jpeg", alt, caption)


@dataclass(frozen=True, eq=False)
class CanonicalHead:
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
    def of(cls, head: HeadView) -> "CanonicalHead":
        """Turn and cut a head."""
        orientation = nib.io_orientation(head.affine)
        spacing_mm = np.empty(3)
        spacing_mm[orientation[:, 0].astype(int)] = np.linalg.norm(head.affine[:3, :3], axis=0)
        volume = nib.apply_orientation(head.volume, orientation)
        black, white = black_white = intensity_window(volume)
        box = bounding_box(volume > black + 0.1 * (white - black))
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

    def colours(self, axis: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Colour the plane across an axis: the head [rows, columns, RGB] and the heatmap [rows, columns, RGBA], 0 to 1.

        Its first remaining axis runs along the columns, and its second upwards along the rows.
        """
        at, (black, white) = int(self.point[axis]), self.black_white
        gray = ((plane(self.volume, axis, at) - black) / ((white - black) or 1.0)).clip(0, 1)
        head = np.repeat(gray[..., None] * 0.85, 3, axis=-1)
        if self.heatmap is None:
            return head, None
        values = plane(self.heatmap, axis, at) / (self.strongest or 1.0)
        colours = AGAINST_AND_FOR((values + 1) / 2) if self.signed else _FOR(values)
        colours[..., 3] = 0.9 * np.abs(values) ** 0.7  # weak evidence leaves the anatomy visible
        return head, colours

    def draw(self, axes: Axes, axis: int) -> None:
        """Draw the plane across an axis: its first remaining axis to the right, its second upwards."""
        beneath, colours = self.colours(axis)
        show(axes, beneath)
        if colours is not None:
            show(axes, colours)
        if self.outline is not None and (region := plane(self.outline, axis, int(self.point[axis]))).any():
            axes.contour(region, levels=[0.5], origin="lower", extent=WHOLE, colors=_OUTLINE, linewidths=1.3)
        mark_sides(axes, axis)


def bounding_box(bright: np.ndarray, also: np.ndarray | None = None) -> tuple[slice, ...]:
    """Find the head: on each axis from the first to the last plane of which a hundredth is bright, and a rim.

    Args:
        bright: Where an image is bright, bool [X, Y, Z].
        also: What must not be cut off, bool [X, Y, Z]; None for nothing.
    """
    box = []
    for axis, side in enumerate(bright.shape):
        others = tuple(other for other in range(3) if other != axis)
        planes = bright.mean(axis=others) > _IN_BOX
        if also is not None:
            planes |= also.any(axis=others)
        inside = np.flatnonzero(planes) if planes.any() else np.arange(side)
        box.append(slice(max(int(inside[0]) - _MARGIN, 0), min(int(inside[-1]) + _MARGIN + 1, side)))
    return tuple(box)


def scale_width(words: tuple[str, str], *, size: int) -> int:
    """Return how many pixels the scale takes up with its words in a font size."""
    return 3 * size + round(0.92 * size * max(len(shortened(word)) for word in words))


def draw_scale(axes: Axes, words: tuple[str, str], *, signed: bool, size: int) -> None:
    """Draw what the colours of a heatmap mean: its high end on top."""
    colours = AGAINST_AND_FOR if signed else _FOR
    axes.imshow(np.linspace(0, 1, 256)[:, None], cmap=colours, origin="lower", aspect="auto")
    for height, word in zip((1.0, 0.0), words, strict=True):
        axes.text(1.6, height, shortened(word), transform=axes.transAxes, size=size, **(TEXT | {"ha": "left"}))
