"""Variants of a model: options set on a copy, those that are none named by their path; and what a choice is of."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mri3d import Nested, Study, evaluate, models
from mri3d.errors import UserError
from mri3d.evaluation.grid_search import GridSearch
from mri3d.evaluation.splits import KFold
from mri3d.evaluation.variants import variant
from mri3d.models.model import TrainingSet
from tests.studies import class_study, cnn


@pytest.mark.parametrize(
    ("setting", "message", "told"),
    [
        (
            {"inner_folds": "many"},
            r"^inner_folds='many' is not a whole number",
            "model.inner_folds=many is not a whole number",
        ),
        (
            {"alfa": 1.0},
            r"^alfa is no option of Ridge\. Did you mean 'alpha'\? Its options: num",
            "model.alfa is no option",
        ),
    ],
)
def test_what_is_no_option_of_the_model_is_named(setting, message, told):
    with pytest.raises(UserError, match=message) as raised:
        GridSearch(models.Ridge(), [setting], KFold(folds=3))
    assert told in raised.value.on_command_line()


def test_options_within_options_are_set_on_a_copy():
    plain = cnn(lr=0.02)
    made = variant(plain, {"optimizer.lr": 0.5, "network.dropout": 0.4, "trainer.max_epochs": 7, "batch_size": 3})
    assert made.optimizer.keywords == {"lr": 0.5}
    assert made.network.keywords == plain.network.keywords | {"dropout": 0.4}
    assert made.trainer.keywords["max_epochs"] == 7
    assert (made.batch_size, plain.batch_size) == (3, 4)
    assert plain.optimizer.keywords == {"lr": 0.02}
    with pytest.raises(UserError, match=r"^dropuot is no option of SFCN\. Did you mean 'dropout'\?") as raised:
        variant(plain, {"network.dropuot": 0.4})
    assert raised.value.on_command_line().startswith("model.network.dropuot is no option")
    with pytest.raises(UserError, match=r"^batch_size='four' is not a whole number"):
        variant(plain, {"batch_size": "four"})
    with pytest.raises(UserError, match=r"^batch_size=0 is too small"):
        variant(plain, {"batch_size": 0})


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"augmentation.noise": 0.1}, "model.augmentation.noise is no option of NoneType. It has none."),
        ({"batch_size.x": 0.1}, "model.batch_size.x is no option of int. It has none."),
        ({"optimizer.lr": "high"}, "model.optimizer.lr=high is not a number."),
    ],
)
def test_what_has_no_options_and_what_is_no_value_is_named(setting, message):
    with pytest.raises(UserError) as raised:
        variant(models.CNN(augmentation=None), setting)
    assert raised.value.on_command_line() == message


@pytest.fixture
def fits(monkeypatch):
    """Note the name of every fit of a ridge."""
    names, fit = [], models.Ridge.fit

    def noted(model, training):
        names.append(training.name)
        fit(model, training)

    monkeypatch.setattr(models.Ridge, "fit", noted)
    return names


def search(*, inner=None, grid=(1.0, 10.0), **options):
    ridge = models.Ridge(**{"num_components": 0.9, "inner_folds": 2} | options)
    return GridSearch(ridge, [{"alpha": value} for value in grid], inner or KFold(folds=2, validation=0))


def rows_of(study, folder, **options):
    rows = {"train_rows": np.arange(18), "validation_rows": np.arange(18, 24)}
    given = {"volumes": study.volumes, "outcome": study.outcome, "targets": study.targets, "groups": np.arange(30)}
    return TrainingSet(**{**given, **rows, "seed": 3, "folder": folder} | options)


STUDY, OTHER = class_study(30), class_study(30, seed=8)


@pytest.mark.parametrize(
    ("model", "training", "same"),
    [
        ({}, {}, True),
        ({}, {"targets": np.where(np.arange(30) < 24, STUDY.targets, 1 - STUDY.targets)}, True),  # of test rows
        ({"normalize": True}, {}, False),
        ({"smoothing": 0.3}, {}, False),
        ({"standardize": True}, {}, False),
        ({"num_components": 0.5}, {}, False),
        ({"grid": (1.0, 20.0)}, {}, False),
        ({"inner": KFold(folds=2, repeats=2, validation=0)}, {}, False),
        ({}, {"seed": 4}, False),
        ({}, {"groups": np.arange(30) // 2}, False),
        ({}, {"targets": np.roll(STUDY.targets, 1)}, False),
        ({}, {"volumes": OTHER.volumes}, False),
        ({}, {"validation_rows": np.arange(18, 26)}, False),
    ],
)
def test_a_choice_is_taken_up_again_where_all_that_decides_it_is_the_same(tmp_path, fits, model, training, same):
    search().fit(rows_of(STUDY, tmp_path))
    fits.clear()
    again = search(**model)
    again.fit(rows_of(STUDY, tmp_path, **training))
    assert (len(fits) == 1) == same
    afresh = search(**model)
    afresh.fit(rows_of(STUDY, tmp_path / "afresh", **training))
    np.testing.assert_array_equal(again.search_.validation_scores, afresh.search_.validation_scores)
    np.testing.assert_array_equal(
        again.predict(OTHER.volumes, np.arange(30)), afresh.predict(OTHER.volumes, np.arange(30))
    )


@pytest.mark.parametrize("number", range(0, 400, 37))
def test_a_damaged_note_of_a_choice_is_no_choice(tmp_path, fits, number):
    first = search()
    first.fit(rows_of(STUDY, tmp_path))
    (path,) = tmp_path.rglob("*_inner.json")
    data = bytearray(path.read_bytes())
    data[number % len(data)] ^= 1 << number % 7
    path.write_bytes(data)
    fits.clear()
    again = search()
    again.fit(rows_of(STUDY, tmp_path))
    np.testing.assert_array_equal(again.search_.validation_scores, first.search_.validation_scores)
    assert len(fits) in (1, 5)  # a blank that became another changes nothing


def test_a_choice_of_an_earlier_version_is_made_again_and_not_called_damaged(tmp_path, fits, caplog):
    first = search()
    first.fit(rows_of(STUDY, tmp_path))
    (path,) = tmp_path.rglob("*_inner.json")
    note = json.loads(path.read_bytes())
    del note["sha256"]  # which mri3d 0.2 did not write
    path.write_text(json.dumps(note))
    fits.clear()
    again = search()
    again.fit(rows_of(STUDY, tmp_path))
    assert len(fits) == 5
    assert "damaged" not in caplog.text
    assert "sha256" in json.loads(path.read_bytes())
    np.testing.assert_array_equal(again.search_.validation_scores, first.search_.validation_scores)


def test_a_choice_among_networks_that_trained_for_longer_is_another(tmp_path, monkeypatch, one_core):
    names, fit = [], models.CNN.fit

    def noted(model, training):
        names.append(training.name)
        fit(model, training)

    monkeypatch.setattr(models.CNN, "fit", noted)

    def fitted(*, epochs=1, num_workers=0):
        names.clear()
        network = cnn(epochs=epochs, num_workers=num_workers)
        grid = GridSearch(network, [{"batch_size": 4}], KFold(folds=2, validation=0.2))
        grid.fit(replace(rows_of(STUDY, tmp_path), name="fold_1"))
        return len(names)

    assert fitted() == 3
    assert fitted() == 1
    assert fitted(num_workers=1) == 1, "how many processes load volumes changes nothing"
    assert fitted(epochs=2) == 3


def test_what_a_search_saves_is_the_chosen_variant():
    with pytest.raises(TypeError, match="holds the variant that was chosen, never the search"):
        GridSearch.load(None)


def test_inner_folds_whose_rows_cannot_be_scored_are_refused_by_name():
    ages = [30.0] * 20 + [20.0, 40.0, 25.0, 50.0]
    volumes = np.random.default_rng(0).normal(size=(24, 7, 8, 9))
    study = Study.from_arrays(volumes, ages, task="regression", name="age")
    nested = Nested(folds=2, validation=0, inner_folds=4, grid={"normalize": [True, False]})
    told = r"^inner fold \d holds out no two different values of age, so its variants cannot be scored"
    with pytest.raises(UserError, match=told):
        evaluate(study, models.Ridge(num_components=0.9, alpha=1.0), nested)
