"""Options of a network are chosen on the training rows alone; a choice that was cut off goes on to the same bits."""

import logging
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mri3d.evaluation.grid_search import GridSearch
from mri3d.evaluation.splits import KFold
from mri3d.models import CNN
from mri3d.models.model import TrainingSet
from tests.studies import class_study, cnn, weights

RATES = [{"optimizer.lr": 1e-7}, {"optimizer.lr": 0.02}]
TRAIN, VALIDATION = np.arange(0, 24), np.arange(24, 36)


def training_of(folder: Path) -> TrainingSet:
    """Learn from 36 of 48 volumes."""
    study = class_study(48, effect=4.0)
    groups = np.arange(48)
    return TrainingSet(study.volumes, study.outcome, study.targets, groups, TRAIN, VALIDATION, 3, folder)


@pytest.fixture
def fits(monkeypatch):
    """Note every training set that a network is fitted on."""
    trainings, fit = [], CNN.fit

    def noted(model, training):
        trainings.append(training)
        fit(model, training)

    monkeypatch.setattr(CNN, "fit", noted)
    return trainings


def networks(settings=RATES, *, epochs=3):
    return GridSearch(cnn(epochs=epochs, augmentation="default"), settings, KFold(folds=2, validation=0.2))


def test_network_is_chosen_on_all_rows_but_the_test_rows_and_fitted_again_on_them(tmp_path, fits, caplog, one_core):
    made = replace(training_of(tmp_path / "run"), name="fold_1")
    search = networks()
    with caplog.at_level(logging.INFO, logger="mri3d"):
        search.fit(made)
    lines = [record.getMessage() for record in caplog.records]
    rows = np.union1d(made.train_rows, made.validation_rows)
    inner, whole = fits[:4], fits[4:]
    for number, (training, (_, held_out)) in enumerate(zip(inner, 2 * search._inner(made), strict=True)):
        assert training.name == f"fold_1_inner/point_{number // 2}_fold_{number % 2}"
        assert training.inner
        assert len(training.validation_rows) == pytest.approx(0.2 * 18, abs=1)
        parts = np.concatenate([training.train_rows, training.validation_rows, held_out])
        np.testing.assert_array_equal(np.sort(parts), rows)
    assert whole == [made]
    (found,) = search.last_search()
    assert found.chosen == {"optimizer.lr": 0.02}, "the other hardly moves"
    alone = cnn(epochs=3, lr=0.02, augmentation="default")
    alone.fit(replace(made, folder=tmp_path / "alone"))
    assert weights(search.model_) == weights(alone)
    np.testing.assert_array_equal(
        search.predict(made.volumes, np.arange(36, 48)), alone.predict(made.volumes, np.arange(36, 48))
    )
    left = {str(path.relative_to(tmp_path / "run")) for path in (tmp_path / "run").glob("*/*")}
    assert left == {"checkpoints/fold_1", "checkpoints/fold_1_inner.json", "tensorboard/fold_1"}
    assert sum(line.startswith("network\n") for line in lines) == 1
    assert sum(line.startswith("epoch ") for line in lines) == 3
    assert sum(bool(re.match(r"inner folds: AUC \d\.\d{3} \(training \d\.\d{3}\) with", line)) for line in lines) == 2


class CutOffError(Exception):
    """Stands for the machine going down."""


@pytest.fixture(scope="module")
def whole_choice(tmp_path_factory, one_core):
    """Choose and fit without being cut off."""
    search = networks(epochs=2)
    search.fit(training_of(tmp_path_factory.mktemp("whole")))
    return search


@pytest.mark.parametrize(("at", "num_again"), [(2, 5), (4, 1)])
def test_choice_that_was_cut_off_goes_on_to_the_same_bits(
    tmp_path, fits, monkeypatch, at, num_again, one_core, whole_choice
):
    expected = whole_choice
    fits.clear()

    def cut_off(learner, optimizer):
        if len(fits) == at + 1 and learner.current_epoch == 1:
            raise CutOffError

    cut = training_of(tmp_path / "cut")
    with monkeypatch.context() as patch, pytest.raises(CutOffError):  # noqa: PT012
        patch.setattr("mri3d.models.network.learner.Learner.on_before_optimizer_step", cut_off)
        networks(epochs=2).fit(cut)
    assert (tmp_path / "cut/checkpoints/fold_0_inner").exists() == (at < 4)
    fits.clear()
    again = networks(epochs=2)
    again.fit(cut)
    assert len(fits) == num_again
    (search,), (expected_search,) = again.last_search(), expected.last_search()
    np.testing.assert_array_equal(search.validation_scores, expected_search.validation_scores)
    np.testing.assert_array_equal(search.train_scores, expected_search.train_scores)
    assert weights(again.model_) == weights(expected.model_)
    fits.clear()
    for left in (tmp_path / "cut/checkpoints").glob("*.ckpt"):
        left.unlink()  # of another learning rate: to go on from it is refused
    networks([{"optimizer.lr": 0.01}], epochs=2).fit(cut)
    assert len(fits) == 3, "a choice from other settings is no choice from these"
