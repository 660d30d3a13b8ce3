"""Visits of one participant are known by ids as studies write them, and names that may mean one are told."""

import logging
import re

import pytest

from mri3d.cohort.participants import participants_of, warn_of_groups, warn_of_spellings
from mri3d.cohort.table import Table
from mri3d.errors import UserError
from tests.cohort.test_table import study

NUMBERS = range(1, 7)


@pytest.mark.parametrize(
    ("who", "visits"),
    [
        ("{:02d}", ["_ses-1", "_ses-2"]),
        ("sub-{:02d}", ["_ses-1", "_ses-2_run-1_T1w"]),
        ("sub-{:02d}", ["_SES-1", "_Ses-2"]),
        ("sub-{:02d}", ["_M00", "_M12"]),
        ("sub-{:02d}", ["_visit-1", "_visit-2"]),
        ("sub-{:02d}", ["_tp1", "_tp2"]),
        ("sub-{:02d}", ["_V1", "_V2"]),
        ("002_S_{:04d}", ["_bl", "_m06"]),
        ("002_S_{:04d}", ["_sc", "_m06", "_m12", "_m18", "_m24", "_m36", "_m48", "_m60"]),
        ("OAS3{:04d}", ["_MR_d0129", "_MR_d1023"]),
        ("OAS2_{:04d}", ["_MR1", "_MR2"]),
        ("S{:02d}", ["-Timepoint1", "-Timepoint2"]),
        ("S{:02d}", [".wave.1", ".wave.2"]),
        ("S{:02d}", [" session A", " session B"]),
        ("{:03d}", ["ses1", "ses2"]),
        ("{:03d}", ["_visit1_scan1", "_visit1_scan2", "_visit2_scan1"]),
        ("{:03d}", ["_v1_T1w", "_v2_T1w"]),
        ("P{:d}", ["_y0", "_y2"]),
        ("P{:d}", ["_pre", "_post"]),
        ("P{:d}", ["", "_followup"]),
        ("P{:d}", ["", "_visit2"]),
    ],
)
def test_visits_of_one_participant_stay_together(tmp_path, caplog, who, visits):
    caplog.set_level(logging.INFO)
    ids = [who.format(number) + visit for number in NUMBERS for visit in visits]
    assert participants_of(ids) == [who.format(number) for number in NUMBERS for _ in visits]
    rows = "".join(f"{id},{'FM'[row % 2]}\n" for row, id in enumerate(ids))
    root = study(tmp_path, f"subject,label\n{rows}", [f"{id}.nii" for id in ids])
    caplog.clear()
    groups = Table(str(root), "subjects.csv").read().groups
    assert len(set(groups)) == len(NUMBERS)
    (record,) = caplog.records
    assert record.getMessage().startswith(
        f"6 participants have several rows; each takes part, and no split parts them ({ids[0]}"
    )


@pytest.mark.parametrize(
    "ids",
    [
        [f"sub-{number:02d}" for number in NUMBERS],
        [f"sub-{number:02d}_T1" for number in NUMBERS],
        [f"visit{number}" for number in NUMBERS],
        [f"visit_{number}" for number in NUMBERS],
        [f"study2_session{number}" for number in NUMBERS],
        [f"lunchtime{number}" for number in NUMBERS],
        [f"OAS1_{number:04d}_MR1" for number in NUMBERS],
        [f"{site}_{number:03d}" for site in "12" for number in NUMBERS],
        [f"C{site}_P{number:02d}" for site in "12" for number in NUMBERS],
        [f"IXI{number:03d}-Guys-08{number:02d}-T1" for number in NUMBERS],
    ],
)
def test_a_participants_own_number_is_no_visit(ids, caplog):
    caplog.set_level(logging.INFO)
    assert participants_of(ids) is None
    assert not caplog.records


def test_what_may_be_either_is_warned_of(caplog):
    assert participants_of([f"site{site}_v{number:03d}" for site in "12" for number in NUMBERS]) is None
    assert "2 names stand at the beginning of several ids (site1_v001, site1_v002, and 4 more)" in caplog.text


@pytest.mark.parametrize(
    "names",
    [
        ("01", "1"),
        ("sub-01", "01"),
        ("S01", "s01"),
        ("S_01", "S-01"),
        ("1", "1.0"),
        ("sub-A", "A"),
        ("sub-01", "SUB-1"),
    ],
)
def test_names_that_are_the_same_but_for_their_writing_are_told_once(tmp_path, caplog, names):
    rows = "".join(f"{name},F,{name}\n" for name in ("7", *names))
    root = study(tmp_path, f"subject,label,family\n{rows}", [f"{name}.nii" for name in names])
    assert len(set(Table(str(root), "subjects.csv").read().groups)) == 3
    (record,) = caplog.records
    assert f"'.0' or separators: '{names[0]}' and '{names[1]}'. They are taken for different" in record.getMessage()


@pytest.mark.parametrize("names", [("1-11", "11-1"), ("-1", "1"), ("s1", "s10"), ("a+", "a"), ("1", "1")])
def test_other_names_are_not_told(caplog, names):
    warn_of_spellings(names, "participants")
    assert not caplog.records


@pytest.mark.parametrize("code", ["unknown", "-9", "0", "?", "999"])
def test_a_group_of_those_who_have_none_is_told(tmp_path, caplog, code):
    families = [code] * 6 + [str(number // 2) for number in range(2, 12)]
    rows = "".join(f"s{row},{'FM'[row % 2]},{family}\n" for row, family in enumerate(families))
    root = study(tmp_path, f"subject,label,family\n{rows}", ["s0.nii"])
    Table(str(root), "subjects.csv", group="family").read()
    (record,) = caplog.records
    assert record.getMessage().startswith(f"'{code}' makes one group of 6 rows in column 'family'")


@pytest.mark.parametrize(
    "cells", [["0", "0", "0", "1", "1", "2", "2"], ["a", "unknown", "b"], ["1", "1.0", "2", ""], ["NA", "NA", "a"]]
)
def test_ordinary_groups_are_not_told(caplog, cells):
    warn_of_groups(cells, "column 'family'")
    assert not caplog.records


def test_spellings_of_groups_are_told(caplog):
    warn_of_groups(["fam 1", "Fam_1", "x"], "column 'family'")
    assert "groups in column 'family' are the same but for case" in caplog.text


@pytest.mark.parametrize(
    ("id", "name"), [("1", "01"), ("1", "sub-01"), ("1.0", "sub-001"), ("sub-1", "sub-01"), ("1.0", "1")]
)
def test_ids_that_lost_their_zeros_are_told(tmp_path, id, name):
    root = study(tmp_path, f"subject,label\n{id},F\nx,M\n", [f"{name}.nii"])
    told = f": for '{name}' there is {name}.nii. A spreadsheet may have taken ids for numbers"
    with pytest.raises(UserError, match=re.escape(f"looked for {root}/{id}.nii*{told}")):
        Table(str(root), "subjects.csv").read()
    (root / "x.nii").touch()
    first, second = Table(str(root), "subjects.csv").read().sessions
    assert first.problem == f"no scan matches {root}/{id}.nii*{told}"
    assert second.scan is not None
