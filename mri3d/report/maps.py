"""Pictures of maps of a cohort: three planes with a colour bar in the map's own unit, and volumes side by side."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from scipy.ndimage import binary_fill_holes

from mri3d.report.picture import (
    AGAINST_AND_FOR,
    TEXT,
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

_GAP, _BAR = 12, 96  # pixels
_NARROWEST, _LETTER = 48.0, 6.2  # pixels: of a volume beside others, and of a letter of its title
_PLAIN = (1e-3, 1e5)  # sizes that a colour bar has room to write out
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, eq=False)
class MapView:
    """A map of a cohort and the head beneath it.

    Attributes:
        values: Signed values [X, Y, Z], RAS+.
        volume: The average head on the same grid [X, Y, Z], arbitrary unit.
        spacing_mm: Voxel size [3].
        unit: What the values are, beside the colour bar.
        title: Short text above.
        at_peak: Whether the planes go through the strongest value; else through the middle.
    """

    values: np.ndarray
    volume: np.ndarray
    spacing_mm: np.ndarray
    unit: str
    title: str
    at_peak: bool = False


def map_picture(view: MapView, *, alt: str, caption: str, height: int = 250) -> Picture:
    """Draw a map on three planes, blue below 0 and orange above, on a scale that is symmetric about 0.

    Args:
        view: The map.
        alt: See `Picture`.
        caption: See `Picture`.
        height: Of the image in pixels.

    Returns:
        A JPEG.
    """
    strongest = float(np.abs(view.values).max()) or 1.0
    peak = np.unravel_index(np.abs(view.values).argmax(), view.values.shape)
    point = peak if view.at_peak else np.array(view.values.shape) // 2
    sides_mm = np.array(view.values.shape) * view.spacing_mm
    top = 28
    scale = (height - _GAP - top) / sides_mm[1:].max()
    sizes = [np.delete(sides_mm, axis) * scale for axis in range(3)]
    figure = black_figure(sum(size[0] for size in sizes) + 4 * _GAP + _BAR, height)
    gray, signed = Normalize(*intensity_window(view.volume), clip=True), Normalize(-strongest, strongest)
    left = float(_GAP)
    for axis, (width, tall) in enumerate(sizes):
        axes = add_axes(figure, left, _GAP + (height - _GAP - top - tall) / 2, width, tall)
        beneath, values = (plane(volume, axis, int(point[axis])) for volume in (view.volume, view.values))
        show(axes, np.repeat(gray(beneath).filled(0)[..., None] * 0.7, 3, axis=-1))
        colours = AGAINST_AND_FOR(signed(values).filled(0))
        colours[..., 3] = np.abs(values / strongest) ** 0.6  # what is near 0 leaves the anatomy visible
        show(axes, colours)
        mark_sides(axes, axis)
        left += width + _GAP
    _colour_bar(add_axes(figure, left + 4, 0.2 * height, 9, 0.55 * height), AGAINST_AND_FOR, signed, view.unit)
    figure.text(0.5, 1 - 13 / height, view.title, size=9, **TEXT)
    return Picture(render(figure, "jpeg"), "image/jpeg", alt, caption)


def volumes_picture(
    volumes: Sequence[np.ndarray], titles: Sequence[str], spacing_mm: np.ndarray, *, unit: str, alt: str, caption: str
) -> Picture:
    """Draw volumes side by side on the three middle planes, on one scale of grey, which is the first one's.

    Args:
        volumes: [X, Y, Z] each, RAS+, on one grid.
        titles: Above each.
        spacing_mm: Voxel size [3].
        unit: What the intensities are.
        alt: See `Picture`.
        caption: See `Picture`.

    Returns:
        A JPEG.
    """
    sides_mm = np.array(volumes[0].shape) * spacing_mm
    sizes_mm = [np.delete(sides_mm, axis) for axis in range(3)]
    column = max(_NARROWEST, min(190.0, (1100 - _BAR) / len(volumes) - _GAP))
    scale = column / max(size[0] for size in sizes_mm)
    rows = [size[1] * scale for size in sizes_mm]
    width, height = len(volumes) * (column + _GAP) + _GAP + _BAR, 28 + sum(rows) + 3 * _GAP
    figure, gray = black_figure(width, height), Normalize(*intensity_window(volumes[0]), clip=True)
    for number, (volume, title) in enumerate(zip(volumes, titles, strict=True)):
        left, bottom = _GAP + number * (column + _GAP), height - 28
        short = shortened(title, round(column / _LETTER))
        figure.text((left + column / 2) / width, 1 - 14 / height, short, size=9, **TEXT)
        for axis, tall in enumerate(rows):
            bottom -= tall
            across = sizes_mm[axis][0] * scale
            axes = add_axes(figure, left + (column - across) / 2, bottom, across, tall)
            shown = gray(plane(volume, axis, volume.shape[axis] // 2)).filled(0)
            show(axes, np.repeat(shown[..., None], 3, axis=-1))
            mark_sides(axes, axis)
            bottom -= _GAP
    _colour_bar(add_axes(figure, width - _BAR + 4, 0.25 * height, 9, 0.5 * height), "gray", gray, unit)
    return Picture(render(figure, "jpeg"), "image/jpeg", alt, caption)


def tissue_mask(averages: Iterable[np.ndarray]) -> np.ndarray:
    """Find where at least one of some average heads has tissue, holes filled: bool [X, Y, Z].

    Statistics of the air around a head are no smaller than those of the head, though nothing is there to see: all of it
    differs where volumes were scaled by intensities that differ.

    Args:
        averages: Average volumes on one grid [X, Y, Z] each, the air dark.
    """
    masks = []
    for average in averages:
        black, white = intensity_window(average)
        masks.append(binary_fill_holes(average > black + 0.1 * (white - black)))
    return np.asarray(np.any(masks, axis=0))


def _colour_bar(axes: Axes, colours: Colormap | str, scale: Normalize, unit: str) -> None:
    """Draw the scale of a picture; very small or large values stand in units of a power of ten."""
    assert scale.vmin is not None
    assert scale.vmax is not None
    largest = max(abs(scale.vmin), abs(scale.vmax))
    if largest and not _PLAIN[0] <= largest < _PLAIN[1]:
        power = math.floor(math.log10(largest))
        scale = Normalize(scale.vmin / 10.0**power, scale.vmax / 10.0**power)
        unit = f"{unit} × 10{str(power).translate(_RAISED)}"
    axes.set_axis_on()
    bar = axes.figure.colorbar(ScalarMappable(scale, colours), cax=axes)
    bar.outline.set_edgecolor(TEXT["color"])
    axes.tick_params(colors=TEXT["color"], labelsize=8)
    bar.set_label(unit, color=TEXT["color"], size=8)
