"""Variants of a model: options set on a copy, and those that are none named by their path."""

import numpy as np
import pytest

from mri3d import Nested, Study, evaluate, models
from mri3d.errors import UserError
from mri3d.evaluation.grid_search import GridSearch, variant
from mri3d.evaluation.splits import KFold
from tests.studies import cnn


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
