"""What else differs along with the outcome: against scipy, exact probabilities, and cohorts in which nothing does."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from mri3d.cohort.variables import Variable
from mri3d.evaluation.associations import associations
from mri3d.outcome import Classes, Measure

GROUP = Classes(("control", "patient"), name="group")
STAGE = Classes(("a", "b", "c"), name="stage")
AGE = Measure("age")


def numbers(name, values, **more):
    return Variable(name, np.array(values, dtype=np.float64), **{"of_scan": name == "site"} | more)


def texts(name, values, **more):
    return Variable(name, np.array(values, dtype=np.str_), **{"of_scan": name == "site"} | more)


def held_against(outcome, targets, *variables: Variable, groups=None):
    """Test sessions that stand alone unless groups are given."""
    return associations(outcome, targets, np.arange(len(targets)) if groups is None else groups, variables)


def counted(*rows: list[int]):
    """Return targets and a site for each whose table of counts is [sites, classes]."""
    counts = np.array(rows)
    levels, targets = np.indices(counts.shape).reshape(2, -1).repeat(counts.ravel(), axis=1)
    return targets, texts("site", np.array(list("ABCD"))[levels])


def permutation_error(p, draws=9_999):
    """Return four standard errors of a p by permutations."""
    return 4 * (p * (1 - p) / draws) ** 0.5 + 1 / draws


def test_a_number_is_held_against_two_classes():
    random = np.random.default_rng(0)
    targets = random.permutation(np.repeat([0, 1], [50, 30]))
    ages = random.normal(50, 10, size=80) + 12 * targets
    (found,) = held_against(GROUP, targets, numbers("age", ages))
    expected = stats.kruskal(ages[targets == 0], ages[targets == 1])
    assert (found.test, found.kind, found.num_sessions) == ("Kruskal-Wallis", "AUC", 80)
    assert found.p == found.p_holm == pytest.approx(expected.pvalue, rel=1e-12)
    assert found.effect == pytest.approx(roc_auc_score(targets, ages), rel=1e-12)
    (turned,) = held_against(GROUP, targets, numbers("age", -ages))
    assert (turned.p, turned.effect) == pytest.approx((found.p, found.effect), rel=1e-12)


@pytest.mark.parametrize("predicts_classes", [True, False])
def test_numbers_are_held_against_three_categories(predicts_classes):
    random = np.random.default_rng(1)
    letters, sizes = random.integers(0, 3, size=90), random.normal(1400, 100, size=90).round(-1)  # with ties
    sizes += 60 * (letters == 1)
    if predicts_classes:
        (found,) = held_against(STAGE, letters, numbers("icv_ml", sizes))
    else:
        (found,) = held_against(Measure("icv_ml"), sizes, texts("site", np.array(["s2", "s9", "s10"])[letters]))
    samples, ranks = [sizes[letters == k] for k in range(3)], stats.rankdata(sizes)
    between = sum((letters == k).sum() * (ranks[letters == k].mean() - ranks.mean()) ** 2 for k in range(3))
    assert found.kind == "eta squared of ranks"
    assert found.effect == pytest.approx(between / ((ranks - ranks.mean()) ** 2).sum(), rel=1e-9)
    assert found.p == pytest.approx(stats.kruskal(*samples).pvalue, rel=1e-12)
    shown, names = [f"{sample.mean():.0f}" for sample in samples], "abc" if predicts_classes else ("s2", "s9", "s10")
    listed = ", ".join(f"{mean} in {name}" for mean, name in zip(shown, names, strict=True))
    assert found.values == f"mean {'' if predicts_classes else 'icv_ml '}{listed}"


def test_two_numbers_are_held_against_each_other():
    random = np.random.default_rng(2)
    ages = random.uniform(20, 80, size=40)
    sizes = random.normal(size=40) - ages / 20
    (found,) = held_against(AGE, ages, numbers("icv", sizes))
    expected = stats.spearmanr(ages, sizes)
    assert (found.test, found.kind) == ("Spearman", "rank correlation")
    assert (found.effect, found.p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-12)
    assert found.values == f"mean {sizes.mean():.4g}, SD {np.std(sizes, ddof=1):.4g}"


def test_categories_are_held_against_classes():
    counts = np.array([[30, 12], [25, 20], [9, 14]])
    (found,) = held_against(GROUP, *counted(*counts))
    assert (found.test, found.kind) == ("chi-square", "Cramér's V")
    assert found.p == pytest.approx(stats.chi2_contingency(counts).pvalue, rel=1e-12)
    assert found.effect == pytest.approx(stats.contingency.association(counts, method="cramer"), rel=1e-12)
    assert found.values == "control: A 30, B 25, C 9; patient: A 12, B 20, C 14"


def test_two_categories_with_few_sessions_are_tested_exactly():
    many, few = ([3, 12], [25, 4]), ([1, 6], [25, 12])
    found = [held_against(GROUP, *counted(*counts))[0] for counts in (many, few)]
    expected = stats.chi2_contingency(many, correction=False).pvalue, stats.fisher_exact(few).pvalue
    assert [each.test for each in found] == ["chi-square", "Fisher's exact"]
    assert [each.p for each in found] == pytest.approx(expected, rel=1e-12)


def test_more_categories_with_few_sessions_are_tested_by_permutations():
    counts = np.array([[9, 2, 1], [3, 8, 2], [2, 2, 4], [4, 0, 1]])
    (found,) = held_against(STAGE, *counted(*counts))
    drawn = stats.MonteCarloMethod(n_resamples=100_000, rng=np.random.default_rng(7))
    expected = stats.chi2_contingency(counts, correction=False, method=drawn).pvalue
    assert found.test == "chi-square by permutation"
    assert found.p == pytest.approx(expected, abs=permutation_error(expected))
    assert found.effect == pytest.approx(stats.contingency.association(counts, method="cramer"), rel=1e-12)


def test_rare_values_of_a_number_are_tested_by_permutations():
    targets = np.repeat([0, 1], [180, 20])
    spacing = np.ones(200)
    spacing[[0, 1, 180, 181]] = 0.9  # two of the four rare ones are among 20 patients
    (found,) = held_against(GROUP, targets, numbers("voxel_size_mm3", spacing))
    rare = stats.hypergeom(200, 4, 20)  # ranks between classes are the further apart, the further from 0.4 it is
    assert found.test == "Kruskal-Wallis by permutation"
    assert found.p == pytest.approx(rare.sf(1), abs=permutation_error(rare.sf(1)))
    assert stats.kruskal(spacing[:180], spacing[180:]).pvalue < rare.sf(1) / 5  # the usual p is far too small


def test_few_of_a_class_are_tested_by_permutations():
    targets = np.repeat([0, 1], [14, 3])
    values = np.array([*range(14), 11.5, 12.5, 14])
    (found,) = held_against(GROUP, targets, numbers("age", values))
    expected = stats.mannwhitneyu(values[:14], values[14:], method="exact").pvalue
    assert found.p == pytest.approx(expected, abs=permutation_error(expected))


def test_two_numbers_of_few_values_are_tested_by_permutations():
    scores, lesions = np.zeros(100), np.zeros(100)
    scores[:10] = 1
    lesions[[0, 1, 2, 50, 60]] = 2  # three of five are among the ten
    (found,) = held_against(Measure("score"), scores, numbers("lesions", lesions))
    rare = stats.hypergeom(100, 10, 5)
    assert found.test == "Spearman by permutation"
    assert found.p == pytest.approx(rare.sf(2), abs=permutation_error(rare.sf(2)))


def test_large_cohorts_are_permuted_within_bounded_memory(monkeypatch):
    targets, sites = counted([4, 1, 3], [1, 6, 2], [0, 4, 5])
    (found,) = held_against(STAGE, targets, sites)
    monkeypatch.setattr("mri3d.evaluation.associations._ENTRIES", 100)  # four permutations at once, 999 in all
    (bounded,) = held_against(STAGE, targets, sites)
    assert bounded.p == pytest.approx(found.p, abs=permutation_error(found.p, 999))
    assert bounded.p * 1000 == pytest.approx(round(bounded.p * 1000))


def test_p_is_adjusted_for_the_number_of_variables():
    random = np.random.default_rng(4)
    targets = np.arange(60) % 2
    variables = [numbers(str(shift), random.normal(size=60) + shift * targets) for shift in (0, 1, 0.4)]
    found = held_against(GROUP, targets, *variables)
    assert [each.name for each in found] == ["0", "1", "0.4"]
    by_p = sorted(found, key=lambda each: each.p)
    expected = np.maximum.accumulate([each.p * rank for each, rank in zip(by_p, (3, 2, 1), strict=True)])
    assert [each.p_holm for each in by_p] == pytest.approx(expected.clip(max=1))
    assert [each.associated for each in by_p] == [each.p_holm <= 0.05 for each in by_p]
    assert by_p[0].associated
    assert not by_p[2].associated


def test_a_group_counts_once():
    random = np.random.default_rng(5)
    targets, sites = random.integers(0, 3, size=30), random.integers(0, 5, size=30)
    variables = [numbers("age", random.normal(size=30)), texts("sex", np.array(["F", "M"])[sites % 2])]
    variables += [texts("site", sites), numbers("lesions", sites // 4)]
    twice = [replace(each, values=np.repeat(each.values, 2)) for each in variables]
    alone = held_against(STAGE, targets, *variables)
    assert {each.test for each in alone} >= {"Kruskal-Wallis", "chi-square by permutation"}
    assert held_against(STAGE, np.repeat(targets, 2), *twice, groups=np.repeat(np.arange(30)[::-1], 2)) == alone


def test_a_group_counts_by_its_first_session_of_which_something_is_known():
    targets = np.arange(12) % 2
    first, second = np.full(12, np.nan), np.arange(12.0)
    first[:6] = np.arange(6) + 100.0
    families = np.tile([f"family {k}" for k in range(12)], 2)
    (found,) = held_against(GROUP, np.tile(targets, 2), numbers("age", [*first, *second]), groups=families)
    assert found.num_sessions == 12
    assert found.values == f"mean {(100 + 102 + 104 + 6 + 8 + 10) / 6:.4g} in control, 56 in patient"


@pytest.mark.parametrize(
    "variable",
    [
        numbers("constant", np.ones(20)),
        numbers("constant but for rounding", 0.9 + 1e-9 * np.arange(20)),
        numbers("known of nine", [*range(9), *[np.nan] * 11]),
        numbers("codes for missing", [*range(30, 39), *[-9.0] * 11]),
        texts("constant", ["A"] * 20),
        texts("unknown", [""] * 20),
        texts("known of nine", ["A", "B"] * 4 + ["A"] + [""] * 11),
        texts("names", [str(k) for k in range(20)]),
        texts("known of one class", ["A", ""] * 5 + ["B", ""] * 5),
    ],
    ids=lambda variable: variable.name,
)
@pytest.mark.parametrize("outcome", [GROUP, AGE], ids=["classes", "measure"])
def test_what_cannot_be_tested_is_left_out(variable, outcome):
    targets = outcome.encode(["control", "patient"] * 10) if outcome is GROUP else np.array([30.0, 60.0] * 10)
    assert held_against(outcome, targets, variable) == held_against(outcome, targets) == []
    (found,) = held_against(outcome, targets, variable, numbers("size", np.arange(20)))
    assert found.p == found.p_holm  # what was left out does not count


def test_codes_for_missing_are_not_known():
    ages = np.array([61.0, 70, 55, 999, 64, 72, 58, 66, 50, 69, -9, 71, 63, 62])
    targets = np.arange(14) % 2
    (found,) = held_against(GROUP, targets, numbers("age", ages))
    samples = [ages[(ages > 0) & (ages < 100) & (targets == k)] for k in (0, 1)]
    assert found.num_sessions == 12
    assert found.p == pytest.approx(stats.kruskal(*samples).pvalue, rel=1e-12)


def test_what_is_kept_is_plain_json():
    random = np.random.default_rng(6)
    targets = np.arange(40) % 2
    variables = [numbers("age", random.normal(size=40)), texts("site", np.repeat(list("ABCD"), 10))]
    for outcome, values in ((GROUP, targets), (AGE, random.normal(size=40))):
        kept = [each.to_json() for each in held_against(outcome, values, *variables)]
        assert json.loads(json.dumps(kept)) == kept
        age, _ = kept
        assert (age["name"], age["sessions"], age["associated"], age["sentence"]) == ("age", 40, False, "")
        assert age["line"].startswith("age: mean ")
        names = {"name", "values", "test", "kind", "effect", "p", "p_holm", "estimate", "associated", "determines"}
        assert set(age) == names | {"sessions", "line", "sentence"}
        assert [each.to_json() for each in held_against(outcome, values, *variables)] == kept  # the same permutations


def test_rare_values_in_a_large_cohort_are_permuted():
    random = np.random.default_rng(7)
    targets = random.integers(0, 2, size=1113)
    variables = [texts(f"site {k}", random.geometric(0.3, size=1113)) for k in range(6)]  # rare ones: permutations
    variables += [numbers(f"lesions {k}", (random.random(1113) < 0.003) * random.random(1113)) for k in range(6)]
    found = held_against(GROUP, targets, *variables)
    assert len(found) == 12
    assert all("by permutation" in each.test for each in found)


@pytest.mark.slow
@pytest.mark.parametrize("outcome", [GROUP, STAGE, AGE], ids=["two classes", "three classes", "measure"])
def test_where_nothing_is_associated_little_is_found(outcome):
    random, wrong = np.random.default_rng(0), 0
    for _ in range(200):
        number = int(random.integers(24, 90))
        ages = random.uniform(20, 80, size=number)
        targets = ages if outcome is AGE else np.digitize(ages, [56, 74] if outcome is STAGE else [68])
        variables = [
            numbers("age", random.normal(size=number)),
            numbers("lesions", random.poisson(0.2, size=number)),
            texts("sex", random.choice(["F", "M"], number)),
            texts("site", random.geometric(0.4, size=number)),
            texts("file_type", random.choice(["nii", "nii.gz"], number, p=[0.95, 0.05])),
            numbers("sparse", np.where(random.random(number) < 0.5, random.normal(size=number), np.nan)),
        ]
        twice = [Variable(each.name, np.tile(each.values, 2)) for each in variables]
        people = np.tile(np.arange(number), 2)  # two visits each
        found = held_against(outcome, np.tile(targets, 2), *twice, groups=people)
        wrong += any(each.associated for each in found)
    assert 1 <= wrong <= 16  # of 200: 5 % and two standard errors at most, and not never
