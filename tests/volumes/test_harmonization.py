"""Volumes without the effects of their sites, to read as any others; no word of rows that are not fitted."""

import pickle

import numpy as np
import pytest

from mri3d import UserError
from mri3d.cohort.variables import Variable, Variables
from mri3d.volumes.combat import Combat
from mri3d.volumes.described import Described
from mri3d.volumes.harmonization import Applied, Harmonized, check_sites
from mri3d.volumes.sequence import InMemory
from mri3d.volumes.smoothing import smooth
from mri3d.voxels.gram import gram, row_products
from tests.volumes.of_sites import SHAPE, example, flat


@pytest.mark.parametrize("row", [1, 4, 9, 17])
def test_other_rows_change_nothing_but_themselves(row):
    volumes, sites = example({"a": 10, "b": 10})
    rows = np.setdiff1d(np.arange(20), [1, 4, 9, 17])
    before = Harmonized(volumes, sites, rows)
    poisoned = volumes.volumes.copy()
    poisoned[row] = 1e6
    after = Harmonized(InMemory(poisoned), sites, rows)
    for name, array in before.combat.tensors().items():
        np.testing.assert_array_equal(after.combat.tensors()[name], array)
    others = np.setdiff1d(np.arange(20), [row])
    np.testing.assert_array_equal(flat(after)[others], flat(before)[others])
    assert [after.digests[each] for each in others] == [before.digests[each] for each in others]
    assert after.digests[row] != before.digests[row]


def test_a_session_of_a_new_site_changes_sessions_of_that_site_alone():
    volumes, sites = example({"a": 10, "b": 10, "new": 6, "other": 5})
    rows = np.flatnonzero([site in ("a", "b") for site in sites])
    before = Harmonized(volumes, sites, rows)
    poisoned, one = volumes.volumes.copy(), sites.index("new")
    poisoned[one] = 1e3
    after = Harmonized(InMemory(poisoned), sites, rows)
    here = np.array([site == "new" for site in sites])
    np.testing.assert_array_equal(flat(after)[~here], flat(before)[~here])
    assert np.abs(flat(after)[here] - flat(before)[here]).min(axis=1).max() > 0.01
    changed = np.array([one != other for one, other in zip(before.digests, after.digests, strict=True)])
    np.testing.assert_array_equal(changed, here)
    assert before.combat.sites == ("a", "b"), "what a model folder keeps knows nothing of the tested site"


def test_one_volume_and_a_block_are_the_same_to_the_bit():
    volumes, sites = example({"a": 6, "b": 7})
    found = Harmonized(volumes, sites, np.arange(13))
    assert found[3].dtype == np.float32
    assert found[3].shape == found.shape == SHAPE
    assert len(found) == 13
    np.testing.assert_array_equal(found.block([1, 8, 3], slice(17, 40)), flat(found)[[1, 8, 3], 17:40])
    before = volumes.volumes.copy()
    found[2][:] = 0
    np.testing.assert_array_equal(volumes.volumes, before)


def test_smoothed_ones_are_smoothed_first_and_fitted_anew():
    volumes, sites = example({"a": 6, "b": 7})
    found = Harmonized(volumes, sites, np.arange(13))
    smoothed = InMemory(np.stack([smooth(volume, 0.2) for volume in volumes.volumes]))
    np.testing.assert_array_equal(flat(found.smoothed(0.2)), flat(Harmonized(smoothed, sites, np.arange(13))))
    assert found.smoothed(0) is found
    assert found.smoothed(0.2) is found.smoothed(0.2)
    assert set(found.combats) == {0.2}, "nothing was asked of volumes that are not smoothed"
    found.fill()
    assert set(found.combats) == {0.0, 0.2}


def test_its_products_are_those_of_its_volumes():
    volumes, sites = example({"a": 6, "b": 7})
    found = Harmonized(volumes, sites, np.arange(10))
    values, rows, training = flat(found), np.array([1, 2, 5, 6, 12]), np.array([0, 1, 2])
    np.testing.assert_allclose(gram(found).products, values @ values.T, rtol=1e-9)
    (standard,) = row_products(found, rows, trainings=[training], standardize=True)
    centred = (values[rows] - values[rows][training].mean(axis=0)) / values[rows][training].std(axis=0)
    np.testing.assert_allclose(standard, centred @ centred.T, rtol=1e-9)


def test_it_is_a_sequence_like_its_source():
    volumes, sites = example({"a": 6, "b": 7})
    ages = Variables((Variable.of("age", [str(20 + row) for row in range(13)]),))
    found = Harmonized(Described(volumes, ages), sites, np.arange(13))
    assert found.covariates is ages
    assert found.smoothed(0.2).covariates is ages
    assert found.recipe is None
    assert not found.on_disk
    copied = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(flat(copied), flat(found))


def test_digests_tell_fits_and_data_apart():
    volumes, sites = example({"a": 6, "b": 7})
    one = Harmonized(volumes, sites, np.arange(12)).digests
    assert len(set(one)) == 13
    assert Harmonized(volumes, sites, np.arange(12)).digests == one
    assert not set(Harmonized(volumes, sites, np.arange(1, 13)).digests) & set(one)
    moved = [*sites[:12], "b" if sites[12] == "a" else "a"]
    after = Harmonized(volumes, moved, np.arange(12)).digests
    assert [row for row in range(13) if one[row] != after[row]] == [12]
    changed = volumes.volumes.copy()
    changed[0, 0, 0, 0, 0] += 1
    assert not set(Harmonized(InMemory(changed), sites, np.arange(12)).digests) & set(one)
    assert not set(one) & set(volumes.digests)


def test_a_model_folder_brings_the_same_effects_back():
    volumes, sites = example({"a": 6, "b": 7})
    found = Harmonized(volumes, sites, np.arange(13))
    again = Combat.from_tensors(found.combat.tensors(), list(found.combat.sites))
    applied = Applied(volumes, sites, {0.0: again, 0.2: found.smoothed(0.2).combat})
    np.testing.assert_array_equal(flat(applied), flat(found))
    np.testing.assert_array_equal(applied.block([3, 1], slice(5, 9)), found.block([3, 1], slice(5, 9)))
    np.testing.assert_array_equal(flat(applied.smoothed(0.2)), flat(found.smoothed(0.2)))
    assert applied.smoothed(0) is applied
    assert again.digest == found.combat.digest != found.smoothed(0.2).combat.digest
    other = Applied(volumes, sites, {0.0: found.smoothed(0.2).combat})
    assert not set(applied.digests) & {*other.digests, *volumes.digests}


@pytest.mark.parametrize(
    ("sites", "told"),
    [
        (["Oxford", "c"], r"site 'c' is not one that the model was harmonised for: London, Oxford\. Name the site"),
        (["oxford", "London"], r"site 'oxford' is not one .* Did you mean 'Oxford'\?"),
        (["London", None], r"a scan has no site, and needs one that the model was harmonised for: London, Oxford\."),
    ],
)
def test_new_volumes_of_a_site_that_is_not_known_are_refused(sites, told):
    volumes, known = example({"Oxford": 6, "London": 7})
    combat = Combat.fit(volumes, known, np.arange(13))
    with pytest.raises(UserError, match=told):
        Applied(InMemory(volumes.volumes[:2]), sites, {0.0: combat})


SITES = ["a"] * 6 + ["b"] * 6 + ["c"] * 4 + ["d"] * 5


@pytest.mark.parametrize(
    ("rows", "test_rows", "told"),
    [
        ([0, 1, 2, 6, 7], [3, 8], r"harmonize='site': too few sessions that fold 3 learns from: b 2\. .* takes 3\."),
        ([0, 1, 6, 7], [3, 8], r"that fold 3 learns from: a 2, b 2\."),
        ([0, 1, 2, 6, 7, 8], [12, 13], r"sites that fold 3 tests and does not learn from: c 4\. .* takes 5\."),
        ([0, 1, 2], [3, 4], r"all sessions are of one site, 'a'\. Leave it out\."),
    ],
)
def test_too_few_sessions_of_a_site_are_told_before_any_fit(rows, test_rows, told):
    with pytest.raises(UserError, match=told):
        check_sites(SITES, np.array(rows), np.array(test_rows), name="fold 3")


def test_a_session_without_a_site_is_named():
    sites, ids = [*SITES[:12], None, ""], [f"s{row}" for row in range(14)]
    with pytest.raises(UserError, match=r"2 sessions have no site: s12, s13\. Name the column that has it by site"):
        check_sites(sites, np.arange(12), np.array([12, 13]), ids=ids)
    check_sites(sites, np.arange(11), np.array([11]), ids=ids)


def test_enough_sessions_are_enough():
    check_sites(SITES, np.array([0, 1, 2, 6, 7, 8]), np.array([3, 16, 17]))
    check_sites(SITES, np.array([0, 1, 2]), np.array([16]))
    check_sites(SITES, np.array([0, 1, 2, 6, 7, 8]), np.array([], dtype=np.int64))
