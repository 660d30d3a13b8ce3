"""A map is the better the sooner the explained number follows it."""

import numpy as np
import pytest

from mri3d.explain.faithfulness import SHARES, Replacement, gains

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

    best, partly, none, worst = gains(numbers, volume, [truth, truth + 2 * noise, noise, -truth], baseline=baseline)
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
    assert gains(lambda volumes: np.zeros(len(volumes)), volume, [volume[0]], baseline=volume).tolist() == [0.0]
