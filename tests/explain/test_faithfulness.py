"""A map is the better the sooner the explained number follows it."""

import numpy as np
import pytest
from scipy import stats

from mri3d.explain.faithfulness import SHARES, Curves, Replacement, curves_of, mean_curves

SHAPE = (1, 24, 24, 24)


def problem(seed=0):
    """Draw weights of a linear model, a volume, and an average one."""
    weights, volume, baseline = np.random.default_rng(seed).standard_normal((3, *SHAPE)).astype(np.float32)
    return weights, volume, baseline


def test_the_true_evidence_gains_most_and_its_opposite_least():
    weights, volume, baseline = problem()
    truth = (weights * (volume - baseline))[0]
    noise = np.random.default_rng(5).standard_normal(truth.shape)

    def numbers(volumes):
        return np.array([np.vdot(weights, each) for each in volumes])

    maps = [truth, truth + 2 * noise, noise, -truth]
    best, partly, none, worst = curves_of(numbers, volume, maps, baseline=baseline).gains
    assert best > partly > none > worst
    assert best > 0 > worst
    assert abs(none) < best / 3


def test_what_is_taken_out_is_put_in():
    _, volume, baseline = problem()
    parts = Replacement.of(volume, baseline)
    steps = list(parts.steps(np.arange(parts.count)))
    assert len(steps) == 2 * len(SHARES)
    for without, alone, share in zip(steps[: len(SHARES)], steps[len(SHARES) :], SHARES, strict=True):
        taken = without == baseline
        assert taken.mean() == pytest.approx(share, abs=0.01)
        np.testing.assert_array_equal(np.where(taken, volume, baseline), alone)


def test_parts_without_a_difference_take_no_part():
    _, volume, baseline = problem()
    volume[:, 12:] = baseline[:, 12:]
    parts = Replacement.of(volume, baseline)
    assert parts.count == 12**3 // 2
    assert (parts.cells[12:] == -1).all()


def test_an_average_volume_gains_nothing():
    _, volume, _ = problem()
    found = curves_of(lambda volumes: np.full(len(volumes), 3.0), volume, [volume[0]], baseline=volume)
    assert found.gains.tolist() == [0.0]
    assert (found.maps == 3).all()


def test_curves_go_from_the_volume_to_the_average_one_and_back():
    """Of a model that counts voxels of the volume, every order gives the straight line; of one cell, a step."""
    volume, baseline = np.ones(SHAPE, np.float32), np.zeros(SHAPE, np.float32)
    marked = np.zeros(SHAPE[1:], np.float32)
    marked[:2, :2, :2] = 1.0  # a cell
    shares = np.array([0, *SHARES, 1])
    even = curves_of(lambda volumes: volumes.mean(axis=(1, 2, 3, 4)), volume, [marked], baseline=baseline)
    np.testing.assert_allclose(even.maps[0], [1 - shares, shares], atol=1e-3)
    np.testing.assert_allclose(even.random, [1 - shares, shares], atol=1e-3)
    step = curves_of(lambda volumes: volumes[:, 0, 0, 0, 0], volume, [marked, -marked], baseline=baseline)
    assert step.maps[0].tolist() == [[1, *[0] * 7], [0, *[1] * 7]]
    assert step.maps[1].tolist() == [[*[1] * 7, 0], [*[0] * 7, 1]]
    usual = step.random[1, 1:-1].mean()
    assert 0 < usual < 1
    np.testing.assert_allclose(step.gains, [1 - usual, -usual])


def test_mean_curves_have_the_interval_of_paired_differences():
    random = np.random.default_rng(0)
    found = [Curves(random.normal(size=(2, 2, 8)), random.normal(size=(2, 8))) for _ in range(7)]
    mean, margin = mean_curves(found)
    np.testing.assert_allclose(mean.random[1, 3], np.mean([each.random[1, 3] for each in found]))
    apart = [each.maps[1, 0, 2] - each.random[0, 2] for each in found]
    expected = stats.ttest_1samp(apart, 0).confidence_interval(0.95)
    middle, half = mean.maps[1, 0, 2] - mean.random[0, 2], margin[1, 0, 2]
    np.testing.assert_allclose([middle - half, middle + half], expected)
