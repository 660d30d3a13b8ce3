"""Pictures for TensorBoard: planes where they are expected, and evidence in the colours of the reports."""

import numpy as np
import pytest

from mri3d.models.network.board_pictures import AGAINST_AND_FOR, middle_slices, slices_with_evidence
from mri3d.report import picture

SHAPE = (7, 8, 9)


def numbered():
    """Give a volume of which every voxel has a value of its own."""
    return np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)


def three_planes(volume, point):
    """Lay the planes through a point side by side by hand, the last axis upwards, black beneath one that is short."""
    x, y, z = point
    picture = np.zeros((9, 8 + 7 + 7))
    picture[:, :8] = volume[x].T[::-1]
    picture[:, 8:15] = volume[:, y].T[::-1]
    picture[:8, 15:] = volume[:, :, z].T[::-1]
    return picture


def test_planes_lie_in_the_middle_and_each_volume_has_its_own_black_and_white():
    volume = numbered()
    (rows,) = middle_slices(np.stack([volume, 100 - volume]))
    expected = three_planes(volume, (3, 4, 4)) / volume.max()
    np.testing.assert_allclose(rows[:9], expected, atol=1e-6)
    np.testing.assert_allclose(rows[9:17], (1 - expected)[:8], atol=1e-6)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_planes_meet_where_evidence_is_strongest_whatever_its_sign(sign):
    volume, heat = numbered(), np.zeros(SHAPE, np.float32)
    heat[1, 6, 7], heat[5, 5, 5] = sign, -0.5 * sign
    rows = slices_with_evidence(volume[None], [heat])
    gray = 0.85 * three_planes(volume, (1, 6, 7)) / volume.max()
    strongest = [(8 - 7, 6), (8 - 7, 8 + 1), (7 - 6, 15 + 1)]
    for row, column in strongest:
        extreme = AGAINST_AND_FOR[-1 if sign > 0 else 0] / 255
        np.testing.assert_allclose(rows[:, row, column], 0.1 * gray[row, column] + 0.9 * extreme, atol=1e-6)
    others = np.ones((9, 22), dtype=bool)
    others[tuple(zip(*strongest, strict=True))] = False
    np.testing.assert_allclose(rows[:, others], np.broadcast_to(gray[others], (3, others.sum())), atol=1e-6)


def test_map_without_evidence_leaves_the_middle_planes_gray():
    volume = numbered()
    rows = slices_with_evidence(volume[None], [np.zeros(SHAPE, np.float32)])
    np.testing.assert_allclose(rows, 0.85 * np.repeat(middle_slices(volume[None]), 3, axis=0), atol=1e-6)


def test_colours_are_those_of_the_reports():
    values = np.linspace(0, 1, len(AGAINST_AND_FOR))
    np.testing.assert_allclose(picture.AGAINST_AND_FOR(values)[:, :3], AGAINST_AND_FOR / 255, atol=0.02)
