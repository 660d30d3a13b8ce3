"""Brains in the cache folder: found once, never another scan's, and found anew where they were damaged."""

import gc
from dataclasses import replace

import numpy as np
import pytest

from mri3d import BrainRecipe
from mri3d.brain import kept
from mri3d.brain.brain import Brain
from mri3d.brain.kept import brain_of
from mri3d.scans.scan import ScanError
from tests.scans.phantom import reorder
from tests.volumes.planted import scan_of

SHAPE = (9, 11, 7)


def scan(digest="a", order="LIA"):
    data, affine = reorder(np.random.default_rng(0).random(SHAPE).astype(np.float32), np.eye(4), order)
    return replace(scan_of(data, affine), digest=digest)


@pytest.fixture
def found(monkeypatch, tmp_path):
    """Have brains found without looking for them, and return of which scans they were."""
    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path))
    asked = []

    def locate(given):
        asked.append(given.digest)
        mask = np.random.default_rng(len(asked)).random(SHAPE) > 0.5
        fits = [0.07] if given.mask is not None else []
        return Brain(mask, np.diag([0.9, 0.95, 0.88, 1.0]), len(asked) % 2 == 1, 1500.0, 0.97, 0.51, *fits)

    monkeypatch.setattr("mri3d.brain.locating.locate_brain", locate)
    return asked


def files_in(folder):
    return sorted((folder / "brains").glob("*"))


def same(first, second):
    np.testing.assert_array_equal(first.mask, second.mask)
    np.testing.assert_array_equal(first.to_scan, second.to_scan)
    rest = [(each.stripped, each.figures) for each in (first, second)]
    assert rest[0] == rest[1]
    return True


def test_a_brain_is_found_once(found, tmp_path):
    first = brain_of(scan())
    assert same(brain_of(scan()), first), "another object, as in another process"
    assert found == ["a"]
    one = scan("b")
    assert brain_of(one) is brain_of(one)
    assert found == ["a", "b"]
    assert len(files_in(tmp_path)) == 2
    del one
    gc.collect()
    assert not len(kept._known), "no scan is held in memory by its brain"


def test_how_well_a_given_mask_fits_is_kept_too(found):
    def masked():
        return replace(scan(), mask=np.ones(SHAPE, bool), digest="masked")

    first = brain_of(masked())
    assert same(brain_of(masked()), first)
    assert first.figures["misfit"] == 0.07
    assert found == ["masked"]


def test_what_is_no_brain_is_looked_for_once(found, monkeypatch):
    def nothing(given):
        found.append(given.digest)
        raise ScanError("sub-07.nii: there is none.")

    monkeypatch.setattr("mri3d.brain.locating.locate_brain", nothing)
    one = scan()
    for _ in range(2):
        with pytest.raises(ScanError, match="there is none"):
            brain_of(one)
    assert found == ["a"]
    assert BrainRecipe().figures(one) == {}


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
        lambda data: b"",
        lambda data: data[:-1] + b"\xff",
    ],
)
def test_a_damaged_one_is_found_anew(found, tmp_path, damage, caplog):
    brain_of(scan())
    (path,) = files_in(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    again = brain_of(scan())
    assert found == ["a", "a"]
    assert "is damaged; the brain is looked for again in sub-07.nii" in caplog.text
    assert same(brain_of(scan()), again)
    assert found == ["a", "a"]


def test_one_under_another_ones_name_is_not_taken(found, tmp_path):
    brain_of(scan("a"))
    brain_of(scan("b"))
    first, second = files_in(tmp_path)
    first.write_bytes(second.read_bytes())
    brain_of(scan("a"))
    brain_of(scan("b"))
    assert len(found) == 3


def test_without_room_it_is_found_again(found, monkeypatch, caplog):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mri3d.files.write_bytes", full)
    for _ in range(2):
        brain_of(scan())
    assert found == ["a", "a"]
    assert "No space left on device. Brains will be looked for again" in caplog.text


def test_one_that_is_none_is_refused_each_time_and_looked_for_once(found, monkeypatch):
    monkeypatch.setattr("mri3d.brain.brain.LEAST_SIMILARITY", 0.6)
    for _ in range(2):
        with pytest.raises(
            ScanError, match=r"sub-07.nii: what looks like a brain does not come to lie on the template"
        ):
            brain_of(scan())
    assert found == ["a"]


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        ({"volume_ml": 500.0}, "what looks like a brain has 500 ml, and brains have 700 to 2,200"),
        ({"volume_ml": 2500.0}, "has 2,500 ml"),
        ({"overlap": 0.8}, r"correlation 0.50 \(at least 0.25\), overlap 0.80 \(at least 0.9\)"),
        ({"similarity": 0.1}, r"correlation 0.10 \(at least 0.25\)"),
        ({}, ""),
    ],
)
def test_what_cannot_be_believed_is_refused_with_its_figures(figures, told):
    mask = np.ones(SHAPE, bool)
    brain = replace(Brain(mask, np.eye(4), False, 1500.0, 0.97, 0.5), **figures)
    if not told:
        brain.check(scan())
        return
    with pytest.raises(ScanError, match=told):
        brain.check(scan())
