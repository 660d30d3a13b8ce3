"""The area under the ROC curve within folds: its value, its variance and its interval.

Decisions of different fits are on different scales, so only rows of one fold are compared: right pairs among all pairs
of the same fold. Its variance is that of DeLong, DeLong and Clarke-Pearson (1988, Comparing the areas under two or more
correlated ROC curves), summed over whole groups after Obuchowski (1997, Nonparametric analysis of clustered ROC curve
data), so that the sessions of a family, and the repeated tests of a session, count as one unit.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri, owens_t
from scipy.stats import t as student

from mri3d.evaluation.sampling import LEVEL, Sampling
from mri3d.outcome import Outcome, Scores
from mri3d.outcome.resampling import Ranking


@dataclass(frozen=True, eq=False)
class FoldAuc:
    """An AUC and what each test adds to its error. T counts tests, D columns: one of two classes, or all of more.

    Attributes:
        value: Right pairs among all pairs within folds, ties by half; the mean over the columns.
        case: What a test adds as a member of the class: its right pairs beyond those expected, as a share of all pairs
            of the column, [T, D]; 0 for others.
        control: What a test adds as one that is none [T, D].
        excess: What is counted twice when both are squared and summed, because a pair has two ends: beyond what DeLong
            counts for a single fold. It matters where folds are small.
        num_pairs: Pairs of each column [D].
    """

    value: float
    case: np.ndarray
    control: np.ndarray
    excess: float
    num_pairs: np.ndarray


def within_fold_auc(ranking: Ranking, folds: np.ndarray) -> FoldAuc | None:
    """Compare all pairs of a member and a non-member of a class that were tested in one fold.

    Args:
        ranking: Which tests are of the class, and what speaks for it.
        folds: Fold of each test [T]; a fold is of one repeat.

    Returns:
        None where a class has no pair at all.

    >>> truth, folds = np.array([[False], [True], [False], [True]]), np.array([0, 0, 1, 1])
    >>> within_fold_auc(Ranking(truth, np.array([[0.1], [0.2], [0.8], [0.9]])), folds).value
    1.0
    """
    truth, decisions = ranking.truth, ranking.decisions
    case, control = np.zeros(truth.shape), np.zeros(truth.shape)
    num_pairs, squares = np.zeros(truth.shape[1]), np.zeros(truth.shape[1])
    seen = np.zeros(truth.shape)  # how many pairs each test is in
    for fold in np.unique(folds):
        rows = np.flatnonzero(folds == fold)
        for d in range(truth.shape[1]):
            members, others = rows[truth[rows, d]], rows[~truth[rows, d]]
            if not (len(members) and len(others)):
                continue
            less, tied = _beaten(decisions[members, d], decisions[others, d])
            more, tied_others = _beaten(-decisions[others, d], -decisions[members, d])
            case[members, d], control[others, d] = less + tied / 2, more + tied_others / 2
            seen[members, d], seen[others, d] = len(others), len(members)
            num_pairs[d] += len(members) * len(others)
            squares[d] += less.sum() + tied.sum() / 4
    if not num_pairs.all():
        return None
    values = case.sum(axis=0) / num_pairs
    scale = num_pairs * truth.shape[1]
    case, control = (((right - seen * values * kind) / scale) for right, kind in ((case, truth), (control, ~truth)))
    # Of repeated folds less than what counts twice is taken off: the variance errs upwards then, by some per cent.
    num_folds = truth.sum(axis=0) * (~truth).sum(axis=0) / num_pairs
    doubled = (squares - num_pairs * values**2) / scale**2
    return FoldAuc(float(values.mean()), case, control, float((doubled * (1 - 1 / num_folds)).sum()), num_pairs)


def scores_of_tests(
    outcome: Outcome, targets: np.ndarray, predictions: np.ndarray, raw: np.ndarray | None, folds: np.ndarray
) -> Scores:
    """Score predictions of T tests, the AUC within folds (`auc`) and over all pairs (`auc_pooled`).

    Args:
        outcome: What is predicted.
        targets: Truth of each test [T].
        predictions: [T, K] or [T].
        raw: Those of a measure before they were corrected [T]; None where they were not.
        folds: Fold of each test [T].
    """
    ranking, values = outcome.resampling(targets, predictions, raw).ranking, dict[str, float | None]()
    if ranking is not None:
        within = within_fold_auc(ranking, folds)
        values["auc"] = within.value if within else None
    for name, value in outcome.scores(targets, predictions, raw).items():
        values["auc_pooled" if name == "auc" else name] = value
    return values


def auc_variance(auc: FoldAuc, truth: np.ndarray, sampling: Sampling) -> tuple[float, float]:
    """Estimate the variance of an AUC over new groups, for models that stay as they are.

    Args:
        auc: What each test adds; of a difference of two AUCs, the difference.
        truth: Whether each test is of the class [T, D].
        sampling: Who was tested.

    Returns:
        The variance, and the degrees of freedom that it is known with (Satterthwaite 1946); 0 where a class has one
        group.
    """
    num_case, num_control = _units(truth, sampling)[:, 0], _units(~truth, sampling)[:, 0]
    fewest = min(num_case.min(), num_control.min())
    if fewest < 2:
        return 0.0, 0.0
    case, control = (  # each with the factor of an unbiased variance, [G]
        np.bincount(sampling.unit, (part * np.sqrt(number / (number - 1))).sum(axis=1))
        for part, number in ((auc.case, num_case), (auc.control, num_control))
    )
    of_case, of_control, shared = float(case @ case), float(control @ control), 2 * float(case @ control)
    variance = max(of_case + of_control + shared - auc.excess, 0.0)
    spread = of_case**2 / (num_case.mean() - 1) + of_control**2 / (num_control.mean() - 1)
    freedom = (of_case + of_control) ** 2 / spread if spread > 0 else (num_case + num_control).mean() - 2
    return variance, float(max(freedom, fewest - 1))


def auc_interval(auc: FoldAuc, truth: np.ndarray, sampling: Sampling) -> tuple[float, float]:
    """Compute the interval of an AUC: those true values from which the observed one is not too far.

    As in Wilson's interval of a proportion, the distance is measured by the variance at the true value, so that the
    interval stays within 0 and 1 and has a width where all pairs are right. That variance is the one of two normal
    distributions of equal width, times the ratio of the estimated variance to it. The ratio is drawn towards 1 where
    few tests are wrong, because the estimate knows little there.

    Args:
        auc: See `within_fold_auc`.
        truth: Whether each test is of the class [T, D].
        sampling: Who was tested.

    Returns:
        Lower and upper end; 0 and 1 where a class has one group.
    """
    variance, freedom = auc_variance(auc, truth, sampling)
    if freedom <= 0:
        return 0.0, 1.0
    units = np.stack([_units(truth, sampling), _units(~truth, sampling)])  # [2, D, 2]
    num_case, num_control = np.sqrt(units.prod(axis=2))  # between independent sessions, and groups that all agree
    num_pairs = np.minimum(num_case * num_control, auc.num_pairs)

    def normal_variance(value: float) -> float:
        shared = value - 2 * owens_t(ndtri(value), 1 / np.sqrt(3)) - value**2  # of two pairs with one test in common
        alone = value * (1 - value) / num_pairs
        columns = alone + (num_case + num_control - 2) * shared / (num_case * num_control)
        return float(columns.mean() / np.sqrt(len(columns)))  # between columns that agree, and independent ones

    half_a_pair = 0.25 / float(np.sqrt(num_pairs.mean()))
    expected = normal_variance(min(max(auc.value, half_a_pair), 1 - half_a_pair))
    num_wrong = min(auc.value, 1 - auc.value) * float(units[:, :, 0].min())
    ratio = (variance / expected * num_wrong + 1) / (num_wrong + 1)
    reach = sampling.widening * float(student.ppf((1 + LEVEL) / 2, freedom)) * float(np.sqrt(ratio))

    def beyond(value: float) -> float:
        return abs(auc.value - value) - reach * float(np.sqrt(normal_variance(value)))

    inside = min(max(auc.value, 1e-9), 1 - 1e-9)  # at 0 and 1 the variance is 0, and no distance beyond it
    low = brentq(beyond, 0.0, inside) if beyond(0.0) > 0 else 0.0
    high = brentq(beyond, inside, 1.0) if beyond(1.0) > 0 else 1.0
    return float(low), float(high)


def _units(members: np.ndarray, sampling: Sampling) -> np.ndarray:
    """Count the groups and the sessions that each column [T, D] has, [D, 2]."""
    return np.array([sampling.count(column) for column in members.T])


def _beaten(scores: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count for each score [P] the others [N] that are below it, and those that equal it."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, scores, side="left")
    return below, np.searchsorted(ordered, scores, side="right") - below
