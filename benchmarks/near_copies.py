"""Near-copies among 1,113 volumes: the audit beside plain correlation, in one run.

    python benchmarks/near_copies.py                       # 1113 at 50^3: a minute, most of it to make the cohort
    python benchmarks/near_copies.py --subjects 135        # as many as IXI has

The cohort is simulated: a head with a skull and folds that all share, and smooth random fields of several widths that
each has its own. Of 24 heads there is a copy: brighter, with noise and blurred; or turned by 3 degrees; or mirrored.
Volumes are read from a file one at a time, so that the peak of memory is that of the audit.
"""

import argparse
import os
import resource
import tempfile
import time
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter
from scipy.spatial.transform import Rotation

from mri3d.parallel import num_cores
from mri3d.volumes.near_copies import find_near_copies
from mri3d.volumes.sequence import InMemory

NUM_COPIES = 24
WIDTHS = {1.5: 0.5, 3.0: 0.4, 6.0: 0.3}  # standard deviation in voxels of the random fields: of their values


class OnDisk(InMemory):
    """Volumes in one file, each read when it is asked for."""

    def __init__(self, path: Path, num_volumes: int, side: int) -> None:
        self.path, self.num_volumes, self.side = path, num_volumes, side

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Sides of every volume, [C, X, Y, Z]."""
        return 1, self.side, self.side, self.side

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """A name for each: none is the same as another."""
        return tuple(map(str, range(self.num_volumes)))

    def __len__(self) -> int:
        return self.num_volumes

    def __getitem__(self, row: int) -> np.ndarray:
        voxels = self.side**3
        return np.fromfile(self.path, np.float32, voxels, offset=4 * voxels * row).reshape(self.shape)


def field(random: np.random.Generator, side: int, width: float) -> np.ndarray:
    """Draw a smooth field [X, Y, Z] of variance 1."""
    values = gaussian_filter(random.standard_normal((side,) * 3, dtype=np.float32), width, mode="wrap")
    return np.asarray(values / values.std())


def copy_of(volume: np.ndarray, kind: int, random: np.random.Generator) -> np.ndarray:
    """Change a volume [X, Y, Z] as copies of scans are changed."""
    if kind == 0:
        return gaussian_filter(3 * volume + 5, 0.6) + 0.1 * random.standard_normal(volume.shape)
    if kind == 1:
        turn = Rotation.from_rotvec(np.deg2rad(3) * np.array([0.6, 0.8, 0.0])).as_matrix()
        centre = (np.array(volume.shape) - 1) / 2
        return np.asarray(affine_transform(volume, turn, centre - turn @ centre, order=1, mode="nearest"))
    return volume[::-1]


def make_cohort(path: Path, num_subjects: int, side: int) -> set[tuple[int, int]]:
    """Write volumes; return which are copies of which."""
    random = np.random.default_rng(0)
    radius = np.sqrt(((np.indices((side,) * 3) - (side - 1) / 2) ** 2).sum(axis=0)) / (side / 2)
    shared = 1.0 * (radius < 0.95) - 1.2 * (abs(radius - 0.85) < 0.04) + 0.5 * (radius < 0.8) * field(random, side, 1.5)
    num_heads = num_subjects - NUM_COPIES
    sources = random.choice(num_heads, NUM_COPIES, replace=False)
    kept: dict[int, np.ndarray] = {}
    with path.open("wb") as file:
        for subject in range(num_heads):
            own = sum(share * field(random, side, width) for width, share in WIDTHS.items())
            volume = np.where(radius < 0.95, shared + own, 0).astype(np.float32)
            volume.tofile(file)
            if subject in sources:
                kept[subject] = volume
        for number, source in enumerate(sources):
            copy_of(kept[int(source)], number % 3, random).astype(np.float32).tofile(file)
    return {(int(source), num_heads + number) for number, source in enumerate(sources)}


def correlated(volumes: OnDisk) -> set[tuple[int, int]]:
    """Find what plain correlation finds: pairs above 0.95, all volumes in memory."""
    matrix = np.stack([volumes[row].ravel() for row in range(len(volumes))])
    matrix -= matrix.mean(axis=1, keepdims=True)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    first, second = np.nonzero(np.triu(matrix @ matrix.T, 1) > 0.95)
    return set(zip(first.tolist(), second.tolist(), strict=True))


def megabytes() -> float:
    """Return the peak of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=1113)
    parser.add_argument("--side", type=int, default=50)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "volumes"
        planted = make_cohort(path, arguments.subjects, arguments.side)
        volumes = OnDisk(path, arguments.subjects, arguments.side)
        before, start, worked = megabytes(), time.perf_counter(), time.process_time()
        copies = find_near_copies(volumes, range(len(volumes)))
        seconds, processor, peak = time.perf_counter() - start, time.process_time() - worked, megabytes() - before
        start, before = time.perf_counter(), megabytes()
        plain = correlated(volumes)
        plain_seconds, plain_peak = time.perf_counter() - start, megabytes() - before
    found = {(copy.first, copy.second) for copy in copies}
    print(f"{arguments.subjects} volumes of {arguments.side}^3, {NUM_COPIES} copies, {num_cores()} cores")
    print(f"{'':20}{'seconds':>10}{'CPU s':>10}{'peak MB':>10}{'found':>8}{'wrong':>8}")
    row = f"{seconds:10.1f}{processor:10.1f}{peak:10.0f}{len(found & planted):8d}{len(found - planted):8d}"
    print(f"{'near-copies':20}{row}")
    row = f"{plain_seconds:10.1f}{'':10}{plain_peak:10.0f}{len(plain & planted):8d}{len(plain - planted):8d}"
    print(f"{'correlation > 0.95':20}{row}   (peak beyond that of the first)")
    print(f"load of the machine {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
