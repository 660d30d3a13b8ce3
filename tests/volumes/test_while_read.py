"""Volumes that are made while an audit reads: the same as otherwise, and nothing is refused or forgotten."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mri3d.cohort.audit import _key, audit
from mri3d.cohort.cohort import Cohort, Session
from mri3d.scans.scan import ScanError, read_scan
from mri3d.volumes.cache import Volumes
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.while_read import MadeWhileRead
from tests.scans.phantom import write_scan
from tests.studies import SPACING_MM, head

RECIPE = Recipe(12)


@pytest.fixture
def cohort(tmp_path, monkeypatch):
    """Three heads, and a cache folder in which nothing is yet."""
    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path / "cache"))
    sessions = []
    for number in range(3):
        path = write_scan(tmp_path / f"s{number}.nii", head(seed=number), np.diag([*SPACING_MM, 1.0]))
        sessions.append(Session(f"s{number}", path, "ab"[number % 2]))
    return Cohort(tuple(sessions))


def test_volumes_are_kept_where_they_are_looked_for(cohort, monkeypatch):
    audited = audit(cohort, MadeWhileRead(RECIPE), skip_bad=False)
    monkeypatch.setattr("mri3d.volumes.cache.read_file", lambda path: pytest.fail("a scan was read again"))
    volumes = Volumes(audited.scans, audited.digests, RECIPE)
    for row, path in enumerate(audited.scans):
        assert_array_equal(volumes[row], RECIPE.volume(read_scan(path)))


def test_an_audit_finds_and_remembers_the_same(cohort):
    check = MadeWhileRead(RECIPE)
    assert audit(cohort, check, skip_bad=False) == audit(cohort, RECIPE, skip_bad=False)
    assert _key(check) == _key(RECIPE)


@pytest.mark.parametrize("kept", [False, True])
def test_a_scan_that_does_not_pass_is_refused_whether_or_not_its_volume_is_kept(cohort, kept):
    narrow = Recipe(12, crop=[[0, 90], [0, 5], [0, 5]])
    scan = read_scan(cohort.sessions[0].scan)
    if kept:
        path = Volumes([scan.path], [scan.digest], narrow)._path(0)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
    with pytest.raises(ScanError, match="has 20 x 22 x 24 voxels, too few for"):
        MadeWhileRead(narrow).check(scan)
