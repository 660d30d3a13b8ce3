"""Which scans a place names, and what they are called."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri3d.errors import UserError
from mri3d.scans.listing import find_scans, unique_names
from mri3d.scans.scan import ScanError, read_scan


@pytest.fixture
def study(tmp_path):
    """Make a folder with scans, other files and hidden ones."""
    for name in ("b.nii", "a.nii.gz", "deep/er/c.nii", "notes.txt", "d.nii.json", ".hidden.nii", ".git/e.nii"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.nii").mkdir()
    return tmp_path


@pytest.fixture
def bids(tmp_path):
    """Make a BIDS root."""
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


def test_a_file_is_listed_once_and_links_to_it_are_told(study, caplog):
    objects = study / ".git/annex/objects"  # as data management by content addresses makes them
    objects.mkdir(parents=True)
    (study / "b.nii").rename(objects / "SHA256-b")
    (study / "b.nii").symlink_to(objects / "SHA256-b")
    (study / "z").mkdir()
    (study / "z/link.nii").symlink_to(study / "b.nii")
    assert found(study, study / "*.nii") == ["b.nii"]
    assert not caplog.messages
    for places in (
        [study / "b.nii", study / "z/link.nii"],
        [study / "[bz]*.nii", study / "[z]/*.nii"],
        [study / "**/*.nii"],
    ):
        caplog.clear()
        assert "link.nii" not in "".join(found(study, *places))
        assert caplog.messages == [f"1 link to scans that are listed already: {study}/z/link.nii"]


def test_home_is_understood(study, monkeypatch):
    monkeypatch.setenv("HOME", str(study))
    assert found(study, "~/b.nii") == ["b.nii"]
    assert find_scans(["~nobody-of-that-name/x.nii"]) == [Path("~nobody-of-that-name/x.nii")]


PLACES = {
    "deep/er/../../empty": r"this folder holds no file that ends in \.nii or \.nii\.gz",
    "*.mgz": r"no file that ends in \.nii or \.nii\.gz matches",
    "nowhere/*.nii": r"no file that ends in \.nii or \.nii\.gz matches",
    "nowhere": "/nowhere does not exist",
    "pipe": "/pipe is neither a file nor a folder",
    "link": "/link is a link to nowhere, which does not exist",
    "bids": r"this BIDS study has no image sub-\*/\*\*/\*_T1w that ends in \.nii or \.nii\.gz",
}


@pytest.fixture
def study_without(study):
    """Make the study with places that hold no scan."""
    (study / "empty").mkdir()
    (study / "bids").mkdir()
    (study / "bids" / "dataset_description.json").touch()
    (study / "link").symlink_to("nowhere")
    os.mkfifo(study / "pipe")
    return study


@pytest.mark.parametrize("place", PLACES)
def test_place_without_scans_is_named_with_what_it_is(study_without, place):
    with pytest.raises(UserError) as caught:
        find_scans([str(study_without / place)])
    named = re.escape(str(study_without / place))
    assert re.search(f"^scans='{named}': .*{PLACES[place]}", str(caught.value))
    assert re.search(f"^scans={named}: .*{PLACES[place]}", caught.value.on_command_line())


def test_among_several_places_one_without_scans_is_given_to_be_refused(study_without, caplog):
    places = [str(study_without / place) for place in (*PLACES, "b.nii")]
    scans = find_scans(places)
    assert list(map(str, scans)) == places
    assert [record.levelname for record in caplog.records] == ["WARNING"] * len(PLACES)
    for scan, reason in zip(scans, PLACES.values(), strict=False):
        assert re.search(f"scans='{re.escape(str(scan))}': .*{reason}", caplog.text)
        with pytest.raises(ScanError, match=f"^{re.escape(str(scan))} (is|does not)"):
            read_scan(scan)


def test_no_place_at_all_is_a_mistake():
    with pytest.raises(UserError, match=r"^scans names nothing\. Give a file, a glob"):
        find_scans([])


def test_no_place_with_scans_is_a_mistake(study_without):
    with pytest.raises(UserError, match=r"scans='.*/empty': this folder .*scans='.*/pipe': .* is neither"):
        find_scans([str(study_without / "empty"), str(study_without / "pipe")])


def test_what_is_named_like_a_scan_in_a_folder_is_given_to_be_refused(study):
    (study / "annexed.nii.gz").symlink_to("nowhere")
    os.mkfifo(study / "pipe.nii")
    assert found(study, study) == ["a.nii.gz", "annexed.nii.gz", "b.nii", "deep/er/c.nii", "pipe.nii"]
    assert found(study, study / "*.nii*") == ["a.nii.gz", "annexed.nii.gz", "b.nii", "pipe.nii"]


def test_bids_root_gives_the_kind_of_scan_that_is_asked_for(bids):
    assert [path.name for path in find_scans([str(bids)], suffix="T2w")] == ["sub-01_T2w.nii.gz"]
    with pytest.raises(UserError, match=r"no image sub-\*/\*\*/\*_FLAIR that ends"):
        find_scans([str(bids)], suffix="FLAIR")


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


def test_a_folder_that_cannot_be_looked_into_is_named(study, monkeypatch, caplog):
    before = find_scans([str(study)])
    locked = study / "locked"
    locked.mkdir()
    (locked / "c.nii").write_text("")
    look = os.scandir

    def refuse(path):
        if Path(path) == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert find_scans([str(study)]) == before
    assert f"{locked} cannot be searched: Permission denied" in caplog.messages
