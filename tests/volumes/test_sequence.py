"""Volumes in memory: what of a user's arrays is taken, and what is refused by name."""

import pickle

import numpy as np
import pytest
import torch

from mri3d.volumes.sequence import InMemory
from tests.models.refusals import refused

VOLUMES = np.random.default_rng(0).integers(0, 200, (5, 7, 8, 9))


def changed(value: object, *, where: tuple[int, ...] = (2, 1, 1, 1)) -> np.ndarray:
    """Give volumes of which one has such a voxel."""
    volumes = VOLUMES.astype(np.float64)
    volumes[where] = value
    return volumes


@pytest.mark.parametrize(
    "given",
    [
        VOLUMES,
        VOLUMES.astype(np.uint8),
        VOLUMES.astype(">i2"),
        VOLUMES.astype(np.float16),
        np.asfortranarray(VOLUMES.astype(np.float32)),
        VOLUMES[:, None],
        VOLUMES.tolist(),
        list(VOLUMES),
        torch.tensor(VOLUMES),
        torch.tensor(VOLUMES, dtype=torch.float64, requires_grad=True),
        torch.tensor(VOLUMES, dtype=torch.bfloat16),
        list(torch.tensor(VOLUMES, dtype=torch.float16, requires_grad=True)),
        np.ma.array(VOLUMES),
        tuple(VOLUMES),
    ],
    ids=[
        *("int64", "uint8", "big-endian", "float16", "Fortran", "channel", "lists", "list of arrays", "tensor"),
        *("gradients", "bfloat16", "list of tensors", "nothing masked", "tuple"),
    ],
)
def test_any_array_of_real_numbers_becomes_float32_with_a_channel(given):
    made = InMemory.of(given)
    assert made.volumes.dtype == np.float32
    assert made.volumes.flags.c_contiguous
    assert made.shape == (1, 7, 8, 9)
    assert len(made) == 5
    np.testing.assert_array_equal(made.volumes[:, 0], VOLUMES)
    np.testing.assert_array_equal(made[3], VOLUMES[3][None])
    assert made.recipe is None
    assert not made.on_disk


def test_truth_values_are_intensities():
    np.testing.assert_array_equal(InMemory.of(VOLUMES > 99).volumes[:, 0], (VOLUMES > 99).astype(float))


def test_memory_maps_are_read(tmp_path):
    np.save(tmp_path / "volumes.npy", VOLUMES)
    np.testing.assert_array_equal(InMemory.of(np.load(tmp_path / "volumes.npy", mmap_mode="r")).volumes[:, 0], VOLUMES)


def test_what_looks_like_channels_at_the_end_is_warned_of(caplog):
    InMemory.of(np.stack([VOLUMES, VOLUMES[::-1]], axis=-1))
    assert "taken as 7 channels of 8 x 9 x 2 voxels: is the order N, C, X, Y, Z?" in caplog.text
    caplog.clear()
    InMemory.of(np.stack([VOLUMES, VOLUMES[::-1]], axis=1))
    assert not caplog.records


def test_channels_are_kept_apart():
    both = np.stack([VOLUMES, VOLUMES[::-1]], axis=1)
    made = InMemory.of(both)
    assert made.shape == (2, 7, 8, 9)
    np.testing.assert_array_equal(made.volumes, both)


def test_arrays_are_copied():
    given = VOLUMES.astype(np.float32)[:, None]
    made = InMemory.of(given)
    given[:] = 0
    np.testing.assert_array_equal(made.volumes[:, 0], VOLUMES)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3.5, r"volumes are an array of a single number\. Give \[N, X, Y, Z\] or \[N, C, X, Y, Z\]"),
        (VOLUMES[0, 0], r"volumes are an array of 8 x 9\."),
        (VOLUMES[0], r"volumes are an array of 7 x 8 x 9\."),
        (VOLUMES[None, None], r"volumes are an array of 1 x 1 x 5 x 7 x 8 x 9\."),
        (VOLUMES[:0], r"an array of 0 x 7 x 8 x 9\."),
        (VOLUMES[:, None][:, :0], r"an array of 5 x 0 x 7 x 8 x 9\."),
        (
            VOLUMES[:, :, :, :1],
            r"an array of 5 x 7 x 8 x 1\. .* at least 2 x 2 x 2 voxels, one or several channels each",
        ),
        (VOLUMES[:, :1], r"an array of 5 x 1 x 8 x 9\."),
        (VOLUMES.astype(object), r"volumes hold object, not real numbers\. Give one intensity for each voxel\."),
        (VOLUMES * 1j, r"volumes hold complex128, not real numbers"),
        (VOLUMES.astype(str), r"volumes hold <U\d+, not real numbers"),
        (VOLUMES.astype("M8[s]"), r"volumes hold datetime64\[s\], not real numbers"),
        ([VOLUMES[0], VOLUMES[1, 1:]], r"volumes are no array: .*inhomogeneous.*\. Give volumes of one shape\."),
        (VOLUMES[0], r"7 x 8 x 9\..* A single volume is volume\[None\]\."),
        (None, r"volumes are NoneType, not numbers\. Give an array \[N, X, Y, Z\], or a list of such volumes\."),
        ("a.nii", r"volumes are str, not numbers"),
        ((volume for volume in VOLUMES), r"volumes are generator, not numbers"),
        (["a.nii", "b.nii"], r"volumes hold str_?, not numbers"),
        ([None] * 5, r"volumes hold NoneType, not numbers"),
        (np.ma.masked_greater(VOLUMES, 100), r"volumes have masked voxels, which would be taken as they are\. Fill"),
        ([np.ma.masked_greater(volume, 100) for volume in VOLUMES], r"volumes have masked voxels"),
        (torch.tensor(VOLUMES).to_sparse(), r"volumes are no array: .*Sparse.* Give an array of numbers\."),
        (torch.empty(5, 7, 8, 9, device="meta"), r"volumes are no array: .*meta.* Give an array of numbers\."),
        (torch.tensor(VOLUMES * 1j).conj(), r"volumes are no array: .*conjugate"),
        (changed(np.nan), r"volume 2 has voxels that are NaN or infinite\. Replace them, or leave it out\."),
        (changed(-np.inf), r"volume 2 has voxels that are NaN or infinite"),
        (changed(1e39), r"volume 2 has voxels that are NaN or infinite"),  # beyond what float32 holds
        (changed(7.5, where=(4,)), r"volume 4 is constant: every voxel is 7\.5\. Leave it out\."),
        (changed(0.0, where=(0,)), r"volume 0 is constant: every voxel is 0\."),
    ],
)
def test_arrays_that_are_no_volumes_are_refused_by_name(given, message):
    with refused(message):
        InMemory.of(given)


@pytest.mark.parametrize("voxels", [slice(0, 504), slice(100, 101), slice(500, None), slice(None, 40), slice(9, 9)])
def test_a_block_is_a_slice_of_all_volumes(voxels):
    rows = np.array([3, 0, 2])
    block = InMemory.of(VOLUMES).block(rows, voxels)
    assert block.dtype == np.float32
    np.testing.assert_array_equal(block, VOLUMES.reshape(5, -1)[rows, voxels])


def test_digests_tell_contents_apart_and_nothing_else():
    made = InMemory.of(np.concatenate([VOLUMES, VOLUMES[1:2]]))
    assert made.digests[1] == made.digests[5]
    assert len(set(made.digests)) == 5
    assert InMemory.of(VOLUMES.astype(np.float64)).digests == made.digests[:5]
    assert InMemory.of(changed(VOLUMES[2, 1, 1, 1] + 1)).digests[2] != made.digests[2]
    assert InMemory(made.volumes[:, :, ::-1]).digests[0] != made.digests[0]  # a view that is not contiguous


def test_travels_to_other_processes():
    made = InMemory.of(VOLUMES)
    again = pickle.loads(pickle.dumps(made))
    np.testing.assert_array_equal(again.volumes, made.volumes)
    made.fill()
