"""What all tests share: a cache folder of their own, and a small demo cohort."""

import functools
import gc
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pytest
import torch

from mri3d.cohort.cohort import Cohort
from mri3d.cohort.demo import Demo, DemoStudy

gc.disable()  # until all tests are found: what they import stays, and would be searched for garbage again and again


def pytest_collection_finish() -> None:
    """Take the imported libraries out of what is searched for garbage, and search less often: it was a tenth of all."""
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    gc.enable()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """Let what tests log of names that are no text pass between test processes, which take nothing but text."""
    outcome = yield
    report = outcome.get_result()
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]


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


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """Let what a test draws without a seed of its own not depend on the tests before it."""
    torch.default_generator.manual_seed(0)  # torch.manual_seed prints a traceback for a GPU that is not in use yet
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(0)


@pytest.fixture(scope="session", autouse=True)
def installed_callbacks() -> Iterator[None]:
    """Look once for callbacks of Lightning's that are installed: every trainer reads the names of all packages."""
    if "pytorch_lightning" not in sys.modules:
        yield
        return
    from pytorch_lightning.trainer.connectors import callback_connector

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            callback_connector, "_load_external_callbacks", functools.cache(callback_connector._load_external_callbacks)
        )
        yield


@pytest.fixture(scope="session", autouse=True)
def short_farewells() -> Iterator[None]:
    """Wait half a second, not five, for a worker process that does not end by itself before it is ended."""
    if "torch" not in sys.modules:
        yield
        return
    import torch.utils.data._utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.5)
        yield


class HeadsOfArrays(WeakKeyDictionary):
    """What was found of the heads of studies, known again by the same arrays: most tests make a study of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.of_arrays = {}

    def get(self, study, default=None):
        """Return what was found for a study, or another of the same arrays."""
        return super().get(study) or self.of_arrays.get(_search_among(study), default)

    def __setitem__(self, study, heads) -> None:
        super().__setitem__(study, heads)
        if study.recipe is None:
            self.of_arrays[_search_among(study)] = heads


def _search_among(study):
    """Return what decides which near-copies are found among arrays, and the search itself, which some tests replace."""
    from mri3d.evaluation import leaks

    return study.recipe, study.volumes.shape, study.volumes.digests, leaks.find_near_copies, leaks.Lying


@pytest.fixture(scope="session", autouse=True)
def heads_known_again() -> Iterator[None]:
    """Look once for near-copies among the same arrays, which takes longer than a fit to them."""
    if "mri3d.evaluation.leaks" not in sys.modules:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mri3d.evaluation.leaks._known", HeadsOfArrays())
        yield


@pytest.fixture(scope="session")
def demo_cohort(cache_folder: Path) -> Cohort:
    """Twelve small heads, six of each class, as they come before the audit."""
    return Demo(DemoStudy(num_subjects=12)).read()


@pytest.fixture(scope="module")
def one_core() -> Iterator[None]:
    """Compute on one core, GPU or not: volumes so small gain nothing from more, and threads wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        yield
    torch.set_num_threads(before)
