"""A finished model on arrays of people whom it never saw: scores, strata, decisions, and what does not fit."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from mri3d import Study, fit, models, validate
from mri3d.external import check_out
from mri3d.models.member import votes
from tests.models.refusals import refused
from tests.studies import age_study, class_study, planted

RIDGE = models.Ridge(num_components=0.9, inner_folds=2)


def test_another_task_is_refused():
    model = fit(class_study(), RIDGE)
    with refused(
        r"^the model predicts classes \(label\), and the study is of a measure \(age\)\. Make .* task=classif"
    ):
        validate(model, age_study(seed=1))
    other = Study.from_arrays(planted([0, 1] * 8, seed=5), ["x", "y"] * 8)
    with refused(r"^the model predicts control and patient, and labels has 'x' \(8 sessions\), 'y' \(8 sessions\)"):
        validate(model, other)


def test_strata_are_by_site_and_by_what_else_is_known():
    people = class_study(60, seed=1, sites=["north", "south", "south"] * 20, covariates={"age": list(range(20, 80))})
    found = validate(fit(class_study(), RIDGE), people)
    assert found.strata[["variable", "level", "sessions"]].to_numpy().tolist() == [
        ["site", "north", 20], ["site", "south", 40],
        ["age", "20 to 39", 20], ["age", "40 to 59", 20], ["age", "60 to 79", 20],
    ]  # fmt: skip
    north = found.predictions[[row % 3 == 0 for row in range(60)]]
    assert found.strata["accuracy"][0] == pytest.approx((north["prediction"] == north["label"]).mean())
    assert found.strata["accuracy_low"][0] < found.strata["accuracy"][0] <= found.strata["accuracy_high"][0]


def test_arrays_are_validated_where_their_shape_fits():
    model = fit(class_study(), RIDGE)
    found = validate(model, class_study(seed=1), prevalence=0.1)
    assert found.scores["auc"].value > 0.8
    assert found.metrics(seconds=1.0)["decisions"]["prevalence"] == {"patient": 0.1, "control": 0.9}
    smaller = Study.from_arrays(planted([0, 2] * 6, seed=2)[:, :6], ["control", "patient"] * 6)
    with refused(r"^volumes of 1 x 6 x 8 x 9 \(channels, X, Y, Z\) do not fit a model of 1 x 7 x 8 x 9\.$"):
        validate(model, smaller)


def test_who_has_a_covariate_far_from_all_that_was_learnt_from_is_unusual():
    ages = [40.0 + row % 7 for row in range(60)]
    model = fit(class_study(60, covariates={"age": ages}), models.LinearSVM(covariates=["age"], inner_folds=2))
    usual, strange = (
        validate(model, class_study(60, seed=1, covariates={"age": [*ages[:59], age]})).predictions
        for age in (40.0, 8000.0)
    )
    assert list(usual["status"]) == [*strange["status"][:59], "ok"]
    assert strange["status"].iloc[59] == "unusual"
    assert "far from all that the model has learnt from" in strange["warnings"].iloc[59]


def test_a_measure_has_gaps_and_no_decisions():
    model = fit(age_study(), RIDGE)
    found = validate(model, age_study(seed=1))
    rows = found.predictions
    assert list(rows.columns) == ["subject", "label", "prediction", "gap", "status", "warnings"]
    assert_allclose(rows["gap"], rows["prediction"] - rows["label"])
    assert found.scores["mae"].value == pytest.approx(rows["gap"].abs().mean())
    for options in ({"prevalence": 0.1}, {"threshold": 0.3}):
        with refused(r"is for classes, and the model predicts a value: age\. Leave it out\."):
            validate(model, age_study(seed=1), **options)


def test_the_threshold_decides_and_probabilities_stay():
    model, study = fit(class_study(), RIDGE), class_study(seed=1, effect=0.7)
    plain, low = validate(model, study), validate(model, study, threshold=0.05)
    assert_allclose(low.predictions["p_patient"], plain.predictions["p_patient"])
    called = (plain.predictions["p_patient"] >= 0.05).to_numpy()
    assert (low.predictions["prediction"] == "patient").tolist() == called.tolist()
    truth = (study.targets == 1)[called]
    ppv = low.metrics(seconds=0.0)["decisions"]["classes"]["patient"]["ppv"]
    assert ppv["value"] == pytest.approx(truth.mean())


def test_a_session_of_which_nothing_finite_is_computed_is_not_scored(monkeypatch):
    model = fit(class_study(), RIDGE)

    def broken(members, volumes):
        found = votes(members, volumes)
        found[:, 3] = np.nan
        return found

    monkeypatch.setattr("mri3d.external.votes", broken)
    found = validate(model, class_study(seed=1))
    row = found.predictions.iloc[3]
    assert row["status"] == "failed"
    assert pd.isna(row["prediction"])
    assert row["warnings"].startswith("the model computes no finite number for this scan.")
    assert 3 not in found.rows
    assert len(found.rows) == 23


def test_nothing_of_the_users_is_replaced(tmp_path):
    model, study = fit(class_study(), RIDGE), class_study(seed=1)
    (tmp_path / "metrics.json").write_text("mine")
    with refused(r"metrics\.json is there already, and would be replaced\. Remove it, or set another out\.$"):
        validate(model, study, out=tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.yaml").write_text("")
    with refused(r"holds a run or a model, whose own files would be replaced"):
        check_out(tmp_path / "run")
