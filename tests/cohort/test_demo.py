"""The demo cohort: real files, one known effect and no other difference, never half a study."""

import dataclasses
import threading
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from sklearn.metrics import roc_auc_score

from mri3d.cohort import demo
from mri3d.cohort.anatomy import Effect, SyntheticHead, VoxelGrid, _effect_weight, _shrink
from mri3d.cohort.cohort import Cohort, CohortSource
from mri3d.cohort.demo import Demo, DemoStudy, effect_mask_path
from mri3d.errors import UserError

EFFECT = Effect(0.5, (-27.0, -16.0, -18.0), 26.0)
OPPOSITE = dataclasses.replace(EFFECT, strength=-EFFECT.strength)
COARSE = VoxelGrid((44, 46, 53), 4.0, (1.0, -1.0, -14.0))


def voxels(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def test_files_are_in_the_layout_of_the_seed_study(demo_cohort: Cohort):
    assert sorted(demo_cohort.labels) == ["-1"] * 6 + ["1"] * 6
    assert demo_cohort.source == "column 'class' of subjects.csv"
    for scan in demo_cohort.scans:
        image, mask = nib.load(scan), nib.load(effect_mask_path(scan))
        assert scan.parent.name == "brain_nii"
        assert image.shape == mask.shape == (84, 90, 104)
        assert image.get_data_dtype() == mask.get_data_dtype() == np.uint8
        assert nib.aff2axcodes(image.affine) == ("L", "I", "A")
        np.testing.assert_array_equal(image.affine, mask.affine)
        np.testing.assert_array_equal(image.header.get_zooms(), 2.0)
        assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (1, 1)
    lines = (demo_cohort.scans[0].parents[1] / "subjects.csv").read_text().splitlines()
    assert lines[0] == "Subject,class"
    assert lines[1].split(",")[0] == "demo001"


def test_seed_grid_is_that_of_freesurfer():
    grid = demo._GRIDS["seed"]
    np.testing.assert_array_equal(grid.affine, [[-1, 0, 0, 128], [0, 0, 1, -128], [0, -1, 0, 128], [0, 0, 0, 1]])


@pytest.mark.slow
def test_heads_on_the_seed_grid_lie_in_the_crop_of_the_study():
    grid = demo._GRIDS["seed"]
    scan, _ = SyntheticHead(np.random.default_rng(0)).sample(grid, EFFECT, affected=False)
    inside = np.zeros(grid.shape, bool)
    inside[50:205, 60:225, 30:225] = True
    assert np.count_nonzero(scan[~inside]) < 1e-4 * np.count_nonzero(scan)


def test_heads_lie_whole_in_their_grid_where_the_affine_says(demo_cohort: Cohort):
    for scan in demo_cohort.scans:
        brain = voxels(scan) > 0
        ends = [brain.take([0, -1], axis).any() for axis in range(3)]
        assert not any(ends)
        milliliters = brain.sum() * 8 / 1000
        assert 1000 < milliliters < 2000
        center_mm = nib.affines.apply_affine(nib.load(scan).affine, np.argwhere(brain).mean(0))
        np.testing.assert_allclose(center_mm, [1, -6, -9], atol=10)


def test_axes_are_not_mirrored():
    """The effect is left of the middle, below and behind the head's front, in world space."""
    _, mask = SyntheticHead(np.random.default_rng(3)).sample(COARSE, EFFECT, affected=False)
    right, anterior, superior = nib.affines.apply_affine(COARSE.affine, np.argwhere(mask)).mean(0)
    # Seen from the brain's centre the hippocampus lies 27 mm to the left, at its height in the front-back axis, 23 mm
    # down; heads are 0.93 of the template's size.
    np.testing.assert_allclose([right - 1, anterior + 1, superior + 14], [-25, 1, -21], atol=8)


@pytest.mark.parametrize(
    ("grid", "effect"),
    [(COARSE, EFFECT), (VoxelGrid((31, 33, 35), 5.0, (4.0, 2.0, -20.0)), EFFECT), (COARSE, OPPOSITE)],
)
def test_an_affected_head_differs_within_the_ball_and_nowhere_else(grid, effect):
    healthy, mask = SyntheticHead(np.random.default_rng(1)).sample(grid, effect, affected=False)
    affected, same_mask = SyntheticHead(np.random.default_rng(1)).sample(grid, effect, affected=True)
    np.testing.assert_array_equal(mask, same_mask)
    change = affected.astype(int) - healthy
    center_mm = nib.affines.apply_affine(grid.affine, np.argwhere(mask)).mean(0)
    distance_mm = np.linalg.norm(nib.affines.apply_affine(grid.affine, np.argwhere(change)) - center_mm, axis=1)
    assert distance_mm.max() < 1.4 * EFFECT.radius_mm  # size, deformation, and a mask that is not round
    inside = mask > 0
    assert np.sign(effect.strength) * change[inside].mean() < -0.12 * healthy[inside].mean()
    around = binary_dilation(inside, iterations=3)
    assert np.abs(change[around]).sum() > 0.9 * np.abs(change).sum()


@pytest.mark.parametrize(("effect", "size"), [(EFFECT, 0.75), (OPPOSITE, 1.25)], ids=["shrinks", "swells"])
def test_grey_matter_shrinks_towards_the_centre_or_swells(effect, size):
    """With the darkening undone, what is left of the effect makes the tissue of the ball smaller, or larger."""
    axis = np.linspace(-40, 40, 81, dtype=np.float32)
    places = np.stack(np.meshgrid(axis - 27, axis - 16, axis - 18, indexing="ij"))
    seen = _shrink(places, _effect_weight(places, effect), effect)
    center = np.array(EFFECT.center_mm)
    near, far = seen[:, 45, 40, 40] - center, seen[:, 70, 40, 40] - center
    np.testing.assert_allclose(near, [5 / size, 0, 0], rtol=1e-2)  # by half of 0.5
    np.testing.assert_allclose(far, [30, 0, 0])
    assert (np.diff(seen[0, :, 40, 40]) > 0).all()  # never folds


def test_no_effect_leaves_no_trace():
    none = dataclasses.replace(EFFECT, strength=0.0)
    healthy, _ = SyntheticHead(np.random.default_rng(2)).sample(COARSE, none, affected=False)
    affected, mask = SyntheticHead(np.random.default_rng(2)).sample(COARSE, none, affected=True)
    np.testing.assert_array_equal(healthy, affected)
    assert mask.any()


def test_only_the_place_of_the_effect_tells_the_classes_apart():
    study = DemoStudy(num_subjects=40, seed=5)
    classes = np.array([study._is_affected(index) for index in range(40)])
    assert classes.sum() == 20
    heads = [SyntheticHead(np.random.default_rng([5, 0, index])) for index in range(40)]
    grid = VoxelGrid((22, 23, 26), 8.0, (1.0, -1.0, -14.0))
    in_place = {}
    for strength in (0.0, EFFECT.strength):
        effect = dataclasses.replace(EFFECT, strength=strength)
        sampled = [head.sample(grid, effect, affected=bool(c)) for head, c in zip(heads, classes, strict=True)]
        brains = [scan[scan > 0] for scan, _ in sampled]
        whole = [(b.sum(), b.size, b.mean(), b.std(), np.median(b), np.percentile(b, 5)) for b in brains]
        for measure in np.transpose(whole):  # the AUC of 20 against 20 by chance has standard deviation 0.09
            assert abs(roc_auc_score(classes, measure) - 0.5) < 0.25
        local = [scan[mask > 0].mean() / b.mean() for (scan, mask), b in zip(sampled, brains, strict=True)]
        in_place[strength] = roc_auc_score(classes, -np.array(local))
    assert abs(in_place[0.0] - 0.5) < 0.25
    assert in_place[EFFECT.strength] > 0.99


def test_heads_are_a_function_of_seed_and_index_alone(demo_cohort: Cohort):
    fewer = Demo(DemoStudy(num_subjects=3)).read()
    for ours, theirs in zip(fewer.sessions, demo_cohort.sessions, strict=False):
        assert (ours.id, ours.label) == (theirs.id, theirs.label)
        assert ours.scan != theirs.scan
        assert ours.scan.read_bytes() == theirs.scan.read_bytes()
    other = Demo(DemoStudy(num_subjects=3, seed=1)).read()
    assert not np.array_equal(voxels(other.scans[0]), voxels(fewer.scans[0]))


def test_a_study_is_built_once(monkeypatch, demo_cohort: Cohort):
    monkeypatch.setattr(SyntheticHead, "sample", lambda *_, **__: pytest.fail("grown again"))
    assert Demo(DemoStudy(num_subjects=12)).read() == demo_cohort


def test_a_killed_build_leaves_nothing_that_is_served(monkeypatch, tmp_path):
    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path))
    study = DemoStudy(num_subjects=4)
    grow, count = SyntheticHead.sample, iter(range(100))

    def fail_at_the_third(self, grid, effect, *, affected):
        if next(count) == 2:
            raise KeyboardInterrupt
        return grow(self, grid, effect, affected=affected)

    monkeypatch.setattr(SyntheticHead, "sample", fail_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        study.build()
    assert not list((tmp_path / "demo").iterdir())
    monkeypatch.setattr(SyntheticHead, "sample", grow)
    folder = study.build()
    assert len(list((folder / "brain_nii").iterdir())) == len(list((folder / "effect_mask").iterdir())) == 4
    (folder / "brain_nii" / "demo002.nii.gz").unlink()  # as systems do that clean caches file by file
    assert study.build() == folder
    assert (folder / "brain_nii" / "demo002.nii.gz").is_file()
    assert list((tmp_path / "demo").iterdir()) == [folder]


def test_simultaneous_builds_end_with_one_study(monkeypatch, tmp_path):
    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path))
    built = []
    threads = [threading.Thread(target=lambda: built.append(DemoStudy(num_subjects=2).build())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 3
    assert [*(tmp_path / "demo").iterdir()] == [built[0]] == list(set(built))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_subjects": 1}, "num_subjects=1 is too few"),
        ({"effect": 0.9}, "effect=0.9 is out of range: give a share from -0.8 to 0.8"),
        ({"effect": -0.9}, "effect=-0.9 is out of range"),
        ({"effect": float("nan")}, "effect=nan is out of range"),
        ({"effect_center_mm": [1.0, 2.0]}, r"effect_center_mm=\[1.0, 2.0\] .* three numbers"),
        ({"effect_radius_mm": 0}, "effect_radius_mm=0 is out of range"),
        ({"grid": "tiny"}, "grid='tiny' is unknown: give one of small, seed"),
        ({"seed": -1}, "seed=-1 is negative"),
    ],
)
def test_arguments_out_of_range_are_refused(changes, message):
    with pytest.raises(UserError, match=f"^{message}") as caught:
        Demo(DemoStudy(**changes)).read()
    assert caught.value.on_command_line().startswith(f"data.demo.{next(iter(changes))}=")


def test_the_demo_is_a_source_whose_labels_are_classes_and_whose_names_say_nothing():
    source: CohortSource = Demo()
    assert (source.label, source.classes, source.suffix, source.skip_bad) == ("class", False, None, False)


def test_study_that_cannot_be_written_is_the_users_to_mend(tmp_path, monkeypatch):
    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path))
    (tmp_path / "demo").touch()  # where its folder should be
    with pytest.raises(UserError, match=rf"cannot write the demo cohort to {tmp_path}/demo: .* by MRI3D_CACHE"):
        DemoStudy(num_subjects=2).build()
