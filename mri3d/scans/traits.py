"""What one scan shows on its own grid: voxel size, the head's size, where it is cut off, sharpness, noise, contrast."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

import numpy as np

from mri3d.scans.head import HEAD_HEIGHT_MM, MIN_DARK, Head, head_size_ml
from mri3d.scans.head_box import sample_of, slices
from mri3d.scans.scan import Scan, canonical

BACKGROUNDS = ("air", "removed", "bright")
"""Around the image: air, as a scanner measures it or cut away from a whole head; nothing, as around a brain without
its skull; or the brightest value, as where black and white were exchanged."""

BLOCK_MM = 100.0  # edge of what tells of sharpness and noise: within a brain, and quick to compute with
MAX_BLOCK = 100  # voxels along that edge, where they are small
FINE, COARSE = (1.5, 0.75), (4.0, 2.0)  # sigma in mm of the Gaussians that part fine structure from coarser, and this
# from the rest; and how many voxels it is at least
QUANTILES = (5, 25, 50, 75, 95)  # percent of the tissue
SMALLEST = 1e-3  # of the contrast: noise and structure below it are those of a drawing, and not told apart
MAX_BRIGHT = 1 / 256  # share of an image that may be brighter than a background which is its brightest value
LARGEST = 1e6  # of any trait; a head has thousands of ml

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Traits:
    """What one scan shows on its own grid, whatever a recipe makes of it.

    Attributes:
        spacing_mm: Distance between neighbouring voxels along R, A, S.
        field_mm: What the scan covers along R, A, S; planes of one value around it left out. Not judged by contracts:
            more air is no fault, and `cut` tells where there is too little.
        box_mm: Sides of the head's box along R, A, S.
        head_ml: Size of the head down to 140 mm below its top, see `mri3d.scans.head.head_size_ml`.
        oblique_deg: Angle by which the header turns the grid away from R, A, S.
        cut: Share of the outermost planes of the head's box that are tissue where the scan ends there: towards left,
            right, posterior, anterior, inferior, superior; 0 where the scan goes on.
        sharpness: Structure within tissue that is finer than some mm, in relation to coarser structure.
        noise: Standard deviation of what differs from voxel to voxel within tissue, as a share of the contrast.
        quantiles: 5 %, 25 %, 75 % and 95 % of the tissue's intensities, air being 0 and their median 1.
        dark: Share of the head's box that is no tissue.
        background: One of `BACKGROUNDS`.
        labels: What the voxels are where they are labels in place of intensities, such as "a mask"; else empty.
    """

    spacing_mm: Triple
    field_mm: Triple
    box_mm: Triple
    head_ml: float
    oblique_deg: float
    cut: tuple[float, float, float, float, float, float]
    sharpness: float
    noise: float
    quantiles: tuple[float, float, float, float]
    dark: float
    background: str
    labels: str

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned.

        Raises:
            KeyError: One is missing.
            TypeError, ValueError: One is no such trait.
        """
        lengths = {"spacing_mm": 3, "field_mm": 3, "box_mm": 3, "cut": 6, "quantiles": 4}
        values: dict[str, Any] = {}
        for field in fields(cls):
            value = told[field.name]
            if field.name in ("background", "labels"):
                if type(value) is not str or len(value) > 100:
                    raise ValueError(f"{field.name} is no short text")
                values[field.name] = value
                continue
            length = lengths.get(field.name)
            numbers = [value] if length is None else list(value)
            if len(numbers) != (length or 1) or not all(map(_is_trait, numbers)):
                raise ValueError(f"{field.name} is not {length or 'a'} finite number{'s' * (length is not None)}")
            values[field.name] = float(value) if length is None else tuple(map(float, numbers))
        if values["background"] not in BACKGROUNDS:
            raise ValueError(f"background is none of {', '.join(BACKGROUNDS)}")
        return cls(**values)


def traits_of(scan: Scan) -> Traits:
    """Measure what a scan shows, the same for any axis order and data type, and for any air around the head."""
    data, affine = canonical(scan)
    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    box_mm = np.diff(scan.head.box, axis=1)[:, 0] * spacing_mm
    within = [(max(f, low), min(e, high)) for (f, e), (low, high) in zip(scan.head.box, scan.head.field, strict=True)]
    head = replace(scan.head, box=tuple(within))  # what lies beyond is there only where more air is
    inside, _ = sample_of(data, head.box)
    tissue = _tissue(inside, head)
    values = _in_contrast(inside[tissue], head)
    median = float(np.median(values)) if values.size else 1.0
    quantiles = np.percentile(values / (median or 1.0), QUANTILES) if values.size else np.ones(len(QUANTILES))
    sharpness, noise = _fine_structure(data, head, spacing_mm, median or 1.0)
    return Traits(
        spacing_mm=_triple(spacing_mm),
        field_mm=_triple(np.diff(head.field, axis=1)[:, 0] * spacing_mm),
        box_mm=_triple(box_mm),
        head_ml=min(head_size_ml(data, head, spacing_mm), LARGEST),
        oblique_deg=_oblique_deg(affine),
        cut=_cut(data, head),
        sharpness=sharpness,
        noise=noise,
        quantiles=tuple(np.clip(np.delete(quantiles, 2), -LARGEST, LARGEST).tolist()),
        dark=float(1 - tissue.mean()),
        background=_background(inside, head),
        labels=scan.labels.what,
    )


def _tissue(values: np.ndarray, head: Head) -> np.ndarray:
    """Mark what is brighter than air and its noise, or for a brain without its skull all of the image."""
    above = values > head.threshold
    return above if head.fill is None else above & (values != head.fill)


def _in_contrast(values: np.ndarray, head: Head) -> np.ndarray:
    """Return intensities as differences from air, spikes clipped, float32."""
    low, high = head.limits
    return np.asarray(np.clip(values, low, high), np.float32) - np.float32(head.air)


def _background(inside: np.ndarray, head: Head) -> str:
    """Tell what surrounds the image by voxels from the box of the head."""
    if head.fill is None:
        return "air"
    image = inside[inside != head.fill]
    if not image.size:
        return "removed"
    if np.count_nonzero(image > head.fill) <= MAX_BRIGHT * image.size:
        return "bright"
    return "air" if np.count_nonzero(image <= head.threshold) > MIN_DARK * image.size else "removed"


def _cut(data: np.ndarray, head: Head) -> tuple[float, float, float, float, float, float]:
    """Return the share of tissue on each face of the head's box that is a face of what the scan covers."""
    shares = []
    for axis in range(3):
        (first, end), (low, high) = head.box[axis], head.field[axis]
        for at, ends in ((low, first == low), (high - 1, end == high)):
            plane = list(head.box)
            plane[axis] = (at, at + 1)
            shares.append(float(_tissue(data[slices(plane)], head).mean()) if ends else 0.0)
    left, right, posterior, anterior, inferior, superior = shares
    return left, right, posterior, anterior, inferior, superior


def _fine_structure(data: np.ndarray, head: Head, spacing_mm: np.ndarray, contrast: float) -> tuple[float, float]:
    """Measure sharpness and noise in a block in the middle of the head.

    Args:
        data: Intensities [X, Y, Z], RAS+.
        head: What was found in them.
        spacing_mm: Distance between neighbouring voxels along each axis [3].
        contrast: Between air and the median of the tissue.
    """
    block = []
    for axis, (first, end) in enumerate(head.box):
        if axis == 2:
            first = max(first, end - max(1, round(HEAD_HEIGHT_MM / spacing_mm[axis])))
        middle, half = (first + end) / 2, min(MAX_BLOCK, BLOCK_MM / spacing_mm[axis]) / 2
        block.append((max(first, math.floor(middle - half)), min(end, math.ceil(middle + half))))
    part = np.ascontiguousarray(data[slices(block)])
    tissue = _tissue(part, head)
    values = _in_contrast(part, head) / np.float32(contrast)
    if not tissue.any():
        return 1.0, SMALLEST
    sigmas = (np.maximum(sigma_mm / spacing_mm, least) for sigma_mm, least in (FINE, COARSE))
    fine, coarse = (_smoothed(values, sigma) for sigma in sigmas)
    sharp, blunt = (float(np.abs(one[tissue]).mean()) for one in (values - fine, fine - coarse))
    sharpness = (sharp + SMALLEST) / (blunt + SMALLEST)
    return min(sharpness, LARGEST), min(max(_noise(values, tissue), SMALLEST), LARGEST)


def _noise(values: np.ndarray, tissue: np.ndarray) -> float:
    """Estimate the standard deviation of noise by what neither steps nor slopes along an axis leave over.

    Second differences along all axes, one after the other (after Immerkaer 1996, Fast noise variance estimation).
    """
    inner, weight = tissue, 1.0
    for axis, side in enumerate(values.shape):
        if side < 3:
            continue
        values, inner = (np.moveaxis(array, axis, 0) for array in (values, inner))
        values = values[2:] - 2 * values[1:-1] + values[:-2]
        inner = inner[1:-1]
        values, inner = (np.moveaxis(array, 0, axis) for array in (values, inner))
        weight *= 6.0  # 1 + 4 + 1
    found = np.abs(values[inner])
    return float(np.median(found)) / 0.6745 / math.sqrt(weight) if found.size else 0.0


def _smoothed(values: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """Smooth by a Gaussian along each axis; as products of matrices, several times as fast as filters."""
    for side, sigma in zip(values.shape, sigmas, strict=True):
        apart = np.arange(side)[:, None] - np.arange(side)
        weights = np.exp(-0.5 * (apart / max(float(sigma), 1e-3)) ** 2)
        weights /= weights.sum(axis=1, keepdims=True)
        values = np.tensordot(values, weights.astype(np.float32), axes=(0, 1))  # goes last: the next axis follows
    return values


def _oblique_deg(affine: np.ndarray) -> float:
    """Return the largest angle between an axis of the grid and the world's axis that it is called after."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return float(np.degrees(np.arccos(np.clip(np.abs(np.diag(directions)).min(), 0, 1))))


def _triple(values: np.ndarray) -> Triple:
    x, y, z = np.minimum(values, LARGEST).tolist()
    return x, y, z


def _is_trait(value: Any) -> bool:  # noqa: ANN401 (whatever JSON holds)
    """Return whether a value is a number that a trait can be."""
    return type(value) in (int, float) and abs(value) <= LARGEST  # NaN is not below
