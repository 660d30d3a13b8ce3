"""Good scans damaged in every way that a model must not take for one of its own."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from mri3d.scans.scan import Scan, canonical


def changed(scan: Scan, data: np.ndarray | None = None, affine: np.ndarray | None = None) -> Scan:
    """Return a scan with other voxels or another header."""
    data = scan.data if data is None else np.ascontiguousarray(data)
    return replace(scan, data=data, affine=scan.affine if affine is None else affine, digest="")


def ras(scan: Scan) -> Scan:
    """Store a scan in RAS+ order, float32."""
    data, affine = canonical(scan)
    return changed(scan, np.asarray(data, np.float32), affine)


def resampled_turn(scan: Scan, axis: int, degrees: float = 30.0, order: int = 3) -> Scan:
    """Turn the head about an axis of a RAS+ scan with voxels of one size."""
    axes = [(1, 2), (0, 2), (0, 1)][axis]
    low = float(scan.data.min())
    turned = ndimage.rotate(scan.data, degrees, axes=axes, reshape=False, order=order, cval=low)
    return changed(scan, np.clip(turned, low, scan.data.max()))


def header_turn(scan: Scan, axis: int, degrees: float = 30.0) -> Scan:
    """Turn the head by its header alone."""
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_rotvec(np.deg2rad(degrees) * np.eye(3)[axis]).as_matrix()
    return changed(scan, affine=turn @ scan.affine)


def half(scan: Scan, axis: int, upper: bool, *, zeroed: bool) -> Scan:
    """Keep one half of the box of the head: crop the other away, or set it to the darkest value."""
    first, end = scan.head.box[axis]
    middle = (first + end) // 2
    kept = [slice(None)] * 3
    kept[axis] = slice(middle, None) if upper else slice(None, middle)
    if not zeroed:
        return changed(scan, scan.data[tuple(kept)])
    data = np.full_like(scan.data, scan.data.min())
    data[tuple(kept)] = scan.data[tuple(kept)]
    return changed(scan, data)


def inverted_in_tissue(scan: Scan) -> Scan:
    """Exchange bright and dark within the tissue, and leave air as it is."""
    threshold = scan.head.threshold
    tissue = scan.data > threshold
    high = np.percentile(scan.data[tissue], 99)
    return changed(scan, np.where(tissue, np.clip(high + threshold - scan.data, threshold, None), scan.data))


def blurred(scan: Scan, fwhm_mm: float) -> Scan:
    """Smooth by a Gaussian of some full width at half maximum."""
    return changed(scan, ndimage.gaussian_filter(scan.data, fwhm_mm / 2.3548 / scan.spacing_mm))


def noisy(scan: Scan, share: float, random: np.random.Generator) -> Scan:
    """Add noise of a share of the 98th percentile, to magnitudes as a scanner does."""
    sigma = share * np.percentile(scan.data, 98)
    real, imaginary = (sigma * random.standard_normal(scan.data.shape).astype(np.float32) for _ in range(2))
    return changed(scan, np.hypot(scan.data + real, imaginary))


def noisy_plain(scan: Scan, share: float, random: np.random.Generator) -> Scan:
    """Add Gaussian noise of a share of the 98th percentile."""
    noise = random.standard_normal(scan.data.shape).astype(np.float32)
    return changed(scan, scan.data + share * np.percentile(scan.data, 98) * noise)


def resized(scan: Scan, *factors: float) -> Scan:
    """Write another voxel size into the header."""
    return changed(scan, affine=scan.affine @ np.diag([*factors, 1.0]))


def of_planes(scan: Scan, low: float, high: float) -> Scan:
    """Keep planes between two heights of the head's box, as shares of it from below."""
    first, end = scan.head.box[2]
    cut = [max(0, round(first + share * (end - first))) for share in (low, high)]
    return changed(scan, scan.data[:, :, cut[0] : cut[1]])


def damages_of(scan: Scan, random: np.random.Generator) -> dict[str, Callable[[], Scan]]:
    """Return the ways to damage a RAS+ scan with voxels of one size, each to be called."""
    data = scan.data
    ways: dict[str, Callable[[], Scan]] = {
        "inverted": lambda: changed(scan, data.max() - data),
        "inverted_in_tissue": lambda: inverted_in_tissue(scan),
        "upside_down": lambda: changed(scan, data[:, :, ::-1]),
        "turned_180_x": lambda: changed(scan, data[:, ::-1, ::-1]),
        "turned_180_y": lambda: changed(scan, data[::-1, :, ::-1]),
        "turned_180_z": lambda: changed(scan, data[::-1, ::-1]),
        "blur_6mm": lambda: blurred(scan, 6),
        "blur_8mm": lambda: blurred(scan, 8),
        "noise_20": lambda: noisy(scan, 0.2, random),
        "noise_20_plain": lambda: noisy_plain(scan, 0.2, random),
        "voxels_x1.5": lambda: resized(scan, 1.5, 1.5, 1.5),
        "voxels_/1.5": lambda: resized(scan, 1 / 1.5, 1 / 1.5, 1 / 1.5),
        "mask": lambda: changed(scan, (data > scan.head.threshold).astype(np.uint8)),
        "lower_third": lambda: of_planes(scan, 0, 1 / 3),
        "neck": lambda: of_planes(scan, 0, 0.2),
        "permuted_yzx": lambda: changed(scan, data.transpose(1, 2, 0)),
        "permuted_zxy": lambda: changed(scan, data.transpose(2, 0, 1)),
        "permuted_xzy": lambda: changed(scan, data.transpose(0, 2, 1)),
        "permuted_yxz": lambda: changed(scan, data.transpose(1, 0, 2)),
        "random_voxels": lambda: changed(scan, random.permutation(data.ravel()).reshape(data.shape)),
    }
    for axis, name in enumerate("xyz"):
        factors = [1.5 if other == axis else 1.0 for other in range(3)]
        ways[f"voxels_x1.5_{name}"] = lambda factors=factors: resized(scan, *factors)
        for sign in (1, -1):
            ways[f"turned_{sign * 30}_{name}"] = lambda a=axis, s=sign: resampled_turn(scan, a, s * 30)
        ways[f"header_30_{name}"] = lambda axis=axis: header_turn(scan, axis)
        for upper in (False, True):
            for zeroed in (False, True):
                key = f"half_{'upper' if upper else 'lower'}_{name}{'_zeroed' * zeroed}"
                ways[key] = lambda a=axis, u=upper, z=zeroed: half(scan, a, u, zeroed=z)
    return ways
