"""Choices are made inside the training rows of each fold, and are what scikit-learn's grid search would make."""

from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mri3d.errors import UserError
from mri3d.evaluation.crossvalidation import cross_validate, make_tasks
from mri3d.evaluation.nested import Candidates, Nested
from mri3d.evaluation.splits import KFold

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
