"""Who is sorted where when a class is predicted."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mri3d.outcome import Classes, Measure, Threshold

TWO, THREE = Classes(("control", "patient")), Classes(("a", "b", "c"))
TARGETS = np.array([0, 0, 1, 1])
PROBA = np.array([[0.9, 0.1], [0.6, 0.4], [0.65, 0.35], [0.2, 0.8]])


def test_the_positive_one_of_two_classes_comes_first():
    patient, control = TWO.predicted_classes(TARGETS, PROBA, prevalence=None)
    assert (patient.name, patient.rate, patient.value) == ("patient", "sensitivity", "ppv")
    assert (control.name, control.rate, control.value) == ("control", "specificity", "npv")
    assert (patient.prevalence, patient.stated) == (0.5, False)
    assert_array_equal(patient.own.among, TARGETS == 1)
    assert_array_equal(patient.own.hits & patient.own.among, [False, False, False, True])
    assert_array_equal(patient.right.among, [False, False, False, True])
    assert_array_equal(control.right.hits & control.right.among, [True, True, False, False])


def test_the_threshold_decides_what_is_predicted():
    lower = TWO.deciding(Threshold((0.67, 0.33), "patient from a probability of 0.33 on, else control"))
    patient, _ = lower.predicted_classes(TARGETS, PROBA, prevalence=None)
    assert_array_equal(patient.own.hits, [False, True, True, True])


def test_other_classes_weigh_by_their_prevalence():
    targets, proba = np.array([0, 1, 2]), np.eye(3)
    found = THREE.predicted_classes(targets, proba, prevalence={"a": 0.5, "b": 0.3, "c": 0.2})
    assert [each.name for each in found] == ["a", "b", "c"]
    assert {(each.rate, each.value, each.stated) for each in found} == {("recall", "predictive_value", True)}
    assert [part.share for part in found[0].others] == pytest.approx([0.6, 0.4])
    assert [part.among.tolist() for part in found[0].others] == [[False, True, False], [False, False, True]]


def test_a_measure_predicts_no_class():
    assert Measure("age").predicted_classes(np.array([30.0]), np.array([31.0]), prevalence=None) == ()
