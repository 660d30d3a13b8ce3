"""What else differs along with the outcome: a model may have learnt that in its place."""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import chi2_contingency, fisher_exact, kruskal, rankdata, spearmanr

from mri3d.cohort.missing import missing_codes
from mri3d.cohort.noticed import noticed_variables
from mri3d.cohort.variables import MOST_LEVELS, Variable, Variables
from mri3d.evaluation.association import RANK_CORRELATION, Association
from mri3d.evaluation.paired import holm
from mri3d.outcome import Outcome
from mri3d.outcome.measure_words import value_text
from mri3d.study import Study
from mri3d.texts import list_text

log = logging.getLogger(__name__)

FEWEST_SESSIONS = 10
"""Of how many people a variable must be known to be tested."""

SAME_ORDER = 0.995
"""Rank correlation from which on one measure says another: that of ages of 20 to 86 with whole years is 0.9998."""

FEWEST_EXPECTED = 5.0
"""Expected counts from which on the usual approximations hold; below, p is exact or by permutations."""

_KNOWN = ", known or not"
_ENTRIES = 2_000_000  # of all permutations of a test together: 0.05 s


def associations(
    outcome: Outcome,
    targets: np.ndarray,
    groups: np.ndarray,
    variables: Sequence[Variable],
    named: Collection[str] = (),
) -> list[Association]:
    """Test of each variable whether it is independent of the outcome.

    Two numbers are tested by Spearman's correlation, a number and categories by the test of Kruskal and Wallis, and
    categories by chi-square. Where the expected counts are too small for the distributions that these have in large
    samples (rare categories, numbers that are nearly all the same), p is that of Fisher's exact test for two times two
    categories, else by permutations, always the same ones. A group counts once, by its first session of which the
    variable is known.

    Args:
        outcome: What is predicted.
        targets: Of N sessions.
        groups: Who belongs together [N].
        variables: Of the same sessions; codes for "missing" among numbers count as not known.
        named: Names of those that the user has put to use: no mere other names of the outcome, and judged already.

    Returns:
        One for each variable, in their order, but those that are known of too few, constant, or name sessions.
    """
    predicted, found = _as_variable(outcome, targets), []
    for variable in map(_without_codes, variables):
        known = np.flatnonzero(variable.known)
        rows = known[np.sort(np.unique(groups[known], return_index=True)[1])]
        one, other = Variables((variable, predicted)).taking(rows).members
        if _says_something(one) and _says_something(other):
            decided = determines(outcome, targets, variable) and determines(outcome, targets[rows], one)
            named_alike = len(one.levels) == len(other.levels) and not variable.of_scan  # as gender is sex
            used = variable.name in named
            alias = decided and (outcome.continuous or not one.is_number) and named_alike and not used
            found.append(replace(_tested(one, other), determines=decided and not alias, alias=alias, used=used))
    adjusted = holm([each.p for each in found])
    return [replace(each, p_holm=p) for each, p in zip(found, adjusted, strict=True)]


def associations_of(study: Study, named: Collection[str] = ()) -> list[Association]:
    """Hold all that is known of the sessions of a study against the outcome, see `noticed_variables`.

    Of columns that say nothing of some sessions it is tested too whether they do: codes of patients alone tell the
    class by being there.

    Args:
        study: Of the sessions.
        named: Columns that the user has put to use.
    """
    variables = noticed_variables(study.cohort)
    for variable in variables:
        if variable.intruders and len(variable.levels) > MOST_LEVELS * int(variable.known.sum()):
            log.warning("%s is not tested: %s", variable.name, _told_of_texts(variable))
    gaps = [_whether_known(each) for each in variables if not each.known.all()]
    used = {*named, *(gap.name for gap in gaps if gap.name.removesuffix(_KNOWN) in named)}
    return associations(study.outcome, study.targets, study.groups, [*variables, *gaps], used)


def associations_json(study: Study, found: Sequence[Association]) -> dict[str, Any]:
    """Return what metrics.json says of associations, and of the variables that cannot be tested: name to reason."""
    skipped = {}
    for variable in map(_without_codes, noticed_variables(study.cohort)):
        number, known = len(variable.levels), int(variable.known.sum())
        if number > MOST_LEVELS * known:
            skipped[variable.name] = _told_of_texts(variable)
        elif known < FEWEST_SESSIONS:
            skipped[variable.name] = f"known of {known} sessions"
    return {"associations": [each.to_json() for each in found], "untested": skipped}


def determines(outcome: Outcome, targets: np.ndarray, variable: Variable) -> bool:
    """Return whether a variable says the outcome, as a site does that only patients were scanned at.

    Of classes: each of its values has sessions of one class only, values are fewer than half of the sessions, and there
    are sessions of two classes or more. Of a measure: numbers have its order but for rounding, as age in months has.

    Args:
        outcome: What is predicted.
        targets: Of N sessions.
        variable: Of the same sessions; those of which it is not known do not count.
    """
    variable = _without_codes(variable)
    rows = np.flatnonzero(variable.known)
    if not len(rows):
        return False
    one, other = Variables((variable, _as_variable(outcome, targets))).taking(rows).members
    if outcome.continuous:
        if not one.is_number or len(set(one.values)) < FEWEST_SESSIONS or len(set(other.values)) < FEWEST_SESSIONS:
            return False
        return bool(abs(float(spearmanr(one.values, other.values)[0])) >= SAME_ORDER)
    counts = _table(_codes(one), _codes(other))
    return bool(counts.shape[1] > 1 and ((counts > 0).sum(axis=1) == 1).all() and 2 * len(counts) < counts.sum())


def _told_of_texts(variable: Variable) -> str:
    """Write why a column cannot be tested that has a text for nearly each session."""
    if variable.intruders:
        return f"a column of numbers has {list_text(list(map(repr, variable.intruders)), ', ')}"
    return f"{len(variable.levels)} different texts in {int(variable.known.sum())} sessions"


def _whether_known(variable: Variable) -> Variable:
    """Return of which sessions a variable is known, as a variable."""
    told = np.where(variable.known, "known", "not known")
    return Variable(f"{variable.name}{_KNOWN}", told, of_scan=variable.of_scan)


def _as_variable(outcome: Outcome, targets: np.ndarray) -> Variable:
    """Return the outcome of N sessions as numbers or categories."""
    return Variable(outcome.name, np.array(outcome.cells(targets), dtype=np.float64 if outcome.continuous else np.str_))


def _without_codes(variable: Variable) -> Variable:
    """Return a variable whose codes for "missing" are not known."""
    codes = missing_codes(variable.values[variable.known].tolist()) if variable.is_number else set()
    if not codes:
        return variable
    return replace(variable, values=np.where(np.isin(variable.values, list(codes)), np.nan, variable.values))


def _says_something(variable: Variable) -> bool:
    """Return whether there are enough sessions, and values that differ by more than rounding yet do not name them."""
    values = variable.values
    if len(values) < FEWEST_SESSIONS:
        return False
    if variable.is_number:
        return bool(np.ptp(values) > 1e-6 * np.abs(values).max())
    return 1 < len(variable.levels) <= MOST_LEVELS * len(values)


def _tested(variable: Variable, outcome: Variable) -> Association:
    """Choose the test that fits, and write what was found; p is not adjusted yet."""
    if not variable.is_number and not outcome.is_number:
        return _categories(variable, outcome)
    return _numbers(variable, outcome) if variable.is_number and outcome.is_number else _by_level(variable, outcome)


def _numbers(variable: Variable, outcome: Variable) -> Association:
    """Test two numbers."""
    number = len(variable.values)
    correlation, p = map(float, spearmanr(variable.values, outcome.values))
    test = "Spearman"
    if _num_uncommon(variable) * _num_uncommon(outcome) < FEWEST_EXPECTED * number:
        one, other = (2 * rankdata(each.values) - (number + 1) for each in (variable, outcome))
        test, p = f"{test} by permutation", _p_by_permutation(one, lambda stacked: np.abs(stacked @ other))
    mean, spread = value_text(float(variable.values.mean())), value_text(float(variable.values.std(ddof=1)))
    return Association(
        **_named(variable, outcome, test, p),
        values=f"mean {mean}, SD {spread}",
        kind=RANK_CORRELATION,
        effect=correlation,
        finding=f"A higher {variable.name} goes with a {'higher' if correlation > 0 else 'lower'} {outcome.name}",
        figures=f"Spearman's correlation {correlation:.2f}",
    )


def _by_level(variable: Variable, outcome: Variable) -> Association:
    """Test a number and categories, whichever of them is the outcome."""
    measured, sorting = (variable, outcome) if variable.is_number else (outcome, variable)
    samples = [measured.values[sorting.values == level] for level in sorting.levels]
    sizes = np.array([len(sample) for sample in samples])
    number, ranks, test = int(sizes.sum()), rankdata(np.concatenate(samples)), "Kruskal-Wallis"
    statistic, p = map(float, kruskal(*samples))
    if _num_uncommon(measured) * int(sizes.min()) < FEWEST_EXPECTED * number:
        test, sums = f"{test} by permutation", partial(np.add.reduceat, indices=np.cumsum(sizes) - sizes, axis=1)
        p = _p_by_permutation(2 * ranks - (number + 1), lambda stacked: (sums(stacked) ** 2 / sizes).sum(axis=1))
    means = [float(sample.mean()) for sample in samples]
    listed = [f"{value_text(mean)} in {level}" for mean, level in zip(means, sorting.levels, strict=True)]
    figures = f"mean {list_text(listed, ', ')}"
    finding = f"Values of {measured.name} differ {'between classes' if variable.is_number else f'by {sorting.name}'}"
    kind, effect = "eta squared of ranks", statistic / (number - 1)
    if variable.is_number and len(samples) == 2:
        auc = (float(ranks[sizes[0] :].sum()) - sizes[1] * (sizes[1] + 1) / 2) / float(sizes.prod())
        kind, effect, more = "AUC", float(max(auc, 1 - auc)), int(auc > 0.5)
        if means[more] > means[1 - more]:  # the ranks and the means agree
            higher, lower = sorting.levels[more], sorting.levels[1 - more]
            finding = f"Sessions of class {higher} have a higher {variable.name} than those of class {lower}"
            figures = f"mean {value_text(means[more])} against {value_text(means[1 - more])}"
    values = f"mean {'' if variable.is_number else f'{measured.name} '}{list_text(listed, ', ')}"
    told = _named(variable, outcome, test, p)
    return Association(**told, values=values, kind=kind, effect=effect, finding=finding, figures=figures)


def _categories(variable: Variable, outcome: Variable) -> Association:
    """Test two columns of categories."""
    rows, columns = _codes(variable), _codes(outcome)
    counts = _table(rows, columns)
    test, found = "chi-square", chi2_contingency(counts, correction=False)
    p, expected = float(found.pvalue), found.expected_freq
    if expected.min() < FEWEST_EXPECTED and counts.shape == (2, 2):
        test, p = "Fisher's exact", float(fisher_exact(counts).pvalue)
    elif expected.min() < FEWEST_EXPECTED:

        def squares(stacked: np.ndarray) -> np.ndarray:
            cells = rows * counts.shape[1] + stacked + counts.size * np.arange(len(stacked))[:, None]
            drawn = np.bincount(cells.ravel(), minlength=counts.size * len(stacked)).reshape(-1, counts.size)
            return np.asarray((drawn**2 / expected.ravel()).sum(axis=1))

        test, p = f"{test} by permutation", _p_by_permutation(columns, squares, num_cells=counts.size)
    listed = []
    for name, column in zip(outcome.levels, counts.T, strict=True):
        levels = [f"{level} {count}" for level, count in zip(variable.levels, column, strict=True) if count]
        listed.append(f"{name}: {list_text(levels, ', ')}")
    values = list_text(listed)
    return Association(
        **_named(variable, outcome, test, p),
        values=values,
        kind="Cramér's V",
        effect=float(np.sqrt(found.statistic / (counts.sum() * (min(counts.shape) - 1)))),
        finding=f"The classes differ in {variable.name}",
        figures=values,
    )


def _named(variable: Variable, outcome: Variable, test: str, p: float) -> dict[str, Any]:
    """Return what every association has, whatever was tested."""
    known: dict[str, Any] = {"name": variable.name, "outcome": outcome.name, "estimate": variable.estimate}
    known |= {"of_scan": variable.of_scan}
    return known | {"num_sessions": len(variable.values), "test": test, "p": p, "p_holm": p}


def _num_uncommon(variable: Variable) -> int:
    """Count the sessions that do not have the commonest of some numbers."""
    return len(variable.values) - int(np.unique(variable.values, return_counts=True)[1].max())


def _codes(variable: Variable) -> np.ndarray:
    """Number the different values of a variable that is known of all sessions, as people sort them, int64 [n]."""
    values, codes = np.unique(variable.values, return_inverse=True)
    return np.asarray(codes if variable.is_number else np.array(list(map(variable.levels.index, values)))[codes])


def _table(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Count the sessions with each pair of codes, int64 [codes, codes]."""
    shape = int(first.max()) + 1, int(second.max()) + 1
    return np.bincount(first * shape[1] + second, minlength=shape[0] * shape[1]).reshape(shape)


def _p_by_permutation(values: np.ndarray, statistic: Callable[[np.ndarray], Any], *, num_cells: int = 0) -> float:
    """Compute p by permutations of values [n] for a statistic, 0 or more, of many of them stacked [R, n]."""
    at_once = max(_ENTRIES // max(len(values), num_cells), 1)
    number, random = int(np.clip(at_once, 999, 9_999)), np.random.default_rng(0)
    least, reached = statistic(values[None]) * (1 - 1e-9), 0  # equal but for rounding
    for start in range(0, number, at_once):
        stacked = np.tile(values, (min(at_once, number - start), 1))
        reached += int((statistic(random.permuted(stacked, axis=1)) >= least).sum())
    return (1 + reached) / (1 + number)
