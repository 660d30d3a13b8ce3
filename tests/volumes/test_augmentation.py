"""Each change by itself, against what it says it does."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from mri3d.volumes.augmentation import Augmentation, augment
from tests.models.refusals import refused

SHAPE = (13, 12, 14)
NOTHING = {"rotate_degrees": 0.0, "scale": 0.0, "shift_voxels": 0.0, "intensity": 0.0, "noise": 0.0}
SEEDS = range(40)


def only(probability=1.0, **options: float):
    """Give the transform of one kind of change."""
    return Augmentation(**(NOTHING | {"probability": probability} | options)).transform(SHAPE)


def volume():
    return np.random.default_rng(0).standard_normal((1, *SHAPE)).astype(np.float32)


def blob(center=(6.0, 5.5, 6.5), width=(2.0, 1.4, 2.4)):
    """Give a smooth, elongated blob."""
    offsets = np.moveaxis(np.indices(SHAPE), 0, -1) - center
    return np.exp(-((offsets / width) ** 2).sum(axis=-1) / 2).astype(np.float32)[None]


def moments(array):
    """Give the centre [3] and the covariance [3, 3] of a blob, in voxels."""
    positions = np.moveaxis(np.indices(SHAPE), 0, -1).reshape(-1, 3)
    weights = np.clip(np.asarray(array), 0, None).reshape(-1).astype(np.float64)
    return np.average(positions, axis=0, weights=weights), np.cov(positions.T, aweights=weights)


def test_same_seed_same_change():
    for transform in (Augmentation(flip=True).transform(SHAPE), only(noise=0.3)):
        first = [augment(transform, volume(), seed) for seed in SEEDS]
        again = {seed: augment(transform, volume(), seed) for seed in reversed(SEEDS)}
        assert all(torch.equal(change, again[seed]) for seed, change in zip(SEEDS, first, strict=True))
        assert len({change.numpy().tobytes() for change in first}) > len(SEEDS) / 2


@pytest.mark.parametrize("options", [NOTHING, {"probability": 0.0}])
def test_zero_turns_everything_off(options):
    transform = Augmentation(**options).transform(SHAPE)
    for seed in SEEDS:
        np.testing.assert_array_equal(augment(transform, volume(), seed), volume())


@pytest.mark.parametrize("option", ["rotate_degrees", "scale", "shift_voxels", "intensity", "noise"])
def test_each_option_does_something_by_itself(option):
    transform = only(**{option: 0.3})
    assert all(not np.allclose(augment(transform, volume(), seed), volume(), atol=1e-4) for seed in SEEDS)


def test_probability_is_how_often():
    changed = [not np.array_equal(augment(only(0.25, noise=0.1), volume(), seed), volume()) for seed in range(400)]
    assert 0.15 < np.mean(changed) < 0.35  # 0.25 +- 0.02


def test_shift_moves_by_at_most_so_many_voxels():
    center, _ = moments(blob())
    moved = np.array([moments(augment(only(shift_voxels=1.5), blob(), seed))[0] - center for seed in SEEDS])
    assert np.abs(moved).max() < 1.6
    assert (np.abs(moved).max(axis=0) > 1.0).all()  # along every axis, both ways
    assert (moved.min(axis=0) < -0.5).all()
    assert (moved.max(axis=0) > 0.5).all()


def test_scale_changes_widths_by_at_most_so_much():
    _, covariance = moments(blob())
    ratios = np.array(
        [np.diag(moments(augment(only(scale=0.2), blob(), seed))[1]) / np.diag(covariance) for seed in SEEDS]
    )
    assert 0.75 < np.sqrt(ratios).min() < 0.9
    assert 1.1 < np.sqrt(ratios).max() < 1.3


def test_rotation_turns_by_at_most_so_many_degrees_and_keeps_widths():
    _, covariance = moments(blob())
    turned = [moments(augment(only(rotate_degrees=20.0), blob(), seed))[1] for seed in SEEDS]
    long_axes = np.array([np.linalg.eigh(found)[1][:, 2] for found in turned])
    degrees = np.rad2deg(np.arccos(np.abs(long_axes[:, 2])))  # from z, the longest axis of the blob
    assert 10 < degrees.max() < 20 * np.sqrt(2) + 2  # two of the three rotations tilt it
    widths = np.array([np.linalg.eigvalsh(found) for found in turned])
    np.testing.assert_allclose(widths, np.tile(np.linalg.eigvalsh(covariance), (len(SEEDS), 1)), rtol=0.12)


def test_intensity_is_a_line_of_bounded_slope_and_offset():
    lines = []
    for seed in SEEDS:
        changed = augment(only(intensity=0.2), volume(), seed).numpy()
        slope, offset = np.polyfit(volume().ravel(), changed.ravel(), 1)
        np.testing.assert_allclose(changed, slope * volume() + offset, atol=1e-5)
        lines.append((slope - 1, offset))
    assert np.abs(lines).max() <= 0.2 * 1.2 + 1e-5  # the offset may be scaled with the rest
    assert (np.min(lines, axis=0) < -0.1).all()
    assert (np.max(lines, axis=0) > 0.1).all()


def test_noise_is_gaussian_of_at_most_that_deviation():
    noises = np.stack([augment(only(noise=0.2), volume(), seed).numpy() - volume() for seed in range(20)])
    deviations = noises.std(axis=(1, 2, 3, 4))
    assert 0.15 < deviations.max() < 0.21
    assert np.abs(noises.mean(axis=(1, 2, 3, 4))).max() < 4 * 0.2 / np.sqrt(volume().size)
    standard = noises / deviations[:, None, None, None, None]
    assert np.mean(standard**4) == pytest.approx(3.0, abs=0.1)
    neighbours = np.corrcoef(standard[..., 1:].ravel(), standard[..., :-1].ravel())[0, 1]
    assert abs(neighbours) < 0.03


def test_flip_exchanges_left_and_right_in_half_of_the_volumes():
    transform = only(flip=True)
    flipped = 0
    for seed in range(100):
        changed = augment(transform, volume(), seed).numpy()
        if not np.array_equal(changed, volume()):
            np.testing.assert_array_equal(changed, volume()[:, ::-1])
            flipped += 1
    assert 30 < flipped < 70


def test_flip_is_off_by_default():
    assert Augmentation().flip is False
    lopsided = blob(center=(3.0, 5.5, 6.5))
    centers = [moments(augment(Augmentation(noise=0.0).transform(SHAPE), lopsided, seed))[0][0] for seed in SEEDS]
    assert max(centers) < 6.0  # none beyond the middle


def test_flip_is_refused_where_the_first_axis_may_run_otherwise():
    for augmentation, orientation in ((Augmentation(flip=True), "ras"), (Augmentation(), "stored")):
        augmentation.check_orientation(orientation)
    told = r"^model\.augmentation\.flip=true .* preprocess\.orientation=stored .*=ras, or leave flip off"
    with refused(told, r"^flip=True .* with orientation='stored' any axis .* orientation='ras', or leave"):
        Augmentation(flip=True).check_orientation("stored")


def test_edges_are_continued_and_not_filled_with_zero():
    background = np.full((1, *SHAPE), -1.5, dtype=np.float32)  # of a head after z-scoring
    for seed in SEEDS:
        moved = augment(only(rotate_degrees=20.0, scale=0.2, shift_voxels=3.0), background, seed)
        np.testing.assert_allclose(moved, background, atol=1e-5)


def test_geometry_is_interpolated_not_shuffled():
    smooth = ndimage.gaussian_filter(volume()[0], 2.0)[None]
    moved = augment(only(shift_voxels=1.0), smooth, 3).numpy()
    assert abs(np.diff(moved, axis=1)).max() <= 1.01 * abs(np.diff(smooth, axis=1)).max()


def test_random_numbers_of_the_process_are_left_alone():
    torch.manual_seed(5)
    np.random.seed(5)
    expected = torch.rand(3), np.random.rand(3)
    torch.manual_seed(5)
    np.random.seed(5)
    augment(Augmentation(flip=True, probability=1.0).transform(SHAPE), volume(), 1)
    assert torch.equal(torch.rand(3), expected[0])
    np.testing.assert_array_equal(np.random.rand(3), expected[1])


def test_original_is_not_changed_and_the_result_is_a_plain_tensor():
    before = volume()
    for probability in (0.0, 1.0):
        changed = augment(Augmentation(flip=True, probability=probability).transform(SHAPE), before, 1)
        assert type(changed) is torch.Tensor
        assert changed.dtype == torch.float32
        assert changed.shape == (1, *SHAPE)
    np.testing.assert_array_equal(before, volume())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": -0.1}, r"augmentation\.noise=-0\.1 is negative"),
        ({"scale": float("nan")}, r"augmentation\.scale=[nN]a[nN] is negative"),
        ({"rotate_degrees": float("inf")}, r"augmentation\.rotate_degrees=[iI]nf(inity)? is negative or infinite"),
        ({"scale": 1.0}, r"augmentation\.scale=1\.0 would shrink heads to nothing\. Give a share below 1"),
        ({"probability": 1.1}, r"augmentation\.probability=1\.1 is not a probability"),
    ],
)
def test_options_out_of_range_are_named(options, message):
    with refused(rf"^model\.{message}", message.replace(r"augmentation\.", "^")):
        Augmentation(**options)
