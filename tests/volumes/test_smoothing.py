"""Smoothing: a Gaussian written out as a matrix, the same at every resolution, kept where the volumes are."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mri3d.volumes.sequence import InMemory
from mri3d.volumes.smoothing import smooth
from mri3d.voxels.gram import gram
from tests.models.planted import brains, write_volumes

SHARE = 0.11


def gaussian_matrix(side: int, sigma: float) -> np.ndarray:
    """Give what a Gaussian does to the voxels of one axis; beyond four deviations there is nothing."""
    distance = np.arange(side)[:, None] - np.arange(side)
    reach = int(4 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.where(abs(distance) <= reach, np.exp(-0.5 * (distance / sigma) ** 2), 0) / kernel.sum()


def test_each_channel_is_smoothed_along_each_axis_by_a_share_of_the_longest_edge():
    volume = np.random.default_rng(0).standard_normal((2, 7, 8, 9))
    along = [gaussian_matrix(side, SHARE * 9) for side in volume.shape[1:]]
    assert_allclose(smooth(volume, SHARE), np.einsum("cxyz,ax,by,dz->cabd", volume, *along), atol=1e-12)
    assert_array_equal(smooth(volume, 0.0), volume)


def test_weights_of_smoothed_voxels_are_carried_back_by_the_same_function():
    a, b = np.random.default_rng(1).standard_normal((2, 1, 7, 8, 9))
    assert (smooth(a, SHARE) * b).sum() == pytest.approx((a * smooth(b, SHARE)).sum(), rel=1e-12)


def test_a_share_means_the_same_at_every_resolution():
    def width(side: int) -> float:
        volume = np.zeros((1, side, side, side))
        volume[0, side // 2, side // 2, side // 2] = 1.0
        along = smooth(volume, 0.06).sum(axis=(0, 2, 3))
        return float(np.sqrt((along * (np.arange(side) - side // 2) ** 2).sum()) / side)

    assert width(51) == pytest.approx(width(101), rel=0.01)


@pytest.fixture(params=["scans", "arrays"])
def volumes(request, tmp_path, monkeypatch):
    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path / "cache"))
    arrays = brains(5, seed=3)
    return write_volumes(tmp_path, arrays) if request.param == "scans" else InMemory.of(arrays)


def test_smoothed_volumes_are_volumes_with_products_of_their_own(volumes):
    smoothed = volumes.smoothed(SHARE)
    expected = np.stack([smooth(volumes[row], SHARE) for row in range(5)])
    plain = gram(volumes).products
    for _ in range(2):  # made, then kept
        assert_array_equal(np.stack([smoothed[row] for row in range(5)]), expected)
        assert_array_equal(smoothed.block([3, 1], slice(7, 40)), expected.reshape(5, -1)[[3, 1], 7:40])
    flat = expected.reshape(5, -1).astype(np.float64)
    assert_allclose(gram(smoothed).products, flat @ flat.T, rtol=1e-12)
    assert_allclose(gram(volumes).products, plain, rtol=0)
    assert not np.allclose(gram(smoothed).products, plain)
    assert len(set(volumes.digests + smoothed.digests + volumes.smoothed(0.2).digests)) == 15
    assert volumes.smoothed(0.0) is volumes


def test_a_damaged_smoothed_volume_is_made_again(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path / "cache"))
    volumes = write_volumes(tmp_path, brains(2, seed=3))
    smoothed = volumes.smoothed(SHARE)
    volumes.fill()
    before = set((tmp_path / "cache" / "volumes").iterdir())
    smoothed.fill()
    made = sorted(set((tmp_path / "cache" / "volumes").iterdir()) - before)
    assert len(made) == 2
    for path in made:
        path.write_bytes(path.read_bytes()[:-9])
    assert_array_equal(smoothed[1], smooth(volumes[1], SHARE))
    assert "damaged" in caplog.text
