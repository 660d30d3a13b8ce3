"""The page of scans that a run leaves: who is on it, in which order, and what is pictured of whom."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mri3d import montage
from mri3d.brain.brain import Brain
from mri3d.cohort.cohort import Cohort, Session
from mri3d.cohort.table import Table
from mri3d.errors import UserError
from mri3d.run_folder import claim
from mri3d.scans.scan import read_scan
from mri3d.study import Study
from mri3d.volumes.brain_recipe import BrainRecipe
from mri3d.volumes.recipe import Recipe
from tests.report.reader import read
from tests.scans.phantom import write_scan
from tests.studies import SPACING_MM, head, write_heads

AFFINE = np.diag([*SPACING_MM, 1.0])


def texts_of(folder):
    return [text for text in read(folder / "scans.html").texts if text.strip()]


def names_in_order(texts, names):
    return [text for text in texts if text in names]


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture.data))).astype(int)


def test_bad_scans_come_first_and_those_that_can_be_read_are_pictured(tmp_path):
    write_heads(tmp_path, 8)
    (tmp_path / "s05.nii").write_bytes(b"no scan")
    labels = (head() > 0).astype(np.uint8)
    write_scan(tmp_path / "s02.nii", labels, AFFINE)
    study = Study.read(Table(str(tmp_path), "study.csv", skip_bad=True), Recipe(resolution=16))
    section = montage.write_montage(tmp_path, study)
    found = read(tmp_path / "scans.html")
    texts = [text for text in found.texts if text.strip()]
    names = [f"s{number:02}" for number in range(8)]
    order = ["s02", "s05", "s00", "s01", "s03", "s04", "s06", "s07"]
    assert names_in_order(texts, names) == order
    assert any("its values are labels" in text for text in texts)
    assert texts[texts.index("s05") - 1 : texts.index("s05") + 1] == ["No picture", "s05"]
    assert "not a NIfTI file" in texts[texts.index("s05") + 1]
    pictured = [image["alt"].partition(" ")[0] for image in found.images]
    assert pictured == [name for name in order if name != "s05"]
    assert any("The left side of the head is on the left" in text for text in texts)
    assert "8 scans: 2 refused, 0 used with warnings. " in "".join(section)


def test_arrays_are_pictured_as_they_are_and_those_without_a_label_counted(tmp_path):
    volumes = np.random.default_rng(0).random((6, 2, 7, 8, 9))
    labels = ["a", "b", "a", "b", None, "a"]
    montage.write_montage(tmp_path, Study.from_arrays(volumes, labels, ids=[f"v{row}" for row in range(6)]))
    found = read(tmp_path / "scans.html")
    assert [image["alt"][:2] for image in found.images] == ["v0", "v1", "v2", "v3", "v5"]
    note = next(text for text in found.texts if "as it was given" in text)
    assert "The first of 2 channels is shown." in note
    assert "1 session without a label is not shown." in note


def test_scans_with_warnings_come_after_refused_ones_and_before_the_others():
    sessions = [Session("a", None, "F"), Session("b", None, "F", warnings=("look",)), Session("c", None, "F")]
    refused = Session("d", None, "F", left_out="too small")
    shown = montage._shown([*sessions, refused], lambda session: None)
    assert [scan.name for scan in shown] == ["d", "b", "a", "c"]


def test_least_similar_brain_comes_first():
    sessions = [Session(name, None, "F", figures={"similarity": value}) for name, value in [("a", 0.5), ("b", 0.3)]]
    refused = Session("c", None, "F", left_out="too small", figures={"similarity": 0.6})
    none_found = Session("d", None, "F", problem="no brain was found in it")
    shown = montage._shown([*sessions, none_found, refused], lambda session: None)
    assert [scan.name for scan in shown] == ["c", "d", "b", "a"]
    assert [scan.refused for scan in shown] == ["too small", "no brain was found in it", "", ""]


def test_scan_that_has_moved_has_no_picture(tmp_path, caplog):
    def draw(session):
        raise UserError("it has moved")

    (shown,) = montage._shown([Session("a", None, "F")], draw)
    assert shown.picture is None
    assert "a has no picture on the page of scans: it has moved" in caplog.text


def test_air_around_a_brain_is_black():
    volume = np.zeros((1, 16, 16, 16), np.float32)
    volume[0, 4:12, 4:12, 4:12] = np.random.default_rng(0).normal(size=(8, 8, 8))
    of_brain, of_head = (
        pixels(montage._volume_picture(volume, recipe, "a")) for recipe in (BrainRecipe(16), Recipe(resolution=16))
    )
    assert of_brain[1, 1] < 20
    assert of_head[1, 1] > 60


@pytest.fixture
def brain_scan(tmp_path):
    """Write a scan on the template's axes with a mark at (1, 20, 40) mm, on its sagittal middle plane."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -101, -100, -100
    random = np.random.default_rng(0)
    data = random.random((100, 100, 100)).astype(np.float32)
    data[10:90, 10:90, 10:90] += random.uniform(50, 150, (80, 80, 80))
    centre = np.round((np.array([1, 20, 40]) - affine[:3, 3]) / 2).astype(int)
    data[tuple(slice(place - 8, place + 9) for place in centre)] = 400  # too many voxels for a spike
    write_scan(tmp_path / "a.nii", data, affine)
    return tmp_path / "a.nii"


def test_refused_brain_is_shown_aligned_with_the_rest_darker(brain_scan, monkeypatch):
    def planes(mask):
        monkeypatch.setattr(montage, "found_in", lambda scan: Brain(mask, np.eye(4), False, 100.0, 0.5, 0.1))
        return montage._aligned_planes(read_scan(brain_scan), BrainRecipe())

    mask = np.ones((100, 100, 100), bool)
    sagittal, coronal, axial = planes(mask)
    assert sagittal.shape == coronal.shape == axial.shape == (96, 96)
    step, middle = 2.0, 47.5  # of 192 mm in 96 voxels, about (0, -17, 5)
    row, column = round((40 - 5) / step + middle), round((20 + 17) / step + middle)
    marked = np.zeros((96, 96), bool)
    marked[row - 8 : row + 9, column - 8 : column + 9] = True
    np.testing.assert_array_equal(sagittal > 200, marked)
    mask[:, :50] = False  # up to y = -2 mm
    first = round((0 + 17) / step + middle)
    _, _, half = planes(mask)
    np.testing.assert_allclose(half[:first], 0.35 * axial[:first], rtol=1e-6)
    np.testing.assert_array_equal(half[first:], axial[first:])
    assert axial[:first].max() > 100


def test_no_brain_is_looked_for_where_none_was_found(brain_scan, monkeypatch):
    def found_in(scan):
        raise AssertionError("it was looked for")

    monkeypatch.setattr(montage, "found_in", found_in)
    monkeypatch.setattr("mri3d.brain.kept.found_in", found_in)
    picture = montage._refused_picture(Session("a", brain_scan, "F", left_out="none"), BrainRecipe())
    assert pixels(picture).shape == (64, 3 * 64 + 4)
    write_scan(brain_scan.with_name("mask.nii"), np.ones((3, 3, 3), np.uint8), AFFINE)
    masked = Session("a", brain_scan, "F", mask=brain_scan.with_name("mask.nii"), left_out="another grid")
    assert montage._refused_picture(masked, BrainRecipe()).data == picture.data


def test_refused_are_shown_where_they_end_a_run(tmp_path):
    write_scan(tmp_path / "a.nii", (head() > 0).astype(np.uint8), AFFINE)
    sessions = [
        Session("a", tmp_path / "a.nii", "F", problem="its values are labels"),
        Session("b", None, "F", problem="no scan"),
    ]
    montage.write_refused(tmp_path / "scans.html", sessions, Recipe())
    texts = texts_of(tmp_path)
    assert texts[texts.index("2") + 1] == "scans that cannot be used: see the reasons below."
    assert names_in_order(texts, {"a", "b"}) == ["a", "b"]
    assert {"its values are labels", "no scan"} <= set(texts)
    assert len(read(tmp_path / "scans.html").images) == 1


def test_run_is_known_again_whatever_its_table_tells_beside(tmp_path):
    cohort = Cohort((Session("a", None, "F", digest="1", covariates={"age": "30"}), Session("b", None, "M")))
    claim(tmp_path, cohort, [], None, resumed=False)
    table = (tmp_path / "cohort.csv").read_text().splitlines()
    beside = [f"{line},{cell}" for line, cell in zip(table, ("similarity", "0.5", ""), strict=True)]
    (tmp_path / "cohort.csv").write_text("\n".join(beside) + "\n")
    claim(tmp_path, cohort, [], None, resumed=True)
    older = replace(cohort.sessions[0], covariates={"age": "31"})
    with pytest.raises(UserError, match="other scans, labels or folds"):
        claim(tmp_path, replace(cohort, sessions=(older, cohort.sessions[1])), [], None, resumed=True)


def test_right_is_right_whatever_the_order_of_the_file(tmp_path):
    data = np.zeros((20, 22, 24), np.float32)
    noise = np.random.default_rng(0).random((16, 18, 20))
    data[2:18, 2:20, 2:22] = 50 + 10 * noise
    data[12:18, 2:20, 2:22] += 100  # the right side
    write_scan(tmp_path / "a.nii", data[::-1], np.diag([-9.0, 9.0, 9.0, 1.0]))
    recipe = Recipe(resolution=16, crop="none", intensity="minmax")
    picture = montage._volume_picture(recipe.volume(read_scan(tmp_path / "a.nii")), recipe, "a")
    coronal = pixels(picture)[:, 18:34]
    assert coronal[4:12, 10:13].mean() > coronal[4:12, 3:6].mean() + 50
