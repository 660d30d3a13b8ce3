"""Where the head lies in a scan, and what its air and tissue look like, whatever surrounds it."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mri3d.scans.head_box import Box, box_in_air, box_of_image, image_field, sample_of, slices
from mri3d.scans.intensities import (
    TISSUE_FROM,
    clipped,
    darkest,
    otsu_threshold,
    outermost_values,
    spike_free_limits,
    tissue_threshold,
)

MARGIN = 1  # voxels around the outermost tissue
MIN_FILL = 0.2  # share of the faces of a scan that a background of one value has at least
# The spread of the voxels next to the background, as a share of the contrast, is 0.02 to 0.1 in noise and 0.3 to 0.7 in
# brains without their skulls (IXI and OpenNeuro ds002748, whole, masked, z-scored, rotated, with noise added).
MAX_NOISE = 0.2
MAX_NOISE_FAR = 0.12  # where the background lies far from them, so that it did not come about with them
NEAR = 0.25  # of the contrast
MIN_AIR = 0.23  # then; share of the voxels that are as the middle half of those: 0.3 to 0.47 in heads that were turned,
# with their air, and 0.11 to 0.18 in heads whose air was cut off (IXI)
DARKER_THAN_TISSUE = 0.05  # of the way from mean to darkest tissue: about there raw brains have their background
MIN_DARK = 0.12  # share of bone, cavities and air in heads cut out of their air: 0.13 to 0.4; in brains 0.05 to 0.11
NOISE_TO = 0.3  # of the way from air to the threshold, a tenth of that to the mean tissue: darker than any fluid
MIN_SHARE = 1e-3  # of the voxels; fewer that differ from all others show no head
SIZE_RANGE_MM = (80.0, 400.0)
"""Longest side of what a scan of a human head can show: a newborn's brain without its skull is 100 mm long, an adult's
head with the neck 300 mm high. A header ten times or a tenth life size lies far outside, half and double mostly."""

HEAD_HEIGHT_MM = 140.0
"""From the top of a head to below its brain."""

SIZE_STEP_MM = 4.0
"""Between voxels that are looked at to measure a head."""

Levels = tuple[float, float, tuple[np.number, np.number], np.number | None]  # the last four of a head


@dataclass(frozen=True)
class Head:
    """What a scan shows of its head.

    Attributes:
        box: First voxel and one past the last, for each axis; may reach beyond the scan.
        field: The part of the scan that holds an image, likewise; around it there is air.
        air: Intensity of the background.
        threshold: Intensity between air and tissue.
        limits: Lowest and highest intensity that are not spikes, of the data's own type.
        fill: The exact value of voxels that hold no image and count as `air`; None where air was measured too.
    """

    box: Box
    field: Box
    air: float
    threshold: float
    limits: tuple[np.number, np.number]
    fill: np.number | None = None

    @property
    def floor(self) -> float:
        """Intensity up to which all may be air with its noise, which depends on the scanner; darker than any fluid."""
        return self.air + (self.threshold - self.air) * NOISE_TO


def find_head(data: np.ndarray, box: Box | None = None) -> Head:
    """Find the head: the largest connected piece of tissue, to the voxel.

    More air around a head changes nothing of what is found: planes of one value are taken off first, and box,
    threshold and limits are then determined from inside the box, until they agree with it.

    Two kinds of background are told apart by the voxels next to it. Where they are dark and alike, it is air with its
    noise, and tissue is what is clearly brighter. Else somebody has written one exact value around the head, of any
    rank: a brain is all that differs from it; a whole head, which has more that is dark, is found as it would be in
    air. The background counts as a little darker than the darkest tissue, so that a brain and its z-scores are the
    same.

    Args:
        data: Intensities [X, Y, Z], finite, not constant, any real type.
        box: The part of the scan that counts, where the head is not to be looked for.

    Returns:
        The head; its box is all that is not background where no tissue stands out.
    """
    field = image_field(data)
    sample, steps = sample_of(data, field)
    fill = _fill(sample)
    if fill is not None and (sample == fill).all():
        low, high = data.min(), data.max()
        return Head(box or field, field, float(low), (float(low) + float(high)) / 2, (low, high))
    noise = _is_noise(sample, fill)
    found, levels = None, None
    if box is None and noise:
        found = box_in_air(data, field, sample, steps)
    elif box is None and fill is not None:
        found = box_of_image(data, field, sample, steps, fill)
        levels = air, threshold, *_ = _levels(data, found, fill, noise=False)
        inside, _ = sample_of(data, found)
        image = inside[inside != fill]
        is_head = np.count_nonzero(image <= threshold) > MIN_DARK * image.size
        if is_head and (whole := box_in_air(data, field, sample, steps, (fill, air))):
            found, levels = whole, None  # a whole head, cut out of its air
    counted = found or box or field
    levels = levels or _levels(data, counted, None if noise else fill, noise=noise)
    grown = tuple((first - MARGIN, end + MARGIN) for first, end in found) if found else counted
    return Head(grown, field, *levels)


def head_warnings(data: np.ndarray, box: Box, spacing_mm: np.ndarray) -> tuple[str, ...]:
    """List what speaks against a scan showing a human head at life size, one sentence each.

    Args:
        data: Intensities [X, Y, Z], finite, not constant, any real type and axis order.
        box: Where the head was found in them.
        spacing_mm: Distance between neighbouring voxels along each axis [3].
    """
    sample, _ = sample_of(data, tuple((0, side) for side in data.shape))
    most = np.median(sample)
    if np.count_nonzero(sample != most) < 10 * MIN_SHARE * sample.size:  # else it need not be counted
        num_others = int(np.count_nonzero(data != most))
        if num_others < MIN_SHARE * data.size:
            return (f"almost constant: all but {num_others:,} of its {data.size:,} voxels are {most:g}",)
    sides_mm = np.diff(box, axis=1)[:, 0] * spacing_mm
    low, high = SIZE_RANGE_MM
    if low <= sides_mm.max() <= high:
        return ()
    sides = " x ".join(f"{side:.0f}" for side in sides_mm)
    return (
        f"the head measures {sides} mm, which no human head does: check the voxel size (or train with preprocess=cube, "
        "if it is none)",
    )


def head_size_ml(data: np.ndarray, head: Head, spacing_mm: np.ndarray) -> float:
    """Estimate the size of a head: the volume of tissue down to 140 mm below its top, in ml.

    That leaves out the neck, of which scans show more or less. Of the 135 whole heads of IXI at 2 mm it has a
    correlation of 0.76 with the intracranial volume.

    Args:
        data: Intensities [X, Y, Z], RAS+.
        head: What was found in them.
        spacing_mm: Distance between neighbouring voxels along each axis [3].
    """
    within = [(max(first, 0), end) for first, end in head.box]  # a box may reach beyond the scan
    inside = data[slices(within)][:, :, -max(1, round(HEAD_HEIGHT_MM / float(spacing_mm[2]))) :]
    steps = [max(1, round(SIZE_STEP_MM / float(spacing))) for spacing in spacing_mm]
    sample = inside[tuple(slice(None, None, step) for step in steps)]
    tissue = sample > head.threshold if head.fill is None else sample != head.fill
    return float(tissue.mean() * inside.size * np.prod(spacing_mm) / 1000)


def _levels(data: np.ndarray, box: Box, fill: np.number | None, *, noise: bool) -> Levels:
    """Measure air, threshold and limits inside a box; voxels of the fill have no say in it.

    Args:
        data: Intensities [X, Y, Z].
        box: Where to measure.
        fill: Value of voxels that hold no image.
        noise: Whether air was measured.
    """
    inside, _ = sample_of(data, box)
    tissue = inside if fill is None else inside[inside != fill]
    if not tissue.size:
        return float(data.min()), float(data.max()), (data.min(), data.max()), fill
    low, high = spike_free_limits(data[slices(box)], tissue, fill)
    if low == high and fill is not None:  # a mask, which has no other contrast
        air = float(fill)
        return air, air + (float(low) - air) * TISSUE_FROM, (min(fill, low), max(fill, high)), fill
    values = clipped(tissue, (low, high))
    if noise:
        air = darkest(values)
    elif fill == 0 < low:  # no signal, where there is no negative one
        air = 0.0
    else:
        air = float(low) - DARKER_THAN_TISSUE * (float(values.mean(dtype=np.float64)) - float(low))
    threshold = tissue_threshold(values, air)
    if noise:
        air = float(np.percentile(values[values <= (air + max(threshold, values.min())) / 2], 50, method="lower"))
    return air, threshold, (low, high), fill


def _fill(sample: np.ndarray) -> np.number | None:
    """Return the value that the faces of a scan are filled with, if they are."""
    faces = sample[_faces(sample.shape)]
    values, counts = np.unique(faces, return_counts=True)
    most = int(counts.argmax())
    return values[most] if counts[most] >= MIN_FILL * faces.size else None


def _is_noise(sample: np.ndarray, fill: np.number | None) -> bool:
    """Return whether the voxels next to the background are dark and alike, as noise in air is."""
    image = np.ones(sample.shape, bool) if fill is None else sample != fill
    outer = image & (_faces(sample.shape) | ~ndimage.binary_erosion(image, border_value=1))
    low, high = outermost_values(sample[image])
    values, shell = (np.clip(part, low, high).astype(np.float32) for part in (sample[image], sample[outer]))
    otsu = otsu_threshold(values)
    dark, bright = shell[shell < otsu], values[values >= otsu]
    if 2 * dark.size < shell.size or not bright.size:
        return False
    lower, middle, upper = np.percentile(dark, [25, 50, 75])
    contrast = np.median(bright) - middle
    near = fill is None or -NEAR * contrast <= float(fill) - middle <= upper - middle
    spread = (upper - lower) / contrast
    if near:
        return bool(spread <= MAX_NOISE)
    return bool(spread <= MAX_NOISE_FAR and ((lower <= values) & (values <= upper)).mean() >= MIN_AIR)


def _faces(shape: tuple[int, ...]) -> np.ndarray:
    """Mark the outermost voxels of an array."""
    inner = np.zeros([side - 2 for side in shape], bool)
    return np.pad(inner, 1, constant_values=True)
