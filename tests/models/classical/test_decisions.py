"""Decisions are fitted as memberships or as values by what is said of them, whatever their type is."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import linear_model
from sklearn.svm import SVC, SVR

from mri3d.models.classical.decisions import (
    NeighboursDecision,
    decision_from_tensors,
    decision_tensors,
    fit_linear_svms,
    fit_logistic,
    fit_neighbours,
    fit_rbf_svms,
    fit_ridge,
)

RANDOM = np.random.default_rng(0)
SCORES = RANDOM.standard_normal((40, 3)) * [3.0, 2.0, 1.0]
BEYOND = np.zeros(40)
MEMBERS = (SCORES @ [1.0, -1.0, 0.5] + RANDOM.standard_normal(40) > 0)[:, None]


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float64])
@pytest.mark.parametrize(("memberships", "machine"), [(True, SVC), (False, SVR)])
def test_support_vector_machine_follows_what_is_said_and_not_the_type(dtype, memberships, machine):
    columns = MEMBERS.astype(dtype)
    (linear,) = fit_linear_svms(SCORES, columns, [2.0], memberships=memberships)
    (rbf,) = fit_rbf_svms(SCORES, columns, [(2.0, 0.3)], memberships=memberships)
    for decision, options in ((linear, {"kernel": "linear"}), (rbf, {"gamma": 0.3})):
        peer = machine(C=2.0, **options).fit(SCORES, MEMBERS[:, 0].astype(int))
        expected = peer.decision_function(SCORES) if memberships else peer.predict(SCORES)
        assert_allclose(decision.decide(SCORES, BEYOND)[:, 0], expected, atol=2e-3)


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float64])
@pytest.mark.parametrize(("memberships", "low"), [(True, -1.0), (False, 0.0)])
def test_ridge_fits_memberships_as_plus_and_minus_one_and_values_as_they_are(dtype, memberships, low):
    left, _, _ = np.linalg.svd(SCORES - SCORES.mean(axis=0), full_matrices=False)
    scores = left * [3.0, 2.0, 1.0]  # orthogonal and centred, as principal scores are
    (decision,) = fit_ridge(scores, MEMBERS.astype(dtype), [0.5], memberships=memberships)
    peer = linear_model.Ridge(0.5).fit(scores, np.where(MEMBERS[:, 0], 1.0, low))
    assert_allclose(decision.weights[0], peer.coef_)
    assert_allclose(decision.decide(scores, BEYOND)[:, 0], peer.predict(scores))


def test_several_columns_are_each_fitted_as_one_would_be():
    columns = np.column_stack([MEMBERS[:, 0], SCORES[:, 0] > 0])
    (both,) = fit_linear_svms(SCORES, columns, [1.0], memberships=True)
    for number in range(2):
        (alone,) = fit_linear_svms(SCORES, columns[:, [number]], [1.0], memberships=True)
        assert_allclose(both.decide(SCORES, BEYOND)[:, number], alone.decide(SCORES, BEYOND)[:, 0])


@pytest.mark.parametrize("which", range(4))
def test_a_decision_comes_back_from_its_tensors(which):
    (decision,) = (
        lambda: fit_linear_svms(SCORES, MEMBERS, [1.0], memberships=True),
        lambda: fit_rbf_svms(SCORES, MEMBERS, [(2.0, 0.3)], memberships=True),
        lambda: fit_logistic(SCORES, MEMBERS, [1.0]),
        lambda: fit_neighbours(SCORES, MEMBERS, [3]),
    )[which]()
    again = decision_from_tensors(type(decision), decision_tensors(decision) | {"unit": np.ones(1)})
    assert_array_equal(again.decide(SCORES, BEYOND), decision.decide(SCORES, BEYOND))


@pytest.mark.parametrize("columns", [MEMBERS, SCORES[:, :1]], ids=["classes", "values"])
def test_neighbours_of_earlier_versions_called_their_columns_members(columns):
    (decision,) = fit_neighbours(SCORES, columns, [3])
    tensors = decision_tensors(decision)
    tensors["decision.members"] = tensors.pop("decision.columns")
    again = decision_from_tensors(NeighboursDecision, tensors)
    assert_array_equal(again.decide(SCORES, BEYOND), decision.decide(SCORES, BEYOND))
