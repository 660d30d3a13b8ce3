"""Intervals that are widened by what fits within folds show: the same as fitting each by hand."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from mri3d import All, Holdout, KFold, evaluate, models
from mri3d.errors import UserError
from mri3d.evaluation.comparison import JudgedModel
from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.evaluation.judging import judge
from mri3d.evaluation.nested_widening import nested_widening
from mri3d.evaluation.splitting import splits_text
from tests.evaluation.peer import Peer, flat, peer_study
from tests.studies import age_study, class_study, cnn


def judged(study, splits, tmp_path, model=None):
    return judge(CrossValidation.of(study, model or Peer(), splits, seed=7, folder=tmp_path))


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_factor_is_that_of_fits_on_all_pairs_of_folds(task, tmp_path):
    study = peer_study() if task == "classification" else age_study(30)
    results = judged(study, KFold(folds=3, repeats=2, validation=0, intervals="nested"), tmp_path)

    def errors(train, test):
        if task == "regression":
            fitted = LinearRegression().fit(flat(study.volumes, train), study.targets[train])
            return np.abs(fitted.predict(flat(study.volumes, test)) - study.targets[test])
        fitted = LogisticRegression().fit(flat(study.volumes, train), study.targets[train])
        proba = fitted.predict_proba(flat(study.volumes, test))
        found = ((proba - np.eye(2)[study.targets[test]]) ** 2).sum(axis=1) / 2
        groups = study.groups[test]
        return np.array([found[groups == group].mean() for group in np.unique(groups)])

    outer, inner = [], []
    for repeat in range(2):
        folds = [result.fold for result in results.folds if result.fold.repeat == repeat]
        for fold in folds:
            outer.append(errors(fold.train_rows, fold.test_rows))
            others = [other for other in folds if other is not fold]
            inner.append(
                np.concatenate(
                    [errors(np.setdiff1d(fold.train_rows, other.test_rows), other.test_rows) for other in others]
                )
            )
    factor = nested_widening(outer, inner, num_folds=3)
    assert results.widening == pytest.approx(factor)
    told = results.metrics(num_subjects={}, seconds={})["intervals"]
    assert (told["widening"], told["measured"]) == (pytest.approx(factor), True)


def test_intervals_are_so_much_wider_and_those_of_differences_too(tmp_path):
    study = peer_study()
    usual, measured = (
        judged(study, KFold(folds=3, validation=0, intervals=name), tmp_path) for name in ("nadeau_bengio", "nested")
    )
    name = "log_loss" if "log_loss" in usual.scores else "brier"
    widths = [one.scores[name].high - one.scores[name].value for one in (usual, measured)]
    assert usual.sampling.widening == pytest.approx(np.sqrt(1 + 3 / 2), rel=0.02)
    assert 1 <= measured.sampling.widening <= np.sqrt(3)
    assert widths[0] > 0
    assert JudgedModel.of(measured).sampling.widening == measured.widening


@pytest.mark.parametrize("splits", [KFold(folds=2, intervals="nested"), Holdout(intervals="nested")])
def test_fewer_than_three_folds_are_refused_before_training(splits, tmp_path):
    model = Peer()
    with pytest.raises(UserError, match=r"^intervals='nested' cross-validates the other folds .* three or more"):
        judged(peer_study(), splits, tmp_path, model)
    assert model.trainings == []


def test_what_cannot_be_learnt_from_within_folds_is_refused_before_training():
    model = models.KNN(k=3, num_components=10)
    with pytest.raises(UserError, match="num_components=10 is impossible"):
        evaluate(class_study(18), model, KFold(folds=3, validation=0, intervals="nested"))


@pytest.mark.parametrize("value", ["bates", ""])
def test_a_misspelt_way_is_refused(value):
    with pytest.raises(UserError, match=r"is no way to widen intervals. Give nadeau_bengio or nested"):
        KFold(intervals=value)


def test_networks_leave_nothing_of_their_fits_within_folds(tmp_path):
    study = class_study(60)
    evaluate(study, cnn(epochs=1), KFold(folds=3, intervals="nested"), folder=tmp_path)
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} >= {"fold_0", "fold_1", "fold_2"}
    assert not [path for path in tmp_path.rglob("*.ckpt") if "without" in str(path)]


def test_splits_are_written_as_before_unless_something_newer_is_set():
    assert splits_text(KFold()) == "KFold(folds=5, repeats=1, validation=0.2)"
    assert splits_text(All()) == "All(validation=0.2)"
    newer = splits_text(KFold(seeds=2, intervals="nested"))
    assert newer == "KFold(seeds=2, intervals='nested', folds=5, repeats=1, validation=0.2)"


def test_nested_widening_is_the_distance_of_what_both_estimate():
    outer = [np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0])]
    # naive variance: 1.1 of six errors, / 6; of a mean of three tests: 1 / 3; (K - 1) / K is 1 / 2
    for inner, factor in (
        ([4.0, 1.0], np.sqrt(2)),  # at most the root of the number of folds
        ([2.8, 2.2], np.sqrt(max(1.0, (0.8**2 - 1 / 3) / 2 / (1.1 / 6)))),
        ([2.9, 2.1], np.sqrt((0.9**2 - 1 / 3) / 2 / (1.1 / 6))),
        ([2.0, 3.0], 1.0),
    ):
        errors = [np.array([error]) for error in inner]
        assert nested_widening(outer, errors, num_folds=2) == pytest.approx(factor)
        assert nested_widening(outer * 9, errors * 9, num_folds=2) == pytest.approx(factor, rel=0.1)  # nine splits
