"""Tiles of scans: what lies where on them, and that each is once in a page."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from mri3d.report.figures import HeadView
from mri3d.report.sprites import Sprites, Tile, tile
from tests.report.test_viewer import Elements
from tests.report.viewed import PEAK, SHAPE, SPACING_MM, affine, head, stored

PLAIN = np.diag([2.0, 2.0, 2.0, 1.0])


def pixels(drawn):
    """Of a tile [rows, columns, RGB]."""
    return np.frombuffer(drawn.pixels, np.uint8).reshape(64, 192, 3).astype(int)


def plain(value):
    """A tile of one shade of grey."""
    return Tile(bytes([value]) * (64 * 192 * 3), heatmap=False)


def sheets(style):
    """The images in a style [rows, columns], and how many tiles each is said to have."""
    found = re.findall(r"\.tile-(\d+) { --of: (\d+); background-image: url\(data:image/jpeg;base64,(.*?)\); }", style)
    assert [int(number) for number, _, _ in found] == list(range(len(found)))
    images = [Image.open(io.BytesIO(base64.b64decode(data))).convert("L") for _, _, data in found]
    return [(np.asarray(image).astype(int), int(of)) for image, (_, of, _) in zip(images, found, strict=True)]


@pytest.mark.parametrize("codes", ["RAS", "LIA", "PSR"])
def test_planes_go_through_the_peak_in_every_stored_order(codes):
    volume, where, heatmap = stored(codes)
    drawn = tile(HeadView(volume, where, heatmap))
    assert drawn.heatmap
    image = pixels(drawn)
    warm = (image[..., 0] > 110) & (image[..., 0] > image[..., 2] + 60)
    cool = (image[..., 2] > 110) & (image[..., 2] > image[..., 0] + 60)
    sides_mm = np.array(SHAPE) * SPACING_MM
    shares = (np.array(PEAK) + 0.5) * SPACING_MM - sides_mm / 2  # mm from the middle, which is that of the tile's parts
    pixels_a_mm = 64 / 66  # the ball has a radius of 32 mm, and the box two voxels more
    for part, (across, up) in enumerate([(1, 2), (0, 2), (0, 1)]):
        row, column = np.argwhere(warm[:, 64 * part : 64 * part + 64]).mean(axis=0)
        assert column - 31.5 == pytest.approx(shares[across] * pixels_a_mm, abs=6)
        assert 31.5 - row == pytest.approx(shares[up] * pixels_a_mm, abs=6)
    assert not cool[:, 64:128].any(), "the evidence against lies in other planes"


def test_without_a_heatmap_the_middle_is_shown_in_grey():
    volume = np.zeros((20, 24, 28), np.float32)
    volume[4:16, 4:20, 4:24] = 50.0
    volume[8:12, 10:14, 12:16] = 100.0
    drawn = tile(HeadView(volume, PLAIN))
    assert not drawn.heatmap
    image = pixels(drawn)
    assert (image == image[..., :1]).all()
    for part in range(3):
        middle = np.argwhere(image[:, 64 * part : 64 * part + 64, 0] > 180).mean(axis=0)
        assert middle == pytest.approx([31.5, 31.5], abs=1.5)


@pytest.mark.parametrize(
    "volume", [np.zeros((7, 8, 9)), np.full((1, 1, 1), 5.0), np.random.default_rng(0).random((2, 90, 3))]
)
def test_any_volume_has_a_tile(volume):
    for heatmap in (None, np.zeros(volume.shape), -volume):
        assert pixels(tile(HeadView(volume, PLAIN, heatmap))).shape == (64, 192, 3)


def test_equal_tiles_are_one_and_each_is_where_its_element_says():
    tiles = [plain(3 * number) for number in range(70)]
    sprites = Sprites.of([*tiles, plain(0), tiles[69]])
    images = sheets(sprites.style())
    assert [of for _, of in images] == [32, 32, 6]
    for number, each in enumerate(tiles):
        shown = sprites.show(each, 'a "b" <i>')
        (found,) = Elements(shown).attributes("span")
        assert (found["role"], found["aria-label"]) == ("img", 'a "b" <i>')
        place = re.fullmatch(r"tile tile-(\d) --row:(\d+)", f"{found['class']} {found['style']}")
        image, of = images[int(place[1])]
        assert image.shape == (64 * of, 192)
        row = 64 * int(place[2])
        np.testing.assert_allclose(image[row : row + 64], 3 * number, atol=2)


def test_a_tile_costs_less_than_three_and_a_half_kilobytes():
    noise = np.random.default_rng(0).normal(0, 10, (8, *SHAPE)).astype(np.float32)
    volume, where, heatmap = head(), affine(), stored()[2]
    tiles = [tile(HeadView(volume + each * (volume > 50), where, heatmap)) for each in noise]
    assert len(set(tiles)) == 8
    style = Sprites.of(tiles).style()
    assert 8 * 1000 < len(style) < 8 * 3500
    assert style == Sprites.of(tiles).style()
