"""Find the brain in a scan: extract it, align it to the template, and both once more."""

import numpy as np
from scipy import ndimage

from mri3d.brain.brain import Brain
from mri3d.brain.extraction import NoBrain, brain_mask
from mri3d.brain.given_mask import misfit
from mri3d.brain.registration import overlap, register, similarity
from mri3d.brain.template import CENTRE_MM, SIDES_MM
from mri3d.errors import NotInstalledError
from mri3d.scans.head import Head
from mri3d.scans.scan import Scan, ScanError, canonical, canonical_order

_UPRIGHT_MM = 1.35  # voxels of the head that the brain is extracted from again, as large as the template
_AROUND_MM = 30.0  # of the template's brain, in that head
_HEAD_MM = 12.0  # of the brain that was found: farther off nothing counts in that head, be it a face, a neck or neither
_NEAR_MM = 8.0  # of the mask that was found; a skull begins within
_STRIPPED = 0.02  # share of an image that lies farther from the mask, where there is no skull; of heads 0.3 to 0.5


def locate_brain(scan: Scan) -> Brain:
    """Extract the brain of a scan, and align it to the template.

    A head is turned upright by the alignment, extracted from again, and aligned again: the networks do best with heads
    that are held as most are, and what comes of a scan depends less on how its head was held. A mask that came with the
    scan is taken as it is, and held against what would be extracted.

    Args:
        scan: A T1-weighted scan of a head or of a brain.

    Raises:
        ScanError: There is no brain in it, or none that could be aligned; see `Brain.check` for what is found besides.
    """
    if not scan.oriented:
        raise ScanError(
            f"{scan.path} does not say which way its axes point (neither sform nor qform is set). Set it in the file."
        )
    data, affine = canonical(scan)
    given = None if scan.mask is None else canonical_order(scan.mask, scan)
    stripped, apart = False, None
    try:
        image, corner = _image(data, scan.head)
        at = affine.copy()
        at[:3, 3] += affine[:3, :3] @ corner
        if given is not None:
            mask = given[tuple(slice(first, first + side) for first, side in zip(corner, image.shape, strict=True))]
            apart = _misfit(image, mask, at)
            to_scan = register(image, mask, at)
        else:
            mask, stripped = _mask(image, at, scan.head, data)
            to_scan = register(image, mask, at)
            if not stripped:
                mask = _mask_of_upright(image, mask, at, to_scan)
                to_scan = register(image, mask, at)
        fit = overlap(mask, at, to_scan), similarity(image, mask, at, to_scan)
    except NotInstalledError:
        raise
    except ValueError as error:
        raise ScanError(f"{scan.path}: no brain was found in it: {error}.") from error
    whole = np.zeros(data.shape, bool)
    whole[tuple(slice(first, first + side) for first, side in zip(corner, mask.shape, strict=True))] = mask
    return Brain(
        whole,
        to_scan,
        stripped,
        float(mask.sum() * abs(np.linalg.det(affine[:3, :3])) / 1000),
        *fit,
        apart,
    )


def _image(data: np.ndarray, head: Head) -> tuple[np.ndarray, np.ndarray]:
    """Cut the head out of its air; return its intensities without spikes, float32, and its first voxel in `data`."""
    box = [(max(0, first), min(end, side)) for (first, end), side in zip(head.box, data.shape, strict=True)]
    part = data[tuple(slice(*ends) for ends in box)]
    image = np.clip(part, *head.limits).astype(np.float32)
    if head.fill is not None:
        image[part == head.fill] = head.air
    return image - np.float32(head.air), np.array([first for first, _ in box])


def _mask(image: np.ndarray, affine: np.ndarray, head: Head, data: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return the brain in a head, and whether the scan shows nothing else."""
    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    mask = brain_mask(image)
    if head.fill is None:
        return mask, False
    shown = image != 0
    far = ndimage.distance_transform_edt(~mask, sampling=spacing_mm) > _NEAR_MM
    if np.count_nonzero(shown & far) > _STRIPPED * np.count_nonzero(shown):
        return mask, False
    pieces, number = ndimage.label(shown)
    largest = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax() if number else shown
    return ndimage.binary_fill_holes(largest), True


def _misfit(image: np.ndarray, mask: np.ndarray, affine: np.ndarray) -> float | None:
    """Hold a given mask against the brain that is found; None where none is, and all there is is the mask."""
    try:
        found = brain_mask(image)
    except NoBrain:
        return None
    return misfit(mask, found, np.linalg.norm(affine[:3, :3], axis=0))


def _mask_of_upright(image: np.ndarray, mask: np.ndarray, affine: np.ndarray, to_scan: np.ndarray) -> np.ndarray:
    """Extract the brain from the head turned upright, as large as the template, with but a rim around the brain left.

    So it makes next to no difference how a head was held and how large it is, nor a face or a neck that was cut off.

    Args:
        image: Intensities [X, Y, Z].
        mask: The brain as it was found in them.
        affine: From voxels to mm [4, 4].
        to_scan: From the template to mm [4, 4], by that brain.
    """
    far = ndimage.distance_transform_edt(~mask, sampling=np.linalg.norm(affine[:3, :3], axis=0)) > _HEAD_MM
    image = np.where(far, np.float32(0), image)
    left, stretches, right = np.linalg.svd(to_scan[:3, :3])
    sides = np.ceil((np.array(SIDES_MM) + 2 * _AROUND_MM) / _UPRIGHT_MM).astype(int)
    grid = np.eye(4)
    grid[:3, :3] = left @ right * np.cbrt(stretches.prod()) * _UPRIGHT_MM
    grid[:3, 3] = to_scan[:3, :3] @ CENTRE_MM + to_scan[:3, 3] - grid[:3, :3] @ (sides - 1) / 2
    to_image = np.linalg.inv(affine) @ grid
    upright = ndimage.affine_transform(image, to_image[:3, :3], to_image[:3, 3], output_shape=tuple(sides), order=1)
    found = brain_mask(upright).astype(np.float32)
    back = np.linalg.inv(to_image)
    carried = ndimage.affine_transform(found, back[:3, :3], back[:3, 3], output_shape=image.shape, order=1)
    return np.asarray(carried > 0.5)
