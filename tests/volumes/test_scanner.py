"""Changes as between scanners, each by itself: what it changes, what it leaves, and the scale that is given back."""

import numpy as np
import pytest
import torch
from monai.transforms import Compose, RandAffine, RandGaussianNoise, RandScaleIntensity, RandShiftIntensity
from scipy import ndimage

from mri3d.models import CNN
from mri3d.volumes.augmentation import Augmentation, StrongAugmentation, augment
from mri3d.volumes.brain_recipe import BrainRecipe
from mri3d.volumes.datamodule import VolumeDataset
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.scanner import scale_of
from mri3d.volumes.sequence import InMemory
from tests.models.refusals import refused

SHAPE = (21, 20, 23)
NOTHING = {"rotate_degrees": 0.0, "scale": 0.0, "shift_voxels": 0.0, "intensity": 0.0, "noise": 0.0}
KINDS = {"gamma": 0.6, "bias_field": 0.4, "blur": 0.2, "slices": 0.2, "inversion": True}
SCALES = ("ranks", "moments", "range")
SEEDS = range(12)


def only(scale="moments", shape=SHAPE, probability=1.0, **options: float):
    """Give the transform of some kinds of change."""
    return Augmentation(**(NOTHING | {"probability": probability} | options)).transform(shape, scale)


def tissue():
    """Give where the head or the brain is [X, Y, Z]."""
    offsets = np.moveaxis(np.indices(SHAPE), 0, -1) - (np.array(SHAPE) - 1) / 2
    return ((offsets / (np.array(SHAPE) / 2.6)) ** 2).sum(axis=-1) < 1


def texture():
    """Give smooth values [X, Y, Z]."""
    values = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(SHAPE), 1.2)
    return (values / values.std()).astype(np.float32)


def head():
    """Give a z-scored head in air, float32 [1, X, Y, Z]."""
    values, inside = texture(), tissue()
    values = (values - values[inside].mean()) / values[inside].std()
    return np.where(inside, values, values[inside].min() - 0.5).astype(np.float32)[None]


def brain():
    """Give a brain as its recipe makes them: normal values and an offset inside, some of which shines around it."""
    sharp = np.where(tissue(), texture() + 0.4, 0).astype(np.float32)
    return np.where(ndimage.binary_dilation(tissue(), np.ones((3, 3, 3))), sharp + np.float32(1e-3), 0)[None]


def moments(array):
    """Give the centre [3] and the covariance [3, 3] of a blob, in voxels."""
    positions = np.moveaxis(np.indices(array.shape), 0, -1).reshape(-1, 3)
    weights = np.asarray(array, np.float64).reshape(-1)
    weights = weights - weights.min()
    return np.average(positions, axis=0, weights=weights), np.cov(positions.T, aweights=weights)


def changed(transform, volume):
    """Give the changed volumes of all seeds [S, C, X, Y, Z], and what was drawn for each."""
    made, drawn = [], []
    for seed in SEEDS:
        made.append(augment(transform, volume, seed).numpy())
        scanner = transform.transforms[0]
        drawn.append((scanner.exponent, scanner.amount, scanner.widths, scanner.inverted))
    return np.stack(made), drawn


def test_default_is_what_it_was_bit_for_bit():
    volume = np.random.default_rng(0).standard_normal((1, *SHAPE)).astype(np.float32)
    before = Compose(
        [
            RandAffine(
                prob=0.7,
                rotate_range=[float(np.deg2rad(5.0))] * 3,
                scale_range=[0.05] * 3,
                translate_range=[1.5] * 3,
                padding_mode="border",
                spatial_size=SHAPE,
                cache_grid=True,
            ),
            RandScaleIntensity(factors=0.1, prob=0.7),
            RandShiftIntensity(offsets=0.1, prob=0.7),
            RandGaussianNoise(std=0.05, prob=0.7),
        ]
    )
    for scale in SCALES:
        transform = Augmentation().transform(SHAPE, scale)
        assert all(torch.equal(augment(transform, volume, seed), augment(before, volume, seed)) for seed in SEEDS)


def test_gamma_keeps_the_order_of_intensities_air_and_the_scale_of_tissue():
    volume, inside = head(), tissue()
    made, drawn = changed(only(gamma=0.6), volume)
    exponents = [exponent for exponent, *_ in drawn]
    unit = (volume[0] - volume.min()) / np.ptp(volume)
    for (values,), exponent in zip(made, exponents, strict=True):
        assert (np.diff(values[inside][np.argsort(volume[0][inside])]) >= 0).all()
        assert (values[~inside] == values.min()).all()
        assert values[inside].mean() == pytest.approx(0, abs=1e-5)
        assert values[inside].std() == pytest.approx(1, abs=1e-5)
        slope, offset = np.polyfit(unit[inside] ** exponent, values[inside], 1)
        np.testing.assert_allclose(values, slope * unit**exponent + offset, atol=1e-4)  # air as bright as it then is


def test_tissue_is_inverted_where_asked_in_half_of_the_volumes():
    volume, inside = head(), tissue()
    made, drawn = changed(only(inversion=True), volume)
    assert 0 < sum(inverted for *_, inverted in drawn) < len(SEEDS)
    for (values,), (*_, inverted) in zip(made, drawn, strict=True):
        sign = -1 if inverted else 1
        np.testing.assert_allclose(values[inside], sign * volume[0][inside], atol=1e-4)
        assert (values[~inside] == values.min()).all()
    assert not StrongAugmentation().inversion
    made, _ = changed(StrongAugmentation(**NOTHING, probability=1.0).transform(SHAPE), volume)
    assert all(np.corrcoef(values[0][inside], volume[0][inside])[0, 1] > 0.3 for values in made)


def test_bias_field_is_a_smooth_factor_of_bounded_size():
    inside, unit = tissue(), np.where(tissue(), 0.5 + 0.1 * texture(), 0).clip(0, 1).astype(np.float32)
    made, drawn = changed(only("range", bias_field=0.4), unit[None])
    x, y, z = np.moveaxis(np.indices(SHAPE), 0, -1)[inside].T / 10 - 1
    terms = np.stack([x**i * y**j * z**k for i in range(4) for j in range(4 - i) for k in range(4 - i - j)], axis=1)
    amounts = [amount for _, amount, *_ in drawn]
    assert 0.25 < max(amounts) < 0.4
    for (values,), amount in zip(made, amounts, strict=True):
        logs = np.log(values[inside] / unit[inside])
        fitted = terms @ np.linalg.lstsq(terms, logs, rcond=None)[0]
        np.testing.assert_allclose(logs, fitted, atol=1e-3)
        assert np.abs(logs - logs.mean()).max() == pytest.approx(amount, abs=1e-3)
        assert (values[~inside] == 0).all()
        assert np.quantile(values[inside], 0.999) == pytest.approx(np.quantile(unit[inside], 0.999), rel=1e-4)


@pytest.mark.parametrize("kind", ["blur", "slices"])
def test_resolution_widens_a_blob_and_does_not_move_it(kind):
    offsets = np.moveaxis(np.indices((41, 40, 43)), 0, -1) - (17.0, 21.5, 20.0)
    blob = np.exp(-((offsets / (3.0, 2.0, 2.5)) ** 2).sum(axis=-1) / 2).astype(np.float32)
    center, covariance = moments(blob)
    made, drawn = changed(only(shape=blob.shape, **{kind: 0.15}), blob[None])
    assert {np.count_nonzero(widths) for *_, widths, _ in drawn} == {3 if kind == "blur" else 1}
    for (values,), (*_, widths, _) in zip(made, drawn, strict=True):
        assert widths.max() < 0.15
        moved, wider = moments(values)
        np.testing.assert_allclose(moved, center, atol=0.02)
        sigmas = widths * 43 / np.sqrt(8 * np.log(2))
        np.testing.assert_allclose(np.diag(wider - covariance), sigmas**2, atol=0.15 + 0.05 * sigmas.max() ** 2)


@pytest.mark.parametrize("kind", KINDS)
def test_brain_keeps_its_values_and_all_around_it(kind):
    volume, inside = brain(), tissue()
    made, _ = changed(only("ranks", **{kind: KINDS[kind]}), volume)
    for (values,) in made:
        np.testing.assert_array_equal(values[~inside], volume[0][~inside])
        np.testing.assert_array_equal(np.sort(values[inside]), np.sort(volume[0][inside]))
    if kind == "gamma":  # no more than by the recipe itself, which goes by ranks
        np.testing.assert_allclose(made, np.broadcast_to(volume, made.shape), atol=1e-2)
    else:
        assert sum((values != volume).any() for values in made) > len(SEEDS) / 4


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "inversion"])
def test_brain_of_arrays_lies_in_unchanged_surroundings(kind):
    inside, volume = tissue(), np.where(tissue(), texture(), 0).astype(np.float32)[None]
    made, _ = changed(only(**{kind: KINDS[kind]}), volume)
    for (values,) in made:
        assert (values[~inside] == 0).all()
        assert values[inside].mean() == pytest.approx(volume[0][inside].mean(), abs=1e-4)
        assert values[inside].std() == pytest.approx(volume[0][inside].std(), abs=1e-4)
    assert np.mean([not np.allclose(values, volume, atol=1e-3) for values in made]) > 0.5


@pytest.mark.parametrize("scale", SCALES)
def test_volumes_without_contrast_stay_finite(scale):
    spot = np.zeros((1, *SHAPE), np.float32)
    spot[0, 9, 9, 9] = 1
    full = np.ones((1, *SHAPE), np.float32)
    transform = only(scale, **KINDS)
    for volume in (0 * spot, -1.5 * full, spot, np.where(tissue(), 2 * full, full), np.where(tissue(), 0, -full)):
        for values in changed(transform, volume)[0]:
            assert np.isfinite(values).all()
            if not np.ptp(volume):
                np.testing.assert_array_equal(values, volume)


@pytest.mark.parametrize("scale", SCALES)
def test_each_channel_is_changed_as_if_it_were_alone(scale):
    both = np.concatenate([head(), 2 * brain()])
    transform = only(scale, **KINDS)
    for seed in SEEDS:
        parts = [augment(transform, channel[None], seed) for channel in both]
        assert torch.equal(augment(transform, both, seed), torch.cat(parts))


def test_same_seed_same_bits_and_other_random_numbers_are_left_alone():
    volume, transform = head(), StrongAugmentation().transform(SHAPE)
    kept = volume.copy()
    np.random.seed(5)
    expected = np.random.rand()
    np.random.seed(5)
    first = [augment(transform, volume, seed) for seed in SEEDS]
    again = StrongAugmentation().transform(SHAPE)
    assert all(torch.equal(augment(again, volume, seed), first[seed]) for seed in reversed(SEEDS))
    assert len({made.numpy().tobytes() for made in first}) == len(SEEDS)
    assert all(made.dtype == torch.float32 and type(made) is torch.Tensor for made in first)
    np.testing.assert_array_equal(volume, kept)
    assert np.random.rand() == expected


def test_probability_is_how_often_and_options_are_how_much():
    transform, drawn = only(probability=0.25, **KINDS).transforms[0], []
    for seed in range(1000):
        transform.set_random_state(seed=seed)
        transform.randomize()
        thin, middle, thick = sorted(transform.widths)
        drawn.append((np.log(transform.exponent), transform.amount, middle, np.sqrt(thick**2 - thin**2)))
    np.testing.assert_allclose(np.count_nonzero(drawn, axis=0) / 1000, 0.25, atol=0.05)
    np.testing.assert_allclose(np.max(drawn, axis=0), [np.log(1.6), 0.4, 0.2, 0.2], rtol=0.05)
    np.testing.assert_allclose(np.min(drawn, axis=0), [-np.log(1.6), 0, 0, 0], atol=0.03)


def test_scale_is_that_of_the_recipe():
    assert [scale_of(recipe) for recipe in (None, BrainRecipe(), Recipe())] == ["moments", "ranks", "moments"]
    assert scale_of(Recipe(intensity="minmax")) == "range"

    class Brains(InMemory):
        recipe = BrainRecipe()

    for kind, scale in ((Brains, "ranks"), (InMemory, "moments")):
        dataset = VolumeDataset(kind(head()[None]), np.zeros(1), augmentation=StrongAugmentation(), seed=0)
        assert dataset.transform.transforms[0].scale == scale


def test_words_stand_for_augmentations():
    assert CNN(augmentation="strong").augmentation == StrongAugmentation()
    assert CNN(augmentation="default").augmentation == CNN().augmentation == Augmentation()
    assert CNN(augmentation=None).augmentation is None
    with refused(
        r"^model\.augmentation=stong is not an instance of Augmentation or one of default, strong or None\.",
        r"^augmentation='stong' is not",
    ):
        CNN(augmentation="stong")


def test_what_is_off_is_not_written_so_that_older_checkpoints_are_known():
    old = "rotate_degrees=5.0, scale=0.05, shift_voxels=1.5, intensity=0.1, noise={}, flip=False, probability=0.7"
    assert str(Augmentation()) == f"Augmentation({old.format(0.05)})"
    strong = f"StrongAugmentation({old.format(0.2)}, gamma=0.6, bias_field=0.4, blur=0.04, slices=0.04)"
    assert str(StrongAugmentation()) == strong
    assert strong in CNN(augmentation="strong").identity()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": -0.1}, r"gamma=-0\.1 is negative or infinite\. Give 0 or more"),
        ({"bias_field": 10.0}, r"bias_field=10\.0 would leave nothing of the image\. Give less than 10, such as 0\.4"),
        ({"blur": 6.0}, r"blur=6\.0 would leave nothing of the image\. Give less than 1, such as 0\.03"),
    ],
)
def test_options_out_of_range_are_named(options, message):
    with refused(rf"^model\.augmentation\.{message}", f"^{message}"):
        StrongAugmentation(**options)
