"""Small cohorts with a known truth, written as real scans and read through the real cache."""

from pathlib import Path

import nibabel
import numpy as np

from mri3d.models.classical.models import ClassicalModel
from mri3d.models.model import TrainingSet
from mri3d.outcome import Classes, Measure
from mri3d.scans.scan import read_scan
from mri3d.volumes.cache import Volumes
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.sequence import InMemory, VolumeSequence

SHAPE = (7, 8, 9)
REGION = (slice(2, 4), slice(3, 6), slice(4, 7))
"""Where the second class of `planted_cohort` is brighter than the others."""

OTHER_REGION = (slice(4, 6), slice(1, 3), slice(1, 6))
"""Where the third class is brighter."""

TRAIN, TEST = np.arange(45), np.arange(45, 63)
"""Rows of the cohorts of the fixtures `two`, `three` and `measured`."""


def write_volumes(folder: Path, arrays: np.ndarray) -> Volumes:
    """Give arrays [N, X, Y, Z] as volumes that hold their values unchanged."""
    affine = np.array([[0.0, 1.9, 0.3, -9.0], [-2.1, 0.0, 0.2, 4.0], [0.1, -0.2, 1.7, 3.0], [0.0, 0.0, 0.0, 1.0]])
    scans = []
    for number, array in enumerate(arrays):
        scans.append(folder / f"subject{number:03d}.nii")
        nibabel.save(nibabel.Nifti1Image(array.astype(np.float32), affine), scans[-1])
    recipe = Recipe("native", orientation="stored", crop="none", intensity="none", shape=arrays.shape[1:])
    return Volumes(scans, [read_scan(scan).digest for scan in scans], recipe)


def flat(volumes: Volumes) -> np.ndarray:
    """Give all volumes as float64 [N, V]."""
    return np.stack([volumes[row].reshape(-1) for row in range(len(volumes))]).astype(np.float64)


def brains(num_subjects: int, *, seed: int, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Give volumes that share a mean and a falling spectrum, [N, X, Y, Z], with voxels that are 0 in all of them."""
    rng = np.random.default_rng(seed)
    patterns = rng.standard_normal((30, *shape))
    strengths = rng.standard_normal((num_subjects, 30)) * np.arange(1, 31) ** -0.7
    arrays = 3 * rng.standard_normal(shape) + np.einsum("np,pxyz->nxyz", strengths, patterns)
    arrays += 0.3 * rng.standard_normal(arrays.shape)
    arrays[:, 0] = 0.0
    return arrays.astype(np.float32)


def planted_cohort(folder: Path, *, num_subjects: int, num_classes: int, seed: int) -> tuple[Volumes, np.ndarray]:
    """Give volumes and targets."""
    targets = np.arange(num_subjects) % num_classes
    return write_volumes(folder, planted_arrays(targets, seed=seed)), targets


def planted_arrays(targets: np.ndarray, *, seed: int) -> np.ndarray:
    """Give volumes of classes 0, 1 and 2 [N], float32 [N, X, Y, Z]."""
    arrays = brains(len(targets), seed=seed)
    arrays[(slice(None), *REGION)] += 4 * (targets == 1)[:, None, None, None]
    arrays[(slice(None), *OTHER_REGION)] += 4 * (targets == 2)[:, None, None, None]
    return arrays


def measured_arrays(targets: np.ndarray, *, seed: int) -> np.ndarray:
    """Give volumes in which a measure [N] brightens REGION and darkens OTHER_REGION, float32 [N, X, Y, Z]."""
    arrays = brains(len(targets), seed=seed)
    standard = ((targets - targets.mean()) / targets.std())[:, None, None, None]
    arrays[(slice(None), *REGION)] += 2 * standard
    arrays[(slice(None), *OTHER_REGION)] -= 2 * standard
    return arrays


def measured_cohort(num_subjects: int, *, seed: int) -> tuple[InMemory, np.ndarray]:
    """Give volumes in memory, and what is measured of them: ages from 20 to 80."""
    ages = np.random.default_rng(seed).uniform(20, 80, num_subjects).round(1)
    return InMemory(measured_arrays(ages, seed=seed)[:, None]), ages


AGE = Measure("age")
"""What is predicted from `measured_cohort`."""


def training_of(
    cohort: tuple[VolumeSequence, np.ndarray],
    folder: Path = Path(),
    *,
    outcome: Measure | None = None,
    train_rows=TRAIN,
    validation_rows=(),
    groups=None,
    seed=3,
) -> TrainingSet:
    """Give what a fit learns from: of classes a, b, c, unless an outcome is given."""
    volumes, targets = cohort
    return TrainingSet(
        volumes=volumes,
        outcome=outcome or Classes(tuple("abc"[: targets.max() + 1])),
        targets=targets,
        groups=np.arange(len(targets)) if groups is None else groups,
        train_rows=np.asarray(train_rows),
        validation_rows=np.asarray(validation_rows, dtype=np.int64),
        seed=seed,
        folder=folder,
    )


def fitted(model: ClassicalModel, training: TrainingSet) -> ClassicalModel:
    model.fit(training)
    return model
