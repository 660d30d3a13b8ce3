"""Eigenbrains and restored volumes against scikit-learn."""

import numpy as np
import pytest
import sklearn.decomposition
from numpy.testing import assert_allclose

from mri3d.errors import UserError
from mri3d.explain.eigenbrains import Eigenbrains, chosen_components
from mri3d.voxels.pca import PCA
from tests.models.planted import SHAPE, brains, flat, write_volumes

ROWS = np.array([0, 1, 2, 4, 5, 6, 8, 9, 11, 12, 13])


def test_agree_with_scikit_learn(tmp_path):
    volumes = write_volumes(tmp_path, brains(14, seed=8))
    whole = flat(volumes)[ROWS]
    ours = Eigenbrains.of(PCA().fit(volumes, ROWS), [3, 1], row=4, counts=(2, 5, 10))
    theirs = sklearn.decomposition.PCA(10, svd_solver="full").fit(whole)
    expected = theirs.components_[[2, 0]] * np.sqrt(theirs.explained_variance_[[2, 0], None])
    maps = ours.maps.reshape(2, -1)
    maps *= np.sign((maps * expected).sum(axis=1, keepdims=True))
    assert_allclose(maps, expected, atol=1e-5 * np.abs(expected).max())
    assert_allclose(ours.mean.reshape(-1), whole.mean(axis=0), rtol=1e-5, atol=1e-6)
    assert_allclose(PCA(3).fit(volumes, ROWS).mean(), ours.mean, rtol=1e-6)
    size = np.linalg.norm(whole[4] - whole.mean(axis=0))
    for place, count in enumerate(ours.counts):
        fewer = sklearn.decomposition.PCA(count, svd_solver="full").fit(whole)
        restored = fewer.inverse_transform(fewer.transform(whole[4:5]))[0]
        assert_allclose(ours.restored[place].reshape(-1), restored, rtol=1e-4, atol=1e-4)
        assert_allclose(ours.errors[place], np.linalg.norm(whole[4] - restored) / size, atol=1e-6)
    assert ours.restored.shape == (3, *SHAPE)


def test_first_and_chosen():
    assert chosen_components(10, [], 4) == (1, 2, 3, 4)
    assert chosen_components(0, [9, 3], 11) == (3, 9)
    with pytest.raises(UserError, match="there is no component 12: these sessions have 11"):
        chosen_components(2, [12], 11)
