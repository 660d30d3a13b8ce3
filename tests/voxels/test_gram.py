"""The Gram matrix against products of whole matrices, its cache, its memory, and what prepares it."""

import gc
import logging
import tracemalloc
import weakref
from pathlib import Path

import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.preprocessing import Normalizer, StandardScaler

from mri3d.files import digest_json
from mri3d.volumes.cache import Volumes
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.sequence import InMemory
from mri3d.voxels.blocks import voxel_blocks
from mri3d.voxels.gram import gram, row_products, voxel_moments
from tests.models.planted import SHAPE, brains, flat, write_volumes


@pytest.fixture
def volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Volumes:
    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path / "cache"))
    return write_volumes(tmp_path, brains(11, seed=1))


def cached_files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "gram").iterdir())


class Made(Volumes):
    """Volumes computed when they are read, so that a large matrix needs no disk."""

    shape = (1, 40, 50, 60)

    def __init__(self) -> None:
        super().__init__([Path()] * 40, [f"made {row}" for row in range(40)], Recipe())

    def fill(self, num_workers=None) -> None:
        """Do nothing: there are no files."""

    def block(self, rows, voxels) -> np.ndarray:
        """Compute some voxels."""
        steps = np.arange(voxels.start, voxels.stop, dtype=np.float32)
        return np.cos(np.float32(1e-3) * np.outer(rows + 1, steps), dtype=np.float32)


@pytest.mark.parametrize("budget_bytes", [2**30, 11 * 20 * 37], ids=["one block", "blocks of 37 voxels"])
def test_products_and_sums_are_those_of_the_whole_matrix(volumes, budget_bytes):
    whole = flat(volumes)
    found = gram(volumes, budget_bytes=budget_bytes)
    assert_allclose(found.products, whole @ whole.T, rtol=1e-13)
    assert_allclose(found.sums, whole.sum(axis=1), rtol=1e-12)


def test_memory_is_bounded_by_the_budget_whatever_the_number_of_voxels(tmp_path, monkeypatch):
    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path))
    made, budget = Made(), 2**20
    size = len(made) * int(np.prod(made.shape)) * 4
    tracemalloc.start()
    found = gram(made, budget_bytes=budget)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 15 * budget
    assert peak < 1.5 * budget
    voxels = np.arange(120_000, dtype=np.float32)
    first, last = (np.cos(np.float32(1e-3) * (row * voxels)).astype(np.float64) for row in (1, 40))
    assert found.products[0, 39] == pytest.approx(first @ last, abs=1e-6)


@pytest.mark.parametrize(("height", "budget"), [(1113, 2**30), (1113, 10**6), (7, 10**9), (10**6, 10**8)])
def test_blocks_cover_the_voxels_and_fit_the_budget(height, budget):
    slices, together = voxel_blocks(125_000, height=height, budget_bytes=budget)
    assert_array_equal([voxels.start for voxels in slices[1:]], [voxels.stop for voxels in slices[:-1]])
    assert (slices[0].start, slices[-1].stop) == (0, 125_000)
    held = together * 20 * height * slices[0].stop
    assert held <= budget or slices[0].stop == together == 1


def test_second_time_reads_the_file_to_the_bit(volumes, monkeypatch):
    first = gram(volumes)
    monkeypatch.setattr(Volumes, "block", None)
    again = gram(volumes)
    assert_array_equal(first.products, again.products)
    assert_array_equal(first.sums, again.sums)


def test_damaged_file_is_noticed_and_made_again(volumes, tmp_path, caplog):
    first = gram(volumes)
    (path,) = cached_files(tmp_path)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    again = gram(volumes)
    assert f"{path} is damaged" in caplog.text
    assert_array_equal(first.products, again.products)
    path.write_bytes(damaged[:100])
    assert_array_equal(gram(volumes).products, first.products)


def test_matrix_of_an_earlier_version_is_neither_taken_nor_damaged(volumes, tmp_path, caplog):
    name = digest_json({"volumes": list(volumes.digests), "recipe": volumes.recipe.digest()})
    path = tmp_path / f"cache/gram/{name}.npz"  # where mri3d 0.2 had it, without its name in it
    path.parent.mkdir(parents=True)
    np.savez(path, products=np.zeros((11, 11)), sums=np.zeros(11))
    before = path.read_bytes()
    whole = flat(volumes)
    assert_allclose(gram(volumes).products, whole @ whole.T, rtol=1e-13)
    assert "damaged" not in caplog.text
    assert path.read_bytes() == before
    assert len(cached_files(tmp_path)) == 2


def test_other_order_or_recipe_is_another_file(volumes, tmp_path):
    gram(volumes)
    turned = Volumes(volumes.scans[::-1], volumes.digests[::-1], volumes.recipe)
    assert_array_equal(gram(turned).products, gram(volumes).products[::-1, ::-1])
    assert len(cached_files(tmp_path)) == 2


def test_number_of_jobs_changes_no_bit(volumes, tmp_path, monkeypatch):
    budget = 11 * 20 * 100 * 3  # three jobs of 100 voxels
    results = []
    for num_jobs in (1, 3):
        monkeypatch.setattr(joblib, "effective_n_jobs", lambda asked, given=num_jobs: given)
        monkeypatch.setattr("mri3d.voxels.blocks.BLOCK_VOXELS", 100)
        results.append(gram(volumes, budget_bytes=budget).products)
        cached_files(tmp_path)[0].unlink()
    assert_array_equal(*results)


@pytest.mark.parametrize("normalize", [False, True])
def test_products_among_rows_are_the_whole_ones_of_these_rows(volumes, normalize):
    rows = np.array([1, 3, 4, 8])
    some = flat(volumes)[rows]
    some = Normalizer().fit_transform(some) if normalize else some
    for products in row_products(volumes, rows, trainings=[np.arange(2), np.arange(4)], normalize=normalize):
        assert_allclose(products, some @ some.T, rtol=1e-12)


@pytest.mark.parametrize("normalize", [False, True])
def test_standardized_products_use_the_training_rows_of_each_fit(volumes, normalize, caplog):
    rows = np.array([0, 2, 3, 5, 6, 7, 10])
    trainings = [np.array([0, 1, 2, 3]), np.array([2, 4, 5, 6])]
    some = flat(volumes)[rows]
    some = Normalizer().fit_transform(some) if normalize else some
    found = row_products(volumes, rows, trainings=trainings, standardize=True, normalize=normalize)
    for products, training in zip(found, trainings, strict=True):
        scaled = StandardScaler().fit(some[training]).transform(some)
        assert_allclose(products, scaled @ scaled.T, rtol=1e-9, atol=1e-9)
    assert "72 of 504 voxels are constant over training rows" in caplog.text


def test_voxel_constant_in_training_alone_takes_no_part(tmp_path, caplog):
    arrays = brains(6, seed=2)
    arrays[:4, 1, 1, 1] = 0.0
    volumes = write_volumes(tmp_path, arrays)
    (products,) = row_products(volumes, np.arange(6), trainings=[np.arange(4)], standardize=True)
    some = flat(volumes)
    varying = some[:4].std(axis=0) > 1e-9
    assert varying.sum() == 504 - 72 - 1
    scaled = StandardScaler().fit(some[:4, varying]).transform(some[:, varying])
    assert_allclose(products, scaled @ scaled.T, rtol=1e-9, atol=1e-9)
    assert "73 of 504" in caplog.text


def test_spread_that_is_rounding_is_none():
    block = np.full((7, 2), 0.1)
    assert (block.std(axis=0) > 0).all()
    mean, scale = voxel_moments(block)
    assert_allclose(mean, 0.1)
    assert_array_equal(scale, 0.0)


def test_gram_is_told_once(volumes, caplog):
    caplog.set_level(logging.INFO)
    gram(volumes)
    gram(volumes)
    assert caplog.text.count("Gram matrix of 11 volumes") == 1


def in_memory(volumes: Volumes) -> InMemory:
    return InMemory(np.stack([volumes[row] for row in range(len(volumes))]))


def test_volumes_in_memory_have_the_gram_matrix_that_they_have_on_disk(volumes):
    found, expected = gram(in_memory(volumes)), gram(volumes)
    assert_array_equal(found.products, expected.products)
    assert_array_equal(found.sums, expected.sums)


def test_gram_matrix_of_several_channels_sums_over_them():
    arrays = brains(12, seed=1).reshape(6, 2, *SHAPE)
    whole = arrays.reshape(6, -1).astype(np.float64)
    assert_allclose(gram(InMemory(arrays)).products, whole @ whole.T, rtol=1e-13)


def test_gram_matrix_in_memory_is_kept_as_long_as_its_volumes_and_written_nowhere(volumes, tmp_path, monkeypatch):
    held = in_memory(volumes)
    (tmp_path / "cache" / "gram").mkdir()
    first = gram(held)
    assert cached_files(tmp_path) == []
    with monkeypatch.context() as patch:
        patch.setattr(InMemory, "block", None)  # no voxel is read again
        assert gram(held) is first
    kept = weakref.ref(first)
    del first
    gc.collect()
    assert kept() is not None
    del held
    gc.collect()
    assert kept() is None


def test_two_volumes_in_memory_are_not_mixed_up(volumes):
    ours = in_memory(volumes)
    twice, same = InMemory(2 * ours.volumes), InMemory(ours.volumes.copy())
    assert gram(same) is not gram(ours)
    assert_array_equal(gram(same).products, gram(ours).products)
    assert_array_equal(gram(twice).products, 4 * gram(ours).products)
    for factor in range(3, 30):  # objects may come to lie where another one has been
        assert gram(InMemory(factor * ours.volumes)).products[0, 1] == pytest.approx(
            factor**2 * gram(ours).products[0, 1], rel=1e-5
        )


def test_blocks_run_on_a_dask_cluster(tmp_path, monkeypatch):
    import distributed  # here: it takes a second, and no other test needs it

    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path / "cache"))
    volumes = write_volumes(tmp_path, brains(11, seed=1))
    whole = flat(volumes)
    monkeypatch.setattr("mri3d.voxels.blocks.BLOCK_VOXELS", 100)
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        joblib.parallel_config(backend="dask"),
    ):
        products = gram(volumes).products
        ran = client.run(lambda dask_worker: dask_worker.state.executed_count)
    assert_allclose(products, whole @ whole.T, rtol=1e-13)
    assert sum(ran.values()) >= 1
    assert volumes.shape == (1, *SHAPE)
