"""What brains of real heads are good for: moved heads, markers, ways back, what is no brain, and kills.

`benchmarks/brains.py` has the figures of all heads.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from mri3d import BrainRecipe
from mri3d.brain.kept import brain_of, found_in
from mri3d.scans.scan import ScanError, canonical, read_scan, write_image
from tests.brain.heads import (
    MARKERS_MM,
    apart_mm,
    brain_centre_mm,
    inside_brain,
    marker,
    moving,
    resampled,
    sealed,
    tilted_axes,
    under_header,
)
from tests.commands import ROOT
from tests.scans.phantom import SHARED_DATA, needs_shared_data

pytestmark = [pytest.mark.slow, needs_shared_data]

HEADS = ("IXI163-HH-1621", "IXI327-HH-1999")
STRIPPED = SHARED_DATA / "depression-bids/sub-05/anat/sub-05_T1w.nii.gz"


@pytest.fixture(scope="module", autouse=True)
def kept_brains(tmp_path_factory):
    """Keep the brains of these tests in a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MRI3D_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def head(name=HEADS[0]):
    return SHARED_DATA / f"ixi/T1/{name}_T1.nii.gz"


@pytest.fixture(scope="module")
def oblique(tmp_path_factory):
    """Write a head on a tilted grid of voxels of 1.2 x 2.5 x 3.5 mm."""
    seen = resampled(read_scan(head()), axes=tilted_axes())
    path = tmp_path_factory.mktemp("oblique") / "oblique.nii.gz"
    write_image(path, seen.data, seen.affine, code=1)
    return path


def order(name):
    return read_scan(SHARED_DATA / f"odd-scans/axis-orders/{name}.nii.gz")


@pytest.fixture(scope="module")
def unmoved():
    """Return a head, its brain, and its volume."""
    scan = order("RAS")
    return scan, brain_of(scan), BrainRecipe(size=0).volume(scan)


@pytest.mark.parametrize(("name", "sign"), [("SPR", 1), ("PIL", -1)])
@pytest.mark.parametrize(
    ("move", "least", "most", "most_mm"), [(under_header, 0.995, 0.04, 0.25), (resampled, 0.99, 0.06, 0.5)]
)
def test_a_moved_head_in_any_axis_order_gives_the_same_volume(unmoved, name, sign, move, least, most, most_mm):
    scan, brain, expected = unmoved
    recipe, about_mm = BrainRecipe(size=0), brain_centre_mm(scan, brain)
    change = moving((15 * sign, 15, 15 * sign), (30 * sign, -30, 30 * sign), 0.9, about_mm)
    moved = move(order(name), change)
    one, other = (volume[0][inside_brain(recipe)] for volume in (recipe.volume(moved), expected))
    assert np.corrcoef(one, other)[0, 1] >= least
    assert np.abs(one - other).mean() <= most, "of intensities whose standard deviation is 1"
    assert apart_mm(np.linalg.inv(change) @ brain_of(moved).to_scan, brain.to_scan).max() <= most_mm


@pytest.mark.parametrize("stripped", [False, True])
def test_markers_come_back_into_the_right_voxels_of_oblique_scans(oblique, stripped):
    path = STRIPPED if stripped else oblique
    scan, recipe, to_voxels = read_scan(path), BrainRecipe("native"), np.linalg.inv(nib.load(path).affine)
    for at_mm in MARKERS_MM:
        carried = recipe.to_scan(marker(recipe, np.array(at_mm)), scan)
        assert carried.shape == nib.load(path).shape
        peak = np.unravel_index(carried.argmax(), carried.shape)
        # Of the head by its alignment on another grid: the world is the same.
        by = brain_of(scan if stripped else read_scan(head())).to_scan
        assert np.abs(np.array(peak) - (to_voxels @ by @ [*at_mm, 1])[:3]).max() <= 1
        assert np.abs(ndimage.center_of_mass(carried) - (to_voxels @ by @ [*at_mm, 1])[:3]).max() <= 0.5


def test_the_way_back_is_exact_with_what_is_kept(oblique):
    points = np.vstack([np.random.default_rng(0).uniform(-90, 90, (3, 500)), np.ones(500)])
    for path in (head(), oblique, STRIPPED):
        scan = read_scan(path)
        voxels = np.linalg.inv(scan.affine) @ brain_of(scan).to_scan @ points
        kept = brain_of(replace(scan))  # another object: it is read from the folder
        assert kept is not brain_of(scan)
        back = np.linalg.inv(kept.to_scan) @ nib.load(path).affine @ voxels
        assert np.linalg.norm((back - points)[:3], axis=0).max() < 1e-3


def without_brain(scan):
    """Take the brain out of a head, and what is next to it."""
    data, affine = canonical(scan)
    brain = ndimage.binary_dilation(found_in(scan).mask, iterations=1)
    return replace(scan, data=np.where(brain, 0, data), affine=affine)


def slab(scan, number):
    """Keep a few planes in the middle of the brain."""
    data, affine = canonical(scan)
    first = int(np.argwhere(found_in(scan).mask)[:, 2].mean()) - number // 2
    moved = affine.copy()
    moved[:3, 3] += affine[:3, 2] * first
    return replace(scan, data=np.ascontiguousarray(data[:, :, first : first + number]), affine=moved)


def of_size(scan, scale, degrees=0):
    return replace(scan, affine=moving((degrees, 0, 0), (0, 0, 0), scale) @ scan.affine)


@pytest.mark.parametrize(
    "change",
    [
        without_brain,
        lambda scan: slab(scan, 2),
        lambda scan: slab(scan, 10),
        lambda scan: of_size(scan, 0.7),
        lambda scan: of_size(scan, 0.1, degrees=-90),
    ],
    ids=["without", "2 slices", "10 slices", "infant", "mouse"],
)
def test_what_shows_no_brain_of_an_adult_is_refused_and_said_why(change):
    scan = sealed(change(read_scan(head())))
    with pytest.raises(ScanError, match=r"no brain was found|ml, and brains have|correlation .* overlap"):
        BrainRecipe().check(scan)


FINDING = """
import os, sys, time
from pathlib import Path
from mri3d.brain.kept import brain_of
from mri3d.scans.scan import read_scan

def half(path, data):
    with path.open("wb") as file:
        file.write(data[: len(data) // 2])
    print("half", flush=True)
    time.sleep(600)

if sys.argv[1] == "half":
    Path.write_bytes = half
for path in sys.argv[2:]:
    brain_of(read_scan(Path(path)))
    print("found", flush=True)
"""


def finding(cache, how=""):
    """Start a process that finds the brains of two heads, and writes only half of each where it is told so."""
    command = [sys.executable, "-c", FINDING, how, *(str(head(name)) for name in HEADS)]
    environment = os.environ | {"MRI3D_CACHE": str(cache)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)


def kill_after(process, line, seconds=0.0):
    """Wait until a process says something, and some time, and kill it."""
    said = Counter()
    for told in process.stdout:
        said[told.strip()] += 1
        if told.strip() == line:
            break
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    return said


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_kill_leaves_no_half_of_a_brain_and_the_next_run_goes_on(tmp_path, monkeypatch):
    brains = tmp_path / "brains"
    kill_after(finding(tmp_path), "found", 1.0)  # while the second is looked for
    first = contents(brains)
    assert len(first) == 1

    assert kill_after(finding(tmp_path, "half"), "half") == {"found": 1, "half": 1}  # the first was not looked for
    left = contents(brains)
    assert {name: data for name, data in left.items() if name.endswith(".npz") and name[0] != "."} == first
    assert len(left) == 2

    goes_on = finding(tmp_path)
    assert goes_on.communicate()[0].split() == ["found", "found"]
    assert goes_on.returncode == 0
    done = contents(brains)
    assert len(done) == 2
    assert first.items() < done.items()
    assert all(name.endswith(".npz") and name[0] != "." for name in done)

    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path))
    monkeypatch.setattr("mri3d.brain.locating.locate_brain", lambda scan: pytest.fail("it is not taken as whole"))
    for name in HEADS:
        scan = read_scan(head(name))
        assert brain_of(scan).mask.shape == canonical(scan)[0].shape
