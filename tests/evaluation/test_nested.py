"""Choices are made inside the training rows of each fold, and are what scikit-learn's grid search would make."""

import logging
from dataclasses import dataclass, replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mri3d.errors import UserError
from mri3d.evaluation.crossvalidation import cross_validate, make_tasks
from mri3d.evaluation.nested import Candidates, Nested
from mri3d.evaluation.splits import KFold
from mri3d.models.network.cnn import CNN
from tests.models.blobs import cnn
from tests.models.blobs import task as blob_task

CLASSES = ("control", "patient")
SETTINGS = [{"C": 1e-4}, {"C": 1.0}, {"C": 1e4}]


@dataclass
class Logistic:
    """Logistic regression of a few columns, with what the loop asks for."""

    C: float

    def check(self, task):
        """Refuse one value by name."""
        if self.C < 0:
            raise UserError(f"model.C={self.C} is negative.")

    def fit(self, task):
        """Ask scikit-learn."""
        self.task_ = task
        rows = task.train_rows
        self.model_ = LogisticRegression(C=self.C, max_iter=1000).fit(task.volumes[rows], task.targets[rows])

    def predict_proba(self, volumes, rows):
        """Ask scikit-learn."""
        return self.model_.predict_proba(volumes[rows])

    def history(self):
        """Have no epochs."""
        return []

    def last_search(self):
        """Choose nothing by itself."""


@pytest.fixture
def study(tmp_path):
    random = np.random.default_rng(1)
    targets = random.permutation(np.repeat([0, 1], [30, 25]))
    volumes = random.normal(size=(55, 40)) + 0.6 * targets[:, None] * (np.arange(40) < 3)
    groups = np.arange(55) // 2
    folds = KFold(folds=3, validation=0.0).split(targets, groups, classes=CLASSES, seed=0)
    return folds, make_tasks(volumes, targets, groups, folds, classes=CLASSES, folder=tmp_path, seed=7)


def candidates(settings=SETTINGS):
    return Candidates(settings, [Logistic(**setting) for setting in settings], inner_folds=4, validation=0.0)


def test_each_fold_takes_the_setting_with_the_best_mean_inner_auc(study):
    folds, tasks = study
    evaluation = cross_validate(candidates(), folds, tasks)
    for task, result in zip(tasks, evaluation.folds, strict=True):
        inner = KFold(folds=4, validation=0.0).split(
            task.targets[task.train_rows], task.groups[task.train_rows], classes=CLASSES, seed=task.seed
        )
        expected = np.zeros((3, 4))
        for (number, setting), (k, fold) in ((s, f) for s in enumerate(SETTINGS) for f in enumerate(inner)):
            train, held_out = task.train_rows[fold.train_rows], task.train_rows[fold.test_rows]
            model = LogisticRegression(C=setting["C"], max_iter=1000).fit(task.volumes[train], task.targets[train])
            expected[number, k] = roc_auc_score(
                task.targets[held_out], model.predict_proba(task.volumes[held_out])[:, 1]
            )
        (search,) = result.searches
        np.testing.assert_allclose(search.validation_scores, expected)
        assert result.chosen == SETTINGS[expected.mean(axis=1).argmax()]
        whole = LogisticRegression(C=result.chosen["C"], max_iter=1000)
        whole.fit(task.volumes[task.train_rows], task.targets[task.train_rows])
        np.testing.assert_allclose(result.proba, whole.predict_proba(task.volumes[result.fold.test_rows]))
    counts = evaluation.chosen_counts["C"]
    assert sum(counts.values()) == 3
    assert counts == evaluation.metrics_json(num_subjects={}, seconds={})["chosen"]["C"]
    rows = evaluation.search_rows()
    assert len(rows) == 3 * 3 * 4
    assert list(rows[0]) == ["fold", "search", "C", "inner_fold", "train_auc", "validation_auc"]


def test_inner_folds_keep_groups_whole_and_see_no_test_row(study):
    folds, tasks = study
    for fold, task in zip(folds, tasks, strict=True):
        held_out_rows = []
        for inner, held_out in candidates()._inner(task):
            assert not np.intersect1d(inner.groups[inner.train_rows], inner.groups[held_out]).size
            assert not np.intersect1d(np.union1d(inner.train_rows, held_out), fold.test_rows).size
            held_out_rows.extend(held_out)
        assert sorted(held_out_rows) == task.train_rows.tolist()


def test_grid_spans_all_settings_and_impossible_ones_are_refused_beforehand(study):
    grid = {"a": [1, 2], "b.c": ["x", None]}
    assert Nested(grid=grid).settings == [
        {"a": 1, "b.c": "x"}, {"a": 1, "b.c": None}, {"a": 2, "b.c": "x"}, {"a": 2, "b.c": None},
    ]  # fmt: skip
    for empty in ([], 3):
        with pytest.raises(UserError, match=r"evaluation\.grid: a has .* no list of values"):
            _ = Nested(grid={"a": empty}).settings
    with pytest.raises(UserError, match=r"model\.C=-1 is negative"):
        candidates([{"C": 1.0}, {"C": -1}]).check(study[1][0])
    few = Candidates(SETTINGS, [], inner_folds=17, validation=0.0)
    with pytest.raises(UserError, match=r"fewer than the 17 that"):
        few.check(study[1][0])
    with pytest.raises(UserError, match=r"evaluation\.inner_folds=4 is for evaluation\.grid, and there is none"):
        Nested(inner_folds=4)


RATES = [{"lr": 1e-7}, {"lr": 0.02}]


@pytest.fixture
def fits(monkeypatch):
    """Note every task that a network is fitted on."""
    tasks, fit = [], CNN.fit

    def noted(classifier, task):
        tasks.append(task)
        fit(classifier, task)

    monkeypatch.setattr(CNN, "fit", noted)
    return tasks


def networks():
    return Candidates(RATES, [cnn(epochs=3, **setting) for setting in RATES], inner_folds=2, validation=0.2)


def weights(classifier):
    return {name: tensor.numpy().tobytes() for name, tensor in classifier.network_.state_dict().items()}


def test_network_is_chosen_on_all_rows_but_the_test_rows_and_fitted_again_on_them(tmp_path, fits, caplog, one_core):
    made = replace(blob_task(tmp_path / "run"), name="fold_1")
    candidates = networks()
    with caplog.at_level(logging.INFO, logger="mri3d"):
        classifier, search = candidates.fit(made)
    rows = np.union1d(made.train_rows, made.validation_rows)
    inner, whole = fits[:4], fits[4:]
    for number, (task, (_, held_out)) in enumerate(zip(inner, 2 * candidates._inner(made), strict=True)):
        assert task.name == f"fold_1_inner/point_{number // 2}_fold_{number % 2}"
        assert len(task.validation_rows) == pytest.approx(0.2 * 18, abs=1)
        parts = np.concatenate([task.train_rows, task.validation_rows, held_out])
        np.testing.assert_array_equal(np.sort(parts), rows)
    assert whole == [made]
    assert search.chosen == {"lr": 0.02}, "the other hardly moves"
    alone = cnn(epochs=3, lr=0.02)
    alone.fit(replace(made, folder=tmp_path / "alone"))
    assert weights(classifier) == weights(alone)
    left = {str(path.relative_to(tmp_path / "run")) for path in (tmp_path / "run").glob("*/*")}
    assert left == {"checkpoints/fold_1", "checkpoints/fold_1_inner.json", "tensorboard/fold_1"}
    lines = [record.getMessage() for record in caplog.records]
    assert sum(line.startswith("network\n") for line in lines) == 1
    assert sum(line.startswith("epoch ") for line in lines) == 3


class CutOffError(Exception):
    """Stands for the machine going down."""


@pytest.mark.parametrize(("at", "num_again"), [(2, 5), (4, 1)])
def test_choice_that_was_cut_off_goes_on_to_the_same_bits(tmp_path, fits, monkeypatch, at, num_again, one_core):
    expected, expected_search = networks().fit(blob_task(tmp_path / "whole"))
    fits.clear()

    def cut_off(learner, optimizer):
        if len(fits) == at + 1 and learner.current_epoch == 1:
            raise CutOffError

    cut = blob_task(tmp_path / "cut")
    with monkeypatch.context() as patch, pytest.raises(CutOffError):  # noqa: PT012
        patch.setattr("mri3d.models.network.learner.Learner.on_before_optimizer_step", cut_off)
        networks().fit(cut)
    assert (tmp_path / "cut/checkpoints/fold_0_inner").exists() == (at < 4)
    fits.clear()
    classifier, search = networks().fit(cut)
    assert len(fits) == num_again
    np.testing.assert_array_equal(search.validation_scores, expected_search.validation_scores)
    np.testing.assert_array_equal(search.train_scores, expected_search.train_scores)
    assert weights(classifier) == weights(expected)
    fits.clear()
    other = Candidates([{"lr": 0.01}], [cnn(epochs=3, lr=0.01)], inner_folds=2, validation=0.2)
    other.fit(cut)
    assert len(fits) == 3, "a choice from other settings is no choice from these"
