"""The AUC within folds: against published figures, naive loops over pairs, and what must not change it."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mri3d.evaluation.auc import auc_interval, auc_variance, within_fold_auc
from mri3d.evaluation.sampling import Sampling
from mri3d.outcome.class_scores import auc, membership
from mri3d.outcome.resampling import Ranking


def binary(targets, decisions):
    """Return the ranking of two classes from [N] and [N]."""
    return Ranking(np.asarray(targets, dtype=bool)[:, None], np.asarray(decisions, dtype=np.float64)[:, None])


def alone(number, folds=None):
    """Return a sampling of sessions that stand alone."""
    return Sampling(np.zeros(number, dtype=int) if folds is None else folds, np.arange(number), np.arange(number))


def random_binary(random, number, ties=False):
    """Draw targets and decisions that tell them apart somewhat."""
    targets = np.arange(number) % 3 == 0
    decisions = random.normal(size=number) + targets
    return targets, decisions.round() if ties else decisions


def naive_auc(targets, decisions, folds):
    """Count right pairs within folds one by one."""
    right = pairs = 0.0
    for i in np.flatnonzero(targets):
        for j in np.flatnonzero(~targets):
            if folds[i] == folds[j]:
                right += (decisions[i] > decisions[j]) + (decisions[i] == decisions[j]) / 2
                pairs += 1
    return right / pairs


def placements(targets, decisions):
    """Return DeLong's structural components of cases and of controls, by all pairs."""
    cases, controls = decisions[targets], decisions[~targets]
    kernel = (cases[:, None] > controls) + (cases[:, None] == controls) / 2
    return kernel.mean(axis=1), kernel.mean(axis=0)


def test_published_example_of_ratings():
    # Hanley and McNeil 1982, The meaning and use of the area under a ROC curve: 109 CT images by five ratings. Area,
    # DeLong's standard error and normal interval as in Stata's manual, [R] roctab.
    normal, abnormal = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
    ratings = np.repeat([1, 2, 3, 4, 5] * 2, normal + abnormal)
    ranking = binary(np.arange(109) >= sum(normal), ratings)
    found = within_fold_auc(ranking, np.zeros(109))
    error = np.sqrt(auc_variance(found, ranking.truth, alone(109))[0])
    assert round(found.value, 4) == 0.8932
    assert round(error, 4) == 0.0307
    assert [round(found.value + sign * 1.959964 * error, 5) for sign in (-1, 1)] == [0.83295, 0.95339]


@pytest.mark.parametrize("ties", [False, True])
def test_pairs_are_those_of_a_fold(ties):
    random = np.random.default_rng(0)
    targets, decisions = random_binary(random, 60, ties)
    folds = random.integers(5, size=60)
    found = within_fold_auc(binary(targets, decisions), folds)
    assert found.value == pytest.approx(naive_auc(targets, decisions, folds), abs=1e-12)
    shifted = within_fold_auc(binary(targets, decisions + 10.0 * folds), folds)  # each fold on its own scale
    assert shifted.value == found.value


def test_one_fold_is_the_plain_auc_of_two_and_of_more_classes():
    random = np.random.default_rng(1)
    targets = np.arange(60) % 3
    proba = random.dirichlet(np.ones(3), size=60) + np.eye(3)[targets] / 4
    proba /= proba.sum(axis=1, keepdims=True)
    truth = membership(targets, 3)
    found = within_fold_auc(Ranking(truth, proba), np.zeros(60))
    assert found.value == pytest.approx(roc_auc_score(targets, proba, multi_class="ovr"), abs=1e-12)
    assert found.value == pytest.approx(auc(proba, truth), abs=1e-12)


def test_folds_of_one_class_give_no_pairs():
    targets, folds = np.array([0, 1, 1, 1, 0, 1], dtype=bool), np.array([0, 0, 1, 1, 2, 2])
    ranking = binary(targets, [0.1, 0.9, 0.5, 0.6, 0.8, 0.2])
    assert within_fold_auc(ranking, folds).value == 0.5
    assert within_fold_auc(ranking, np.arange(6)) is None  # leave-one-out
    truth = membership(np.array([0, 1, 2, 0, 1, 2]), 3)
    third_alone = np.array([0, 0, 1, 0, 0, 1])
    assert within_fold_auc(Ranking(truth, truth.astype(float)), third_alone) is None


@pytest.mark.parametrize("ties", [False, True])
def test_variance_of_one_fold_is_that_of_delong(ties):
    targets, decisions = random_binary(np.random.default_rng(2), 45, ties)
    ranking = binary(targets, decisions)
    found = within_fold_auc(ranking, np.zeros(45))
    of_cases, of_controls = placements(targets, decisions)
    expected = of_cases.var(ddof=1) / len(of_cases) + of_controls.var(ddof=1) / len(of_controls)
    assert auc_variance(found, ranking.truth, alone(45))[0] == pytest.approx(expected, rel=1e-12)


def test_variance_of_groups_is_that_of_obuchowski():
    random = np.random.default_rng(3)
    groups = np.repeat(np.arange(20), random.integers(1, 5, size=20))
    number = len(groups)
    targets = random.random(number) < 0.4  # groups hold cases and controls
    decisions = random.normal(size=number) + targets + random.normal(size=20)[groups]
    ranking = binary(targets, decisions)
    found = within_fold_auc(ranking, np.zeros(number))
    of_cases, of_controls = placements(targets, decisions)
    case_sums, control_sums = np.zeros(20), np.zeros(20)
    np.add.at(case_sums, groups[targets], of_cases - found.value)
    np.add.at(control_sums, groups[~targets], of_controls - found.value)
    num_cases, num_controls = int(targets.sum()), int((~targets).sum())
    with_cases, with_controls = len(set(groups[targets])), len(set(groups[~targets]))
    factors = [with_cases / (with_cases - 1), with_controls / (with_controls - 1)]
    expected = (
        factors[0] * np.square(case_sums).sum() / num_cases**2
        + factors[1] * np.square(control_sums).sum() / num_controls**2
        + 2 * np.sqrt(factors[0] * factors[1]) * (case_sums @ control_sums) / (num_cases * num_controls)
    )  # 1997, equation 4; its last factor is I / (I - 1) for all I groups, between the other two
    variance = auc_variance(found, ranking.truth, Sampling(np.zeros(number), np.arange(number), groups))[0]
    assert variance == pytest.approx(expected, rel=1e-12)
    left_out = [naive_auc(targets[groups != g], decisions[groups != g], np.zeros(number)) for g in range(20)]
    assert variance == pytest.approx(19 / 20 * np.square(left_out - np.mean(left_out)).sum(), rel=0.15)


@pytest.mark.parametrize("num_folds", [1, 5])
def test_variance_is_that_over_studies(num_folds):
    random, values, variances = np.random.default_rng(4), [], []
    truth, folds = np.arange(40)[:, None] < 20, np.arange(40) % num_folds  # four of each class in each of five folds
    for _ in range(1500):
        ranking = Ranking(truth, random.normal(size=(40, 1)) + 1.2 * truth)
        found = within_fold_auc(ranking, folds)
        values.append(found.value)
        variances.append(auc_variance(found, truth, alone(40, folds))[0])
    assert np.mean(variances) == pytest.approx(np.var(values), rel=0.15)


def test_tests_of_a_group_that_agree_count_once():
    targets, decisions = random_binary(np.random.default_rng(5), 30)
    ranking, folds = binary(targets, decisions), np.arange(30) % 2
    once = auc_interval(within_fold_auc(ranking, folds), ranking.truth, alone(30, folds))
    thrice = binary(np.tile(targets, 3), np.tile(decisions, 3))
    repeats = Sampling(
        np.concatenate([folds, folds + 2, folds + 4]), np.tile(np.arange(30), 3), np.tile(np.arange(30), 3)
    )
    repeated = auc_interval(within_fold_auc(thrice, repeats.folds), thrice.truth, repeats)
    assert repeated == pytest.approx(once, abs=0.01)
    independent = Sampling(repeats.folds, np.arange(90), np.arange(90))
    narrow = auc_interval(within_fold_auc(thrice, repeats.folds), thrice.truth, independent)
    assert narrow[1] - narrow[0] < 0.7 * (once[1] - once[0])


def test_interval_has_a_width_where_all_pairs_are_right_or_wrong():
    widths = []
    for number in (2, 3, 5, 20, 100):
        targets = np.arange(2 * number) < number
        right = binary(targets, targets)
        low, high = auc_interval(within_fold_auc(right, np.zeros(2 * number)), right.truth, alone(2 * number))
        assert (high, 0.0 < low < 1.0) == (1.0, True)
        wrong = binary(targets, ~targets)
        mirrored = auc_interval(within_fold_auc(wrong, np.zeros(2 * number)), wrong.truth, alone(2 * number))
        assert mirrored == pytest.approx((0.0, 1.0 - low), abs=1e-6)
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 0.5 > 0.2 > widths[3] > 0.05 > widths[4]


@pytest.mark.parametrize("num_controls", [1, 30])
def test_one_subject_of_a_class_leaves_everything_open(num_controls):
    targets = np.arange(1 + num_controls) == 0
    ranking = binary(targets, targets)
    found = within_fold_auc(ranking, np.zeros(1 + num_controls))
    assert auc_interval(found, ranking.truth, alone(1 + num_controls)) == (0.0, 1.0)


def test_interval_mirrors_with_the_classes_and_widens_on_request():
    targets, decisions = random_binary(np.random.default_rng(6), 50)
    ranking, mirror = binary(targets, decisions), binary(~targets, decisions)
    low, high = auc_interval(within_fold_auc(ranking, np.zeros(50)), ranking.truth, alone(50))
    mirrored = auc_interval(within_fold_auc(mirror, np.zeros(50)), mirror.truth, alone(50))
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)
    folds = np.arange(50) % 5
    wide = Sampling(folds, np.arange(50), np.arange(50), num_train=(40,) * 5)
    assert wide.widening == 1.5
    found = within_fold_auc(ranking, folds)
    ends, fixed = (auc_interval(found, ranking.truth, one) for one in (wide, alone(50, folds)))
    assert 1.3 < (ends[1] - ends[0]) / (fixed[1] - fixed[0]) < 1.6
