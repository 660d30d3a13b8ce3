"""What the evidence in several scans has in common is written for each class apart, whatever classes are called."""

from types import SimpleNamespace

import numpy as np
import pytest

from mri3d import group_maps
from mri3d.group_maps import GroupedEvidence
from mri3d.outcome import Classes
from mri3d.report.picture import Picture
from tests.studies import SHAPE


@pytest.fixture
def written(monkeypatch):
    """Name and number of scans of each group map that is written."""
    stems = []

    def write(folder, stem, maps, **more):
        stems.append((stem, len(maps)))
        return [Picture(b"", "image/png", "mean.", "mean.")]

    monkeypatch.setattr(group_maps, "CohortSpace", SimpleNamespace(of=lambda *given: None))
    monkeypatch.setattr(group_maps, "write_group", write)
    return stems


def study_of(num_sessions, *classes: str):
    return SimpleNamespace(
        ids=[str(row) for row in range(num_sessions)],
        outcome=Classes(classes),
        volumes=np.zeros((num_sessions, 1, *SHAPE), np.float32),
        recipe=object(),
        cohort=SimpleNamespace(scans=range(num_sessions)),
    )


def test_evidence_for_classes_that_differ_by_a_sign_only_is_kept_apart(written, tmp_path):
    grouped = GroupedEvidence(study_of(7, "a b", "a/b"))
    for row in range(7):
        grouped.keep(row, row % 2, np.ones(SHAPE, np.float32))
    captions = [each.caption for each in grouped.write(tmp_path)]
    assert written == [("evidence_0", 4), ("evidence_1", 3)]
    assert captions == ["4 tested scans, evidence for a b. mean.", "3 tested scans, evidence for a/b. mean."]


def test_a_few_tests_of_a_large_study_are_all_kept(written, monkeypatch, tmp_path):
    monkeypatch.setattr(group_maps, "_MOST_VOXELS", 20 * np.prod(SHAPE))
    grouped = GroupedEvidence(study_of(100, "a", "b"))
    for row in range(1, 40, 2):
        grouped.keep(row, 0, np.ones(SHAPE, np.float32))
    grouped.write(tmp_path)
    assert written == [("evidence_for_a", 20)]


def test_of_more_tests_than_memory_holds_as_many_are_drawn_as_it_does(written, monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(group_maps, "_MOST_VOXELS", 20 * np.prod(SHAPE))
    grouped = GroupedEvidence(study_of(400, "a", "b"))
    for row in [*range(400), *range(400)]:  # again in another repeat, the others first of all
        grouped.keep(row, int(row >= 395), np.full(SHAPE, row, np.float32))
    (picture,) = grouped.write(tmp_path)
    (found,) = written
    assert found == ("evidence_for_a", 20 - sum(row >= 395 for row in grouped.maps))
    assert 100 < np.mean([*grouped.maps]) < 300, "neither the first nor the last"
    assert all((grouped.maps[row] == row).all() for row in grouped.maps)
    told = "395 have a heatmap, and these were drawn at random to save memory."
    assert picture.caption == f"{found[1]} tested scans, evidence for a; {told} mean."
    assert "no group map of evidence for b: memory held " in caplog.text
    assert "of 5" in caplog.text
