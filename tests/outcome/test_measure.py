"""A measure: strata, scaling, the line that corrects predictions, and the words for it."""

from collections import Counter

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import linregress
from sklearn.metrics import r2_score
from sklearn.model_selection import StratifiedGroupKFold

from mri3d.outcome import Line, Measure, Score, check_debias, correcting_line
from tests.models.refusals import refused

AGE = Measure("age")


def strata(targets, groups=None, *, needed=3):
    groups = np.arange(len(targets)) if groups is None else groups
    return AGE.strata(np.asarray(targets, float), groups, needed=needed, reason="a hold-out needs")


# ---- strata


def test_strata_are_the_quantiles():
    ages = np.random.default_rng(0).uniform(20, 80, 60)
    found = strata(ages, needed=5)  # 60 subjects of whom each stratum needs 2 x 5: six strata
    assert found.dtype == np.int64
    assert_array_equal(np.bincount(found), [10] * 6)
    ranks = ages.argsort().argsort()
    assert_array_equal(found, ranks // 10)


def test_each_stratum_has_two_subjects_for_every_part():
    assert_array_equal(np.bincount(strata(np.arange(1000.0), needed=5)), [10] * 100)
    assert_array_equal(np.bincount(strata(np.arange(24.0), needed=4)), [8] * 3)


@pytest.mark.parametrize("num_subjects", [3, 5, 11])
def test_few_subjects_are_one_stratum(num_subjects):
    assert_array_equal(strata(np.arange(num_subjects)), np.zeros(num_subjects))


def test_equal_values_are_in_one_stratum_and_strata_are_numbered_without_gaps():
    grades = np.array([0] * 30 + [1] * 2 + [2] * 28)
    found = strata(grades, needed=3)  # nine edges, most of them one and the same value
    assert all(len(set(found[grades == grade])) == 1 for grade in range(3))
    assert_array_equal(np.unique(found), np.arange(found.max() + 1))
    assert found[0] == 0 < found[-1]


def test_number_of_strata_follows_the_groups_and_not_the_rows():
    ages = np.arange(120.0)
    groups = np.repeat(np.arange(12), 10)
    assert_array_equal(np.bincount(strata(ages, groups, needed=3)), [60] * 2)
    assert_array_equal(np.bincount(strata(ages, needed=3)), [6] * 20)


def test_every_fold_spans_the_ages_and_keeps_groups_whole():
    random = np.random.default_rng(1)
    groups = np.repeat(np.arange(40), 3)
    ages = random.uniform(20, 80, 40)[groups] + random.uniform(0, 2, 120)  # repeated visits
    found = strata(ages, groups, needed=4)
    for train, test in StratifiedGroupKFold(4, shuffle=True, random_state=0).split(ages, found, groups):
        assert not set(groups[train]) & set(groups[test])
        assert abs(ages[test].mean() - ages.mean()) < 5
        assert ages[test].std() == pytest.approx(ages.std(), rel=0.3)


def test_too_few_groups_are_refused_by_name():
    with refused(r"^2 sessions have a value of age: fewer than the 3 that a hold-out needs\. Add subjects\.$"):
        strata([30, 40])
    with refused(r"^6 sessions in 2 groups have a value of age: fewer than the 3 that a hold-out needs"):
        strata([30, 31, 32, 60, 61, 62], np.repeat(["anna", "bert"], 3))


@pytest.mark.parametrize(
    ("targets", "lacking"), [([30.0, 30.0], "no two different values of age"), ([], "no two"), ([1.0, 2.0], "")]
)
def test_rows_without_two_values_cannot_be_learnt_from(targets, lacking):
    assert AGE.lacking(np.array(targets)).startswith(lacking)
    assert bool(AGE.lacking(np.array(targets))) == bool(lacking)


# ---- outputs and predictions


def test_columns_are_standardised_and_predictions_are_in_the_unit_of_the_measure():
    ages = np.array([25.0, 31.0, 47.0, 58.0, 72.0])
    scaling = AGE.scaling(ages)
    assert_allclose(scaling, [[np.std(ages), np.mean(ages)]])
    columns = AGE.columns(ages, scaling)
    assert columns.shape == (5, 1)
    assert columns.mean() == pytest.approx(0, abs=1e-12)
    assert columns.std() == pytest.approx(1)
    assert_allclose(AGE.activate(columns, scaling), ages)
    assert_allclose(AGE.activate(np.array([[0.0], [1.0]]), scaling), [ages.mean(), ages.mean() + ages.std()])
    assert AGE.calibrate(columns, columns, scaling) is scaling
    assert not AGE.calibrates
    assert AGE.is_usable(scaling)
    assert not AGE.memberships
    assert AGE.continuous
    assert columns.dtype == np.float64
    assert AGE.cells(ages) == [25.0, 31.0, 47.0, 58.0, 72.0]


def test_options_are_chosen_by_the_explained_variance():
    random = np.random.default_rng(0)
    truth = random.standard_normal((30, 1))
    decisions = 0.5 * truth + 0.4 * random.standard_normal((30, 1))
    assert AGE.criterion == "r2"
    assert AGE.judge(decisions, truth) == pytest.approx(r2_score(truth, decisions))
    assert AGE.judge(decisions, np.ones((30, 1))) == -np.inf


# ---- the line


def test_line_is_that_of_least_squares_and_its_correction_the_formula_of_cole():
    random = np.random.default_rng(0)
    ages = random.uniform(20, 80, 50)
    predictions = 22.0 + 0.55 * ages + random.normal(0, 4, 50)
    line = correcting_line(AGE, ages, predictions)
    expected = linregress(ages, predictions)
    assert line.slope == pytest.approx(expected.slope)
    assert line.intercept == pytest.approx(expected.intercept)
    corrected = line.correct(predictions)
    assert_allclose(corrected, (predictions - expected.intercept) / expected.slope)
    assert linregress(ages, corrected).slope == pytest.approx(1)
    assert AGE.scores(ages, corrected)["error_slope"] == pytest.approx(0, abs=1e-12)
    assert_allclose(line.undo(corrected), predictions)


def test_line_by_hand():
    line = correcting_line(AGE, np.array([20.0, 40.0, 60.0]), np.array([34.0, 40.0, 46.0]))  # 28 + 0.3 x age
    assert (line.intercept, line.slope) == (pytest.approx(28), pytest.approx(0.3))
    assert_allclose(line.correct(np.array([37.0])), [30.0])


@pytest.mark.parametrize("slope", [0.19, 0.0, -1.0])
def test_line_that_is_too_flat_is_refused(slope):
    ages = np.linspace(20, 80, 30)
    told = rf"is not possible: on 30 training rows that .* against true age is {slope:.3f}, and below"
    with refused(rf"^model\.debias=true {told}", rf"^debias=True {told}"):
        correcting_line(AGE, ages, 50 + slope * (ages - 50))
    assert correcting_line(AGE, ages, 50 + 0.21 * (ages - 50)).slope == pytest.approx(0.21)


def test_line_of_equal_values_is_refused():
    with refused(r"model\.debias=true is not possible"):
        correcting_line(AGE, np.full(4, 50.0), np.arange(4.0))


def test_a_measure_may_be_corrected():
    check_debias(True, AGE)
    check_debias(False, AGE)


@pytest.mark.parametrize(("num_rows", "warns"), [(3, True), (19, True), (20, False), (200, False)])
def test_line_of_few_rows_is_told_of(num_rows, warns, caplog):
    ages = np.linspace(20, 80, num_rows)
    correcting_line(AGE, ages, 20 + 0.6 * ages)
    told = f"predictions are corrected by a line of {num_rows} training rows only: it is not certain"
    assert [record.getMessage() for record in caplog.records] == ([told] if warns else [])


# ---- words


def test_cells_and_columns_of_tables():
    predictions, ages = np.array([40.0, 52.5]), np.array([35.5, 62.0])
    assert AGE.prediction_columns(predictions) == {"prediction": [40.0, 52.5]}
    assert AGE.test_columns(ages, predictions, None) == {"gap": [4.5, -9.5]}
    raw = np.array([45.0, 50.0])
    assert AGE.test_columns(ages, predictions, raw) == {"gap": [4.5, -9.5], "prediction_raw": [45.0, 50.0]}


def test_what_a_measure_says_of_itself():
    ages = np.array([20.0, 86.25, 39.0])
    assert AGE.words.describe(ages) == "20 to 86.25, mean 48.42"
    assert dict(AGE.words.cohort_rows(ages)) == {
        "with age": "3",
        "range": "20 to 86.25",
        "mean ± SD": f"48.42 ± {np.std(ages):.4g}",
    }
    assert AGE.words.evidence(0) == ("raises age", "lowers age")
    assert AGE.words.decision("age") == "the predicted age, in standard deviations of the training subjects,"
    assert AGE.words.prediction(np.float64(41.234)) == "41.23"
    assert AGE.words.verdict(np.float64(41.234)) == "age 41.23"
    assert AGE.words.summary([np.float64(41.234)]) == "scan predicted: age 41.23 to 41.23."
    assert AGE.words.summary([np.float64(41.2), np.float64(71.0)]) == "scans predicted: age 41.2 to 71."
    scores = {"mae": Score(5.0, 4.1234, 6.0), "r2": Score(None), "pearson_r": Score(0.75)}
    assert AGE.headline(scores) == "MAE 5.000 (4.12 to 6.00), Pearson r 0.750"
    assert AGE.levelled(ages, learnt=ages) is None
    assert AGE.spread(np.array([40.0, 50.0, 45.0])) == pytest.approx(np.std([40, 50, 45]))
    assert AGE.words.validation_table(ages, ages) == ""
    assert (AGE.num_outputs, AGE.decisions, AGE.ascending) == (1, ("age",), True)
    assert AGE.compared[0] == "mae"
    assert AGE.chance == {"r2": 0.0, "pearson_r": 0.0}


def test_evidence_is_in_the_unit_of_the_measure():
    assert AGE.words.evidence_unit(0) == "the unit of age"
    assert AGE.contrast(0, None).tolist() == [1.0]
    assert AGE.contrast(0, np.array([[17.5, 48.0]])).tolist() == [17.5]  # in years, not in standard deviations


def test_only_the_measure_itself_can_be_explained():
    assert AGE.target_named(None, np.float64(40)) == AGE.target_named("age", np.float64(40)) == 0
    with refused(r"target='F' is no target: the model predicts age\. Leave it out\."):
        AGE.target_named("F", np.float64(40))


def test_examples_are_the_best_predicted_of_the_lowest_and_of_the_highest_third():
    ages = np.array([80.0, 20.0, 50.0, 30.0, 70.0, 55.0])
    predictions = np.array([60.0, 45.0, 50.0, 33.0, 66.0, 55.0])
    examples = AGE.examples(ages, predictions)
    assert [example.position for example in examples] == [3, 4]
    assert examples[0].caption == "of age 30, predicted 33"
    assert {example.target for example in examples} == {0}
    assert len(AGE.examples(ages[:1], predictions[:1])) == 1


def metrics(*, folds=5, corrected=False, **values: float):
    """Give the content of metrics.json."""
    test = {name: {"value": value, "low": None, "high": None} for name, value in values.items()}
    return {"test": test | ({"mae_raw": test["mae"]} if corrected else {}), "folds": [{}] * folds}


def test_result_is_a_sentence_with_what_guessing_would_give():
    ages = np.linspace(20, 80, 61)
    number, sentence = AGE.words.result_sentence(metrics(mae=6.54321, r2=-0.25), ages)
    assert number == "6.543"
    assert sentence.startswith("is the mean absolute error (MAE) of the predicted age, on 61 tests in 5 folds.")
    assert f"would have an error of {np.abs(ages - 50).mean():.4g}. R² is −0.25" in sentence
    given = metrics(mae=6.5, r2=0.5)
    given["test"]["mae"] |= {"low": 5.5, "high": 7.25}
    assert "95 % interval 5.5 to 7.25, on" in AGE.words.result_sentence(given, ages)[1]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (metrics(mae=6.0, r2=0.5, error_slope=-0.1), []),
        (metrics(mae=6.0, r2=-0.1, error_slope=-0.9), ["R² is not above 0"]),
        (metrics(mae=6.0, r2=0.5, error_slope=-0.4), ["Predictions shrink towards the mean (error slope −0.40)"]),
        (metrics(mae=6.0, r2=0.5, error_slope=0.3), ["The error rises with the true age (error slope 0.30)"]),
    ],
)
def test_cautions_name_what_the_scores_hide(given, expected):
    said = AGE.words.cautions(given, np.linspace(20, 80, 61))
    assert len(said) == len(expected)
    assert all(text.startswith(start) for text, start in zip(said, expected, strict=True))
    few = AGE.words.cautions(given, np.linspace(20, 80, 12))
    assert few[0].startswith("Few tests: only 12.")
    assert few[1:] == said


def test_correction_is_proposed_only_where_there_was_none():
    ages = np.linspace(20, 80, 61)
    (said,) = AGE.words.cautions(metrics(mae=6.0, r2=0.5, error_slope=-0.4), ages)
    assert "model.debias=true corrects for it, which usually makes the mean absolute error larger" in said
    (said,) = AGE.words.cautions(metrics(mae=6.0, r2=0.5, error_slope=-0.4, corrected=True), ages)
    assert "debias" not in said


def test_a_correction_that_goes_too_far_is_named():
    ages = np.linspace(20, 80, 61)
    (said,) = AGE.words.cautions(metrics(mae=6.0, r2=0.5, error_slope=0.4, corrected=True), ages)
    assert said.startswith("The error rises with the true age (error slope 0.40): low values are predicted too low")
    assert "the correction for shrinkage went too far" in said
    (said,) = AGE.words.cautions(metrics(mae=6.0, r2=0.5, error_slope=0.4), ages)
    assert "correction" not in said


def test_reading_names_the_measure_and_its_unit():
    text = " ".join(AGE.words.reading() + AGE.words.prediction_reading())
    assert Counter(text.split())["age"] > 3
    assert "{" not in text
    assert AGE.words.value_titles() == ()


def test_lines_compare_and_are_plain():
    assert Line(28.0, 0.3) == Line(28.0, 0.3)


def test_the_name_of_a_measure_keeps_its_hyphen():
    sentence = Measure("IQ-total").words.result_sentence(metrics(mae=6.5, r2=-0.25), np.linspace(80, 120, 61))[1]
    assert "the mean IQ-total of the tests" in sentence
    assert "R² is −0.25" in sentence


def test_strata_of_a_measure_with_many_ties_have_groups_for_every_part():
    scores = np.repeat([0.0, 1.0, 7.0, 30.0], [21, 9, 3, 7])
    strata = Measure("score").strata(scores, np.arange(40), needed=5, reason="five folds need")
    assert np.bincount(strata).min() >= 5
    assert (np.diff(strata[np.argsort(scores)]) >= 0).all(), "strata follow the measure"
    assert len(set(strata[scores == 0.0])) == 1
