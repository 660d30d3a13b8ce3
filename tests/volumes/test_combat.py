"""ComBat: the values of its published implementation, its formulas written out, and voxels that say nothing."""

import numpy as np
import pytest

from mri3d import UserError
from mri3d.volumes import combat as fitting
from mri3d.volumes.combat import Combat
from mri3d.volumes.harmonization import Harmonized
from mri3d.volumes.sequence import InMemory
from tests.volumes.of_sites import SHAPE, example, flat

PUBLISHED_SITES = ["a"] * 5 + ["b"] * 4 + ["c"] * 3
PUBLISHED_INPUT = np.array([
    [2.72, 2.70, 1.49, 2.51, -0.40, 2.50, 6.36, 2.70],
    [2.65, 1.19, 5.06, 4.42, 0.92, -0.90, 3.16, 3.92],
    [3.13, 0.62, 5.36, 1.87, -0.67, 4.86, 3.15, 5.29],
    [2.55, 0.60, 2.53, 2.09, -1.43, 4.30, 4.16, 4.56],
    [1.89, 4.28, 2.65, 4.67, -0.39, 1.79, 3.53, 4.28],
    [2.80, 1.98, 2.19, 2.74, 2.88, 6.54, 3.50, 2.76],
    [3.77, 1.29, 3.06, 4.77, -0.11, 5.44, 3.15, 4.46],
    [2.48, 2.75, 5.02, 3.38, 3.88, 6.06, 4.35, 5.97],
    [3.65, 3.38, 4.16, 2.71, 2.19, 3.32, 2.44, 4.67],
    [3.67, 1.16, 1.14, 2.41, 2.66, 4.36, 3.28, 4.49],
    [4.91, 4.97, -1.08, 3.24, 2.62, 3.83, 3.67, 4.02],
    [4.23, 2.33, -0.30, 2.09, 0.55, 4.22, 3.00, 3.80],
])  # fmt: skip
PUBLISHED_OUTPUT = np.array([
    [3.192423, 2.960645, 1.427576, 2.699661, 0.758385, 3.614864, 5.618279, 3.083139],
    [3.132653, 1.720290, 4.258943, 4.212213, 1.909338, 0.980027, 3.149552, 4.107200],
    [3.542510, 1.252077, 4.496872, 2.192837, 0.522963, 5.443751, 3.141837, 5.257171],
    [3.047265, 1.235648, 2.252400, 2.367058, -0.139707, 5.009778, 3.921029, 4.644413],
    [2.483711, 4.258499, 2.347572, 4.410191, 0.767104, 3.064648, 3.434998, 4.409382],
    [2.774649, 1.698266, 1.545391, 2.443392, 1.951780, 5.415577, 3.466759, 2.771831],
    [3.612135, 1.022293, 2.352110, 4.324650, -0.471221, 4.393256, 3.140582, 4.182173],
    [2.498366, 2.452612, 4.169547, 3.036498, 2.762148, 4.969474, 4.258905, 5.434889],
    [3.508528, 3.069804, 3.372100, 2.415590, 1.392626, 2.422964, 2.478907, 4.356392],
    [2.794280, 0.791359, 3.570190, 2.774868, 1.982744, 4.205013, 3.542591, 4.748127],
    [4.024752, 4.390157, 1.011116, 3.847941, 1.938848, 3.450698, 4.080386, 4.102786],
    [3.349977, 1.896502, 1.910250, 2.361152, -0.332750, 4.005760, 3.156482, 3.800712],
])  # fmt: skip
"""By neuroCombat 0.2.12 (PyPI): the transpose of `data` that it gives for the transpose of the input and a table with
the sites as its only column, all else by default."""

PUBLISHED_OUTPUT_OF_A = np.array([
    [3.244627, 2.864536, 2.403793, 3.047392, 1.923676, 4.930206, 4.981035, 3.375390],
    [3.187721, 1.945709, 4.832375, 4.344855, 3.032868, 2.822322, 3.054382, 4.363561],
    [3.577931, 1.598867, 5.036457, 2.612640, 1.696795, 6.393326, 3.048362, 5.473230],
    [3.106427, 1.586697, 3.111279, 2.762086, 1.058170, 6.046145, 3.656461, 4.881947],
    [2.569889, 3.825958, 3.192912, 4.514681, 1.932079, 4.490030, 3.277152, 4.655153],
])  # fmt: skip
"""The rows of a by the same with ref_batch="b", which fits every site to that one. (With numpy.int = int, which it
asks for and numpy has no more.)"""


def formulas(values, sites):
    """Write the formulas of Johnson, Li and Rabinovic (2007) out for float64 [N, V], with gamma and delta by site."""
    sites, names = np.array(sites), sorted(set(sites))
    means = {name: values[sites == name].mean(axis=0) for name in names}
    grand = sum((sites == name).mean() * means[name] for name in names)
    pooled = np.sqrt(np.mean([(value - means[site]) ** 2 for value, site in zip(values, sites, strict=True)], axis=0))
    standard, found, gammas, deltas = (values - grand) / pooled, np.empty_like(values), {}, {}
    for name in names:
        mine = standard[sites == name]
        gamma_hat, delta_hat, number = mine.mean(axis=0), mine.var(axis=0, ddof=1), len(mine)
        delta_hat[delta_hat < 1e-20] = 1.0  # as the published implementation does
        gamma_bar, tau2 = gamma_hat.mean(), gamma_hat.var(ddof=1)
        mean, variance = delta_hat.mean(), delta_hat.var(ddof=1)
        shape, scale = (mean**2 + 2 * variance) / variance, (mean**3 + mean * variance) / variance
        gamma, delta = gamma_hat, delta_hat
        for _ in range(300):
            gamma = (number * tau2 * gamma_hat + delta * gamma_bar) / (number * tau2 + delta)
            delta = (scale + np.square(mine - gamma).sum(axis=0) / 2) / (number / 2 + shape - 1)
        gammas[name], deltas[name] = gamma, delta
        found[sites == name] = pooled * (mine - gamma) / np.sqrt(delta) + grand
    return found, gammas, deltas


def test_values_are_those_of_the_published_implementation():
    volumes = InMemory(PUBLISHED_INPUT.astype(np.float32).reshape(12, 1, 2, 2, 2))
    found = Harmonized(volumes, PUBLISHED_SITES, np.arange(12))
    np.testing.assert_allclose(flat(found), PUBLISHED_OUTPUT, atol=4e-6)  # it stops at changes of 0.0001
    assert np.abs(PUBLISHED_OUTPUT - PUBLISHED_INPUT).max() > 1


def test_a_new_site_has_the_values_of_the_published_implementation_with_a_reference():
    volumes = InMemory(PUBLISHED_INPUT.astype(np.float32).reshape(12, 1, 2, 2, 2))
    found = Harmonized(volumes, PUBLISHED_SITES, np.arange(5, 9))
    np.testing.assert_allclose(flat(found)[:5], PUBLISHED_OUTPUT_OF_A, atol=4e-6)
    np.testing.assert_array_equal(flat(found)[9:], flat(volumes)[9:], "a site of three that is not fitted")


@pytest.mark.parametrize("counts", [{"a": 12, "b": 9, "c": 3}, {"x": 30, "y": 4}, {"p": 5, "q": 5, "r": 5, "s": 25}])
def test_values_are_those_of_the_formulas(counts):
    volumes, sites = example(counts, seed=len(counts))
    wanted, gammas, deltas = formulas(flat(volumes), sites)
    found = Harmonized(volumes, sites, np.arange(len(sites)))
    np.testing.assert_allclose(flat(found), wanted, atol=3e-6)
    for number, name in enumerate(found.combat.sites):
        np.testing.assert_allclose(found.combat.gamma[number], gammas[name], atol=1e-6)
        np.testing.assert_allclose(found.combat.delta[number], deltas[name], rtol=1e-6)


def test_only_the_rows_that_are_learnt_from_are_fitted_and_others_follow():
    volumes, sites = example({"a": 12, "b": 9, "c": 8})
    rows = np.flatnonzero(np.arange(29) % 3 > 0)
    fitted, gammas, deltas = formulas(flat(volumes)[rows], [sites[row] for row in rows])
    found = Harmonized(volumes, sites, rows)
    np.testing.assert_allclose(flat(found)[rows], fitted, atol=3e-6)
    mean, deviation = found.combat.mean, found.combat.deviation
    for row in range(0, 29, 3):
        standard = (flat(volumes)[row] - mean) / deviation - gammas[sites[row]]
        wanted = mean + deviation * standard / np.sqrt(deltas[sites[row]])
        np.testing.assert_allclose(found[row].reshape(-1), wanted, atol=3e-6)


def test_a_planted_effect_of_sites_is_taken_out():
    """The location and the scale of many sessions are found, and what is left is that of no site."""
    volumes, sites = example({"a": 400, "b": 300}, seed=5)
    values, site = flat(Harmonized(volumes, sites, np.arange(700))), np.array(sites)
    raw = flat(volumes)
    for kept in (np.mean, np.std):
        apart, before = (
            np.abs(kept(each[site == "a"], axis=0) - kept(each[site == "b"], axis=0)).mean() for each in (values, raw)
        )
        assert apart < 0.1 * before, kept


def test_a_new_site_comes_to_the_location_and_scale_of_the_others():
    volumes, sites = example({"a": 60, "b": 60, "new": 60}, seed=3)
    here = np.array([site == "new" for site in sites])
    found = flat(Harmonized(volumes, sites, np.flatnonzero(~here)))
    raw = flat(volumes)
    assert np.abs(found[here].mean(axis=0) - found[~here].mean(axis=0)).mean() < 0.1
    assert np.abs(raw[here].mean(axis=0) - raw[~here].mean(axis=0)).mean() > 0.5
    assert np.abs(found[here].std(axis=0) / found[~here].std(axis=0) - 1).mean() < 0.1


def test_a_voxel_that_is_the_same_in_all_fitted_rows_is_left_as_it_is():
    volumes, sites = example({"a": 8, "b": 8, "new": 6})
    rows = np.flatnonzero([site in ("a", "b") for site in sites])[:-2]
    values = volumes.volumes.reshape(22, -1).copy()
    values[:, :10] = 0.1
    values[sites.index("new"), 3] = 5.0
    wanted, _, _ = formulas(values[rows, 10:].astype(np.float64), [sites[row] for row in rows])
    found = flat(Harmonized(InMemory(values.reshape(22, *SHAPE)), sites, rows))
    np.testing.assert_array_equal(found[:, :10], values[:, :10])
    np.testing.assert_allclose(found[rows, 10:], wanted, atol=3e-6, err_msg="they have no say in the priors either")


def test_a_voxel_that_only_says_the_site_says_it_no_more():
    volumes, sites = example({"a": 8, "b": 6, "new": 6})
    values = volumes.volumes.reshape(20, -1).copy()
    values[:, 4] = [{"a": 0.0, "b": 100.0, "new": 7.0}[site] for site in sites]
    rows = np.flatnonzero([site in ("a", "b") for site in sites])
    found = flat(Harmonized(InMemory(values.reshape(20, *SHAPE)), sites, rows))
    np.testing.assert_allclose(found[:, 4], 100 * 6 / 14, rtol=1e-6)
    others = np.arange(values.shape[1]) != 4
    wanted, _, _ = formulas(values[rows][:, others].astype(np.float64), [sites[row] for row in rows])
    np.testing.assert_allclose(found[rows][:, others], wanted, atol=3e-6, err_msg="it has no say in the priors")


def test_a_voxel_without_variance_at_one_site_is_treated_as_published():
    volumes, sites = example({"a": 8, "b": 6, "c": 7})
    values = volumes.volumes.reshape(21, -1).copy()
    values[np.ix_([site == "b" for site in sites], np.arange(5))] = 0.3
    found = flat(Harmonized(InMemory(values.reshape(21, *SHAPE)), sites, np.arange(21)))
    wanted, _, _ = formulas(values.astype(np.float64), sites)
    at_b = np.array([site == "b" for site in sites])
    np.testing.assert_allclose(found[~at_b], wanted[~at_b], atol=3e-6)
    np.testing.assert_allclose(found[at_b][:, 5:], wanted[at_b][:, 5:], atol=3e-6)
    assert np.isfinite(found).all()


def test_volumes_that_are_all_alike_stay():
    values = np.broadcast_to(np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4), (9, 1, 2, 3, 4)).copy()
    found = Harmonized(InMemory(values), list("aaabbbccc"), np.arange(9))
    np.testing.assert_array_equal(flat(found), flat(InMemory(values)))


def test_voxels_that_agree_leave_no_doubt_about_a_site():
    """All voxels are multiples of each other, so that the priors have no spread and the site's effect is theirs."""
    random = np.random.default_rng(0)
    heights = random.normal(size=20) + np.repeat([0.0, 3.0], 10)
    values = (heights[:, None] * np.array([1.0, 2.0, 4.0, 8.0, 1.0, 2.0, 4.0, 8.0])).astype(np.float32)
    sites = ["a"] * 10 + ["b"] * 10
    found = flat(Harmonized(InMemory(values.reshape(20, 1, 2, 2, 2)), sites, np.arange(20)))
    for site in (slice(0, 10), slice(10, 20)):
        centred = heights[site] - heights[site].mean()
        pooled = np.sqrt(np.mean([heights[:10].var(), heights[10:].var()]))
        wanted = heights.mean() + pooled * centred / heights[site].std(ddof=1)
        np.testing.assert_allclose(found[site, 0], wanted, rtol=1e-5)


def test_blocks_change_nothing_and_bound_what_is_held(monkeypatch):
    volumes, sites = example({"a": 8, "b": 6})
    whole = Combat.fit(volumes, sites, np.arange(14))
    asked = []

    class Recorded(InMemory):
        def block(self, rows, voxels):
            asked.append(len(rows) * (voxels.stop - voxels.start))
            return super().block(rows, voxels)

    monkeypatch.setattr(fitting, "_BLOCK_BYTES", 16 * 100)
    monkeypatch.setattr(fitting, "_BLOCK_VOXELS", 11)
    parts = Combat.fit(Recorded(volumes.volumes), sites, np.arange(14))
    for name, array in whole.tensors().items():
        np.testing.assert_allclose(parts.tensors()[name], array, rtol=1e-6)
    assert max(asked) <= 100
    assert sum(asked) == 14 * 120, "each value is read once"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gamma", lambda array: array[:1]),
        ("mean", lambda array: array[:-1]),
        ("deviation", lambda array: -array),
        ("delta", lambda array: 0 * array),
        ("gamma", lambda array: array * np.nan),
        ("mean", lambda array: array[None]),
    ],
)
def test_a_model_folder_with_other_effects_is_refused(name, value):
    volumes, sites = example({"a": 6, "b": 7})
    tensors = Combat.fit(volumes, sites, np.arange(13)).tensors()
    with pytest.raises(ValueError, match="effects"):
        Combat.from_tensors(tensors | {f"harmonization.{name}": value(tensors[f"harmonization.{name}"])}, ["a", "b"])


def test_fewer_than_five_sessions_do_not_make_a_new_site():
    volumes, sites = example({"a": 6, "b": 7})
    combat = Combat.fit(volumes, sites, np.flatnonzero([site == "b" for site in sites]))
    with pytest.raises(UserError, match=r"site 'a' was not learnt from and has 4 sessions\. .* from 5 or more"):
        combat.new_site("a", volumes, np.flatnonzero([site == "a" for site in sites])[:4])
