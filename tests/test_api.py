"""The library: evaluate, fit and compare, and the script of a notebook."""

import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, roc_auc_score

import mri3d
from mri3d import All, Holdout, KFold, Nested, Study, UserError, compare, evaluate, fit, models
from mri3d.evaluation.folds import Sample
from tests.studies import SHAPE, age_study, ages_of, class_study, cnn, planted, write_heads

RIDGE = models.Ridge(num_components=0.9, inner_folds=2)


@pytest.fixture(scope="module", autouse=True)
def on_one_core(one_core):
    """Fit the networks below on one core."""


@pytest.fixture(scope="module")
def study():
    return class_study()


@pytest.fixture(scope="module")
def ages():
    return age_study()


@pytest.fixture(scope="module")
def linear(study):
    return evaluate(study, models.LinearSVM(C=1.0, num_components=0.9, inner_folds=2), KFold(folds=3), seed=1)


@pytest.fixture(scope="module")
def network(study):
    return evaluate(study, cnn(epochs=3), KFold(folds=3), seed=1)


def test_scores_predictions_folds_and_model_are_those_of_the_tests(study, linear):
    assert [len(result.fold.test_rows) for result in linear.folds] == [8, 8, 8]
    frame = linear.predictions
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == ["subject", "fold", "split", "label", "prediction", "p_control", "p_patient"]
    assert sorted(frame["subject"], key=int) == list(study.ids)
    truth = (frame["label"] == "patient").astype(int)
    score = linear.scores["auc"]
    folds = [(truth[frame["fold"] == fold], frame["p_patient"][frame["fold"] == fold]) for fold in range(3)]
    pairs = [(labels == 1).sum() * (labels == 0).sum() for labels, _ in folds]
    assert score.value == pytest.approx(np.average([roc_auc_score(*fold) for fold in folds], weights=pairs))
    assert linear.scores["auc_pooled"].value == pytest.approx(roc_auc_score(truth, frame["p_patient"]))
    assert 0.5 < score.low < score.value <= score.high <= 1
    assert score.value > 0.9, "the planted effect is learnt"
    for result in linear.folds:
        rows = result.fold.test_rows
        np.testing.assert_array_equal(result.model.predict(study.volumes, rows), result.predictions)


@pytest.mark.parametrize("which", ["linear", "network"])
def test_the_folds_models_vote_by_their_mean(which, request, study):
    results = request.getfixturevalue(which)
    volumes = planted([0, 1.5, 3], seed=9)
    each = np.stack([fold.model.predict(mri3d.study.InMemory.of(volumes), np.arange(3)) for fold in results.folds])
    np.testing.assert_allclose(results.model.predict_arrays(volumes), each.mean(axis=0), rtol=1e-12)
    assert [member.card.fold for member in results.model.members] == [0, 1, 2]
    assert {member.card.num_folds for member in results.model.members} == {3}


@pytest.mark.parametrize("make", [lambda: RIDGE, lambda: cnn(augmentation="default")], ids=["ridge", "cnn"])
@pytest.mark.parametrize("make_study", [class_study, age_study], ids=["classes", "ages"])
def test_the_same_call_gives_the_same_bits_and_another_seed_others(make, make_study):
    study = make_study()
    first, second, other = (evaluate(study, make(), KFold(folds=2), seed=seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first.predicted, second.predicted)
    np.testing.assert_array_equal(first.rows, second.rows)
    assert not np.array_equal(first.rows, other.rows)


def test_the_model_that_was_given_is_never_fitted(study):
    model = models.Ridge(num_components=0.9, inner_folds=2)
    evaluate(study, model, KFold(folds=2))
    assert not hasattr(model, "decision_")
    network = cnn(epochs=1)
    fit(study, network)
    assert not hasattr(network, "network_")


def test_nothing_is_left_on_disk_without_a_folder(study, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path)
    results = evaluate(study, cnn(epochs=1), Holdout())
    assert list((tmp_path / "temporary").iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]
    assert results.model.predict_arrays(study.volumes.volumes).shape == (24, 2), "it lives on in memory"


def test_five_folds_unless_told(study):
    assert len(evaluate(study, models.KNN(k=3, num_components=2, inner_folds=2)).folds) == 5


def test_a_grid_is_searched_within_each_fold(study):
    results = evaluate(study, RIDGE, Nested(folds=2, grid={"standardize": [False, True]}, inner_folds=2))
    assert sum(results.chosen_counts["standardize"].values()) == 2
    assert results.model.members[0].card.facts["chosen"] == results.folds[0].chosen
    assert results.model.predict_arrays(planted([0, 2])).shape == (2, 2)


def test_a_measure_is_evaluated_and_corrected(ages):
    plain = evaluate(ages, RIDGE, KFold(folds=3))
    frame = plain.predictions
    assert plain.scores["mae"].value == pytest.approx(mean_absolute_error(frame["label"], frame["prediction"]))
    assert plain.scores["r2"].value > 0.5
    corrected = evaluate(ages, models.Ridge(num_components=0.9, inner_folds=2, debias=True), KFold(folds=3))
    np.testing.assert_allclose(corrected.predictions["prediction_raw"], frame["prediction"])
    lines = [fold.model.line for fold in corrected.folds]
    for line, fold, uncorrected in zip(lines, corrected.folds, plain.folds, strict=True):
        np.testing.assert_allclose(fold.predictions, (uncorrected.predictions - line.intercept) / line.slope)
    assert corrected.model.predict_arrays(planted([0.0, 1.0])).shape == (2,)


@pytest.mark.parametrize("debias", [False, True])
def test_poisoned_labels_of_test_rows_change_nothing_that_is_learnt(debias, ages):
    """The other ways to leak: the standardisation of a measure, and the line."""
    (fold,) = Holdout().split(Sample(ages.outcome, ages.targets, ages.groups), seed=0)
    learnt = []
    for poison in (0.0, 1.5):  # less than what lies between two neighbours, so that the split stays
        values = ages_of(24)
        values[fold.test_rows] += poison
        study = Study.from_arrays(ages.volumes.volumes, values, task="regression", name="age")
        model = models.Ridge(num_components=[2, 0.9], inner_folds=2, debias=debias)
        results = evaluate(study, model, Holdout())
        np.testing.assert_array_equal(results.folds[0].fold.test_rows, fold.test_rows)
        learnt.append(results)
    np.testing.assert_array_equal(learnt[0].predicted, learnt[1].predicted)
    assert learnt[0].folds[0].model.line == learnt[1].folds[0].model.line
    assert (learnt[0].folds[0].model.line is not None) == debias
    assert learnt[0].scores["mae"].value != learnt[1].scores["mae"].value, "the poison was not read at all"


@pytest.mark.parametrize(
    ("model", "splits", "message"),
    [
        (models.CNN(), KFold(validation=0.0), r"a CNN stops by its validation rows, and there are none\. Raise valid"),
        (models.LinearSVM(C=[]), KFold(), r"^C is an empty list: there is nothing to try"),
        (models.KNN(k=50), KFold(), r"^k=50 neighbours cannot be found among"),
        (models.Ridge(debias=True), KFold(), r"^debias=True corrects predictions of a measure, and task='class"),
        (RIDGE, KFold(folds=13), r"class 'control' has 12 sessions.*fewer than the 13 that folds=13 needs"),
        (cnn(channels=[2] * 9, pooling=2), KFold(), r"volume of 7 x 8 x 9 voxels is too small"),
        (RIDGE, Nested(grid={"alfa": [1.0]}), r"^alfa is no option of Ridge\. Did you mean 'alpha'\?"),
    ],
)
def test_what_cannot_be_evaluated_is_told_by_argument(study, tmp_path, model, splits, message):
    with pytest.raises(UserError, match=message) as error:
        evaluate(study, model, splits, folder=tmp_path / "folder")
    assert "model." not in str(error.value)
    assert "evaluation." not in str(error.value)
    assert not (tmp_path / "folder").exists(), "it is told before anything is written"


def test_logistic_refuses_a_measure_by_name(ages):
    with pytest.raises(UserError, match=r"model='logistic' predicts classes only, and task='regression' asks for"):
        evaluate(ages, models.Logistic())


@pytest.mark.parametrize("make", [lambda: RIDGE, lambda: cnn(epochs=2)], ids=["ridge", "cnn"])
def test_fit_is_an_evaluation_of_all(study, make):
    results = evaluate(study, make(), All(validation=0.25), seed=2)
    assert results.scores == {}
    assert len(results.predictions) == 0
    model = fit(study, make(), seed=2, validation=0.25)
    new = planted([0, 1, 2], seed=5)
    np.testing.assert_array_equal(model.predict_arrays(new), results.model.predict_arrays(new))
    assert len(model.members) == 1
    learnt_from = model.members[0].card.facts["train_subjects"]
    assert sorted(learnt_from, key=int) == list(study.ids)
    assert model.members[0].card.facts["test_scores"] == {}


def test_classical_models_need_no_validation_rows(study):
    (member,) = fit(study, RIDGE, validation=0.0).members
    assert (member.card.facts["num_train"], member.card.facts["num_validation"]) == (24, 0)
    with pytest.raises(UserError, match=r"^validation=1.0 is no share of the subjects"):
        fit(study, RIDGE, validation=1.0)


def test_a_model_compared_with_itself_differs_by_nothing(linear, network):
    table = compare(linear, linear)
    differences = ["difference", "mean_difference", "sd_difference"]
    tested = ["low", "high", "p", "p_folds", "p_mcnemar"]
    assert list(table.columns) == ["first", "second", "difference", *tested, *differences[1:]]
    assert list(table.index) == list(linear.scores)
    defined = table[table["first"].notna()]
    assert (defined["difference"] == 0).all()
    assert (defined[differences[1:]].dropna() == 0).all(axis=None)
    assert (defined["p"].dropna() == 1).all()
    other = compare(linear, network)
    auc = other.loc["auc"]
    assert auc["first"] == linear.scores["auc"].value
    assert auc["second"] == network.scores["auc"].value
    assert auc["difference"] == pytest.approx(auc["second"] - auc["first"])
    differences = [b.scores["auc"] - a.scores["auc"] for a, b in zip(linear.folds, network.folds, strict=True)]
    assert auc["mean_difference"] == pytest.approx(np.mean(differences))
    assert auc["sd_difference"] == pytest.approx(np.std(differences, ddof=1))
    assert auc["low"] <= auc["difference"] <= auc["high"]
    several = compare(linear, network, linear)
    assert several.loc[("1", "2", "auc"), "p"] == several.loc[("2", "3", "auc"), "p"] == auc["p"]
    assert several.loc[("1", "3", "auc"), "p"] == 1
    assert several.loc[("1", "2", "auc"), "p_holm"] == pytest.approx(min(1, 3 * auc["p"]))


def test_what_is_no_result_is_not_compared(linear):
    with pytest.raises(UserError, match=r"^others=5 is not an instance of Results"):
        compare(linear, linear, 5)


def test_results_of_other_tests_are_not_compared(study, ages, linear):
    for splits, seed in ((KFold(folds=3), 2), (KFold(folds=2), 1), (Holdout(), 1)):
        other = evaluate(study, RIDGE, splits, seed=seed)
        with pytest.raises(UserError, match=r"the same folds: \d+ tests are in one of them only \(\d+ \(fold \d\)"):
            compare(linear, other)
    with pytest.raises(UserError, match="of different outcomes, and their scores cannot be compared"):
        compare(linear, evaluate(ages, RIDGE, KFold(folds=3), seed=1))
    swapped = Study.from_arrays(study.volumes.volumes, ["patient", "control"] * 12)
    with pytest.raises(UserError, match=r"have different labels for 24 sessions \(0, 1, 10, 11, 12, and 19"):
        compare(linear, evaluate(swapped, RIDGE, KFold(folds=3), seed=1))


def test_correction_is_compared_with_none(ages):
    plain = evaluate(ages, RIDGE, KFold(folds=2))
    corrected = evaluate(ages, models.Ridge(num_components=0.9, inner_folds=2, debias=True), KFold(folds=2))
    raw = [name for name in corrected.scores if name not in plain.scores]
    assert len(raw) == 7
    assert all(name.endswith("_raw") for name in raw)
    table, turned = compare(plain, corrected), compare(corrected, plain)
    difference = corrected.scores["mae"].value - plain.scores["mae"].value
    for one, sign in ((table, 1), (turned, -1)):
        assert list(one.index) == list(corrected.scores)
        assert {str(dtype) for dtype in one.dtypes} == {"float64"}
        assert one.loc["mae", "difference"] == pytest.approx(sign * difference)
        assert one.loc[list(plain.scores), "mean_difference"].notna().all()
        assert one.loc[raw, ["difference", "p", "mean_difference", "sd_difference"]].isna().all(axis=None)
    for own, other in (("second", "first"), ("first", "second")):
        kept = (table if own == "second" else turned).loc[raw]
        assert kept[other].isna().all()
        np.testing.assert_array_equal(kept[own], [corrected.scores[name].value for name in raw])


def test_results_without_a_test_are_not_compared(study, linear):
    final = evaluate(study, RIDGE, All())
    for pair, named in (((final, final), "first and second"), ((final, linear), "first"), ((linear, final), "second")):
        with pytest.raises(UserError, match=rf"^no session was tested in {named}: All trains on every session"):
            compare(*pair)


def test_the_script_of_a_notebook(tmp_path, monkeypatch, capsys):
    """Twelve lines: a study from arrays, a network and a linear model on it, their scores, and two explanations."""
    monkeypatch.chdir(tmp_path)
    write_heads(Path("heads"))
    np.savez("arrays.npz", volumes=planted([0, 2] * 12), labels=["control", "patient"] * 12)
    small = cnn(epochs=2)
    script = """
import mri3d, numpy as np
arrays = np.load("arrays.npz")
study = mri3d.Study.from_arrays(arrays["volumes"], arrays["labels"])
splits = mri3d.KFold(folds=3)
linear = mri3d.evaluate(study, mri3d.models.LinearSVM(inner_folds=2), splits, seed=0)
network = mri3d.evaluate(study, small, splits, seed=0)
print({name: results.scores["auc"].value for name, results in {"linear": linear, "network": network}.items()})
print(mri3d.compare(linear, network))
heat = network.model.explain_arrays(arrays["volumes"][:1])
scans = mri3d.Study.from_table("study.csv", root="heads", resolution=16)
image = mri3d.fit(scans, mri3d.models.Ridge(inner_folds=2)).explain("heads/s01.nii")
image.to_filename("evidence.nii.gz")
"""
    assert len(script.strip().splitlines()) == 12
    names = {"small": small}
    exec(compile(script, "script", "exec"), names)
    said = capsys.readouterr().out
    assert f"'linear': {names['linear'].scores['auc'].value}" in said
    assert f"'network': {names['network'].scores['auc'].value}" in said
    assert "balanced_accuracy" in said, "in the comparison"
    assert names["heat"].shape == (1, *SHAPE)
    assert nib.load("evidence.nii.gz").shape == nib.load("heads/s01.nii").shape
