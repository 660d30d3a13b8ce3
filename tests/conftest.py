"""What all tests share: a cache folder of their own, and a small demo cohort."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mri3d.cohort.cohort import Cohort
from mri3d.cohort.demo import Demo, DemoStudy


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Point the cache of this process and of those it starts at a temporary folder."""
    before = os.environ.get("MRI3D_CACHE")
    folder = tmp_path_factory.mktemp("cache")
    os.environ["MRI3D_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["MRI3D_CACHE"]
    else:
        os.environ["MRI3D_CACHE"] = before


@pytest.fixture(scope="session")
def demo_cohort(cache_folder: Path) -> Cohort:
    """Twelve small heads, six of each class, as they come before the audit."""
    return Demo(DemoStudy(num_subjects=12)).read()
