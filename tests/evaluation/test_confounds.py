"""What confounds explain: alone, beside the image, and taken out of it; on planted cohorts, and where it cannot be."""

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mri3d import Column, Holdout, KFold, Study, UserError, evaluate, models
from mri3d.cohort.encoding import Encoder
from mri3d.evaluation.confounds import BOOSTED, BOTH, IMAGE, LINEAR, WITHOUT, judge_confounds
from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.volumes.residuals import Residuals
from tests.evaluation.confounded import SHAPE, effect_study, scaled_study, tiny_network

RIDGE = models.Ridge(num_components=[0.5, None], alpha=[0.1, 1.0])


def judged(study, model=RIDGE, splits=None, seed=0):
    return evaluate(study, model, splits or KFold(confounds=["size"]), seed=seed).confounds


def test_where_size_is_all_there_is_the_image_adds_nothing():
    study = scaled_study(0, number=100)
    results = evaluate(study, RIDGE, KFold(confounds="size"))
    found = results.confounds
    alone, image, left = (found.scores[way]["auc"] for way in (LINEAR, IMAGE, WITHOUT))
    assert alone.value > 0.8
    assert image.value > 0.8
    assert left.low <= 0.5 <= left.high
    assert found.beyond(ascending=False) is False
    assert results.headline().endswith(", no evidence beyond size")
    assert found.sentence(study.outcome).startswith("No evidence that the image says more about label than size: toge")
    assert found.scores[IMAGE]["auc"].value == results.scores["auc"].value


def test_an_effect_beside_a_confound_is_found():
    study = effect_study(1, number=120)
    found = judged(study, splits=KFold(confounds=["site"]))
    assert found.beyond(ascending=False) is True
    assert found.scores[WITHOUT]["auc"].low > 0.5
    assert found.scores[BOTH]["auc"].value > found.scores[LINEAR]["auc"].value
    assert "The image says more about label than site: together they have an AUC of" in found.sentence(study.outcome)


def test_a_measure_is_judged_too():
    study = scaled_study(2, number=90, task="regression")
    results = evaluate(study, RIDGE, KFold(confounds=["size"]))
    found = results.confounds
    assert found.primary == "mae"
    assert found.scores[LINEAR]["mae"].value < 0.85
    assert found.scores[WITHOUT]["r2"].value < 0.15
    assert found.beyond(ascending=True) is False
    assert results.headline().endswith(", no evidence beyond size")


def test_the_confounds_alone_are_scikit_learns_logistic_regression():
    study = scaled_study(3, number=60)
    evaluation = CrossValidation.of(study, RIDGE, Holdout(confounds=["size"]), seed=0, folder=None)
    results = evaluation.run()
    found = judge_confounds(evaluation, results)
    (fold,) = evaluation.folds
    learnt = np.sort(np.concatenate([fold.train_rows, fold.validation_rows]))
    sizes = np.array([float(session.covariates["size"]) for session in study.cohort.sessions])[:, None]
    standard = (sizes - sizes[learnt].mean()) / sizes[learnt].std()
    peer = LogisticRegression(C=1.0).fit(standard[learnt], study.targets[learnt])
    scores = peer.predict_proba(standard[fold.test_rows])[:, 1]
    assert found.scores[LINEAR]["auc"].value == pytest.approx(roc_auc_score(study.targets[fold.test_rows], scores))
    assert found.scores[LINEAR]["brier"].value == pytest.approx(
        np.mean((scores - study.targets[fold.test_rows]) ** 2), abs=1e-5
    )


def test_a_refit_to_residuals_is_a_fit_to_them():
    """The short way by permutations gives what fitting the model to the residuals gives."""
    study = scaled_study(4, number=60)
    model = models.LinearSVM(num_components=[0.9, None], C=[1.0])
    found = judged(study, model, Holdout(confounds=["size"]))
    evaluation = CrossValidation.of(study, model, Holdout(confounds=["size"]), seed=0, folder=None)
    (training,), (fold,) = evaluation.trainings, evaluation.folds
    columns = Encoder.fit(evaluation.confounds, training.rows).encode(evaluation.confounds)
    left = np.stack([Residuals(study.volumes, columns, training.rows)[row] for row in range(60)])
    plain = Study.from_arrays(left[:, 0], study.cohort.labels, ids=study.ids)
    wanted = evaluate(plain, model, Holdout()).scores
    for name in ("auc", "log_loss", "brier"):
        assert found.scores[WITHOUT][name].value == pytest.approx(wanted[name].value, abs=1e-5)
    assert len(fold.test_rows) == 12


@pytest.mark.parametrize(
    "model",
    [models.KNN(k=3, num_components=0.9), models.Logistic(C=1.0, num_components=0.9), models.RBFSVM(C=1.0, gamma=1.0),
     models.Ridge(alpha=1.0, num_components=0.9, inner_folds=3)],
    ids=lambda model: model.name,
)  # fmt: skip
def test_every_classical_model_is_judged(model):
    found = judged(scaled_study(5, number=48), model, KFold(folds=3, confounds=["size"]))
    values = [found.scores[way]["auc"].value for way in (LINEAR, BOOSTED, IMAGE, BOTH, WITHOUT)]
    assert np.isfinite(values).all()
    assert values[4] < min(values[0], values[2])


def test_a_model_that_holds_nothing_out_is_stacked_by_folds_of_its_own():
    study = scaled_study(6, number=60, task="regression")
    found = judged(study, models.Ridge(alpha=1.0, num_components=0.9), Holdout(confounds=["size"]))
    assert found.scores[BOTH]["mae"].value < 1.1 * found.scores[LINEAR]["mae"].value


def test_predictions_before_correction_are_compared():
    study = scaled_study(7, number=90, task="regression", noise=0.1)
    model = models.Ridge(alpha=1.0, num_components=0.9, debias=True)
    results = evaluate(study, model, Holdout(test=0.4, confounds=["size"]))
    found = results.confounds
    assert found.scores[IMAGE]["mae"].value == results.scores["mae_raw"].value
    plain = judged(study, models.Ridge(alpha=1.0, num_components=0.9), Holdout(test=0.4, confounds=["size"]))
    assert found.scores[WITHOUT] == plain.scores[WITHOUT]


def test_what_cannot_be_fitted_without_the_confounds_costs_nothing_else(monkeypatch, caplog):
    study = scaled_study(8, number=40)

    def without(self, training, test_rows, targets, permuted=models.Ridge.permuted):
        if isinstance(training.volumes, Residuals) and training.name.startswith("fold_1"):
            raise UserError("nothing is left.")
        return permuted(self, training, test_rows, targets)

    monkeypatch.setattr(models.Ridge, "permuted", without)
    found = judged(study, splits=KFold(folds=2, confounds=["size"]))
    assert "fold 1: no model of the image without the confounds: nothing is left." in caplog.text
    assert set(found.scores) == {LINEAR, BOOSTED, IMAGE, BOTH}
    assert all(WITHOUT not in pair for pair in found.comparisons)


def test_a_network_is_trained_once_more_and_no_oftener(monkeypatch):
    study, fitted = scaled_study(8, number=36), []
    network = tiny_network()
    monkeypatch.setattr(type(network), "fit", lambda self, training, fit=type(network).fit: (
        fitted.append(training.name), fit(self, training))[1])  # fmt: skip
    found = judged(study, network, KFold(folds=2, confounds=["size"]))
    assert fitted == ["fold_0", "fold_1", "fold_0_without_confounds", "fold_1_without_confounds"]
    assert np.isfinite(found.scores[WITHOUT]["auc"].value)


def test_test_rows_have_no_part_in_any_fit():
    study = scaled_study(9, number=48)
    before = judged(study, splits=Column("side", validation=0.2, confounds=["size"]))
    sides = [session.covariates["side"] for session in study.cohort.sessions]
    one = sides.index("test")
    volumes, sizes = study.volumes.volumes.copy(), [session.covariates["size"] for session in study.cohort.sessions]
    volumes[one], sizes[one] = volumes[one] * 50, "90"
    poisoned = Study.from_arrays(volumes, study.cohort.labels, ids=study.ids, covariates={"size": sizes, "side": sides})
    rest = [row for row in range(48) if sides[row] == "test" and row != one]
    ours, theirs = (_predictions_of(each, rest) for each in (study, poisoned))
    for way in ours:
        np.testing.assert_allclose(theirs[way], ours[way], rtol=1e-9, err_msg=way)
    assert before.scores[IMAGE]["auc"].value is not None


def _predictions_of(study, rows):
    from mri3d.evaluation.confounds import _predictions

    splits = Column("side", validation=0.2, confounds=["size"])
    evaluation = CrossValidation.of(study, RIDGE, splits, seed=0, folder=None)
    (result,) = evaluation.run().folds
    positions = np.searchsorted(result.fold.test_rows, rows)
    return {way: each[positions] for way, each in _predictions(evaluation, result, evaluation.trainings[0]).items()}


def test_groups_stay_together_inside_too():
    found = judged(scaled_study(11, number=60, families=True), splits=KFold(folds=3, confounds=["size"]))
    assert np.isfinite(found.scores[BOTH]["auc"].value)


def test_metrics_and_report_tell_of_it(tmp_path):
    study = scaled_study(12, number=40)
    results = evaluate(study, RIDGE, Holdout(test=0.4, confounds=["size"]))
    metrics = json.loads(json.dumps(results.metrics(num_subjects={}, seconds={})))
    told = metrics["confounds"]
    assert told["columns"] == ["size"]
    assert told["sentence"] == results.confounds.sentence(study.outcome)
    assert set(told["scores"]) == {LINEAR, BOOSTED, IMAGE, BOTH, WITHOUT}
    assert told["scores"][IMAGE]["auc"] == metrics["test"]["auc"]
    first = told["differences"][0]
    assert first["second"] == BOTH
    assert first["scores"]["auc"]["difference"] == pytest.approx(
        told["scores"][BOTH]["auc"]["value"] - told["scores"][told["stronger"]]["auc"]["value"]
    )
    assert study.volumes.shape[1:] == SHAPE


def test_nothing_of_it_is_done_unasked():
    results = evaluate(scaled_study(13, number=30), RIDGE, Holdout())
    assert results.confounds is None


@pytest.mark.parametrize(
    "codes", [["1", "2", "3", "4"], pytest.param(["s1", "s2", "s3", "s4"], marks=pytest.mark.slow)]
)
def test_numbers_of_sites_are_names(codes):
    study = effect_study(3, number=60, effect=0.0, site_effect=1.5)
    sites = [codes["abcd".index(session.site)] for session in study.cohort.sessions]
    named = Study.from_arrays(
        study.volumes.volumes, study.cohort.labels, ids=study.ids, covariates={"scanner_id": sites}
    )
    found = judged(named, splits=KFold(folds=4, confounds=["scanner_id"]))
    plain = judged(study, splits=KFold(folds=4, confounds=["site"]))
    assert found.scores[WITHOUT]["auc"].value == pytest.approx(plain.scores[WITHOUT]["auc"].value, abs=1e-6)
    assert found.scores[LINEAR]["auc"].value == plain.scores[LINEAR]["auc"].value


def test_what_comes_on_top_never_costs_the_evaluation(monkeypatch, caplog):
    def fails(*_: object):
        raise UserError("nothing is left.")

    monkeypatch.setattr("mri3d.evaluation.judging.judge_confounds", fails)
    results = evaluate(scaled_study(14, number=30), RIDGE, Holdout(confounds=["size"]))
    assert "the confound analysis could not be made: nothing is left." in caplog.text
    assert results.confounds is None
    assert results.scores["auc"].value is not None


@pytest.mark.parametrize(("folds", "number"), [(3, 30), (5, 34), (10, 30)])
def test_together_is_not_worse_than_a_confound_that_says_all(folds, number):
    """Of few sessions boosted trees cannot split the inner folds, and image models rank backwards there."""
    random = np.random.default_rng(folds)
    labels = np.arange(number) % 2
    severity = labels * 10 + random.normal(size=number)
    study = Study.from_arrays(random.normal(size=(number, *SHAPE)), labels, covariates={"severity": severity})
    found = judged(study, splits=KFold(folds=folds, confounds=["severity"]))
    assert found.scores[LINEAR]["auc"].value == 1
    assert found.scores[BOTH]["auc"].value > 0.95
