"""Evidence by region: what is added up, where label images lie, and what regions are called."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mri3d.errors import UserError
from mri3d.explain.regions import Labels, by_region
from tests.scans.phantom import oblique_affine, write_scan

SHAPE = (8, 9, 10)
AFFINE = oblique_affine(np.array([1.5, 2.0, 2.5]))


def drawn():
    """Draw two regions and what belongs to none."""
    data = np.zeros(SHAPE, np.uint8)
    data[:3, :4], data[5:, 5:] = 3, 17
    return data


def test_names_come_from_the_table_beside_the_image(tmp_path):
    path = write_scan(tmp_path / "a_dseg.nii.gz", drawn(), AFFINE)
    (tmp_path / "a_dseg.tsv").write_text("index\tname\n3\tleft hippocampus\n")
    labels = Labels.read(path)
    assert_array_equal(labels.data, drawn())
    assert (labels.name(3), labels.name(17)) == ("left hippocampus", "17")


@pytest.mark.parametrize("table", ["index\tlabel\n3\tx\n", "index\tname\nthree\tx\n"])
def test_a_table_without_names_is_refused(tmp_path, table):
    path = write_scan(tmp_path / "a.nii", drawn(), AFFINE)
    (tmp_path / "a.tsv").write_text(table)
    with pytest.raises(UserError, match="needs the columns index, whole numbers, and name"):
        Labels.read(path)


def test_an_image_with_fractions_is_none_of_labels(tmp_path):
    with pytest.raises(UserError, match="is no image of labels: it has values that are no whole numbers"):
        Labels.read(write_scan(tmp_path / "a.nii", drawn() * np.float32(0.5), AFFINE))


def test_sums_and_shares_are_those_of_the_map(tmp_path):
    labels = Labels.read(write_scan(tmp_path / "a.nii", drawn(), AFFINE))
    values = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    first, second = by_region(values, labels)
    inside = values[drawn() == 3].astype(float)
    assert (first.label, second.label) == (3, 17)
    assert first.volume_ml == pytest.approx(inside.size * 1.5 * 2.0 * 2.5 / 1000)
    assert first.mean == pytest.approx(inside.mean())
    assert first.share == pytest.approx(np.abs(inside).sum() / np.abs(values.astype(float)).sum())
    assert first.share_for == pytest.approx(inside.clip(min=0).sum() / values.astype(float).clip(min=0).sum())
    assert first.share_against == pytest.approx(inside.clip(max=0).sum() / values.astype(float).clip(max=0).sum())


def test_a_map_without_evidence_has_no_shares(tmp_path):
    labels = Labels.read(write_scan(tmp_path / "a.nii", drawn(), AFFINE))
    assert {each.share for each in by_region(np.zeros(SHAPE), labels)} == {0.0}


def test_labels_are_carried_to_another_grid_by_their_place_in_the_world(tmp_path):
    labels = Labels.read(write_scan(tmp_path / "a.nii", drawn(), AFFINE))
    assert labels.is_on(SHAPE, AFFINE)
    assert not labels.is_on(SHAPE, AFFINE + np.diag([0, 0, 0.5, 0]))
    fine = AFFINE @ np.diag([0.5, 0.5, 0.5, 1])
    fine[:3, 3] -= AFFINE[:3, :3] @ [0.25, 0.25, 0.25]
    found = labels.at(tuple(2 * side for side in SHAPE), fine)
    assert_array_equal(found, drawn().repeat(2, 0).repeat(2, 1).repeat(2, 2))
    away = AFFINE.copy()
    away[:3, 3] += 1000
    assert_allclose(labels.at(SHAPE, away), 0)
