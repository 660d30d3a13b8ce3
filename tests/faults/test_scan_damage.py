"""Damaged scans: no flipped bit and no cut of a compressed file is used silently, and each error names the file."""

import gzip

import numpy as np
import pytest

from mri3d.scans.scan import ScanError, read_scan
from mri3d.volumes.recipe import Recipe
from tests.scans.phantom import ORDERS, oblique_affine, reorder, write_scan
from tests.volumes.planted import scan_of
from tests.volumes.test_recipe_background import brain, in_air

AMOUNTS = [pytest.param(60, id="few"), pytest.param(1000, id="many", marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return write_scan(tmp_path_factory.mktemp("scan") / "head.nii.gz", in_air(brain()), oblique_affine())


def read(path, data) -> np.ndarray | str:
    """Return the voxels of a file with other content, or why it is not read."""
    path.write_bytes(data)
    try:
        return read_scan(path).data
    except ScanError as error:
        return str(error)


@pytest.mark.parametrize("number", AMOUNTS)
def test_no_flipped_bit_of_a_compressed_scan_is_used(scan, tmp_path, number):
    whole, expected = scan.read_bytes(), read_scan(scan).data
    for bit in np.random.default_rng(0).integers(0, 8 * len(whole), number):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path = tmp_path / "damaged.nii.gz"
        found = read(path, damaged)
        assert str(path) in found if isinstance(found, str) else np.array_equal(found, expected), bit


@pytest.mark.parametrize("number", AMOUNTS)
def test_no_cut_of_a_scan_is_used(scan, tmp_path, number):
    whole = scan.read_bytes()
    plain = gzip.decompress(whole)
    random = np.random.default_rng(1)
    for name, data in (("cut.nii.gz", whole), ("cut.nii", plain)):
        for length in random.integers(0, len(data), number // 2):
            found = read(tmp_path / name, data[:length])
            assert isinstance(found, str), length
            assert str(tmp_path / name) in found


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_axis_order_and_type_change_nothing_of_what_a_model_sees(dtype):
    image = np.round(in_air(brain())).astype(dtype)
    for affine in (oblique_affine(), np.diag([1.5, 1.0, 2.5, 1.0])):
        expected = Recipe(30).volume(scan_of(image.astype(np.float32), affine))
        for order in ORDERS:
            found = Recipe(30).volume(scan_of(*reorder(image, affine, order)))
            np.testing.assert_allclose(found, expected, atol=1e-5)
