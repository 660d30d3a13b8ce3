"""Evidence of one model and of several, and the names of what can be asked for."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mri3d.explain.evidence import KINDS, Evidence, Method

ONE = np.array([-4.0, 0.0, 2.0, 1.0], np.float32).reshape(1, 2, 2)
OTHER = np.array([2.0, 0.0, 4.0, 1.0], np.float32).reshape(1, 2, 2)


def test_heat_is_in_units_of_the_strongest_with_its_signs_and_its_zero():
    assert Evidence(ONE).strongest == 4.0
    assert_array_equal(Evidence(ONE).heat.ravel(), np.float32([-1, 0, 0.5, 0.25]))
    assert_array_equal(Evidence(OTHER).heat.ravel(), np.float32([0.5, 0, 1, 0.25]))
    assert Evidence(ONE).heat.dtype == np.float32


def test_there_is_no_heat_where_there_is_no_evidence():
    assert Evidence(0 * ONE).strongest == 0.0
    assert_array_equal(Evidence(0 * ONE).heat, np.zeros((1, 2, 2)))


def test_one_model_s_evidence_has_no_spread():
    alone = Evidence.mean([Evidence(ONE, {"num_steps": 16, "change": -2.0})])
    assert_array_equal(alone.values, ONE)
    assert alone.facts == {"num_steps": 16, "change": -2.0}
    assert alone.spread is None


def test_the_evidence_of_several_models_is_their_mean_with_their_standard_deviation():
    found = [Evidence(ONE, {"num_blocks": 8}), Evidence(OTHER, {"num_blocks": 32}), Evidence(OTHER, {"num_blocks": 16})]
    mean = Evidence.mean(found)
    assert_allclose(mean.values.ravel(), [0, 0, 10 / 3, 1], rtol=1e-6)
    assert_allclose(mean.spread.ravel(), np.std([[-4, 0, 2, 1], [2, 0, 4, 1], [2, 0, 4, 1]], axis=0, ddof=1), rtol=1e-6)
    assert (mean.values.dtype, mean.spread.dtype) == (np.float32, np.float32)
    assert mean.facts == {"num_blocks": 32}


def test_the_largest_error_counts_and_the_mean_change_is_what_the_mean_adds_up_to():
    facts = [{"completeness_error": 0.01, "change": -1.0}, {"completeness_error": 0.04, "change": 7.0}]
    mean = Evidence.mean([Evidence(ONE, facts[0]), Evidence(OTHER, facts[1])])
    assert mean.values.sum() == 3.0
    assert mean.facts == {"completeness_error": 0.04, "change": 3.0}


def test_evidence_elsewhere_is_left_out_of_values_and_spread():
    inside = np.array([True, False, False, True]).reshape(1, 2, 2)
    left = Evidence(ONE, {"num_blocks": 8}, OTHER).within(inside)
    assert_array_equal(left.values.ravel(), [-4, 0, 0, 1])
    assert_array_equal(left.spread.ravel(), [2, 0, 0, 1])
    assert (left.values.dtype, left.spread.dtype) == (np.float32, np.float32)
    assert left.facts == {"num_blocks": 8}
    assert Evidence(ONE).within(inside).spread is None


@pytest.mark.parametrize("name", KINDS)
def test_each_way_says_what_its_values_are_and_in_which_unit(name):
    kind = KINDS[name]
    assert kind.title
    assert kind.value
    assert kind.unit.format("years").count("years") == (name != "gradcam")
    assert kind.adds_up == (name == "integrated_gradients")
    assert str(Method(name)) == kind.title
    assert str(Method(name, "net.layer3")) == f"{kind.title} of net.layer3"
