"""Choices are made inside the training rows of each fold, and are what scikit-learn's grid search would make."""

from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.linear_model import Ridge as Penalised
from sklearn.metrics import r2_score, roc_auc_score

from mri3d import models
from mri3d.errors import UserError
from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.evaluation.folds import Sample
from mri3d.evaluation.nested import Nested
from mri3d.evaluation.splits import KFold
from mri3d.study import Study
from tests.evaluation.peer import Double, flat

CLASSES = ("control", "patient")
GRID = {"C": [1e-4, 1.0, 1e4]}
SETTINGS = [{"C": 1e-4}, {"C": 1.0}, {"C": 1e4}]


@dataclass
class Peer(Double):
    """One of scikit-learn's penalised models on a few voxels, with what the loop asks for."""

    C: float = 1.0

    def identity(self, *, length=True):
        """Have one option."""
        return f"peer {self.C}"

    def check(self, training):
        """Refuse one value by name."""
        if self.C < 0:
            raise UserError(f"C={self.C} is negative.")

    def fit(self, training):
        """Ask scikit-learn."""
        self.training_ = training
        rows = training.train_rows
        made = estimator(training.outcome.task, self.C)
        self.estimator_ = made.fit(flat(training.volumes, rows), training.targets[rows])

    def predict(self, volumes, rows):
        """Ask scikit-learn."""
        return predicted(self.estimator_, flat(volumes, rows))


def estimator(task, C):
    return LogisticRegression(C=C, max_iter=1000) if task == "classification" else Penalised(1 / C)


def predicted(fitted, values):
    return fitted.predict_proba(values) if isinstance(fitted, LogisticRegression) else fitted.predict(values)


@pytest.fixture
def study():
    random = np.random.default_rng(1)
    targets = random.permutation(np.repeat([0, 1], [30, 25]))
    volumes = random.normal(size=(55, 40)) + 0.6 * targets[:, None] * (np.arange(40) < 3)
    labels = [CLASSES[target] for target in targets]
    return Study.from_arrays(volumes.reshape(55, 2, 4, 5), labels, groups=np.arange(55) // 2)


@pytest.fixture
def ages():
    random = np.random.default_rng(2)
    values = random.uniform(20, 80, 60)
    volumes = random.normal(size=(60, 40)) + 0.02 * values[:, None] * (np.arange(40) < 5)
    return Study.from_arrays(volumes.reshape(60, 2, 4, 5), values, task="regression", groups=np.arange(60) // 2)


def validation_of(study, folder, model=None, **options: object):
    splits = Nested(folds=3, validation=0.0, **{"grid": GRID, "inner_folds": 4} | options)
    return CrossValidation.of(study, model or Peer(), splits, seed=7, folder=folder)


@pytest.mark.parametrize("which", ["study", "ages"])
def test_each_fold_takes_the_setting_with_the_best_mean_inner_score(which, request, tmp_path):
    study = request.getfixturevalue(which)
    criterion = {"study": "auc", "ages": "r2"}[which]

    def judge(fitted, rows):
        values = predicted(fitted, flat(study.volumes, rows))
        return (
            roc_auc_score(study.targets[rows], values[:, 1])
            if which == "study"
            else r2_score(study.targets[rows], values)
        )

    validation = validation_of(study, tmp_path)
    results = validation.run()
    for training, result in zip(validation.trainings, results.folds, strict=True):
        targets, groups = training.targets[training.train_rows], training.groups[training.train_rows]
        inner = KFold(folds=4, validation=0.0).split(Sample(study.outcome, targets, groups), seed=training.seed)
        expected = np.zeros((3, 4))
        for (number, setting), (k, fold) in ((s, f) for s in enumerate(SETTINGS) for f in enumerate(inner)):
            train, held_out = training.train_rows[fold.train_rows], training.train_rows[fold.test_rows]
            model = estimator(study.outcome.task, setting["C"]).fit(flat(study.volumes, train), study.targets[train])
            expected[number, k] = judge(model, held_out)
        (search,) = result.fits[0].searches
        np.testing.assert_allclose(search.validation_scores, expected)
        assert search.criterion == criterion
        assert result.fits[0].chosen == SETTINGS[expected.mean(axis=1).argmax()]
        whole = estimator(study.outcome.task, result.fits[0].chosen["C"])
        whole.fit(flat(study.volumes, training.train_rows), study.targets[training.train_rows])
        test = result.fold.test_rows
        np.testing.assert_allclose(result.predictions, predicted(whole, flat(study.volumes, test)))
    counts = results.chosen_counts["C"]
    assert sum(counts.values()) == 3
    assert counts == results.metrics(num_subjects={}, seconds={})["chosen"]["C"]
    rows = results.search_rows()
    assert len(rows) == 3 * 3 * 4
    assert list(rows[0]) == ["fold", "search", "C", "inner_fold", f"train_{criterion}", f"validation_{criterion}"]


def test_inner_folds_keep_groups_whole_and_see_no_test_row(study, tmp_path):
    validation = validation_of(study, tmp_path)
    for fold, training in zip(validation.folds, validation.trainings, strict=True):
        held_out_rows = []
        for inner, held_out in validation.model._inner(training):
            assert not np.intersect1d(inner.groups[inner.train_rows], inner.groups[held_out]).size
            assert not np.intersect1d(np.union1d(inner.train_rows, held_out), fold.test_rows).size
            held_out_rows.extend(held_out)
        assert sorted(held_out_rows) == training.train_rows.tolist()


def test_grid_spans_all_settings_and_impossible_ones_are_refused_beforehand(study, tmp_path):
    grid = {"a": [1, 2], "b.c": ["x", None]}
    assert Nested(grid=grid).settings == [
        {"a": 1, "b.c": "x"}, {"a": 1, "b.c": None}, {"a": 2, "b.c": "x"}, {"a": 2, "b.c": None},
    ]  # fmt: skip
    for empty in ([], 3):
        with pytest.raises(UserError, match=r"^grid: a has .* no list of values") as raised:
            _ = Nested(grid={"a": empty}).settings
        assert raised.value.on_command_line().startswith("evaluation.grid: a has")
    with pytest.raises(UserError, match=r"C=-1 is negative"):
        validation_of(study, tmp_path, grid={"C": [1.0, -1]})
    with pytest.raises(UserError, match=r"fewer than the 17 that"):
        validation_of(study, tmp_path, inner_folds=17)
    with pytest.raises(UserError, match=r"^inner_folds=4 is for grid, and there is none") as raised:
        Nested(inner_folds=4)
    assert "evaluation.inner_folds=4 is for evaluation.grid, and there is none" in raised.value.on_command_line()


def test_without_a_grid_the_model_itself_is_fitted(caplog):
    model = Peer()
    assert Nested().tuned(model) is model
    assert [record.getMessage() for record in caplog.records] == [
        "nested evaluation chooses nothing for peer without a grid: it is k-fold"
    ]


@pytest.mark.parametrize(
    ("model", "warns"),
    [
        (models.CNN(), True),
        (models.Ridge(), False),
        (models.Ridge(alpha=1.0, num_components=0.9), True),
        (models.RBFSVM(C=1.0, gamma=[0.1, 1.0], num_components=0.9), False),
    ],
    ids=["cnn", "default grid", "no grid", "one list"],
)
def test_without_a_grid_models_with_nothing_to_choose_are_told_of(model, warns, caplog):
    assert Nested().tuned(model) is model
    told = f"nested evaluation chooses nothing for {model.name} without a grid: it is k-fold"
    assert [record.getMessage() for record in caplog.records] == [told] * warns


def test_a_search_is_called_as_its_model_and_chooses():
    search = Nested(grid={"alpha": [0.1, 1.0]}).tuned(models.Ridge())
    assert (search.name, search.chooses, search.uses_components) == ("ridge", True, True)


def test_the_peer_of_a_measure_is_told_by_its_penalty(ages):
    """Guard the tests above: with these data the settings differ."""
    values, targets = flat(ages.volumes, range(60)), ages.targets
    found = {C: Penalised(1 / C).fit(values[:40], targets[:40]).score(values[40:], targets[40:]) for C in GRID["C"]}
    assert len({round(score, 3) for score in found.values()}) == 3
    assert LinearRegression().fit(values[:40], targets[:40]).score(values[40:], targets[40:]) < max(found.values())
