"""Volumes without a linear share: the residuals of scikit-learn, and no word of rows that are not fitted to."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from mri3d.volumes.residuals import Residuals
from mri3d.volumes.sequence import InMemory
from mri3d.volumes.smoothing import smooth
from mri3d.voxels.gram import gram, row_products

SHAPE = (2, 5, 6, 7)
LEARNT = np.array([0, 2, 3, 5, 6, 7, 8, 10])


def example(seed=0, number=12):
    """Return volumes that depend on two columns, and the columns, whose mean over the rows learnt from is 0."""
    random = np.random.default_rng(seed)
    columns = random.normal(size=(number, 2))
    columns -= columns[LEARNT].mean(axis=0)
    volumes = random.normal(5, 1, size=(number, *SHAPE)) + np.einsum(
        "nq,qcxyz->ncxyz", columns, random.normal(size=(2, *SHAPE))
    )
    return InMemory(volumes.astype(np.float32)), columns


def expected(volumes, columns):
    flat = np.asarray(volumes.volumes, np.float64).reshape(len(volumes), -1)
    fit = LinearRegression().fit(columns[LEARNT], flat[LEARNT])
    return flat - columns @ fit.coef_.T


def test_they_are_the_residuals_of_a_regression_with_the_mean_left():
    volumes, columns = example()
    left, wanted = Residuals(volumes, columns, LEARNT), expected(volumes, columns)
    np.testing.assert_allclose([left[row].ravel() for row in range(12)], wanted, atol=2e-6)
    np.testing.assert_allclose(left.block([1, 4], slice(30, 99)), wanted[[1, 4], 30:99], atol=2e-6)
    assert left.shape == SHAPE
    assert len(left) == 12
    assert left[3].dtype == np.float32


def test_their_products_follow_from_those_of_the_volumes():
    volumes, columns = example()
    left, wanted = Residuals(volumes, columns, LEARNT), expected(volumes, columns)
    found = gram(left)
    np.testing.assert_allclose(found.products, wanted @ wanted.T, rtol=1e-9)
    np.testing.assert_allclose(found.sums, wanted.sum(axis=1), rtol=1e-9)
    rows, training = np.array([1, 2, 3, 5, 9]), np.array([1, 2, 3])
    (standard,) = row_products(left, rows, trainings=[training], standardize=True)
    centred = (wanted[rows] - wanted[rows][training].mean(axis=0)) / wanted[rows][training].std(axis=0)
    np.testing.assert_allclose(standard, centred @ centred.T, rtol=1e-4)


def test_smoothed_ones_are_residuals_of_smoothed_volumes():
    volumes, columns = example()
    left = Residuals(volumes, columns, LEARNT).smoothed(0.2)
    alike = [smooth(Residuals(volumes, columns, LEARNT)[row], 0.2) for row in range(12)]
    np.testing.assert_allclose([left[row] for row in range(12)], alike, atol=2e-5)
    plain = Residuals(volumes, columns, LEARNT)
    assert plain.smoothed(0) is plain
    assert plain.smoothed(0.2) is plain.smoothed(0.2)


@pytest.mark.parametrize("row", [1, 4, 9, 11])
def test_other_rows_have_no_say_in_the_fit(row):
    volumes, columns = example()
    before = Residuals(volumes, columns, LEARNT)
    poisoned, other = volumes.volumes.copy(), columns.copy()
    poisoned[row], other[row] = 1e6, 1e6
    after = Residuals(InMemory(poisoned), other, LEARNT)
    np.testing.assert_array_equal(after.coefficients, before.coefficients)
    np.testing.assert_array_equal(after[0], before[0])
    assert after.digests[0] != before.digests[0], "the columns are another table's"


def test_more_columns_than_rows_take_out_all_that_rows_have():
    volumes, _ = example()
    columns = np.eye(12)[:, LEARNT] - np.eye(12)[LEARNT].mean(axis=0)[LEARNT]
    left = Residuals(volumes, columns, LEARNT)
    learnt = np.stack([left[row] for row in LEARNT])
    np.testing.assert_allclose(learnt, np.broadcast_to(learnt.mean(axis=0), learnt.shape), atol=1e-5)
