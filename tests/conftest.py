"""What all tests share: a cache folder of their own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


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
