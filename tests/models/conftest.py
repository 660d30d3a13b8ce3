"""Cohorts, fits and processes that several files of tests look at."""

import subprocess

import numpy as np
import pytest

from mri3d.volumes.cache import Volumes
from mri3d.volumes.sequence import InMemory
from tests.models.blobs import VALIDATION, cnn, planted, training
from tests.models.planted import measured_cohort, planted_cohort


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory):
    """Give a model whose validation loss can only rise, since its validation labels are turned round."""
    folder = tmp_path_factory.mktemp("overfitted")
    targets = planted()[1]
    targets[VALIDATION] = 1 - targets[VALIDATION]
    made = training(folder, targets=targets)
    model = cnn(epochs=20, patience=3)
    model.fit(made)
    return model, made, folder


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Volumes, np.ndarray]:
    return planted_cohort(tmp_path_factory.mktemp("two"), num_subjects=63, num_classes=2, seed=7)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[Volumes, np.ndarray]:
    return planted_cohort(tmp_path_factory.mktemp("three"), num_subjects=63, num_classes=3, seed=8)


@pytest.fixture(scope="module")
def measured() -> tuple[InMemory, np.ndarray]:
    return measured_cohort(63, seed=9)


@pytest.fixture
def sleepers():
    """Give two processes that do nothing for a minute."""
    processes = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
    yield processes
    for process in processes:
        process.kill()
        process.wait()
