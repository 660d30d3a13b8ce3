"""PCA against scikit-learn's full decomposition, its signs and ranks, and what it must not see."""

import numpy as np
import pytest
import sklearn.decomposition
from numpy.testing import assert_allclose
from sklearn.preprocessing import Normalizer, StandardScaler

from mri3d.errors import UserError
from mri3d.volumes.cache import Volumes
from mri3d.voxels.pca import PCA, GramPCA, TransposedPCA, check_num_components
from tests.models.planted import SHAPE, brains, flat, write_volumes
from tests.models.refusals import refused

ROWS = np.array([0, 2, 3, 4, 6, 7, 9, 10, 11, 13, 14, 16])
OTHERS = np.array([1, 5, 8, 12, 15])


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Volumes:
    return write_volumes(tmp_path_factory.mktemp("scans"), brains(17, seed=3))


def prepared(volumes, *, standardize, normalize):
    """Give all volumes [N, V] as scikit-learn prepares them on ROWS, without voxels that are constant there."""
    whole = flat(volumes)
    whole = Normalizer().fit_transform(whole) if normalize else whole
    return StandardScaler().fit(whole[ROWS]).transform(whole) if standardize else whole


def same_signs(values, expected):
    """Turn the columns of `values` to the signs of those of `expected`."""
    return values * np.sign((values * expected).sum(axis=0))


@pytest.mark.parametrize("num_components", [4, 0.8, None])
@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
def test_agrees_with_scikit_learn(volumes, num_components, standardize, normalize):
    whole = prepared(volumes, standardize=standardize, normalize=normalize)
    ours = PCA(num_components, standardize=standardize, normalize=normalize).fit(volumes, ROWS)
    theirs = sklearn.decomposition.PCA(num_components, svd_solver="full").fit(whole[ROWS])
    count = ours.num_components_
    assert count == (11 if num_components is None else theirs.n_components_)  # theirs counts an empty twelfth
    assert_allclose(ours.explained_variance_, theirs.explained_variance_[:count], rtol=1e-6)
    assert_allclose(ours.explained_variance_ratio_, theirs.explained_variance_ratio_[:count], rtol=1e-6)
    expected = theirs.transform(whole)[:, :count]
    size = np.abs(expected).max()
    assert_allclose(same_signs(ours.scores_, expected[ROWS]), expected[ROWS], rtol=1e-6, atol=1e-6 * size)
    projection = ours.sum_volumes(ours.weights_)
    scores, squares = projection.scores(volumes, OTHERS)
    assert_allclose(same_signs(scores, expected[OTHERS]), expected[OTHERS], rtol=1e-6, atol=1e-6 * size)
    assert_allclose(squares, ((whole[OTHERS] - whole[ROWS].mean(axis=0)) ** 2).sum(axis=1), rtol=1e-5)
    components, expected_components = projection.directions[[2, 0]], theirs.components_[[2, 0]]
    assert_allclose(same_signs(components.T, expected_components.T).T, expected_components, atol=1e-6)


def test_small_components_survive_a_large_mean_and_a_steep_spectrum(tmp_path):
    rng = np.random.default_rng(4)
    lengths = 10.0 ** -np.arange(0, 4.5, 0.5)  # variances from 1 to 1e-8 of the first
    patterns = np.linalg.qr(rng.standard_normal((504, 9)))[0].T
    strengths = np.linalg.qr(rng.standard_normal((20, 9)) - 0.5)[0]
    arrays = 5.0 + 3.0 * rng.standard_normal(SHAPE) + (strengths * lengths @ patterns * 100).reshape(20, *SHAPE)
    volumes = write_volumes(tmp_path, arrays)
    whole = flat(volumes)
    ours = PCA(8).fit(volumes, np.arange(20))
    theirs = sklearn.decomposition.PCA(8, svd_solver="full").fit(whole)
    large = theirs.explained_variance_ > 1e-6 * theirs.explained_variance_[0]
    assert 6 <= large.sum() < 8
    assert_allclose(ours.explained_variance_[large], theirs.explained_variance_[large], rtol=1e-6)
    expected = theirs.transform(whole)[:, large]
    assert_allclose(
        same_signs(ours.scores_[:, large], expected) / expected.std(axis=0), expected / expected.std(axis=0), atol=1e-6
    )


def test_products_alone_give_the_scores_of_other_rows(volumes):
    whole = flat(volumes)
    products = whole @ whole.T
    pca = GramPCA.fit(products[np.ix_(ROWS, ROWS)])
    cross = products[np.ix_(OTHERS, ROWS)]
    theirs = sklearn.decomposition.PCA(11, svd_solver="full").fit(whole[ROWS])
    expected = theirs.transform(whole[OTHERS])
    assert_allclose(same_signs(pca.scores(cross), expected), expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max())
    squares = ((whole[OTHERS] - whole[ROWS].mean(axis=0)) ** 2).sum(axis=1)
    assert_allclose(pca.squares(cross, products.diagonal()[OTHERS]), squares, rtol=1e-9)


def test_largest_score_of_each_component_is_positive(volumes):
    scores = PCA().fit(volumes, ROWS).scores_
    assert (scores.max(axis=0) == np.abs(scores).max(axis=0)).all()


def test_unscaled_directions_give_the_same_scores_up_to_an_offset(volumes):
    pca = PCA(3, standardize=True).fit(volumes, ROWS)
    projection = pca.sum_volumes(pca.weights_)
    assert_allclose(projection.unscaled().scores(volumes, OTHERS)[0], projection.scores(volumes, OTHERS)[0], atol=1e-4)


def test_twins_lower_the_rank(tmp_path):
    arrays = brains(8, seed=5)
    arrays[5] = arrays[2]
    volumes = write_volumes(tmp_path, arrays)
    pca = PCA(7).fit(volumes, np.arange(8))
    assert pca.num_components_ == 6
    assert_allclose(pca.scores_[5], pca.scores_[2], rtol=1e-9, atol=1e-9)


def test_other_rows_change_no_byte(tmp_path, volumes):
    arrays = brains(17, seed=3)
    arrays[OTHERS] = 1e12 * np.random.default_rng(0).standard_normal((len(OTHERS), *SHAPE))
    poisoned = write_volumes(tmp_path, arrays)
    for standardize in (False, True):
        clean, same = (PCA(standardize=standardize).fit(source, ROWS) for source in (volumes, poisoned))
        assert clean.scores_.tobytes() == same.scores_.tobytes()
        directions, others = (pca.sum_volumes(pca.weights_).directions for pca in (clean, same))
        assert directions.tobytes() == others.tobytes()
        assert clean.explained_variance_ratio_.tobytes() == same.explained_variance_ratio_.tobytes()


@pytest.mark.parametrize("num_components", [3, 0.9, None])
def test_transposed_form_agrees_with_scikit_learn_on_the_transpose(volumes, num_components):
    transposed = flat(volumes)[ROWS].T
    ours = TransposedPCA(num_components).fit(volumes, ROWS)
    theirs = sklearn.decomposition.PCA(num_components, svd_solver="full").fit(transposed)
    count = len(ours.components_)
    assert count == theirs.n_components_
    assert_allclose(ours.explained_variance_, theirs.explained_variance_, rtol=1e-6)
    assert_allclose(ours.explained_variance_ratio_, theirs.explained_variance_ratio_, rtol=1e-6)
    assert_allclose(same_signs(ours.components_.T, theirs.components_.T), theirs.components_.T, atol=1e-6)
    expected = theirs.transform(transposed)[:, [2, 1]]
    eigenbrains = ours.eigenbrains(np.array([2, 1]))
    assert eigenbrains.shape == (2, *SHAPE)
    found = same_signs(eigenbrains.reshape(2, -1).T, expected)
    assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_whole_cohort_of_equal_volumes_is_refused(tmp_path):
    volumes = write_volumes(tmp_path, np.repeat(brains(1, seed=6), 4, axis=0))
    with pytest.raises(UserError, match="4 training volumes are all the same, every voxel is constant"):
        PCA().fit(volumes, np.arange(4))


@pytest.mark.parametrize(
    ("num_components", "message"),
    [
        (12, r"model\.num_components=12 is impossible: PCA learns from 12 rows, which have 11 components at most"),
        (0, r"model\.num_components=0 is impossible.*Give 1 to 11"),
        (1.0, r"model\.num_components=1.0 is no fraction of variance"),
        (-0.2, r"model\.num_components=-0.2 is no fraction"),
        (True, r"model\.num_components=true is no number"),
        ("many", r"model\.num_components=many is no number"),
    ],
)
def test_impossible_numbers_of_components_are_named(volumes, num_components, message):
    with refused(message, message.removeprefix(r"model\.").replace("=true", "=True").replace("=many", "='many'")):
        PCA(num_components).fit(volumes, ROWS)


def test_possible_numbers_of_components_pass():
    for num_components in (1, 11, 0.001, 0.999, None):
        check_num_components(num_components, 12)
