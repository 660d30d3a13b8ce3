"""The outlier model: beside another library's PCA, planted turns, few volumes, and arrays that are none of its."""

import functools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import affine_transform, gaussian_filter
from scipy.spatial.transform import Rotation
from sklearn.decomposition import PCA

from mri3d.contract.outlier_model import OutlierModel, averaged
from mri3d.volumes.sequence import InMemory

SIDES = (20, 22, 24)


def volumes_of(num_volumes=30, channels=1, sides=SIDES, seed=0):
    """Return what all have in common and what each has of its own, float32 [N, C, X, Y, Z]."""
    random = np.random.default_rng(seed)
    at = np.stack(np.meshgrid(*(np.linspace(-1, 1, side) for side in sides), indexing="ij"))
    common = 3.0 * (np.square(at).sum(axis=0) < 0.8) + 2 * np.exp(-np.square((at[1] - 0.5) / 0.3)) * (abs(at[0]) < 0.5)
    common += 1.5 * (at[2] > 0.3) * (abs(at[1]) < 0.6)
    own = gaussian_filter(random.standard_normal((num_volumes, channels, *sides)), (0, 0, 2, 2, 2))
    return (common + 0.4 * own / own.std()).astype(np.float32)


@functools.cache
def fitted():
    """Return forty volumes of one shape, the model of thirty of them, and how unlike each of these is the others."""
    volumes = volumes_of(40, sides=(24, 24, 24))
    return volumes, *OutlierModel.fit(InMemory(volumes), np.arange(30))


class OneByOne:
    """A sequence that counts how often a volume is read, and knows nothing else."""

    def __init__(self, volumes: np.ndarray) -> None:
        self.volumes, self.reads = volumes, []

    def __getitem__(self, row: int) -> np.ndarray:
        self.reads.append(row)
        return self.volumes[row]


def test_error_and_distance_are_those_of_another_library():
    volumes = volumes_of()
    model, _ = OutlierModel.fit(InMemory(volumes), np.arange(24))
    flat = volumes.reshape(len(volumes), -1).astype(np.float64) / volumes[:24].std(dtype=np.float64)
    peer = PCA(len(model.variances), svd_solver="full").fit(flat[:24])
    assert len(model.variances) == 3  # a fifth of the 19 volumes outside of a fold
    assert_allclose(model.variances, peer.explained_variance_, rtol=1e-4)
    for volume, row in zip(volumes[24:], flat[24:], strict=True):
        scores = peer.transform(row[None])
        unlike = model.measure(volume)
        assert unlike.error == pytest.approx(np.square(row - peer.inverse_transform(scores)).mean(), rel=1e-4)
        assert unlike.distance == pytest.approx(np.sqrt((scores**2 / peer.explained_variance_).mean()), rel=1e-4)


def test_rows_are_held_against_others_so_that_the_range_is_fair_to_new_volumes():
    volumes = volumes_of(200)
    model, held_out = OutlierModel.fit(InMemory(volumes), np.arange(100))
    new = [model.measure(volume) for volume in volumes[100:]]
    seen = [model.measure(volume) for volume in volumes[:100]]
    errors = [np.median([one.error for one in group]) for group in (new, held_out, seen)]
    assert errors[1] == pytest.approx(errors[0], rel=0.05)
    assert errors[2] < 0.9 * errors[0]


def test_visits_of_one_person_are_held_against_other_people():
    people = volumes_of(80)
    visits = np.repeat(people[:40], 3, axis=0)
    visits += 0.05 * np.random.default_rng(1).standard_normal(visits.shape).astype(np.float32)
    model, held_out = OutlierModel.fit(InMemory(visits), np.arange(120), np.repeat(np.arange(40), 3))
    new = np.median([model.measure(volume).error for volume in people[40:]])
    assert np.median([one.error for one in held_out]) == pytest.approx(new, rel=0.1)
    _, apart = OutlierModel.fit(InMemory(visits), np.arange(120))
    assert np.median([one.error for one in apart]) < 0.7 * new


def test_each_volume_is_read_once_and_the_bits_are_always_the_same():
    volumes = volumes_of(channels=2)
    source = OneByOne(volumes)
    first, held_out = OutlierModel.fit(source, np.array([3, 9, 4, 20, 21, 22, 25]))
    assert source.reads == [3, 9, 4, 20, 21, 22, 25]
    again, held_out_again = OutlierModel.fit(InMemory(volumes), [3, 9, 4, 20, 21, 22, 25])
    assert held_out == held_out_again
    for name, tensor in first.tensors().items():
        assert tensor.tobytes() == again.tensors()[name].tobytes(), name


@pytest.mark.parametrize("degrees", [-30, -12, 20])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_turn_is_measured(axis, degrees):
    volumes, model, held_out = fitted()
    assert np.abs([unlike.turned_deg for unlike in held_out]).max() < 6
    matrix = Rotation.from_rotvec(np.deg2rad(degrees) * np.eye(3)[axis]).as_matrix()
    middle = np.full(3, 11.5)
    turned = affine_transform(volumes[33, 0], matrix, middle - matrix @ middle, order=1, mode="nearest")[None]
    expected = np.eye(3)[axis] * degrees
    assert_allclose(np.array(model.measure(turned).turned_deg)[axis], expected[axis], atol=5)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda volume: volume, ""),
        (lambda volume: volume[:, ::-1], ""),
        (lambda volume: volume[:, :, :, ::-1], "upside down"),
        (lambda volume: volume[:, :, ::-1, ::-1], "upside down"),
        (lambda volume: volume[:, :, ::-1], "back to front"),
        (lambda volume: volume.transpose(0, 2, 3, 1), "turned onto another side"),
        (lambda volume: volume[:, :, :, :12].repeat(2, axis=3), ""),
    ],
)
def test_exchanged_axes_are_told(change, told):
    volumes, model, _ = fitted()
    assert model.lies(change(volumes[35]), ras=True) == told


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_directions_are_not_named_where_axes_are_in_another_order(axis):
    order = (0, *np.roll([1, 2, 3], axis))  # of the axes R, A, S in the volumes
    volumes = np.stack([volume.transpose(order) for volume in volumes_of(40, sides=(24, 24, 24))])
    model, _ = OutlierModel.fit(InMemory(volumes), np.arange(30))
    assert model.lies(volumes[35], ras=False) == ""
    for down in (1, 2, 3):
        expected = "" if order[down] == 1 else "turned or mirrored about its axes"  # left and right are alike
        assert model.lies(np.flip(volumes[35], down), ras=False) == expected


@pytest.mark.parametrize("shape", [(1, 50, 50, 50), (3, 30, 26, 41), (1, 5, 6, 7), (2, 2, 3, 2), (40, 20, 20, 20)])
@pytest.mark.parametrize("num_rows", [2, 3, 10])
def test_any_shape_and_few_rows(shape, num_rows):
    volumes = np.random.default_rng(0).standard_normal((num_rows, *shape)).astype(np.float32)
    model, held_out = OutlierModel.fit(InMemory(volumes), np.arange(num_rows))
    assert len(held_out) == num_rows
    assert np.isfinite([(*unlike[:2], *unlike.turned_deg) for unlike in held_out]).all()
    assert sum(tensor.nbytes for tensor in model.tensors().values()) < 3e6
    read = OutlierModel.from_tensors(model.tensors(), shape)
    assert read.measure(volumes[0]) == model.measure(volumes[0])


def test_copies_of_one_volume_leave_nothing_to_explain():
    volumes = volumes_of(1).repeat(12, axis=0)
    model, _ = OutlierModel.fit(InMemory(volumes), np.arange(12))
    assert len(model.variances) == 0
    assert model.measure(volumes[0])[:2] == (pytest.approx(0, abs=1e-9), 0)


def test_a_volume_is_averaged_in_proportion():
    volume = np.full((2, 50, 40, 10), 7.0, np.float32)
    assert averaged(volume).shape == (2, 24, 19, 5)
    assert_allclose(averaged(volume), 7, rtol=1e-5)
    small = np.random.default_rng(0).random((1, 7, 8, 9), np.float32)
    assert_array_equal(averaged(small), small)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("mean", lambda array: array[0]),
        ("mean", lambda array: array[:, 1:]),
        ("mean", lambda array: array.astype(np.float64)),
        ("mean", lambda array: array * np.float32(np.nan)),
        ("mean", lambda array: array * np.float32(1e30)),
        ("scale", lambda array: array * 0),
        ("scale", lambda array: np.repeat(array, 2)),
        ("components", lambda array: array[:, 1:]),
        ("components", lambda array: array[1:]),
        ("variances", lambda array: -array),
        ("variances", lambda array: np.repeat(array, 20)),
    ],
)
def test_arrays_that_do_not_go_together_are_refused(name, change):
    volumes, model, _ = fitted()
    tensors, sides = model.tensors(), volumes.shape[2:]
    with pytest.raises(ValueError, match="outlier model"):
        OutlierModel.from_tensors(tensors | {name: change(tensors[name])}, (1, *sides))
    with pytest.raises(ValueError, match="outlier model"):
        OutlierModel.from_tensors(tensors, (2, *sides))
    del tensors[name]
    with pytest.raises(KeyError, match=name):
        OutlierModel.from_tensors(tensors, (1, *sides))
