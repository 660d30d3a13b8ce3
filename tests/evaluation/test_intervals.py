"""Intervals: weighted scores equal the scores themselves, and intervals equal those of other libraries."""

import time

import numpy as np
import pytest
from scipy import stats

from mri3d.evaluation.intervals import proportion_interval, score_intervals, weighted_scores
from mri3d.evaluation.resampled import Interval
from mri3d.evaluation.sampling import Sampling
from mri3d.outcome.class_resampling import ClassResampling
from mri3d.outcome.class_scores import class_scores
from mri3d.outcome.measure_resampling import MeasureResampling
from mri3d.outcome.measure_scores import measure_scores
from mri3d.outcome.resampling import Proportion


def alone(number, **options):
    """Return a sampling of sessions that stand alone, in one fold."""
    return Sampling(np.zeros(number, dtype=int), np.arange(number), np.arange(number), **options)


def classes(random, number, num_classes):
    """Draw targets and probabilities."""
    targets = random.integers(num_classes, size=number)
    scores = random.normal(size=(number, num_classes)) + 1.5 * np.eye(num_classes)[targets]
    return targets, np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


def measure(random, number, ties=False):
    """Draw true and predicted values."""
    targets = random.normal(50, 15, size=number)
    predictions = 0.7 * targets + 15 + random.normal(0, 6, size=number)
    return (targets.round(-1), predictions.round(-1)) if ties else (targets, predictions)


def expect(scores, expected):
    """Compare scores [1] of one weighting with a dictionary that has None where they are NaN."""
    for name, (value,) in scores.items():
        if expected[name] is None:
            assert np.isnan(value), name
        else:
            assert value == pytest.approx(expected[name], abs=1e-12, rel=1e-12), name


@pytest.mark.parametrize("num_classes", [2, 3])
def test_weights_of_one_give_the_scores_of_classes(num_classes):
    targets, proba = classes(np.random.default_rng(0), 80, num_classes)
    names = ("a", "b", "c")[:num_classes]
    expected = class_scores(targets, proba, names)
    found = ClassResampling(targets, proba).scores(np.ones((1, 80)))
    assert found.keys() == expected.keys() - {"auc"}
    expect(found, expected)
    only = targets == 0
    expect(
        ClassResampling(targets[only], proba[only]).scores(np.ones((1, only.sum()))),
        class_scores(targets[only], proba[only], names),
    )


@pytest.mark.parametrize("ties", [False, True])
def test_weights_of_one_give_the_scores_of_a_measure(ties):
    targets, predictions = measure(np.random.default_rng(1), 80, ties)
    raw = predictions * 1.3 + 2
    found = MeasureResampling(targets, predictions, raw).scores(np.ones((1, 80)))
    expected = measure_scores(targets, predictions)
    expect(found, expected | {f"{name}_raw": value for name, value in measure_scores(targets, raw).items()})
    for truth, guess in (
        (targets, np.full(80, 41.3)),
        (np.full(80, 41.5), predictions),
        (targets[:1], predictions[:1]),
    ):
        expect(MeasureResampling(truth, guess).scores(np.ones((1, len(truth)))), measure_scores(truth, guess))


def test_whole_weights_are_rows_that_are_there_so_often():
    random = np.random.default_rng(2)
    counts = random.integers(0, 4, size=60)
    rows = np.repeat(np.arange(60), counts)
    targets, proba = classes(random, 60, 2)
    expect(
        ClassResampling(targets, proba).scores(counts[None] * 0.5), class_scores(targets[rows], proba[rows], ("a", "b"))
    )
    truth, guess = measure(random, 60, ties=True)
    expect(MeasureResampling(truth, guess).scores(counts[None] * 0.5), measure_scores(truth[rows], guess[rows]))


def test_draws_keep_groups_together_and_classes_their_size():
    random = np.random.default_rng(3)
    groups = np.array([0, 0, 1, 2, 2, 3, 4, 5, 5, 5])
    targets = np.array([0, 0, 0, 1, 1, 1, 0, 1, 1, 1])
    sampling = Sampling(np.zeros(10), np.arange(10), groups)
    tests = ClassResampling(targets, np.eye(2)[random.integers(2, size=10)])
    strata = sampling.strata(tests.ranking)
    assert strata.tolist() == [0, 0, 1, 1, 0, 1]
    (weights,) = sampling.draws(strata, 50, 0)
    first = np.unique(groups, return_index=True)[1]
    assert (weights == weights[:, first][:, groups]).all()
    for stratum in (0, 1):
        assert (weights[:, first][:, strata == stratum].sum(axis=1) == 3).all()
    assert weights.std(axis=0).min() > 0
    mixed = Sampling(np.zeros(10), np.arange(10), np.arange(10) // 2)
    assert (
        mixed.strata(ClassResampling(np.arange(10) % 2, np.eye(2)[np.zeros(10, dtype=int)]).ranking).tolist() == [0] * 5
    )
    repeated = Sampling(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0, 1, 0]))
    assert repeated.once.tolist() == [0.5, 1.0, 0.5]


@pytest.mark.parametrize(("hits", "number"), [(20, 20), (0, 20), (17, 20), (50, 80)])
def test_accuracy_without_groups_has_wilsons_interval(hits, number):
    right = np.arange(number) < hits
    targets = np.arange(number) % 2
    tests = ClassResampling(targets, np.eye(2)[np.where(right, targets, 1 - targets)])
    expected = stats.binomtest(hits, number).proportion_ci(method="wilson")
    assert score_intervals(tests, alone(number), replicates=50)["accuracy"] == pytest.approx(tuple(expected), abs=1e-9)


def test_f1_follows_from_the_proportion_of_jaccard():
    targets, proba = classes(np.random.default_rng(4), 200, 2)
    predicted = proba.argmax(axis=1)
    both, either = (predicted & targets).sum(), (predicted | targets).sum()
    jaccard = np.array(stats.binomtest(both, either).proportion_ci(method="wilson"))
    found = score_intervals(ClassResampling(targets, proba), alone(200), replicates=50)
    assert found["f1"] == pytest.approx(tuple(2 * jaccard / (1 + jaccard)), abs=0.005)


def test_balanced_accuracy_of_equal_recalls_is_the_accuracy_of_equal_classes():
    targets = np.arange(105) % 3
    right = np.arange(105) < 90
    tests = ClassResampling(targets, np.eye(3)[np.where(right, targets, (targets + 1) % 3)])
    found = score_intervals(tests, alone(105), replicates=50)
    expected = stats.binomtest(90, 105).proportion_ci(method="wilson")
    assert found["balanced_accuracy"] == pytest.approx(tuple(expected), abs=0.001)  # two more are fitted, of 105
    assert found["accuracy"] == pytest.approx(tuple(expected), abs=1e-9)


def test_balanced_accuracy_of_unequal_classes_adds_the_variances_of_the_recalls():
    targets = np.repeat([0, 1], [3000, 1000])
    right = np.concatenate([np.arange(3000) < 2700, np.arange(1000) < 600])
    tests = ClassResampling(targets, np.eye(2)[np.where(right, targets, 1 - targets)])
    low, high = score_intervals(tests, alone(4000), replicates=50)["balanced_accuracy"]
    error = np.sqrt(0.9 * 0.1 / 3000 + 0.6 * 0.4 / 1000) / 2
    assert (low, high) == pytest.approx((0.75 - 1.96 * error, 0.75 + 1.96 * error), abs=0.0005)


@pytest.mark.parametrize("hits", [(9, 12), (3, 29), (10, 30), (0, 25)])
def test_ends_of_balanced_accuracy_are_as_far_as_the_likeliest_recalls_allow(hits):
    numbers, points = np.array([10, 30]), np.array(hits) / (10, 30)
    targets = np.repeat([0, 1], numbers)
    right = np.concatenate([np.arange(10) < hits[0], np.arange(30) < hits[1]])
    tests = ClassResampling(targets, np.eye(2)[np.where(right, targets, 1 - targets)])
    ends = [end for end in score_intervals(tests, alone(40), replicates=50)["balanced_accuracy"] if 0 < end < 1]
    for end in ends:
        first = np.linspace(max(0.0, 2 * end - 1), min(1.0, 2 * end), 200_001)[1:-1]
        recalls = np.stack([first, 2 * end - first])  # all pairs of which it is the mean
        likelihood = (numbers * points) @ np.log(recalls) + (numbers * (1 - points)) @ np.log(1 - recalls)
        likeliest = recalls[:, likelihood.argmax()]
        error = np.sqrt((likeliest * (1 - likeliest) / numbers).sum() * 40 / 39) / 2
        assert abs(points.mean() - end) / error == pytest.approx(1.96, abs=0.001)
    assert ends


def test_mean_error_has_students_interval_on_the_scale_of_its_logarithm():
    targets, predictions = measure(np.random.default_rng(5), 400)
    errors = np.abs(predictions - targets)
    found = score_intervals(MeasureResampling(targets, predictions), alone(400))["mae"]
    reach = stats.t.ppf(0.975, 399) * stats.sem(errors) / errors.mean()
    assert found == pytest.approx(tuple(errors.mean() * np.exp([-reach, reach])), rel=0.01)


def test_correlation_has_fishers_interval():
    targets, predictions = measure(np.random.default_rng(6), 400)
    expected = stats.pearsonr(targets, predictions).confidence_interval()
    found = score_intervals(MeasureResampling(targets, predictions), alone(400))["pearson_r"]
    assert found == pytest.approx(tuple(expected), abs=0.015)


@pytest.mark.parametrize("kind", ["classes", "measure"])
def test_repeats_that_agree_count_once_and_groups_count_as_one(kind):
    random = np.random.default_rng(7)
    if kind == "classes":
        targets, proba = classes(random, 60, 3)
        once, thrice = ClassResampling(targets, proba), ClassResampling(np.tile(targets, 3), np.tile(proba, (3, 1)))
    else:
        targets, predictions = measure(random, 60)
        once = MeasureResampling(targets, predictions)
        thrice = MeasureResampling(np.tile(targets, 3), np.tile(predictions, 3))
    rows, folds = np.tile(np.arange(60), 3), np.repeat(np.arange(3), 60)
    expected = score_intervals(once, alone(60), replicates=400)
    repeated = score_intervals(thrice, Sampling(folds, rows, rows), replicates=400)
    grouped = score_intervals(thrice, Sampling(folds * 0, np.arange(180), rows), replicates=400)
    separate = score_intervals(thrice, Sampling(folds * 0, np.arange(180), np.arange(180)), replicates=400)
    for name, (low, high) in expected.items():
        assert repeated[name] == pytest.approx((low, high), abs=(high - low) * 0.05), name
        assert 0.8 < (grouped[name].high - grouped[name].low) / (high - low) < 1.35, name
        assert (separate[name].high - separate[name].low) / (high - low) < 0.75, name


def test_folds_that_share_training_rows_widen_all_intervals():
    targets, proba = classes(np.random.default_rng(8), 100, 2)
    folds = np.arange(100) % 5
    sampling = Sampling(folds, np.arange(100), np.arange(100), num_train=(80,) * 5)
    assert sampling.widening == 1.5
    assert Sampling(folds, np.arange(100), np.arange(100), num_train=(80,)).widening == 1.0
    assert Sampling(folds, np.arange(100), np.arange(100), (80,) * 5, chosen_widening=1.2).widening == 1.2
    twice = Sampling(np.tile(folds, 2) + np.repeat([0, 5], 100), *[np.tile(np.arange(100), 2)] * 2, (80,) * 10)
    assert twice.widening == 1.5
    tests = ClassResampling(targets, proba)
    wide = score_intervals(tests, sampling, replicates=200)
    plain = score_intervals(tests, Sampling(folds, np.arange(100), np.arange(100)), replicates=200)
    for name, (low, high) in plain.items():
        assert 1.2 < (wide[name].high - wide[name].low) / (high - low) < 1.8, name


@pytest.mark.parametrize("number", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("right", [True, False])
def test_few_subjects_have_wide_intervals_and_no_failure(number, right):
    targets = np.arange(number) % 2
    proba = np.eye(2)[targets if right else 1 - targets] * 0.8 + 0.1
    found = score_intervals(ClassResampling(targets, proba), alone(number), replicates=100)
    scores = class_scores(targets, proba, ("a", "b"))
    for name in ("accuracy", "balanced_accuracy", "auc"):
        low, high = found[name]
        if scores[name] is None:
            assert found[name] == (None, None)
        else:
            assert low <= scores[name] <= high
            assert high - low > 0.35
    targets, predictions = np.arange(number) * 10.0, np.arange(number) * 9.0 + np.arange(number) % 3
    found = score_intervals(MeasureResampling(targets, predictions), alone(number), replicates=100)
    for name, score in measure_scores(targets, predictions).items():
        low, high = found[name]
        assert score is not None or (low, high) == (None, None)
        assert low is None or np.isfinite(low)
        assert high is None or np.isfinite(high)
    if number == 1:
        assert found["mae"] == (0.0, None)


def test_one_group_says_nothing():
    targets, proba = classes(np.random.default_rng(9), 12, 2)
    one = Sampling(np.zeros(12), np.arange(12), np.zeros(12))
    found = score_intervals(ClassResampling(targets, proba), one, replicates=50)
    assert found["auc"] == (0.0, 1.0)
    assert found["log_loss"] == (0.0, None)
    assert found["accuracy"].high - found["accuracy"].low > 0.9


def test_intervals_hold_their_scores_and_stay_within_what_is_possible():
    random = np.random.default_rng(10)
    for number in (12, 40):
        targets, predictions = measure(random, number)
        tests = MeasureResampling(targets, predictions, predictions + 3)
        scores = {name: value[0] for name, value in tests.scores(np.ones((1, number))).items()}
        for name, (low, high) in score_intervals(tests, alone(number, chosen_widening=1.5), replicates=200).items():
            least, largest = tests.bounds.get(name, (-np.inf, np.inf))
            assert least <= low < scores[name] < high <= largest, name


def test_the_seed_decides_the_draws():
    tests = MeasureResampling(*measure(np.random.default_rng(11), 30))
    first, again, other = (score_intervals(tests, alone(30), replicates=300, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_blocks_of_weights_are_one_set_of_draws():
    tests, weights = MeasureResampling(*measure(np.random.default_rng(12), 30)), np.ones((4, 30))
    weights[1:, :3] = 2
    whole, halves = (weighted_scores(tests, blocks) for blocks in ([weights], [weights[:2], weights[2:]]))
    for name, values in whole.items():
        np.testing.assert_allclose(halves[name], values, rtol=1e-13)


def test_two_thousand_draws_of_a_thousand_are_quick():
    random = np.random.default_rng(13)
    targets, predictions = measure(random, 1000)
    start = time.perf_counter()
    score_intervals(MeasureResampling(targets, predictions, predictions + 1), alone(1000))
    score_intervals(ClassResampling(*classes(random, 1000, 3)), alone(1000))
    assert time.perf_counter() - start < 5


def test_proportions_that_no_test_counts_for_have_no_interval():
    nobody = Proportion(np.zeros(3, dtype=bool), np.zeros(3, dtype=bool))
    assert proportion_interval([nobody], alone(3)) == Interval(None, None)
