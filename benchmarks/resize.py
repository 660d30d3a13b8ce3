"""From a 256^3 scan to a 50^3 volume on one core, beside the resizes of MONAI and scipy.

    python benchmarks/resize.py

Everything runs in this process, one after another, on one thread; times are the best of several repeats.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # before numpy and torch

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import monai.transforms
import nibabel as nib
import numpy as np
import torch
from scipy import ndimage

from mri3d.scans.head import find_head
from mri3d.scans.scan import canonical, read_scan
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.resample import resample, shrinking_matrix

SIDE, RESOLUTION = 256, 50
LIA = np.array([[-1.0, 0, 0, 128], [0, 0, 1, -128], [0, -1, 0, 128], [0, 0, 0, 1]])

Result = TypeVar("Result")


def make_scan(path: Path) -> None:
    """Write a brain-like scan of the seed layout: uint8, 1 mm, stored LIA, zero outside the brain."""
    random = np.random.default_rng(0)
    grid = np.meshgrid(*[np.linspace(-1, 1, SIDE, dtype=np.float32)] * 3, indexing="ij", sparse=True)
    brain = grid[0] ** 2 / 0.36 + grid[1] ** 2 / 0.42 + grid[2] ** 2 / 0.56 < 1
    tissue = ndimage.gaussian_filter(random.standard_normal((SIDE,) * 3, dtype=np.float32), 3)
    image = 110 + 30 * tissue / tissue.std() + random.normal(0, 5, (SIDE,) * 3)
    nib.Nifti1Image(np.where(brain, image.clip(10, 255), 0).astype(np.uint8), LIA).to_filename(path)


def best_of(repeats: int, work: Callable[[], Result]) -> tuple[float, Result]:
    """Return the shortest time in seconds, and the result."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def main() -> None:
    """Print the table."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.nii.gz"
        make_scan(path)
        megabytes = path.stat().st_size / 1e6
        read_s, scan = best_of(5, lambda: read_scan(path))
        nibabel_s, _ = best_of(3, lambda: np.asarray(nib.load(path).dataobj))
        recipe_s, _ = best_of(
            5, lambda: Recipe(resolution=RESOLUTION).volume(replace(scan))
        )  # a copy knows no head yet
        both_s, _ = best_of(5, lambda: Recipe(resolution=RESOLUTION).volume(read_scan(path)))

    data, _ = canonical(scan)
    factor = SIDE / RESOLUTION
    matrix = shrinking_matrix(SIDE, RESOLUTION, start=factor / 2 - 0.5, step=factor)
    head_s, _ = best_of(5, lambda: find_head(data))
    ours_s, ours = best_of(5, lambda: resample(data, [matrix] * 3))

    shape, values = (RESOLUTION,) * 3, np.ascontiguousarray(data, np.float32)
    antialiased = monai.transforms.Resize(shape, mode="trilinear", align_corners=False, anti_aliasing=True)
    plain = monai.transforms.Resize(shape, mode="trilinear", align_corners=False)
    smooth_s, smooth = best_of(2, lambda: np.asarray(antialiased(values[np.newaxis])[0]))
    plain_s, aliased = best_of(3, lambda: np.asarray(plain(values[np.newaxis])[0]))
    zoom_s, zoomed = best_of(3, lambda: ndimage.zoom(values, 1 / factor, order=1, grid_mode=True, mode="nearest"))

    print(f"256^3 uint8 .nii.gz ({megabytes:.1f} MB) to 50^3, one core\n")
    print(f"{'reading':44}{'ms':>8}{'ratio':>8}")
    print(f"{'  mri3d: read_scan (CRC, guard, SHA-256)':44}{1e3 * read_s:8.1f}{1:8.1f}")
    print(f"{'  nibabel: load and np.asarray':44}{1e3 * nibabel_s:8.1f}{nibabel_s / read_s:8.1f}\n")
    print(f"{'whole scan to 50^3':44}{'ms':>8}{'ratio':>8}{'max difference, % of range':>30}")
    for name, seconds, result in (
        ("  mri3d: resample, antialiased", ours_s, ours),
        ("  MONAI: Resize(anti_aliasing=True)", smooth_s, smooth),
        ("  MONAI: Resize, not antialiased", plain_s, aliased),
        ("  scipy: zoom(order=1), not antialiased", zoom_s, zoomed),
    ):
        difference = 100 * np.abs(result - ours).max() / np.ptp(ours)
        print(f"{name:44}{1e3 * seconds:8.1f}{seconds / ours_s:8.1f}{difference:30.2f}")
    print(f"\n{'the default recipe':44}{'ms':>8}")
    print(f"{'  find the head':44}{1e3 * head_s:8.1f}")
    print(f"{'  volume (head, crop, resize, z-score)':44}{1e3 * recipe_s:8.1f}")
    print(f"{'  file to volume':44}{1e3 * both_s:8.1f}   (aim: at most 100)")


if __name__ == "__main__":
    main()
