"""How wrong each prediction is: what tables of tests are ordered by."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from mri3d.outcome import Classes, Measure


def test_a_prediction_misses_by_what_the_true_class_lacks():
    proba, truth = np.array([[0.7, 0.3], [0.2, 0.8], [0.5, 0.5]]), np.array([0, 0, 1])
    outcome = Classes(("F", "M"))
    assert_allclose(outcome.misses(truth, proba), [0.3, 0.8, 0.5])
    assert outcome.hits(truth, proba).tolist() == [True, False, False]


def test_a_value_misses_by_its_distance_and_is_neither_right_nor_wrong():
    told = np.array([30.0, 40.0]), np.array([33.0, 35.0])
    assert_array_equal(Measure("age").misses(*told), [3.0, 5.0])
    assert Measure("age").hits(*told) is None
