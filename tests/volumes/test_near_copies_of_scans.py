"""Near-copies of real scans, changed as scans are and made volumes of by the recipe: 200 planted ones, and no other."""

import functools
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import affine_transform, gaussian_filter, shift, zoom
from scipy.spatial.transform import Rotation

from mri3d.cohort.demo import DemoStudy
from mri3d.parallel import map_threads
from mri3d.scans.scan import read_scan
from mri3d.volumes.near_copies import find_near_copies
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.sequence import InMemory
from tests.scans.phantom import SHARED_DATA, needs_shared_data, write_scan
from tests.volumes.fingerprinted import fingerprints_of

pytestmark = [pytest.mark.slow, needs_shared_data]
RECIPE = Recipe(50)


def brightest(data):
    """Return the intensity of the brightest tissue of a scan [X, Y, Z]."""
    return np.percentile(data[data > 0.1 * data.max()], 99)


def extent(data, axis):
    """Return the first plane of a head and one past its last, and how many they are."""
    found = np.flatnonzero((data > 0.15 * brightest(data)).any(axis=tuple({0, 1, 2} - {axis})))
    return found[0], found[-1] + 1, found[-1] + 1 - found[0]


def noise(data, random, share):
    return data + share * brightest(data) * random.standard_normal(data.shape)


def rician(data, random):
    real, imaginary = 0.04 * brightest(data) * random.standard_normal((2, *data.shape))
    return np.hypot(data + real, imaginary)


def turn(data, spacing_mm, random, most=5.0):
    """Turn about any axis by 1 degree and more, and move by parts of voxels."""
    axis = random.standard_normal(3)
    angle = np.deg2rad(random.uniform(1, most)) * random.choice([-1, 1])
    turned = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)).as_matrix()
    matrix, data = turned * spacing_mm / spacing_mm[:, None], np.pad(data, 6)
    middle = (np.array(data.shape) - 1) / 2
    return affine_transform(data, matrix, middle - matrix @ middle + random.uniform(-2, 2, 3), order=1)


def crop(data, random, axis, most, *, from_above=False):
    first, end, length = extent(data, axis)
    cut = int(random.uniform(most / 3, most) * length)
    return data[(slice(None),) * axis + (slice(0, end - cut) if from_above else slice(first + cut, None),)]


def deface(data, random):
    """Remove what lies in front of and below a plane from the bridge of the nose to behind the chin."""
    (front, _, depth), (bottom, _, height) = extent(data, 1), extent(data, 2)
    _, y, z = np.indices(data.shape, sparse=True)
    chin, nose = random.uniform(0.45, 0.65), random.uniform(0.9, 1.0)
    level = (z - bottom) / height / random.uniform(0.5, 0.66)
    return np.where(((y - front) / depth > chin + (nose - chin) * level) & (level < 1), 0, data)


def bias(data, random):
    field = zoom(random.standard_normal((3, 3, 3)), np.array(data.shape) / 3, order=3)
    return data * np.exp(0.35 * field / np.abs(field).max())


def resampled(data, spacing_mm, random):
    """Resample to voxels of 1 to 3 mm; return the new edges too."""
    new_mm = random.uniform(1, 3, 3)
    smooth = gaussian_filter(data, np.maximum(0, (new_mm / spacing_mm - 1) / 2))
    sides = tuple(np.round(data.shape * spacing_mm / new_mm).astype(int))
    return affine_transform(
        smooth, new_mm / spacing_mm, (new_mm / spacing_mm - 1) / 2, output_shape=sides, order=1
    ), new_mm


KINDS = {  # of data [X, Y, Z] in RAS+, edges of a voxel in mm, and a generator
    "rescaled": lambda d, mm, r: np.round(d * r.uniform(0.5, 9) + r.integers(0, 900)).astype(np.int16),
    "rounded": lambda d, mm, r: np.round(np.clip(d / brightest(d), 0, 1) * r.choice([15, 31, 63])).astype(np.uint8),
    "gamma": lambda d, mm, r: np.clip(d / brightest(d), 0, 1.5) ** r.choice([0.8, 1.25]),
    "other type": lambda d, mm, r: d.astype(np.float64) / 1000,
    "noise": lambda d, mm, r: noise(d, r, 0.04),
    "rician": lambda d, mm, r: rician(d, r),
    "moved": lambda d, mm, r: np.roll(np.pad(d, 10), r.integers(3, 9, 3), (0, 1, 2)),
    "moved by parts of voxels": lambda d, mm, r: shift(np.pad(d, 4), r.uniform(-3, 3, 3), order=1),
    "neck cropped": lambda d, mm, r: crop(d, r, 2, 0.2),
    "top cropped": lambda d, mm, r: crop(d, r, 2, 0.1, from_above=True),
    "side cropped": lambda d, mm, r: crop(d, r, 0, 0.1),
    "padded": lambda d, mm, r: np.pad(d, r.integers(2, 20, (3, 2))),
    "resampled": resampled,
    "turned": turn,
    "mirrored": lambda d, mm, r: d[::-1],
    "mirrored and turned": lambda d, mm, r: turn(d, mm, r)[::-1],
    "defaced": lambda d, mm, r: deface(d, r),
    "blurred": lambda d, mm, r: gaussian_filter(d, r.uniform(2, 5) / 2.355 / mm),
    "bias field": lambda d, mm, r: bias(d, r),
    "second visit": lambda d, mm, r: np.round(7 * noise(turn(d, mm, r, most=3.0), r, 0.02)).astype(np.int16),
}


@functools.cache
def cohorts():
    """Return files and volumes [N, 1, X, Y, Z] of each cohort."""
    paths = {
        "ixi": sorted((SHARED_DATA / "ixi/T1").glob("*.nii.gz")),
        "depression": sorted((SHARED_DATA / "depression-bids").rglob("*T1w.nii.gz")),
        "demo": sorted((DemoStudy(num_subjects=48).build() / "brain_nii").glob("*.nii.gz")),
    }
    return {
        name: (files, np.stack(map_threads(lambda path: RECIPE.volume(read_scan(path)), files, what="reading")))
        for name, files in paths.items()
    }


def volume_of_copy(path: Path, kind: str, seed: int, folder: Path) -> np.ndarray:
    """Change a scan, write it, and make its volume."""
    image = nib.as_closest_canonical(nib.load(path))
    data, spacing_mm = np.asarray(image.dataobj, np.float32), np.array(image.header.get_zooms()[:3], dtype=float)
    changed = KINDS[kind](data, spacing_mm, np.random.default_rng(seed))
    changed, spacing_mm = changed if isinstance(changed, tuple) else (changed, spacing_mm)
    changed = changed.astype(np.float32) if changed.dtype == np.float64 and kind != "other type" else changed
    file = write_scan(folder / f"{seed}.nii", np.ascontiguousarray(changed), np.diag([*spacing_mm, 1.0]))
    return RECIPE.volume(read_scan(file))


def planted(folder: Path) -> list[tuple[str, str, int, np.ndarray]]:
    """Make 200 copies, 10 of each kind: cohort, kind, row and volume."""
    random, seeds, jobs = np.random.default_rng(12), iter(range(1000)), []
    for kind in KINDS:
        for cohort, count in (("ixi", 6), ("depression", 2), ("demo", 2)):
            rows = random.choice(len(cohorts()[cohort][0]), count, replace=False)
            jobs += [(cohort, kind, int(row), next(seeds)) for row in rows]
    volumes = map_threads(
        lambda job: volume_of_copy(cohorts()[job[0]][0][job[2]], job[1], job[3], folder), jobs, what="making copies"
    )
    return [(*job[:3], volume) for job, volume in zip(jobs, volumes, strict=True)]


def test_planted_copies_are_found_and_no_other_pair(tmp_path):
    left, found, wrong, stored = planted(tmp_path), Counter(), [], Counter()
    assert len(left) == 200
    prints = {name: fingerprints_of(InMemory(v), range(len(v))) for name, (_, v) in cohorts().items()}
    for cohort, kind, row, volume in left:
        match = prints[cohort].nearest(volume)
        stored["wrong" if match and match[0] != row else kind if match else "missed"] += 1
    while left:
        cohort, batch = left[0][0], {}
        originals = cohorts()[cohort][1]
        for copy in left:
            if copy[0] == cohort and len(batch) < len(originals) // 3:
                batch.setdefault(copy[2], copy)  # one copy of each head at a time
        left = [copy for copy in left if copy is not batch.get(copy[2])]
        volumes = InMemory(np.concatenate([originals, *(copy[3][None] for copy in batch.values())]))
        expected = {(row, len(originals) + n): kind for n, (_, kind, row, _) in enumerate(batch.values())}
        for copy in find_near_copies(volumes, range(len(volumes))):
            kind = expected.get((copy.first, copy.second))
            found[kind, copy.certain] += 1
            wrong += [copy] * (kind is None)
    by_kind = {kind: found[kind, True] + found[kind, False] for kind in KINDS}
    assert wrong == []
    assert sum(by_kind.values()) >= 190, by_kind
    assert min(by_kind.values()) >= 8
    assert stored["wrong"] == 0
    assert 200 - stored["missed"] >= 160, stored


@pytest.mark.parametrize("names", [("ixi",), ("depression",), ("demo",), ("ixi", "depression", "demo")])
def test_no_pair_of_real_or_demo_heads_is_accused(names):
    volumes = np.concatenate([cohorts()[name][1] for name in names])
    assert find_near_copies(InMemory(volumes), range(len(volumes))) == []


@pytest.mark.parametrize("count", [2, 3, 8, 12])
@pytest.mark.parametrize("name", ["ixi", "depression", "demo"])
def test_nor_is_one_of_few_and_a_rescaled_one_is(name, count):
    volumes = cohorts()[name][1][:count]
    assert find_near_copies(InMemory(volumes), range(count)) == []
    found = find_near_copies(InMemory(np.concatenate([volumes, 2 * volumes[:1] + 3])), range(count + 1))
    assert [(copy.first, copy.second, copy.certain) for copy in found] == [(0, count, True)]


@pytest.mark.parametrize("name", ["ixi", "demo"])
def test_a_new_head_is_not_taken_for_a_training_scan(name):
    volumes = cohorts()[name][1]
    stored = fingerprints_of(InMemory(volumes), range(0, len(volumes), 2))
    assert [row for row in range(1, len(volumes), 2) if stored.nearest(volumes[row])] == []
