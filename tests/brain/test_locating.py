"""The brain in a scan: extracted and aligned, whatever surrounds it and however the head was held, or refused."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from mri3d import BrainRecipe
from mri3d.brain.locating import locate_brain
from mri3d.errors import NotInstalledError
from mri3d.scans.scan import ScanError, canonical, read_scan
from tests.brain.heads import apart_mm, moving, scanned
from tests.scans.phantom import SHARED_DATA, needs_shared_data, reorder
from tests.volumes.planted import scan_of

IXI = SHARED_DATA / "ixi"


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


@pytest.mark.slow
def test_a_brain_without_its_skull_is_taken_as_it_is():
    pose = moving((10, -8, 12), (20, 10, -15), 0.95)
    seen = scanned(pose, (2.0, 2.0, 2.0), oblique=(0, 5, 10))
    scan = scan_of(*reorder(seen.brain, seen.affine, "LIA"))
    brain = locate_brain(scan)
    assert brain.stripped
    assert dice(brain.mask, canonical(scan_of(*reorder(seen.mask, seen.affine, "LIA")))[0]) > 0.995
    assert np.median(apart_mm(brain.to_scan, pose)) < 1
    assert brain.overlap > 0.97
    assert brain.similarity > 0.7
    assert brain.volume_ml == pytest.approx(seen.mask.sum() * 8 / 1000, rel=0.01)
    brain.check(scan)


def test_a_scan_that_says_nothing_of_its_axes_is_refused():
    with pytest.raises(ScanError, match="does not say which way its axes point"):
        locate_brain(scan_of(np.random.default_rng(0).random((9, 9, 9)).astype(np.float32), code=0))


def test_what_is_not_installed_is_no_fault_of_a_scan(monkeypatch):
    def missing(image):
        raise NotInstalledError("deepbet is not installed")

    monkeypatch.setattr("mri3d.brain.locating.brain_mask", missing)
    with pytest.raises(NotInstalledError, match=r"^deepbet is not installed$"):
        locate_brain(scan_of(np.random.default_rng(0).random((20, 20, 20)).astype(np.float32)))


def test_an_alignment_that_flattens_a_brain_is_refused(monkeypatch):
    seen = scanned(np.eye(4), (4.0, 4.0, 4.0))
    scan = scan_of(np.where(seen.mask, seen.brain, 0), seen.affine)
    monkeypatch.setattr("mri3d.brain.locating.brain_mask", lambda image: image != 0)
    monkeypatch.setattr("mri3d.brain.locating.register", lambda *given: np.diag([1.0, 1.0, 1e-9, 1.0]))
    with pytest.raises(ScanError, match=r"no brain was found in it: the matrix of the alignment is singular"):
        locate_brain(scan)


@pytest.mark.slow
def test_noise_is_no_brain():
    scan = scan_of(np.random.default_rng(0).random((60, 70, 60)).astype(np.float32), np.diag([3.0, 3.0, 3.0, 1.0]))
    with pytest.raises(ScanError, match=r"sub-07.nii: (no brain was found|what looks like a brain)"):
        locate_brain(scan).check(scan)


def labels(name):
    """Return which voxels of a head of IXI are brain by its label map, RAS+."""
    return nib.as_closest_canonical(nib.load(IXI / f"segmentation/{name}_T1_DLMUSE.nii.gz")).get_fdata() > 0


def ixi(name):
    return read_scan(IXI / f"T1/{name}_T1.nii.gz")


def remade(scan, data, affine=None):
    """Return the scan with other voxels, RAS+."""
    given = canonical(scan)[1] if affine is None else affine
    return replace(scan, data=np.ascontiguousarray(data), affine=given, digest="another")


@pytest.mark.slow
@needs_shared_data
def test_real_heads_have_the_brains_of_their_label_maps():
    names = sorted(path.name.removesuffix("_T1.nii.gz") for path in (IXI / "T1").glob("*.nii.gz"))[::27]
    found = [locate_brain(ixi(name)) for name in names]
    agreed = [dice(brain.mask, labels(name)) for brain, name in zip(found, names, strict=True)]
    assert min(agreed) >= 0.95
    assert np.median(agreed) >= 0.975
    assert np.mean([brain.overlap for brain in found]) >= 0.95
    assert not any(brain.stripped for brain in found)


@pytest.fixture(scope="module")
def head():
    """A head of IXI, its brain's volume, and which of its voxels are brain."""
    scan = ixi("IXI163-HH-1621")
    return scan, volume(scan), labels("IXI163-HH-1621")


def volume(scan):
    """Return the volume of a scan, whose brain is looked for and not taken from the cache."""
    with pytest.MonkeyPatch.context() as patch:
        brain = locate_brain(scan)
        brain.check(scan)
        patch.setattr("mri3d.volumes.brain_recipe.brain_of", lambda given: brain)
        return BrainRecipe(64, size=0).volume(scan)


def shift(affine, voxels):
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ voxels
    return moved


def in_air(scan, _, noise=0.0):
    data, affine = canonical(scan)
    padded = np.pad(data.astype(np.float32), 60)
    padded += noise * np.percentile(data, 99) * np.abs(np.random.default_rng(0).standard_normal(padded.shape))
    return remade(scan, padded.astype(np.float32), shift(affine, [-60] * 3))


def defaced(scan, brain):
    data, _ = canonical(scan)
    voxels = np.indices(data.shape)
    first, last = (np.argwhere(brain)[:, 1:].min(axis=0), np.argwhere(brain)[:, 1:].max(axis=0))
    face = (voxels[1] > (first[0] + last[0]) / 2) & (voxels[2] < first[1] + 0.45 * (last[1] - first[1]))
    far = ~ndimage.binary_dilation(brain, iterations=3)
    return remade(scan, np.where(face & far, 0, data))


def without_neck(scan, brain):
    data, affine = canonical(scan)
    lowest = max(0, np.argwhere(brain)[:, 2].min() - 3)
    return remade(scan, data[:, :, lowest:], shift(affine, [0, 0, lowest]))


def turned(scan, brain):
    data, affine = canonical(scan)
    centre = affine[:3, :3] @ np.argwhere(brain).mean(axis=0) + affine[:3, 3]
    about = moving((15, 15, 15), (30, -30, 30), 1.1, about_mm=centre)
    padded, there = np.pad(data.astype(np.float32), 25), shift(affine, [-25] * 3)
    grid = there.copy()
    grid[:3, 3] += [30, -30, 30]
    back = np.linalg.inv(there) @ np.linalg.inv(about) @ grid
    return remade(scan, ndimage.affine_transform(padded, back[:3, :3], back[:3, 3], order=1), grid)


@pytest.mark.slow
@needs_shared_data
@pytest.mark.parametrize(
    ("change", "least"),
    [
        (in_air, 0.98),
        (lambda scan, brain: in_air(scan, brain, noise=0.02), 0.98),
        (defaced, 0.98),
        (without_neck, 0.99),
        (turned, 0.97),
        (lambda scan, brain: remade(scan, np.where(brain, canonical(scan)[0], 0)), 0.95),  # by another's mask
    ],
    ids=["air", "noisy air", "defaced", "no neck", "turned", "stripped"],
)
def test_the_same_head_gives_nearly_the_same_volume(head, change, least):
    scan, expected, brain = head
    assert np.corrcoef(volume(change(scan, brain)).ravel(), expected.ravel())[0, 1] >= least


def upside_down(scan, _):
    data, affine = canonical(scan)
    return remade(scan, data[:, ::-1, ::-1], affine)


def half(axis):
    def cut(scan, _):
        data, affine = canonical(scan)
        return remade(scan, np.take(data, np.arange(data.shape[axis] // 2), axis=axis), affine)

    return cut


def neck(scan, brain):
    data, affine = canonical(scan)
    return remade(scan, data[:, :, : max(20, np.argwhere(brain)[:, 2].min())], affine)


def inverted(scan, brain):
    data = canonical(scan)[0].astype(np.float32)
    return remade(scan, np.where(data > scan.head.threshold, data.max() - data, data))


def exchanged(scan, _):
    data, affine = canonical(scan)
    return remade(scan, np.swapaxes(data, 0, 1), affine)


def longer(scan, _):
    data, affine = canonical(scan)
    return remade(scan, data, affine @ np.diag([1, 1.5, 1, 1]))


def smaller(scan, _):
    data, affine = canonical(scan)
    return remade(scan, data, affine @ np.diag([0.6, 0.6, 0.6, 1]))


@pytest.mark.slow
@needs_shared_data
@pytest.mark.parametrize("change", [upside_down, half(0), half(1), half(2), neck, inverted, exchanged, longer, smaller])
def test_what_is_no_brain_of_a_human_is_refused_with_figures(head, change):
    scan, _, brain = head
    with pytest.raises(ScanError, match=r"no brain was found|what looks like a brain"):
        volume(change(scan, brain))


@pytest.mark.slow
@needs_shared_data
def test_the_order_of_axes_makes_no_difference():
    paths = sorted((SHARED_DATA / "odd-scans/axis-orders").glob("*.nii*"))[::5]
    first, *others = [volume(read_scan(path)) for path in paths]
    assert others
    for other in others:
        np.testing.assert_allclose(other, first, atol=1e-3)
