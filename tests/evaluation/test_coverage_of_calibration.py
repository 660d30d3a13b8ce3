"""How often intervals of losses and of calibration hold the truth, on simulated studies of which it is known.

The figures are printed (`pytest -s`): coverage, and median width.
"""

import numpy as np
import pytest
from scipy.special import expit

from mri3d.evaluation.calibration import estimate_intervals
from mri3d.evaluation.intervals import score_intervals
from mri3d.evaluation.sampling import Sampling
from mri3d.outcome import Classes, Measure
from mri3d.outcome.class_resampling import ClassResampling

pytestmark = pytest.mark.slow

STUDIES = 1000
LOSSES = ("log_loss", "brier", "expected_calibration_error")
OUTCOME = Classes(("control", "patient"))

CASES = pytest.mark.parametrize(
    ("distance", "slope", "shift", "prevalence"),
    [
        (1.0, 1.0, 0.0, 0.5),  # honest probabilities, AUC 0.76
        (2.0, 1.0, 0.0, 0.5),  # AUC 0.92
        (3.5, 1.0, 0.0, 0.5),  # AUC 0.99: few answers are wrong
        (2.0, 2.0, 0.0, 0.5),  # too extreme
        (3.5, 3.0, 0.0, 0.5),
        (2.0, 0.5, 0.0, 0.5),  # too cautious
        (2.0, 1.0, 1.0, 0.3),  # too high
    ],
)


def study(random, number, distance, slope, shift, prevalence, families=False):
    """Draw truth, probabilities and groups of a fixed model."""
    targets = (random.random(number) < prevalence).astype(int)
    groups = np.arange(number)
    noise = random.normal(size=number)
    if families:
        groups = np.repeat(groups, random.integers(1, 4, size=number))[:number]
        noise = (noise + random.normal(size=number)[groups]) / np.sqrt(2)
    honest = distance * (noise + distance * (targets - 0.5)) + np.log(prevalence / (1 - prevalence))
    positive = expit(shift + slope * honest)
    return targets, np.stack([1 - positive, positive], axis=1), groups


def report(what, intervals, truth):
    """Print and return the share of intervals [S, 2] that hold the truth; ends that nothing bounds are infinite."""
    low = np.array([-np.inf if low is None else low for low, _ in intervals])
    high = np.array([np.inf if high is None else high for _, high in intervals])
    covered = float(((low <= truth) & (truth <= high)).mean())
    print(f"{what}: truth {truth:.3f}, coverage {covered:.4f}, median width {np.median(high - low):.3f}")  # noqa: T201
    return covered


@CASES
@pytest.mark.parametrize(("number", "families"), [(40, False), (40, True), (100, False), (100, True)])
def test_intervals_of_losses(number, families, distance, slope, shift, prevalence):
    case = (distance, slope, shift, prevalence)
    targets, proba, _ = study(np.random.default_rng(0), 1_000_000, *case)
    true = {name: ClassResampling(targets, proba).scores(np.ones((1, 1_000_000)))[name].item() for name in LOSSES}
    if (slope, shift) == (1.0, 0.0):
        true["expected_calibration_error"] = 0.0  # but for the noise of a million
    random, found = np.random.default_rng(1), {name: [] for name in LOSSES}
    for which in range(STUDIES):
        targets, proba, groups = study(random, number, *case, families)
        sampling = Sampling(np.zeros(number), np.arange(number), groups)
        intervals = score_intervals(ClassResampling(targets, proba), sampling, replicates=300, seed=which)
        for name in LOSSES:
            found[name].append(intervals[name])
    least = 0.92 if number == 40 else 0.93
    for name in LOSSES:  # conservative where few answers are wrong, or where probabilities are far from honest
        assert report(f"{name}, n {number}, families {families}, case {case}", found[name], true[name]) >= least


@CASES
@pytest.mark.parametrize("number", [40, 100, 300])
@pytest.mark.parametrize("families", [False, True])
def test_intervals_of_calibration(number, families, distance, slope, shift, prevalence):
    case = (distance, slope, shift, prevalence)
    targets, proba, _ = study(np.random.default_rng(0), 1_000_000, *case)
    true = {
        "mean_difference": (proba[:, 1] - targets).mean(),
        "intercept": -shift / slope,
        "slope": 1 / slope,
    }
    random, found, undefined = np.random.default_rng(1), {name: [] for name in true}, 0
    for _ in range(STUDIES):
        targets, proba, groups = study(random, number, *case, families)
        sampling = Sampling(np.zeros(number), np.arange(number), groups)
        parts = OUTCOME.calibration(targets, proba, weights=sampling.once, learnt=[targets]).estimates["patient"]
        undefined += bool(parts[1].undefined)
        for part in parts:
            if not part.undefined:
                for name, interval in zip(part.names, estimate_intervals(part, sampling), strict=True):
                    found[name].append(interval)
    print(f"{undefined / STUDIES:.3f} of curves are not defined")  # noqa: T201
    least = 0.92 if number == 40 else 0.93
    for name, truth in true.items():
        assert report(f"{name}, n {number}, families {families}, case {case}", found[name], truth) >= least


@pytest.mark.parametrize("number", [40, 100])
@pytest.mark.parametrize("families", [False, True])
def test_intervals_of_the_calibration_of_a_measure(number, families):
    random, found = np.random.default_rng([number, families]), {"mean_difference": [], "intercept": [], "slope": []}
    for _ in range(STUDIES):
        groups = np.arange(number)
        noise = random.normal(size=number)
        if families:
            groups = np.repeat(groups, random.integers(1, 4, size=number))[:number]
            noise = (noise + random.normal(size=number)[groups]) / np.sqrt(2)
        predictions = random.normal(50, 10, size=number)
        truth = -10 + 1.2 * predictions + 6 * noise
        sampling = Sampling(np.zeros(number), np.arange(number), groups)
        for part in Measure("age").calibration(truth, predictions, weights=sampling.once, learnt=[]).estimates["age"]:
            for name, interval in zip(part.names, estimate_intervals(part, sampling), strict=True):
                found[name].append(interval)
    for name, true in (("mean_difference", 0.0), ("intercept", -10.0), ("slope", 1.2)):
        assert 0.93 <= report(f"{name} of a measure, n {number}, families {families}", found[name], true) <= 0.98
