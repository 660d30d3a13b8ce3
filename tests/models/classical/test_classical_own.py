"""A classical model of one's own says itself what it predicts and what its parameters may be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from mri3d.models.classical.decisions import fit_ridge
from mri3d.models.classical.models import CLASSICAL, KNN, ClassicalModel, Logistic, Ridge
from mri3d.models.loading import MODELS
from tests.models.planted import AGE, fitted, training_of
from tests.models.refusals import refused


@dataclass(kw_only=True)
class Damped(ClassicalModel):
    """Ridge with a parameter that is called as the neighbours of KNN are, and may be 0 or any number."""

    k: float | Sequence[float] = (0.0, 50.5, 1000.0)

    name = "damped"
    tasks = ("regression",)

    def decision_parameters(self):
        """Return k."""
        return {"k": self.k}

    def fit_decisions(self, scores, columns, settings, *, memberships):
        """Solve for each k."""
        return fit_ridge(scores, columns, [setting["k"] for setting in settings], memberships=memberships)

    def check_setting(self, setting, num_rows):
        """Take 0 too."""
        assert setting["k"] >= 0


def test_parameters_are_what_the_model_lets_them_be(measured, caplog):
    model = fitted(Damped(num_components=4), training_of(measured, outcome=AGE))
    assert [point["k"] for point in model.search_.points] == [0.0, 50.5, 1000.0], "1000 is no number of rows"
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    expected = fitted(Ridge(num_components=4, alpha=50.5), training_of(measured, outcome=AGE))
    mine = fitted(Damped(num_components=4, k=50.5), training_of(measured, outcome=AGE))
    np.testing.assert_array_equal(mine.predict(measured[0], np.arange(5)), expected.predict(measured[0], np.arange(5)))


@pytest.mark.parametrize(("k", "needed"), [(1, 1), (25, 25)])
def test_neighbours_need_as_many_rows_and_other_models_need_one(k, needed):
    assert KNN(k=k).rows_needed({"k": k}) == needed
    assert Ridge().rows_needed({"alpha": 25}) == 1


def test_a_model_of_a_measure_only_refuses_classes_and_names_the_others(two):
    told = r"^model=damped predicts a measure only, and task=classification asks for classes\. Use ridge, linear_svm, "
    with refused(told + r"rbf_svm, knn, logistic, or a network\.$"):
        Damped().check(training_of(two))


def test_a_model_of_classes_only_names_the_models_of_a_measure(measured):
    told = r"^model=logistic predicts classes only, and task=regression asks for a measure\. Use ridge, linear_svm, "
    with refused(told + r"rbf_svm, knn, or a network\.$"):
        Logistic().check(training_of(measured, outcome=AGE))


@pytest.mark.parametrize("name", [name for name in MODELS if name != "cnn"])
def test_what_is_named_can_be_loaded(name):
    assert MODELS[name] in CLASSICAL
    assert MODELS[name].name == name


@pytest.mark.parametrize(
    ("model", "chooses"),
    [
        (Ridge(), True),
        (Ridge(alpha=1.0, num_components=0.9), False),
        (Ridge(alpha=[1.0, 2.0], num_components=0.9), True),
        (KNN(k=3, num_components=[None, 5]), True),
        (KNN(k=[3], num_components=[5]), False),
    ],
)
def test_a_model_chooses_where_a_parameter_has_several_values(model, chooses, two):
    assert model.chooses is chooses
    assert bool(fitted(model, training_of(two)).last_search()) is chooses
