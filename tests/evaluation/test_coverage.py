"""How often intervals hold the truth and tests find what is not there, on simulated studies of which it is known.

The figures are printed (`pytest -s`): coverage, mean width, rate of false findings.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import norm

from mri3d.evaluation.auc import auc_interval, within_fold_auc
from mri3d.evaluation.intervals import proportion_interval, score_intervals
from mri3d.evaluation.nested_widening import nested_widening
from mri3d.evaluation.paired import delong
from mri3d.evaluation.sampling import Sampling
from mri3d.outcome.class_resampling import ClassResampling
from mri3d.outcome.measure_resampling import MeasureResampling
from mri3d.outcome.resampling import Ranking
from tests.evaluation.comparing import compare_tests

pytestmark = pytest.mark.slow

STUDIES = 4000


class MeanError(MeasureResampling):
    """The tests of a measure, of which only the mean error is asked."""

    def scores(self, weights):
        """Leave out what takes long."""
        errors = np.abs(self.predictions - self.targets)
        return {"mae": weights @ errors / weights.sum(axis=1)}


def report(what, intervals, truth):
    """Print and return the share of intervals [S, 2] that hold the truth."""
    low, high = np.array(intervals, dtype=np.float64).T
    covered = float(((low <= truth) & (truth <= high)).mean())
    print(f"{what}: coverage {covered:.4f}, mean width {np.mean(high - low):.4f}")  # noqa: T201
    return covered


def allowed(number):
    """Return the bounds of the coverage of 95 % intervals of so many sessions."""
    return (0.92, 0.98) if number == 40 else (0.93, 0.97)


def group_sessions(random, number, mixed):
    """Return the group of each session: of one to three sessions."""
    return np.repeat(np.arange(number), random.integers(1, 4, size=number))[:number] if mixed else np.arange(number)


def within_groups(random, groups):
    """Draw standard normal values [N] that correlate by a half within groups."""
    shared = random.normal(size=groups.max() + 1)[groups]
    return (shared + random.normal(size=len(groups))) / np.sqrt(2)


@pytest.mark.parametrize("number", [40, 100, 300])
@pytest.mark.parametrize("families", [False, True])
@pytest.mark.parametrize(("auc", "cases"), [(0.75, 0.5), (0.75, 0.25), (0.95, 0.5), (0.95, 0.25)])
def test_intervals_of_fixed_classifiers(number, families, auc, cases):
    random = np.random.default_rng([number, families, round(100 * auc), round(4 * cases)])
    distance, aucs, accuracies = norm.ppf(auc) * np.sqrt(2), [], []
    for _ in range(STUDIES):
        groups = group_sessions(random, number, families)
        targets = (random.permutation(number) < number * cases).astype(int)
        decisions = within_groups(random, groups) + distance * (targets - 0.5)
        tests = ClassResampling(targets, np.stack([norm.cdf(-decisions), norm.cdf(decisions)], axis=1))
        sampling = Sampling(np.zeros(number), np.arange(number), groups)
        aucs.append(auc_interval(within_fold_auc(tests.ranking, sampling.folds), tests.ranking.truth, sampling))
        accuracies.append(proportion_interval(tests.proportions["balanced_accuracy"], sampling))
    what = f"fixed, n {number}, families {families}, AUC {auc}, cases {cases}"
    least, most = allowed(number)
    covered = (
        report(f"AUC, {what}", aucs, auc),
        report(f"balanced accuracy, {what}", accuracies, norm.cdf(distance / 2)),
    )
    assert least <= covered[0] <= most
    assert least <= covered[1] <= most


@pytest.mark.parametrize("number", [40, 100, 300])
@pytest.mark.parametrize("families", [False, True])
def test_intervals_of_fixed_regressions(number, families):
    random, intervals = np.random.default_rng([number, families]), []
    for study in range(STUDIES):
        groups = group_sessions(random, number, families)
        targets = random.normal(50, 15, size=number)
        tests = MeanError(targets, targets + 5 * within_groups(random, groups))
        sampling = Sampling(np.zeros(number), np.arange(number), groups)
        intervals.append(score_intervals(tests, sampling, replicates=1000, seed=study)["mae"])
    least, most = allowed(number)
    covered = report(f"MAE, fixed, n {number}, families {families}", intervals, 5 * np.sqrt(2 / np.pi))
    assert least <= covered <= most


@dataclass
class Cohort:
    """Gaussian features [N, P] of two classes, or of a measure, in balanced folds.

    Attributes:
        features: Independent, of variance 1.
        targets: Class, or the value.
        folds: Fold of each session [N].
        direction: Mean of the cases, or slopes of the measure [P].
    """

    features: np.ndarray
    targets: np.ndarray
    folds: np.ndarray
    direction: np.ndarray

    @classmethod
    def of_classes(cls, random, number, num_features, distance, num_folds) -> "Cohort":
        """Draw half cases and half controls."""
        targets = np.arange(number) % 2
        direction = np.full(num_features, distance / np.sqrt(num_features))
        features = random.normal(size=(number, num_features)) + targets[:, None] * direction
        return cls(features, targets, np.arange(number) // 2 % num_folds, direction)

    @classmethod
    def of_values(cls, random, number, num_features, strength, num_folds) -> "Cohort":
        """Draw values with noise of variance 1 around a sum of features."""
        direction = np.full(num_features, strength / np.sqrt(num_features))
        features = random.normal(size=(number, num_features))
        return cls(
            features, features @ direction + random.normal(size=number), np.arange(number) % num_folds, direction
        )

    def ridge(self, fold, columns=slice(None)):
        """Fit on the rest of a fold, with as much ridge as there are features; slopes and intercept."""
        features, learnt = self.features[self.folds != fold][:, columns], self.targets[self.folds != fold]
        centre, level = features.mean(axis=0), learnt.mean()
        gram = (features - centre) @ (features - centre).T
        dual = np.linalg.solve(gram + features.shape[1] * np.eye(len(learnt)), learnt - level)
        slopes = (features - centre).T @ dual
        return slopes, level - centre @ slopes

    def decisions(self, columns=slice(None)):
        """Cross-validate: a value of each session [N], and the slopes and intercept of each fold."""
        found, fits = np.empty(len(self.targets)), []
        for fold in np.unique(self.folds):
            slopes, intercept = self.ridge(fold, columns)
            mine = self.folds == fold
            found[mine] = self.features[mine][:, columns] @ slopes + intercept
            fits.append((slopes, intercept))
        return found, fits

    @property
    def sampling(self):
        """Say who was tested and how many each fit learnt from."""
        number, num_folds = len(self.targets), len(np.unique(self.folds))
        alone = np.arange(number)
        return Sampling(self.folds, alone, alone, num_train=(number - number // num_folds,) * num_folds)

    def ranking(self, decisions):
        """Return decisions [N] as a ranking."""
        return Ranking(self.targets[:, None] == 1, decisions[:, None])


@pytest.mark.parametrize(
    ("number", "num_features", "distance"),
    [(40, 5, 1.5), (40, 200, 3.0), (40, 200, 0.0), (100, 5, 1.5), (100, 300, 3.0)],
)
def test_intervals_of_a_refitted_classifier(number, num_features, distance):
    random, found, true = np.random.default_rng([number, num_features, int(distance)]), {}, {}
    values = []
    for _ in range(1000):
        cohort = Cohort.of_classes(random, number, num_features, distance, 5)
        decisions, fits = cohort.decisions()
        ranking, sampling = cohort.ranking(decisions), cohort.sampling
        auc = within_fold_auc(ranking, cohort.folds)
        values.append(auc.value)
        found.setdefault("AUC", []).append(auc_interval(auc, ranking.truth, sampling))
        proba = np.clip(np.stack([1 - decisions, decisions], axis=1), 0, 1)
        parts = ClassResampling(cohort.targets, proba).proportions["balanced_accuracy"]
        found.setdefault("balanced accuracy", []).append(proportion_interval(parts, sampling))
        for slopes, intercept in fits:
            apart, size, cut = cohort.direction @ slopes, np.linalg.norm(slopes), 0.5 - intercept
            true.setdefault("AUC", []).append(norm.cdf(apart / size / np.sqrt(2)))
            recalls = norm.cdf((apart - cut) / size), norm.cdf(cut / size)
            true.setdefault("balanced accuracy", []).append(np.mean(recalls))
    for name, intervals in found.items():
        what = f"{name} {np.mean(true[name]):.3f}, refitted, n {number}, features {num_features}"
        assert report(what, intervals, np.mean(true[name])) >= 0.93
        mean_width = np.mean(np.diff(np.array(intervals), axis=1))
        if name == "AUC":  # not absurdly wide: below twice what the values themselves spread
            assert mean_width < 2 * 2 * 1.96 * np.std(values)


@pytest.mark.parametrize(("number", "num_features"), [(40, 5), (60, 200)])
def test_intervals_of_a_refitted_regression(number, num_features):
    random, intervals, true = np.random.default_rng([number, num_features]), [], []
    for study in range(1000):
        cohort = Cohort.of_values(random, number, num_features, 2.0, 5)
        predictions, fits = cohort.decisions()
        tests = MeanError(cohort.targets, predictions)
        intervals.append(score_intervals(tests, cohort.sampling, replicates=500, seed=study)["mae"])
        for slopes, intercept in fits:  # its error is normal around the intercept
            spread = np.sqrt(1 + np.square(cohort.direction - slopes).sum())
            place = abs(intercept) / spread
            true.append(spread * (2 * norm.pdf(place) + place * (2 * norm.cdf(place) - 1)))
    what = f"MAE {np.mean(true):.3f}, refitted, n {number}, features {num_features}"
    assert report(what, intervals, np.mean(true)) >= 0.93


@pytest.mark.parametrize(("number", "num_features", "distance"), [(40, 50, 0.0), (40, 50, 2.5), (100, 5, 1.5)])
def test_primary_test_of_refitted_classifiers_of_equal_expected_performance(number, num_features, distance):
    random, p, p_folds = np.random.default_rng([number, num_features, int(distance)]), [], []
    for _ in range(STUDIES):
        cohort = Cohort.of_classes(random, number, 2 * num_features, distance, 5)
        halves = slice(num_features), slice(num_features, None)
        found = delong(*(cohort.ranking(cohort.decisions(half)[0]) for half in halves), cohort.sampling)
        p.append(found.p)
        p_folds.append(found.p_folds)
    rates = [float((np.array(one) < 0.05).mean()) for one in (p, p_folds)]
    what = f"n {number}, features {num_features}, distance {distance}"
    print(f"{what}: type I error {rates[0]:.4f}, by folds {rates[1]:.4f}")  # noqa: T201
    assert rates[0] <= 0.06


@pytest.mark.parametrize(("number", "num_features"), [(60, 5), (40, 50)])
def test_primary_test_of_refitted_regressions_of_equal_expected_performance(number, num_features):
    random, p = np.random.default_rng([number, num_features]), []
    for study in range(STUDIES):
        cohort = Cohort.of_values(random, number, 2 * num_features, 2.0, 5)
        halves = slice(num_features), slice(num_features, None)
        tests = [MeanError(cohort.targets, cohort.decisions(half)[0]) for half in halves]
        p.append(compare_tests(*tests, cohort.sampling, primary="mae", replicates=300, seed=study).p)
    rate = float((np.array(p) < 0.05).mean())
    print(f"regression, n {number}, features {num_features}: type I error {rate:.4f}")  # noqa: T201
    assert rate <= 0.06


@pytest.mark.parametrize("number", [40, 100])
@pytest.mark.parametrize("families", [False, True])
def test_primary_test_of_fixed_classifiers_of_equal_performance(number, families):
    random, p = np.random.default_rng([number, families]), []
    truth = (np.arange(number) % 4 == 0)[:, None]
    for _ in range(STUDIES):
        groups = group_sessions(random, number, families)
        shared = within_groups(random, groups)
        rankings = [Ranking(truth, (shared + within_groups(random, groups))[:, None] + 1.5 * truth) for _ in range(2)]
        p.append(delong(*rankings, Sampling(np.zeros(number), np.arange(number), groups)).p)
    rate = float((np.array(p) < 0.05).mean())
    print(f"fixed, n {number}, families {families}: type I error {rate:.4f}")  # noqa: T201
    assert rate <= 0.06


@pytest.mark.parametrize("num_features", [10, 200])
def test_auc_within_folds_is_a_half_without_signal(num_features):
    random, values, pooled = np.random.default_rng(num_features), [], []
    for _ in range(1000):
        cohort = Cohort.of_classes(random, 40, num_features, 0.0, 5)
        ranking = cohort.ranking(cohort.decisions()[0])
        values.append(within_fold_auc(ranking, cohort.folds).value)
        pooled.append(within_fold_auc(ranking, np.zeros(40)).value)
    print(f"null, features {num_features}: mean AUC {np.mean(values):.4f}, pooled {np.mean(pooled):.4f}")  # noqa: T201
    assert abs(np.mean(values) - 0.5) <= 0.01


def test_nested_widening_is_how_wrong_cross_validation_is_about_its_own_fits():
    random, outer, inner, wrong = np.random.default_rng(0), [], [], []
    for _ in range(1000):
        cohort = Cohort.of_values(random, 60, 40, 2.0, 5)
        predictions, fits = cohort.decisions()
        for fold, (slopes, intercept) in enumerate(fits):
            mine, rest = cohort.folds == fold, cohort.folds != fold
            part = Cohort(cohort.features[rest], cohort.targets[rest], cohort.folds[rest], cohort.direction)
            outer.append(np.square(cohort.targets - predictions)[mine])
            inner.append(np.square(part.targets - part.decisions()[0]))
            true = 1 + np.square(cohort.direction - slopes).sum() + intercept**2
            wrong.append(inner[-1].mean() - true)
    naive = np.concatenate(outer).var() / 60
    expected, found = np.sqrt(4 / 5 * np.mean(np.square(wrong)) / naive), nested_widening(outer, inner, num_folds=5)
    print(f"wrong by {expected:.3f} times the naive error, nested widening {found:.3f}")  # noqa: T201
    assert found == pytest.approx(expected, rel=0.1)
