"""The report of a measure, and of a model that was trained on everybody."""

import numpy as np
import pytest

from mri3d.report.shown_tests import ShownTests
from tests.commands import undrawn
from tests.report.example import AGE, HISTORY, SEXES, class_metrics, metrics, report, report_of_ages

TESTS = np.array([20.0, 30.0, 40.0, 50.0, 60.0] * 12)


def shrunken(targets=TESTS):
    """Ten years off at both ends."""
    return 40 + 0.5 * (targets - 40)


def shown(reader):
    return [text for text in reader.texts if text.strip()]


@undrawn()
def test_the_result_is_the_mean_absolute_error(tmp_path):
    texts = shown(report_of_ages(tmp_path, TESTS, shrunken(), num_folds=5))
    number = texts.index("6")  # (10 + 5 + 0 + 5 + 10) / 5
    assert texts[number + 1] == (
        "is the mean absolute error (MAE) of the predicted age, on 60 tests in 5 folds. No model was tested on a scan "
        "that it was trained on. Always predicting the mean age of the tests would have an error of 12. R² is 0.75: 1 "
        "is perfect, 0 is no better than that mean."
    )
    assert number < texts.index("Test results")


@undrawn()
def test_scores_have_their_titles(tmp_path):
    texts = shown(report_of_ages(tmp_path, TESTS, shrunken()))
    for title, value in {
        "MAE": "6.000", "RMSE": "7.071", "R²": "0.750", "Pearson r": "1.000", "Error slope": "-0.500",
        "Gap correlation": "-1.000",
    }.items():  # fmt: skip
        assert texts[texts.index(title) + 1] == value


@undrawn()
def test_scores_before_correction_stand_beside_the_corrected(tmp_path):
    texts = shown(report_of_ages(tmp_path, TESTS, TESTS + 1, shrunken()))
    assert texts[texts.index("MAE") + 1] == "1.000"
    assert texts[texts.index("MAE, uncorrected") + 1] == "6.000"
    assert any("Grey: the predictions before correction" in text for text in texts)


@pytest.mark.parametrize(
    ("scale", "mae", "rmse"), [(1234567.8, "7407407", "8729713"), (2e-6, "0.0000120", "0.0000141")]
)
def test_scores_of_any_size_keep_their_digits(tmp_path, scale, mae, rmse):
    texts = shown(report_of_ages(tmp_path, scale * TESTS, scale * shrunken(), num_folds=2))
    row = texts.index("MAE")
    assert texts[row + 1 : row + 5] == [mae, f"{mae} ± {float(0):.{len(mae.partition('.')[2])}f}", mae, mae]
    assert texts[texts.index("RMSE") + 1] == rmse
    assert texts[texts.index("R²") + 1] == "0.750"


def test_both_charts_are_drawn(tmp_path):
    reader = report_of_ages(tmp_path, TESTS, shrunken())
    alts = [image["alt"] for image in reader.images]
    assert alts == [
        "Predicted age against true age, one point for each test.",
        "Predicted minus true age against true age, one point for each test.",
    ]


@pytest.mark.parametrize(
    ("targets", "predictions", "caution"),
    [
        (TESTS, shrunken(), "error slope −0.50"),
        (TESTS, 40 + 1.3 * (TESTS - 40), "error slope 0.30"),
        (TESTS, np.full(60, 90.0), "R² is not above 0: always predicting the mean age"),
        (TESTS[:10], TESTS[:10] + 1, "Few tests: only 10."),
    ],
)
@undrawn()
def test_cautions(tmp_path, targets, predictions, caution):
    texts = shown(report_of_ages(tmp_path, targets, predictions))
    assert [text for text in texts[: texts.index("Test results")] if caution in text]


@undrawn()
def test_a_good_model_has_no_caution(tmp_path):
    assert AGE.words.cautions(metrics(AGE.scores(TESTS, TESTS + 1)), TESTS) == []
    assert "caution" not in str(report_of_ages(tmp_path, TESTS, TESTS + 1).tags)


@pytest.mark.parametrize("num_tests", [1, 4])
def test_one_test_or_one_value_is_reported(tmp_path, num_tests):
    targets = np.full(num_tests, 40.0)
    texts = shown(report_of_ages(tmp_path, targets, targets + 2.5))
    assert f"on {num_tests} test" in texts[texts.index("2.5") + 1]
    assert texts[texts.index("R²") + 1] == "–"


def test_constant_predictions_are_reported(tmp_path):
    texts = shown(report_of_ages(tmp_path, TESTS, np.full(60, 40.0)))
    assert texts[texts.index("Pearson r") + 1] == "–"
    assert any("R² is not above 0" in text for text in texts)


@undrawn()
def test_who_took_part_is_a_range(tmp_path):
    rows = AGE.words.cohort_rows(TESTS)
    texts = shown(report_of_ages(tmp_path, TESTS, TESTS, taking_part=rows))
    table = texts[texts.index("Who took part") + 1 :]
    assert table[:4] == ["With age", "60", "Range", "20 to 60"]


@undrawn()
def test_a_heatmap_of_a_measure_has_both_signs(tmp_path):
    texts = shown(report_of_ages(tmp_path, TESTS, TESTS))
    assert any("warm colours raise it and cool colours lower it" in text for text in texts)
    assert any("in the unit of age" in text for text in texts)


@pytest.mark.parametrize("outcome", [SEXES, AGE])
def test_a_model_of_everybody_says_that_it_has_no_test_score(tmp_path, outcome):
    content = metrics({})
    content["folds"][0] |= {"num_train": 110, "num_validation": 21, "num_test": 0}
    nothing = np.zeros((0, 2)) if outcome is SEXES else np.zeros(0)
    reader = report(
        tmp_path, content, outcome=outcome,
        tests=ShownTests(nothing[..., 0] if outcome is SEXES else nothing, nothing), histories=[HISTORY],
    )  # fmt: skip
    texts = shown(reader)
    said = next(text for text in texts if "trained on all" in text)
    assert "trained on all 131 sessions, 21 of which only decided when to stop training." in said
    assert "no test score" in said
    assert "Test results" not in texts
    assert [image["alt"] for image in reader.images] == ["Loss by epoch."]
    assert texts[texts.index("Training sessions") + 1 :][:3] == ["110", "Validation sessions", "21"]
    assert "Test sessions" not in texts
    assert not any("AUC" in text or "MAE" in text for text in texts)


def test_a_model_of_everybody_without_epochs_tells_its_sizes(tmp_path):
    content = metrics({})
    content["folds"][0] |= {"num_train": 131, "num_validation": 0, "num_test": 0, "epochs": 0}
    texts = shown(report(tmp_path, content, tests=ShownTests(np.zeros(0, dtype=int), np.zeros((0, 2)))))
    assert any("trained on all 131 sessions. None was left" in text for text in texts)
    assert texts[texts.index("Training") + 1 :][:2] == ["Training sessions", "131"]


@undrawn()
def test_classes_of_any_number_of_folds_still_have_scores(tmp_path):
    assert "Test results" in report(tmp_path, class_metrics(num_folds=3)).texts
