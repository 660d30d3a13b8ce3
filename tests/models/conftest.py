"""Cohorts and fits that several files of tests look at."""

import numpy as np
import pytest

from mri3d.volumes.cache import Volumes
from tests.models.blobs import VALIDATION, cnn, planted, task
from tests.models.planted import planted_cohort


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory):
    """Give a classifier whose validation loss can only rise, since its validation labels are turned round."""
    folder = tmp_path_factory.mktemp("overfitted")
    targets = planted()[1]
    targets[VALIDATION] = 1 - targets[VALIDATION]
    made = task(folder, targets=targets)
    classifier = cnn(epochs=20, patience=3)
    classifier.fit(made)
    return classifier, made, folder


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Volumes, np.ndarray]:
    return planted_cohort(tmp_path_factory.mktemp("two"), num_subjects=63, num_classes=2, seed=7)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[Volumes, np.ndarray]:
    return planted_cohort(tmp_path_factory.mktemp("three"), num_subjects=63, num_classes=3, seed=8)
