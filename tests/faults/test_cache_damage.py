"""What lies in the cache is used only as it was written, and by whom it is of: 0 of all damages goes unnoticed."""

import dataclasses
import json
import shutil
import zlib

import numpy as np
import pytest

from mri3d.cohort import audit as audit_module
from mri3d.cohort import audit_memory
from mri3d.cohort.audit import audit
from mri3d.cohort.cohort import Cohort, Session
from mri3d.scans.scan import read_scan
from mri3d.volumes.cache import Volumes
from mri3d.volumes.recipe import Recipe
from mri3d.voxels import gram as gram_module
from mri3d.voxels.gram import gram
from tests.scans.phantom import values, write_scan

RECIPE = Recipe(resolution=12, crop="none")
FEW, MANY = 60, 500
AMOUNTS = [pytest.param(FEW, id="few"), pytest.param(MANY, id="many", marks=pytest.mark.slow)]


@pytest.fixture
def scans(tmp_path):
    """Write four scans."""
    return [write_scan(tmp_path / f"{name}.nii.gz", np.roll(values(), n)) for n, name in enumerate("abcd")]


@pytest.fixture
def volumes(scans, tmp_path):
    return Volumes(scans, [read_scan(path).digest for path in scans], RECIPE, folder=tmp_path / "cache")


def damages(good: bytes, number: int, seed: int = 0):
    """Return copies with one bit turned, and as many that were cut off."""
    random = np.random.default_rng(seed)
    for bit in random.choice(8 * len(good), number, replace=8 * len(good) < number):
        turned = bytearray(good)
        turned[bit // 8] ^= 1 << bit % 8
        yield bytes(turned)
    for length in random.choice(len(good), number, replace=len(good) < number):
        yield good[:length]


@pytest.mark.parametrize("number", AMOUNTS)
def test_no_damaged_volume_is_used(volumes, caplog, number):
    expected = volumes[0]
    (path,) = volumes.folder.iterdir()
    good = path.read_bytes()
    for data in damages(good, number):
        path.write_bytes(data)
        caplog.clear()
        again = Volumes(volumes.scans, volumes.digests, RECIPE, folder=volumes.folder)
        np.testing.assert_array_equal(again.block([0], slice(0, 20))[0], expected.reshape(-1)[:20])
        assert f"{path} is damaged" in caplog.text
        assert path.read_bytes() == good


def test_a_volume_under_the_name_of_another_is_found_out_however_it_came_there(volumes, caplog):
    volumes.fill()
    expected = [volumes[row] for row in range(4)]
    paths = [volumes._path(row) for row in range(4)]
    other = Volumes(volumes.scans, volumes.digests, Recipe(resolution=12, crop="none", intensity="minmax"))
    other.folder = volumes.folder
    other.fill()
    shutil.copy(paths[0], paths[1])
    shutil.copy(other._path(2), paths[2])
    paths[3].unlink()
    paths[3].hardlink_to(paths[0])
    for row in (1, 2, 3):
        again = Volumes(volumes.scans, volumes.digests, RECIPE, folder=volumes.folder)
        caplog.clear()
        np.testing.assert_array_equal(again.block([row], slice(0, 9))[0], expected[row].reshape(-1)[:9])
        assert f"{paths[row]} is damaged" in caplog.text
        np.testing.assert_array_equal(again[row], expected[row])
    np.testing.assert_array_equal(volumes[0], expected[0])


@pytest.mark.parametrize("number", AMOUNTS)
def test_no_damaged_memory_of_the_audit_is_used(scans, tmp_path, monkeypatch, number):
    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(audit_memory, "SETTLED_SECONDS", -1.0)
    cohort = Cohort(tuple(Session(path.name, path, "FM"[n % 2]) for n, path in enumerate(scans)))
    audit(cohort, RECIPE, skip_bad=False)
    memory = tmp_path / "cache" / "audit" / "scans.json"
    good = memory.read_bytes()
    assert len(audit_memory.recall(memory)) == 4
    for data in damages(good, number):
        memory.write_bytes(data)
        assert audit_memory.recall(memory) == {}
    lines = json.loads(good.partition(b"\n")[0])
    lines["scans"] = {}
    memory.write_bytes(json.dumps(lines).encode())
    assert audit_memory.recall(memory) == {}
    readings = []
    monkeypatch.setattr(audit_module, "read_file", lambda path: readings.append(path) or read_scan(path))
    assert dataclasses.asdict(audit(cohort, RECIPE, skip_bad=False))["sessions"]
    assert sorted(readings) == sorted(scans)
    assert memory.read_bytes() == good


@pytest.mark.parametrize("number", AMOUNTS)
def test_no_damaged_matrix_of_products_is_used_and_none_of_another_cohort(volumes, tmp_path, monkeypatch, number):
    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path / "cache"))
    expected = gram(volumes)
    (path,) = (tmp_path / "cache" / "gram").iterdir()
    for data in damages(path.read_bytes(), number):
        path.write_bytes(data)
        found = gram_module._read(path, 4)
        if found is not None:  # a bit of what a zip file holds beside the numbers, such as a date
            np.testing.assert_array_equal(found.products, expected.products)
            np.testing.assert_array_equal(found.sums, expected.sums)
    path.unlink()
    others = Volumes(volumes.scans[::-1], volumes.digests[::-1], RECIPE, folder=volumes.folder)
    gram(others)
    gram_module._path(others).rename(path)
    np.testing.assert_array_equal(gram(volumes).products, expected.products)


def test_checksum_is_that_of_the_name_and_the_bytes(volumes):
    volumes.fill()
    for path in volumes.folder.iterdir():
        data = path.read_bytes()
        assert int.from_bytes(data[-4:], "little") == zlib.crc32(path.name.encode() + data[:-4])
