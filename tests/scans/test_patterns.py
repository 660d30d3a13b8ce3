"""Globs, and paths with characters that a glob would take for its own."""

import glob
import os
import time

import pytest

from mri3d.errors import UserError
from mri3d.scans.listing import find_scans
from mri3d.scans.scan import ScanError, read_scan

NAMES = (
    *("study [v2]/a.nii", "study [v2]/b.nii.gz", "study [v2]/c[1].nii", "study [v2]/c1.nii", "study [v2]/deep/d.nii"),
    *("v/x.nii", "2/y.nii", "[v2]/z.nii", "what?/q.nii", "star*/s.nii", "starfish/t.nii", "plain/e.nii", "plain/E.NII"),
    *("plain/.hidden.nii", "plain/.dot/f.nii", "two  blanks /g h.nii", "{a,b}/i.nii", "plain/deep/er/j.nii"),
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Make a folder whose names have all that a glob knows."""
    root = tmp_path_factory.mktemp("root [1]")
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def found(root, *places: str) -> list[str]:
    """Name the scans that are found by their paths within the folder."""
    return [os.path.relpath(path, root) for path in find_scans([f"{root}/{place}" for place in places])]


@pytest.mark.parametrize("name", NAMES)
def test_a_path_that_exists_is_taken_as_it_is(study, name):
    assert found(study, name) == [name]


@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("study [v2]", ["a.nii", "b.nii.gz", "c1.nii", "c[1].nii", "deep/d.nii"]),
        ("study [v2]/*.nii", ["a.nii", "c1.nii", "c[1].nii"]),
        ("study [v2]/[ab].nii*", ["a.nii", "b.nii.gz"]),
        ("study [v2]/**/*.nii", ["a.nii", "c1.nii", "c[1].nii", "deep/d.nii"]),
        ("study [v2]*/a.nii", ["a.nii"]),
        ("study [[]v2]/a.nii", ["a.nii"]),
        ("s*/c[1].nii", ["c[1].nii"]),  # where such a file is, it is meant
        ("study [v2]/c[1]*", ["c1.nii"]),
        ("study ?v2?/[a]*", ["a.nii"]),
    ],
)
def test_globs_below_a_folder_with_brackets(study, place, names):
    assert found(study, place) == [f"study [v2]/{name}" for name in names]


@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("[v2]/*.nii", ["[v2]/z.nii"]),
        ("[v3]/*.nii", ["v/x.nii"]),
        ("what?/*", ["what?/q.nii"]),
        ("star*/*.nii", ["star*/s.nii"]),
        ("star**/*.nii", ["star*/s.nii", "starfish/t.nii"]),
        ("two  blanks /*", ["two  blanks /g h.nii"]),
        ("{a,b}/*", ["{a,b}/i.nii"]),
        ("plain/*.nii", ["plain/E.NII", "plain/e.nii"]),
        ("plain/**", ["plain/E.NII", "plain/deep/er/j.nii", "plain/e.nii"]),
        ("plain/**/er/*.nii", ["plain/deep/er/j.nii"]),
        ("plain/.*.nii", ["plain/.hidden.nii"]),
        ("plain/.*/*.nii", ["plain/.dot/f.nii"]),
        ("**/.hidden.nii", ["plain/.hidden.nii"]),
        ("plain/../v/*", ["v/x.nii"]),
    ],
)
def test_other_globs(study, place, names):
    assert found(study, place) == names


@pytest.mark.parametrize("pattern", ["**/*.nii", "*/*.nii*", "p*/**/e*/*.nii", "**/d*/**/*.nii", "*/c?.nii", "[!p]*/*"])
def test_globs_find_what_pythons_own_find(study, pattern, monkeypatch):
    monkeypatch.chdir(study)
    names = glob.glob(pattern, recursive=True)  # noqa: PTH207 (the reference)
    expected = {name for name in names if name.endswith((".nii", ".nii.gz"))}
    assert {str(path) for path in find_scans([pattern])} - {"plain/E.NII"} == expected


def test_a_mesh_of_links_is_searched_in_no_time(tmp_path):
    for number in range(9):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}/{number}.nii").touch()
        for other in {*range(9)} - {number}:
            (tmp_path / f"{number}/to{other}").symlink_to(f"../{other}")
    every = [f"{number}/{number}.nii" for number in range(9)]
    began = time.monotonic()
    assert found(tmp_path, "**/*.nii") == every
    again = find_scans([f"{tmp_path}/**/to*/**/to*/**/*.nii"])
    assert sorted(os.path.realpath(path) for path in again) == [f"{tmp_path.resolve()}/{name}" for name in every]
    assert time.monotonic() - began < 5  # there are more than 100,000 ways


@pytest.mark.parametrize("table", ["Zoe\u0308", "Zo\u00eb", "Zo\u200b\u00eb"])
def test_names_that_look_alike_match(tmp_path, table):
    (tmp_path / "Zoe\u0308-1").mkdir()
    (tmp_path / "Zoe\u0308-1/Zo\u00eb.nii").touch()
    assert found(tmp_path, f"{table}*/{table}*") == ["Zoe\u0308-1/Zo\u00eb.nii"]


def test_bytes_that_are_no_text_are_compared_too(tmp_path):
    for name in ("caf\udce9/x\udce9.nii", "caf/x.nii", "caf\udce8/x\udce9.nii"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert found(tmp_path, "c*\udce9/*.nii") == ["caf\udce9/x\udce9.nii"]


def test_a_missing_file_below_brackets_is_given_to_be_refused(study):
    (scan,) = find_scans([str(study / "study [v2]" / "missing.nii")])
    with pytest.raises(ScanError, match=r"missing\.nii does not exist"):
        read_scan(scan)
    with pytest.raises(UserError, match=r"study \[v2\]/missing\*\.nii': no file that ends in .* matches"):
        find_scans([str(study / "study [v2]" / "missing*.nii")])
