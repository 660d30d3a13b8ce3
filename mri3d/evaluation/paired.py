"""Is one model better than another? Both were tested on the same rows, in the same folds.

Differences are the second model minus the first. A null hypothesis is about what the interval is about: with one fold
that these two models are equally good, with several that these two ways of training are, which needs the same widening.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from scipy.stats import t as student

from mri3d.evaluation.auc import FoldAuc, auc_interval, auc_variance, within_fold_auc
from mri3d.evaluation.intervals import REPLICATES, weighted_scores
from mri3d.evaluation.resampled import standard_error
from mri3d.evaluation.sampling import LEVEL, Sampling
from mri3d.outcome.resampling import Ranking, Resampling


@dataclass(frozen=True)
class Difference:
    """How much a score of the second model is above that of the first.

    Attributes:
        first: Score of the first model.
        second: Score of the second.
        difference: Second minus first.
        low: Lower end of its interval; None where a single group says nothing.
        high: Upper end.
        p: Of the null hypothesis that the true scores are equal, two-sided.
        test: `delong` or `resampling`.
        p_folds: The same by the corrected t-test over folds; None with fewer than two folds that define the score.
    """

    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    p: float
    test: str
    p_folds: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Two models on the same tests.

    Attributes:
        primary: Name of the score whose `p` decides, declared beforehand.
        differences: Of each score that both models define, by its name.
        p_mcnemar: Whether one is right more often, see `mcnemar`; None of a measure. It is about these fitted models.
    """

    primary: str
    differences: dict[str, Difference]
    p_mcnemar: float | None

    @property
    def p(self) -> float:
        """The primary p; 1 where the primary score is not defined."""
        return self.differences[self.primary].p if self.primary in self.differences else 1.0


@dataclass(frozen=True, eq=False)
class Sampled:
    """The tests of one model, scored under the weightings that its comparisons with any number of others take.

    Attributes:
        tests: What was predicted.
        scores: Name of each score but the AUC to its values: of all tests [1], of each fold [J], without each group
            [G], and of draws of groups [R].
    """

    tests: Resampling
    scores: tuple[dict[str, np.ndarray], ...]

    @classmethod
    def of(cls, tests: Resampling, sampling: Sampling, *, replicates: int = REPLICATES, seed: int = 0) -> Self:
        """Score tests under weightings that are the same for every model that was tested so.

        Args:
            tests: What was predicted.
            sampling: Who was tested, in which folds.
            replicates: How often groups are drawn.
            seed: Of the draws.
        """
        by_fold = (sampling.folds == np.unique(sampling.folds)[:, None]).astype(np.float64)
        draws = sampling.draws(sampling.strata(tests.ranking), replicates, seed)
        weightings = ([sampling.once[None]], [by_fold], sampling.omissions(), draws)
        return cls(tests, tuple(weighted_scores(tests, blocks) for blocks in weightings))


def compare_sampled(first: Sampled, second: Sampled, sampling: Sampling, *, primary: str) -> Comparison:
    """Compare two models that were scored under the same weightings, by every score that both define.

    Args:
        first: One model.
        second: The other, with the same tests.
        sampling: Who was tested, in which folds.
        primary: Name of the score whose p decides, such as the first of `Outcome.compared`.
    """
    differences = dict[str, Difference]()
    if first.tests.ranking is not None and second.tests.ranking is not None:
        for name, folds in (("auc", sampling.folds), ("auc_pooled", np.zeros_like(sampling.folds))):
            found = delong(first.tests.ranking, second.tests.ranking, replace(sampling, folds=folds))
            differences |= {} if found is None else {name: found}
    differences |= _resampled_differences(first, second, sampling)
    one, other = first.tests.answers, second.tests.answers
    p_mcnemar = None if one is None or other is None else mcnemar(one.hits, other.hits, sampling)
    return Comparison(primary, differences, p_mcnemar)


def delong(first: Ranking, second: Ranking, sampling: Sampling) -> Difference | None:
    """Compare two AUCs within folds by the covariance of their placements, clustered by group.

    Args:
        first: Which tests are of the class, and what speaks for it by one model.
        second: The same by the other.
        sampling: Who was tested.

    Returns:
        None where there are no pairs.
    """
    truth = first.truth
    one, other = (within_fold_auc(ranking, sampling.folds) for ranking in (first, second))
    if one is None or other is None:
        return None
    p_folds = corrected_t_test(_fold_aucs(second, sampling) - _fold_aucs(first, sampling), sampling)
    if np.array_equal(first.decisions, second.decisions):
        return Difference(one.value, other.value, 0.0, 0.0, 0.0, 1.0, "delong", p_folds)
    apart = FoldAuc(
        other.value - one.value, other.case - one.case, other.control - one.control, _excess(one, other), one.num_pairs
    )
    variance, freedom = auc_variance(apart, truth, sampling)
    if variance <= 1e-12 and freedom > 0:  # no placement varies: the distance to the nearer ends of both intervals
        quantile = sampling.widening * float(student.ppf((1 + LEVEL) / 2, freedom))
        nearer = 1 if other.value > one.value else 0
        ends = auc_interval(one, truth, sampling)[nearer], auc_interval(other, truth, sampling)[1 - nearer]
        variance = ((ends[0] - one.value) ** 2 + (ends[1] - other.value) ** 2) / quantile**2
    bounds = (-1.0, 1.0)
    return _difference(one.value, other.value, float(np.sqrt(variance)), freedom, sampling, bounds, "delong", p_folds)


def mcnemar(first: np.ndarray, second: np.ndarray, sampling: Sampling) -> float:
    """Test whether one model is right more often, exactly (McNemar 1947), with whole groups as what may change sides.

    Under the null hypothesis each group's surplus of right answers could as well be the other model's. Where every
    group has one test this is the binomial test of the tests on which the models differ.

    Args:
        first: Which tests one model had right, bool [T].
        second: Those of the other.
        sampling: Who was tested.

    Returns:
        p, two-sided; 1 where the models never differ.

    >>> first, alone = np.array([True] * 8 + [False] * 2), np.arange(10)
    >>> round(mcnemar(first, ~first, Sampling(alone * 0, alone, alone)), 4)  # 8 to 2 of 10: 2 * 56 / 1024
    0.1094
    """
    surplus = np.bincount(sampling.unit, second.astype(np.float64) - first).round().astype(np.int64)
    chance = np.ones(1)  # of each sum of surpluses with random signs, from the lowest to the highest
    for size in np.abs(surplus[surplus != 0]):
        step = np.zeros(2 * size + 1)
        step[0] = step[-1] = 0.5
        chance = np.convolve(chance, step)
    sums = np.arange(len(chance)) - len(chance) // 2
    return float(min(1.0, chance[np.abs(sums) >= abs(surplus.sum())].sum()))


def corrected_t_test(differences: np.ndarray, sampling: Sampling) -> float | None:
    """Test differences of folds by the corrected resampled t-test (Nadeau and Bengio 2003).

    Args:
        differences: Of a score of each fold [J]; NaN where a fold does not define it.
        sampling: Who was tested, and how many were learnt from.

    Returns:
        p, two-sided; None with fewer than two folds, or where folds differ from 0 but not from each other.
    """
    differences = differences[np.isfinite(differences)]
    if len(differences) < 2 or not sampling.num_train:
        return None
    mean, ratio = differences.mean(), len(sampling.rows) / len(np.unique(sampling.folds)) / np.mean(sampling.num_train)
    error = float(np.sqrt((1 / len(differences) + ratio) * differences.var(ddof=1)))
    if error <= 1e-12:
        return 1.0 if abs(mean) <= 1e-12 else None
    return float(2 * student.sf(abs(mean) / error, len(differences) - 1))


def holm(values: Sequence[float]) -> list[float]:
    """Adjust p values for their number (Holm 1979), in their order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    given = np.array(values, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    adjusted = np.empty(len(given))
    adjusted[order] = np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1)).clip(max=1.0)
    return [float(value) for value in adjusted]


def _resampled_differences(first: Sampled, second: Sampled, sampling: Sampling) -> dict[str, Difference]:
    """Compare all scores but the AUC on the same draws of groups."""
    freedom, result = sampling.num_units - 1 - int(sampling.strata(first.tests.ranking).max()), dict[str, Difference]()
    ones, others = first.scores, second.scores
    for name in ones[0]:
        if name not in others[0]:
            continue
        one, other = float(ones[0][name][0]), float(others[0][name][0])
        if np.isnan(one) or np.isnan(other):
            continue
        folds, omitted, drawn = (b[name] - a[name] for a, b in zip(ones[1:], others[1:], strict=True))
        error, p_folds = standard_error(drawn, omitted, freedom), corrected_t_test(folds, sampling)
        result[name] = _difference(one, other, error, freedom, sampling, (-np.inf, np.inf), "resampling", p_folds)
    return result


def _difference(
    first: float,
    second: float,
    error: float,
    freedom: float,
    sampling: Sampling,
    bounds: tuple[float, float],
    test: str,
    p_folds: float | None,
) -> Difference:
    """Test a difference by its standard error; no p is below what as many coins as there are groups can show."""
    difference = second - first
    if freedom <= 0 or not np.isfinite(error):
        ends = [end if np.isfinite(end) else None for end in bounds]
        return Difference(first, second, difference, ends[0], ends[1], 1.0, test, p_folds)
    error *= sampling.widening
    reach = float(student.ppf((1 + LEVEL) / 2, freedom)) * error
    low, high = (float(end) for end in np.clip([difference - reach, difference + reach], *bounds))
    least = min(1.0, 2.0 ** (1 - sampling.num_units))
    if abs(difference) <= 1e-12:
        p = 1.0
    else:
        p = max(least, float(2 * student.sf(abs(difference) / error, freedom))) if error > 0 else least
    return Difference(first, second, difference, low, high, p, test, p_folds)


def _fold_aucs(ranking: Ranking, sampling: Sampling) -> np.ndarray:
    """Compute the AUC of each fold [J], NaN where it has no pairs."""
    found = []
    for fold in np.unique(sampling.folds):
        mine = sampling.folds == fold
        auc = within_fold_auc(Ranking(ranking.truth[mine], ranking.decisions[mine]), sampling.folds[mine])
        found.append(np.nan if auc is None else auc.value)
    return np.array(found)


def _excess(first: FoldAuc, second: FoldAuc) -> float:
    """Return what a difference counts twice, taking pairs to agree as much as tests do; they agree less."""
    ones, others = (np.concatenate([auc.case.ravel(), auc.control.ravel()]) for auc in (first, second))
    norms = float(np.linalg.norm(ones) * np.linalg.norm(others))
    agreement = float(ones @ others) / norms if norms > 0 else 0.0
    return first.excess + second.excess - 2 * agreement * float(np.sqrt(max(first.excess * second.excess, 0.0)))
