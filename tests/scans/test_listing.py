"""Which scans a place names, and what they are called."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri3d.errors import UserError
from mri3d.scans.listing import find_scans, unique_names


@pytest.fixture
def study(tmp_path):
    """Give a folder with scans, other files and hidden ones."""
    for name in ("b.nii", "a.nii.gz", "deep/er/c.nii", "notes.txt", "d.nii.json", ".hidden.nii", ".git/e.nii"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.nii").mkdir()
    return tmp_path


@pytest.fixture
def bids(tmp_path):
    """Give a BIDS root."""
    for name in (
        "dataset_description.json",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_T2w.nii.gz",
        "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii",
        "sub-02/ses-1/func/sub-02_ses-1_bold.nii.gz",
        "derivatives/fmriprep/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
        "sourcedata/sub-01_T1w.nii",
        "code/template_T1w.nii",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def found(root, *places: object):
    """Name the scans that are found by their paths within a folder."""
    return [str(path.relative_to(root)) for path in find_scans([str(place) for place in places])]


def test_folder_is_searched_through(study):
    assert found(study, study) == ["a.nii.gz", "b.nii", "deep/er/c.nii"]


def test_globs(study):
    assert found(study, study / "*.nii*") == ["a.nii.gz", "b.nii"]
    assert found(study, study / "**" / "*.nii") == ["b.nii", "deep/er/c.nii"]
    assert found(study, study / "[ab].*") == ["a.nii.gz", "b.nii"]
    assert found(study, study / ".h*.nii") == [".hidden.nii"]  # asked for by name


def test_file_is_taken_as_it_is(study):
    assert found(study, study / "notes.txt") == ["notes.txt"]
    assert found(study, study / "missing.nii") == ["missing.nii"]  # reading it says so, in its row
    (study / "odd[1].nii").touch()
    assert found(study, study / "odd[1].nii") == ["odd[1].nii"]


def test_bids_root_gives_the_t1w_images_of_its_subjects(bids):
    assert found(bids, bids) == ["sub-01/anat/sub-01_T1w.nii.gz", "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii"]
    (bids / "dataset_description.json").unlink()
    assert len(found(bids, bids)) == 7


def test_scans_come_once_in_the_order_of_the_places(study, monkeypatch):
    monkeypatch.chdir(study / "deep")
    places = ["../b.nii", study / "b.nii", study / "deep" / ".." / "b.nii", "er/c.nii", study]
    assert [path.name for path in find_scans([str(place) for place in places])] == ["b.nii", "c.nii", "a.nii.gz"]


def test_links_are_files_of_their_own(study):
    (study / "link.nii").symlink_to(study / "b.nii")  # as data management by content addresses makes them
    assert found(study, study / "*.nii") == ["b.nii", "link.nii"]


def test_home_is_understood(study, monkeypatch):
    monkeypatch.setenv("HOME", str(study))
    assert found(study, "~/b.nii") == ["b.nii"]
    assert find_scans(["~nobody-of-that-name/x.nii"]) == [Path("~nobody-of-that-name/x.nii")]


@pytest.mark.parametrize("place", ["deep/er/../../empty", "*.mgz", "nowhere/*.nii"])
def test_place_without_scans_is_named(study, place):
    (study / "empty").mkdir()
    with pytest.raises(
        UserError, match=r"scans=.*(empty|\.mgz|nowhere/\*\.nii): no file that ends in \.nii or \.nii\.gz"
    ):
        find_scans([str(study), str(study / place)])


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/a/x.nii"], ["x"]),
        (["/a/x.nii", "/b/x.nii", "/b/y.nii"], ["a_x", "b_x", "y"]),
        (["/s/1/anat/T1.nii", "/s/2/anat/T1.nii"], ["1_anat_T1", "2_anat_T1"]),
        (["/s/a.nii", "/s/a.nii.gz"], ["a.nii", "a.nii.gz"]),
        (["/s/a.nii", "/s/a.nii.gz", "/t/a.nii"], ["a.nii", "a.nii.gz", "a"]),
        (["/a_b/c.nii", "/a/b_c.nii"], ["c", "b_c"]),
        (["/a_b/c.nii", "/a/b_c.nii", "/c.nii", "/b_c.nii"], ["a_b_c-1", "a_b_c-2", "c", "b_c"]),
    ],
)
def test_names(paths, names):
    assert unique_names([Path(path) for path in paths]) == names


def test_relative_paths_get_folders_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert unique_names([Path("x.nii"), Path("up/x.nii")]) == [f"{tmp_path.name}_x", "up_x"]


PART = st.text("ab_.-1", min_size=1, max_size=4).filter(lambda part: part not in (".", ".."))
PATHS = st.lists(
    st.builds(
        lambda folders, name, ending: Path("/", *folders, name + ending),
        st.lists(PART, max_size=3),
        PART,
        st.sampled_from([".nii", ".nii.gz"]),
    ),
    unique_by=os.path.abspath,
    max_size=8,
)


@settings(deadline=None)
@given(PATHS)
def test_names_are_unique_and_fit_for_files(paths):
    names = unique_names(paths)
    assert len(set(names)) == len(names) == len(paths)
    assert all("/" not in name and name for name in names)
    for path, name in zip(paths, names, strict=True):
        assert path.name.removesuffix(".gz").removesuffix(".nii") in name


@settings(deadline=None)
@given(PATHS)
def test_scan_alone_is_named_by_its_file_alone(paths):
    for path in paths:
        assert unique_names([path]) == [path.name.removesuffix(".gz").removesuffix(".nii")]
