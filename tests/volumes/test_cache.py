"""The cache: the same volumes as the recipe makes, whatever happens to scans and files in between."""

import logging
import pickle
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from mri3d.errors import UserError
from mri3d.files import digest_json
from mri3d.scans.scan import read_scan
from mri3d.volumes.cache import Volumes
from mri3d.volumes.recipe import Recipe
from tests.scans.phantom import oblique_affine, reorder, values, write_scan

RECIPE = Recipe(resolution=8, crop="none")
IDS = ["anna", "bert", "carl", "dora"]


def write_cohort(folder: Path) -> list[Path]:
    """Write four different scans, in different stored orders."""
    return [
        write_scan(folder / f"{name}.nii.gz", *reorder(np.roll(values(), 31 * i), oblique_affine(), order))
        for i, (name, order) in enumerate(zip(IDS, ["RAS", "LIA", "PSR", "LPS"], strict=True))
    ]


@pytest.fixture
def volumes(tmp_path) -> Volumes:
    scans = write_cohort(tmp_path)
    digests = [read_scan(path).digest for path in scans]
    return Volumes(scans, digests, RECIPE, ids=IDS, folder=tmp_path / "cache")


def cached(volumes: Volumes) -> list[Path]:
    return sorted(volumes.folder.iterdir())


def test_gives_what_the_recipe_makes_before_and_after_it_is_kept(volumes):
    expected = [RECIPE.volume(read_scan(path)) for path in volumes.scans]
    assert len(volumes) == 4
    assert volumes.shape == (1, 8, 8, 8)
    for _ in range(2):
        for row in range(4):
            np.testing.assert_array_equal(volumes[row], expected[row])
    assert volumes[0].dtype == np.float32
    assert volumes[0].flags.writeable, "torch refuses to wrap what it may not write"
    with pytest.raises(IndexError):
        volumes[4]


def test_reads_no_scan_again_once_it_is_full(volumes):
    volumes.fill()
    before = [volumes[row] for row in range(4)]
    for path in volumes.scans:
        path.unlink()
    volumes.fill()
    for row in range(4):
        np.testing.assert_array_equal(volumes[row], before[row])


def test_files_are_plain_npy_named_by_scan_and_recipe(volumes, tmp_path):
    volumes.fill()
    assert len(cached(volumes)) == 4
    assert {path.suffix for path in cached(volumes)} == {".npy"}
    found = np.stack([np.load(path) for path in cached(volumes)])
    expected = np.stack([volumes[row] for row in range(4)])
    np.testing.assert_array_equal(np.sort(found.reshape(4, -1)[:, 7]), np.sort(expected.reshape(4, -1)[:, 7]))

    other = Volumes(volumes.scans, volumes.digests, Recipe(resolution=9, crop="none"), folder=volumes.folder)
    other.fill()
    assert len(cached(volumes)) == 8
    again = write_cohort(tmp_path)  # the same scans at another time are the same scans
    Volumes(again, volumes.digests, RECIPE, folder=volumes.folder).fill()
    assert len(cached(volumes)) == 8


def test_two_subjects_with_one_scan_share_a_volume(volumes):
    twins = Volumes(volumes.scans[:1] * 2, volumes.digests[:1] * 2, RECIPE, folder=volumes.folder)
    twins.fill()
    assert len(cached(volumes)) == 1
    np.testing.assert_array_equal(twins[0], twins[1])


def test_damage_is_noticed_told_and_mended(volumes, caplog):
    expected = volumes[0]
    (path,) = cached(volumes)
    good = path.read_bytes()
    damaged = [good[:length] for length in (0, 1, 127, 128, 500, len(good) - 1)] + [good + b"x"]
    for byte in range(0, len(good), 37):
        flipped = bytearray(good)
        flipped[byte] ^= 1 << byte % 8
        damaged.append(bytes(flipped))
    for data in damaged:
        path.write_bytes(data)
        caplog.clear()
        np.testing.assert_array_equal(volumes[0], expected)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert f"{path} is damaged; it is made again from {volumes.scans[0]}" in caplog.text
        assert path.read_bytes() == good


def test_volumes_of_earlier_versions_are_neither_taken_nor_damaged(volumes, caplog):
    volumes.recipe = Recipe(resolution=8, crop="none", version=1)
    volumes.folder.mkdir()
    older = {}
    for digest in volumes.digests:  # as mri3d 0.2 wrote them: other names, and the CRC of the bytes alone
        path = volumes.folder / f"{digest_json([digest, volumes.recipe.digest()])}.npy"
        np.save(path, np.zeros(volumes.shape, np.float32))
        path.write_bytes(path.read_bytes() + zlib.crc32(path.read_bytes()).to_bytes(4, "little"))
        older[path] = path.read_bytes()
    volumes.fill()
    for row in range(4):
        np.testing.assert_array_equal(volumes[row], volumes.recipe.volume(read_scan(volumes.scans[row])))
    assert "damaged" not in caplog.text
    assert len(cached(volumes)) == 8
    assert {path: path.read_bytes() for path in older} == older


def test_a_scan_replaced_since_the_audit_is_named(volumes):
    write_scan(volumes.scans[2], np.roll(values(), 5))
    with pytest.raises(UserError, match=r"subject carl: .*carl\.nii\.gz has changed since the cohort was read"):
        volumes.fill()
    with pytest.raises(UserError, match=r"subject carl: .*carl\.nii\.gz has changed since the cohort was read"):
        volumes[2]
    assert len(cached(volumes)) <= 3


def test_errors_name_subject_and_file(volumes):
    volumes.scans[1].write_bytes(volumes.scans[1].read_bytes()[:-20])
    with pytest.raises(UserError, match=r"subject bert: .*bert\.nii\.gz is truncated"):
        volumes.fill()
    nameless = Volumes(volumes.scans, volumes.digests, RECIPE, folder=volumes.folder)
    with pytest.raises(UserError, match=r"^/.*bert\.nii\.gz is truncated"):
        nameless[1]


def test_a_folder_that_cannot_be_written_is_named(volumes, tmp_path):
    (tmp_path / "file").write_text("in the way")
    volumes.folder = tmp_path / "file" / "cache"
    with pytest.raises(UserError, match=r"cannot write to .*cache: .* by MRI3D_CACHE"):
        volumes[0]


def test_lies_in_the_cache_folder_unless_told(volumes, cache_folder):
    assert Volumes(volumes.scans, volumes.digests, RECIPE).folder == cache_folder / "volumes"


def test_a_native_cohort_is_padded_and_a_cut_scan_is_told(volumes, caplog):
    recipe = Recipe("native", crop="none").for_cohort(volumes.scans)
    native = Volumes(volumes.scans, volumes.digests, recipe, ids=IDS, folder=volumes.folder)
    assert native.shape == (1, 7, 8, 9)
    native.fill()
    assert "cut" not in caplog.text
    small = Recipe("native", crop="none", shape=[6, 8, 9])
    with caplog.at_level(logging.WARNING):
        Volumes(volumes.scans, volumes.digests, small, ids=IDS, folder=volumes.folder).fill()
    assert "subject dora: " in caplog.text
    assert "the crop of 7 x 8 x 9 voxels is cut to the 6 x 8 x 9 of the cohort" in caplog.text


@pytest.mark.parametrize("voxels", [slice(0, 512), slice(100, 101), slice(500, None), slice(None, 40), slice(9, 9)])
def test_a_block_is_a_slice_of_all_volumes(volumes, voxels):
    stacked = np.stack([volumes[row].reshape(-1) for row in range(4)])
    rows = np.array([3, 0, 2])
    for _ in range(2):  # the first time checked, then straight from the files
        block = volumes.block(rows, voxels)
        assert block.dtype == np.float32
        np.testing.assert_array_equal(block, stacked[rows, voxels])


def test_blocks_survive_damage_and_loss(volumes):
    expected = volumes[1].reshape(-1)
    (path,) = cached(volumes)
    data = bytearray(path.read_bytes())
    data[300] ^= 4
    path.write_bytes(data)
    np.testing.assert_array_equal(volumes.block([1], slice(40, 90))[0], expected[40:90])
    path.unlink()
    np.testing.assert_array_equal(volumes.block([1], slice(40, 90))[0], expected[40:90])
    path.write_bytes(path.read_bytes()[:200])
    np.testing.assert_array_equal(volumes.block([1], slice(40, 90))[0], expected[40:90])


def test_travels_to_other_processes(volumes):
    volumes.fill()
    volumes.block([0], slice(0, 5))
    again = pickle.loads(pickle.dumps(volumes))
    np.testing.assert_array_equal(again[3], volumes[3])
    assert again.recipe == RECIPE


def test_several_processes_fill_at_once(volumes):
    program = "import pickle, sys; pickle.loads(sys.stdin.buffer.read()).fill(2)"
    processes = [subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) for _ in range(2)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(pickle.dumps(volumes))
        process.stdin.close()
    assert [process.wait() for process in processes] == [0, 0]
    assert len(cached(volumes)) == 4, "and no temporary file is left"
    for row, path in enumerate(volumes.scans):
        np.testing.assert_array_equal(volumes[row], RECIPE.volume(read_scan(path)))


def test_a_failing_scan_leaves_no_half_files(volumes):
    volumes.scans[0].write_bytes(b"")
    volumes.folder.mkdir()  # whichever scan is tried first
    with pytest.raises(UserError, match="subject anna"):
        volumes.fill(1)
    assert all(path.suffix == ".npy" and not path.name.startswith(".") for path in cached(volumes))
