"""What is found in folders: links, hidden files, endings, and what is passed over."""

import logging
import os
from pathlib import Path

import pytest

from mri3d.cohort.bids import Bids
from mri3d.scans.folders import look_into, pairs_once
from mri3d.scans.formats import SCAN_ENDINGS
from mri3d.scans.listing import find_scans


def make(root: Path, *names: str) -> None:
    """Make empty files."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def link(root: Path, **links: str) -> None:
    """Make links beneath a folder, by name; `__` in a name stands for `/`."""
    for name, target in links.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)


def found(root: Path, place: object = None) -> list[str]:
    """Name the scans of a place, a folder unless another is given, by their paths within the folder."""
    return [str(path.relative_to(root)) for path in find_scans([str(place or root)])]


@pytest.fixture
def linked_study(tmp_path):
    """Make a BIDS tree of which subjects, sessions, `anat` folders and files are links."""
    root, store = tmp_path / "bids", tmp_path / "store"
    make(root, "sub-1/anat/sub-1_T1w.nii.gz", "sub-3/notes.txt")
    make(store, "sub-2/anat/sub-2_T1w.nii", "visit/anat/sub-3_ses-1_T1w.nii", "images/sub-4_T1w.nii", "key/5.nii.gz")
    make(store, "sub-2/anat/.sub-2_T1w.nii", "images/._sub-4_T1w.nii")
    link(root, **{"sub-2": "../store/sub-2", "sub-3__ses-1": "../../store/visit", "sub-4__anat": "../../store/images"})
    link(root, **{"sub-5__anat__sub-5_T1w.nii.gz": "../../../store/key/5.nii.gz"})
    rows = "".join(f"sub-{number}\t{number % 2}\n" for number in range(1, 6))
    (root / "participants.tsv").write_text(f"participant_id\tdx\n{rows}")
    return root


def test_training_and_prediction_find_the_same_scans_wherever_links_lead(linked_study):
    scans = [
        "sub-1/anat/sub-1_T1w.nii.gz",
        "sub-2/anat/sub-2_T1w.nii",
        "sub-3/ses-1/anat/sub-3_ses-1_T1w.nii",
        "sub-4/anat/sub-4_T1w.nii",
        "sub-5/anat/sub-5_T1w.nii.gz",
    ]
    sessions = Bids(str(linked_study), "dx").read().sessions
    assert [str(s.scan.relative_to(linked_study)) for s in sessions] == found(linked_study) == scans
    assert {s.problem for s in sessions} == {""}
    (linked_study / "participants.tsv").unlink()  # now a folder like another
    assert found(linked_study) == scans


@pytest.mark.parametrize("name", ["._sub-1_T1w.nii.gz", ".sub-1_T1w.nii.gz", ".AppleDouble/sub-1_T1w.nii"])
def test_hidden_files_are_no_scans_of_either(tmp_path, name):
    make(tmp_path, "sub-1/anat/sub-1_T1w.nii.gz", f"sub-1/anat/{name}", ".git/annex/sub-1_T1w.nii", ".sub-9/anat/x.nii")
    (tmp_path / "participants.tsv").write_text("participant_id\tdx\nsub-1\tF\n")
    (session,) = Bids(str(tmp_path), "dx").read().sessions
    assert (session.scan, session.problem) == (tmp_path / "sub-1/anat/sub-1_T1w.nii.gz", "")
    assert found(tmp_path) == ["sub-1/anat/sub-1_T1w.nii.gz"]


@pytest.mark.parametrize("ending", [*SCAN_ENDINGS, ".NII", ".NII.GZ", ".Nii.gz", ".nii.GZ", ".MGZ"])
def test_endings_are_read_in_any_case_by_both(tmp_path, ending):
    make(tmp_path, f"sub-1/anat/sub-1_T1w{ending}", f"sub-1/anat/sub-1_T2w{ending}")
    (tmp_path / "participants.tsv").write_text("participant_id\tdx\nsub-1\tF\n")
    (session,) = Bids(str(tmp_path), "dx").read().sessions
    scan = f"sub-1/anat/sub-1_T1w{ending}"
    assert (session.id, session.scan, session.problem) == ("sub-1", tmp_path / scan, "")
    assert found(tmp_path) == found(tmp_path, tmp_path / "sub-1" / "anat" / "*_T1w.*") == [scan]
    assert found(tmp_path, tmp_path / f"**/*_T1w{ending.lower()}") == [scan]


def test_a_pair_of_files_is_one_scan(tmp_path):
    make(tmp_path, "a.hdr", "a.img", "b.HDR", "b.IMG", "c.hdr", "d.img.gz", "d.hdr", "e.nii")
    assert found(tmp_path) == [
        "a.img",
        "b.IMG",
        "c.hdr",
        "d.img.gz",
        "e.nii",
    ]  # that c lacks its image is told in a row
    assert found(tmp_path, tmp_path / "*.hdr") == ["a.hdr", "b.HDR", "c.hdr", "d.hdr"]
    assert found(tmp_path, tmp_path / "a.hdr") == ["a.hdr"]
    assert pairs_once([Path("x/a.hdr"), Path("y/a.img")]) == [Path("x/a.hdr"), Path("y/a.img")]
    assert [path.name for path in find_scans([str(tmp_path / name) for name in ("a.hdr", "a.img")])] == ["a.img"]


def test_circles_of_links_end(tmp_path):
    make(tmp_path, "study/sub-1/a.nii", "study/sub-2/b.nii", "other/c.nii", "mirror/d.nii")
    study = tmp_path / "study"
    link(study, all=".", up="..", **{"sub-1__up": "..", "sub-2__all": "../..", "other": "../other", "self": "self"})
    link(tmp_path, other__back="../study", other__mirror="../mirror", mirror__other="../other")
    scans = ["other/c.nii", "other/mirror/d.nii", "sub-1/a.nii", "sub-2/b.nii"]
    assert found(study) == scans
    assert found(study, study / "**" / "*.nii") == scans


def test_a_file_that_is_reached_twice_is_one_scan_and_the_link_is_named(tmp_path, caplog):
    make(tmp_path, "sub-2/b.nii", "sub-2/notes/x.txt", "sub-3/c.nii")
    link(tmp_path, **{"sub-1": "sub-2", "sub-3__again.nii": "../sub-2/b.nii", "notes": "sub-2/notes"})
    assert found(tmp_path) == found(tmp_path, tmp_path / "**/*.nii") == ["sub-2/b.nii", "sub-3/c.nii"]
    again, first = tmp_path / "sub-3" / "again.nii", tmp_path / "sub-1"
    assert caplog.messages == [f"2 links to scans that are listed already: {again}, {first}"] * 2


def test_links_out_of_the_folder_to_one_file_are_one_scan(tmp_path, caplog):
    make(tmp_path, "study/.git/annex/key.nii.gz")
    link(tmp_path, **{"study__a.nii.gz": ".git/annex/key.nii.gz", "study__b.nii.gz": ".git/annex/key.nii.gz"})
    link(tmp_path, **{"study__c.nii.gz": ".git/annex/gone", "study__d.nii.gz": ".git/annex/gone"})
    study = tmp_path / "study"
    assert found(study) == ["a.nii.gz", "c.nii.gz", "d.nii.gz"]  # reading says of c and d that they lead nowhere
    assert caplog.messages == [f"1 link to scans that are listed already: {study / 'b.nii.gz'}"]


def test_in_training_two_links_to_one_file_are_both_there_for_the_audit_to_refuse(tmp_path):
    make(tmp_path, "sub-1/anat/sub-1_T1w.nii", "store/x.nii")
    link(tmp_path, **{f"sub-{number}__anat__sub-{number}_T1w.nii": "../../store/x.nii" for number in (2, 3)})
    (tmp_path / "participants.tsv").write_text("participant_id\tdx\nsub-1\tF\nsub-2\tF\nsub-3\tM\n")
    assert [s.scan.name for s in Bids(str(tmp_path), "dx").read().sessions] == [f"sub-{n}_T1w.nii" for n in (1, 2, 3)]


def test_what_is_passed_over_is_counted_in_one_line(tmp_path, caplog):
    others = ["a.nrrd", "b/c.NRRD", "b/d.nrrd", "e.nii.bz2", "e.json", "f.txt", ".g.nrrd", ".h/i.mha"]
    make(tmp_path, "a.nii", "b/b.nii.gz", *others)
    assert found(tmp_path) == ["a.nii", "b/b.nii.gz"]
    first = tmp_path / "a.nrrd"
    text = f"3 .nrrd, 1 .nii.bz2 files are not read, such as {first}. Convert them to .nii.gz."
    assert caplog.messages == [text]
    caplog.clear()
    assert found(tmp_path, tmp_path / "*") == ["a.nii"]
    assert caplog.messages == [text.replace("3 .nrrd", "1 .nrrd")]
    caplog.clear()
    find_scans([str(tmp_path / "*.nii"), str(tmp_path / "b"), str(tmp_path / "b" / "b.nii.gz")])
    assert [message for message in caplog.messages if "2 .nrrd files are not read" in message] == caplog.messages != []


def test_a_place_with_nothing_but_other_formats_says_so(tmp_path):
    make(tmp_path, "study/a.nrrd", "study/b.nrrd", "bids/sub-1/anat/sub-1_T1w.mha", "bids/dataset_description.json")
    with pytest.raises(
        ValueError, match=r"this folder holds no file .* 2 \.nrrd files are not read, such as .*a\.nrrd"
    ):
        find_scans([str(tmp_path / "study")])
    with pytest.raises(ValueError, match=r"no image sub-\*.* 1 \.mha file is not read: .*sub-1_T1w\.mha"):
        find_scans([str(tmp_path / "bids")])


def test_bids_counts_of_its_kind_alone_in_training_and_prediction(tmp_path, caplog):
    make(tmp_path, "sub-1/anat/sub-1_T1w.nii", "sub-2/anat/sub-2_T1w.nrrd", "sub-2/ses-1/anat/sub-2_ses-1_T1w.NII.ZST")
    make(tmp_path, "sub-1/anat/sub-1_T2w.nrrd", "sourcedata/sub-1/1.dcm", "sub-1/anat/._sub-1_T1w.nrrd")
    (tmp_path / "participants.tsv").write_text("participant_id\tdx\nsub-1\tF\nsub-2\tM\n")
    first, second = Bids(str(tmp_path), "dx").read().sessions
    assert second.problem == "no scan sub-2/[ses-*/]anat/*_T1w.nii[.gz]"
    assert found(tmp_path) == [str(first.scan.relative_to(tmp_path))]
    said = [message for message in caplog.messages if "not read" in message]
    path = tmp_path / "sub-2/anat/sub-2_T1w.nrrd"
    assert said == [f"1 .nrrd, 1 .nii.zst files are not read, such as {path}. Convert them to .nii.gz."] * 2


def test_folders_that_cannot_be_looked_into_are_named_in_training_too(tmp_path, monkeypatch, caplog):
    make(tmp_path, "sub-1/anat/sub-1_T1w.nii", "sub-2/anat/sub-2_T1w.nii")
    (tmp_path / "participants.tsv").write_text("participant_id\tdx\nsub-1\tF\nsub-2\tM\n")
    look, locked = os.scandir, tmp_path / "sub-2"

    def refuse(path):
        if Path(path) == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert len(found(tmp_path)) == 1
    assert Bids(str(tmp_path), "dx").read().sessions[1].problem.startswith("no scan sub-2/")
    assert caplog.messages == [f"{locked} cannot be searched: Permission denied"] * 2


def test_a_study_without_a_description_is_one_by_its_table_and_subjects(tmp_path):
    make(tmp_path, "sub-1/anat/sub-1_T1w.nii", "sub-1/anat/sub-1_FLAIR.nii", "derivatives/sub-1/anat/sub-1_T1w.nii")
    assert len(found(tmp_path)) == 3
    make(tmp_path, "participants.tsv")
    assert found(tmp_path) == ["sub-1/anat/sub-1_T1w.nii"]
    make(tmp_path, "flat/participants.tsv", "flat/sub-1_x.nii")
    assert found(tmp_path, tmp_path / "flat") == ["flat/sub-1_x.nii"]


def test_what_one_folder_holds(tmp_path, caplog):
    make(tmp_path, "b.nii", "a.NII.GZ", "c.mnc", "d.txt", ".e.nii", "folder/f.nii")
    link(tmp_path, link="folder", gone="nowhere")
    with caplog.at_level(logging.INFO):
        content = look_into(tmp_path)
    assert [path.name for path in content.folders] == ["folder", "link"]
    assert [path.name for path in content.scans] == ["a.NII.GZ", "b.nii"]
    assert [path.name for path in content.others] == ["c.mnc"]
    assert content.links == {tmp_path / "link"}
    assert caplog.messages == []
