"""Pictures of a network's layers: kernels, and channels of feature maps over the anatomy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import Normalize

from mri3d.report.figures import draw_scale
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

_WIDTH, _GAP, _BAR, _TITLE = 1000, 8, 84, 18  # pixels
_TILES = (44.0, 110.0)  # pixels: edge of a slice of a kernel
_COLUMNS = (48.0, 190.0)  # pixels: width of a channel
_LETTER = 5.8  # pixels


@dataclass(frozen=True, eq=False)
class ChannelsView:
    """Channels of a feature map and the anatomy beneath them.

    Attributes:
        maps: One map for each channel [X, Y, Z], RAS+, in the volume's grid.
        volume: What the network saw [X, Y, Z], RAS+, arbitrary unit.
        spacing_mm: Voxel size [3].
        titles: Above each channel.
    """

    maps: Sequence[np.ndarray]
    volume: np.ndarray
    spacing_mm: np.ndarray
    titles: Sequence[str]


def channels_picture(view: ChannelsView, *, alt: str, caption: str) -> Picture:
    """Draw channels side by side on the three middle planes, blue below 0 and orange above, each on its own scale.

    Args:
        view: The channels.
        alt: See `Picture`.
        caption: See `Picture`.

    Returns:
        A JPEG.
    """
    sizes_mm = [np.delete(np.array(view.volume.shape) * view.spacing_mm, axis) for axis in range(3)]
    column = float(np.clip((_WIDTH - _BAR) / len(view.maps) - _GAP, *_COLUMNS))
    scale = column / max(size[0] for size in sizes_mm)
    rows = [size[1] * scale for size in sizes_mm]
    width, height = len(view.maps) * (column + _GAP) + _GAP + _BAR, _TITLE + _GAP + sum(rows) + 3 * _GAP
    figure, gray = black_figure(width, height), Normalize(*intensity_window(view.volume), clip=True)
    beneath = [
        np.repeat(gray(plane(view.volume, axis, side // 2)).filled(0)[..., None] * 0.7, 3, axis=-1)
        for axis, side in enumerate(view.volume.shape)
    ]
    for number, (values, title) in enumerate(zip(view.maps, view.titles, strict=True)):
        left, bottom = _GAP + number * (column + _GAP), height - _TITLE - _GAP
        short = shortened(title, round(column / _LETTER))
        figure.text((left + column / 2) / width, 1 - (_GAP + _TITLE / 2) / height, short, size=8, **TEXT)
        strongest = float(np.abs(values).max()) or 1.0
        for axis, tall in enumerate(rows):
            bottom -= tall
            across = sizes_mm[axis][0] * scale
            axes = add_axes(figure, left + (column - across) / 2, bottom, across, tall)
            share = plane(values, axis, values.shape[axis] // 2) / strongest
            colours = AGAINST_AND_FOR((share + 1) / 2)
            colours[..., 3] = np.abs(share) ** 0.6  # what is near 0 leaves the anatomy visible
            show(axes, beneath[axis])
            show(axes, colours)
            mark_sides(axes, axis)
            bottom -= _GAP
    bar = add_axes(figure, width - _BAR + 4, 0.3 * height, 7, 0.4 * height)
    draw_scale(bar, ("+ strongest", "− strongest"), signed=True, size=8)
    return Picture(render(figure, "jpeg"), "image/jpeg", alt, caption)


def kernels_picture(kernels: np.ndarray, titles: Sequence[str], *, alt: str, caption: str) -> Picture:
    """Draw the three middle slices of kernels below each other, blue below 0 and orange above, all on one scale.

    Args:
        kernels: [N, X, Y, Z], RAS+ where the volumes are.
        titles: Above each.
        alt: See `Picture`.
        caption: See `Picture`.

    Returns:
        A PNG.
    """
    strongest, largest = float(np.abs(kernels).max()) or 1.0, max(kernels.shape[1:])
    tile = round(max(largest, float(np.clip((_WIDTH - _BAR) / len(kernels) - _GAP, *_TILES))))
    per_row = min(len(kernels), max(1, (_WIDTH - _BAR) // (tile + _GAP)))
    num_rows = -(-len(kernels) // per_row)
    block = _TITLE + 3 * (tile + 2) + _GAP
    width, height = per_row * (tile + _GAP) + _GAP + _BAR, max(num_rows * block + _GAP, 160)
    figure, canvas = black_figure(width, height), np.zeros((height, width, 3))
    for number, (kernel, title) in enumerate(zip(kernels, titles, strict=True)):
        top, left = _GAP + number // per_row * block, _GAP + number % per_row * (tile + _GAP)
        x, y = (left + tile / 2) / width, 1 - (top + _TITLE / 2) / height
        figure.text(x, y, shortened(title, round(tile / _LETTER)), size=8, **TEXT)
        for axis, side in enumerate(kernel.shape):
            shown = _enlarged(plane(kernel, axis, side // 2)[::-1], tile / largest)  # the picture begins at the top
            down, right = shown.shape
            first, begin = top + _TITLE + axis * (tile + 2) + (tile - down) // 2, left + (tile - right) // 2
            canvas[first : first + down, begin : begin + right] = AGAINST_AND_FOR((shown / strongest + 1) / 2)[..., :3]
    add_axes(figure, 0, 0, width, height).imshow(canvas, aspect="auto", interpolation="nearest", zorder=-1)
    bar = add_axes(figure, width - _BAR + 4, (height - 120) / 2, 7, 120)
    draw_scale(bar, (f"{strongest:.2g}", f"{-strongest:.2g}"), signed=True, size=8)
    return Picture(render(figure, "png"), "image/png", alt, caption)


def _enlarged(values: np.ndarray, factor: float) -> np.ndarray:
    """Enlarge a slice, each value a rectangle."""
    rows, columns = (
        np.minimum(np.arange(max(1, int(side * factor))) / factor, side - 1).astype(int) for side in values.shape
    )
    return np.asarray(values[np.ix_(rows, columns)])
