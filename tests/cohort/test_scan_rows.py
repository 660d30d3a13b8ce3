"""Which row of a table is a scan's, and what is told where none is."""

from pathlib import Path

import pandas as pd
import pytest

from mri3d import UserError
from mri3d.cohort.scan_rows import ScanRows


def rows(names, column="subject", **options):
    return ScanRows.read({column: names, "age": [f"{10 + number}" for number in range(len(names))]}, ["age"], **options)


def age(found, path):
    cells = found.of(Path(path))
    return None if cells is None else cells["age"]


@pytest.mark.parametrize(
    ("names", "path", "expected"),
    [
        (["IXI012-HH-1211", "IXI012"], "/t/IXI012-HH-1211_T1.nii.gz", "10"),
        (["IXI01", "IXI012"], "/t/IXI012.nii", "11"),
        (["1", "11", "111"], "/t/11_T1w.nii.gz", "11"),
        (["1"], "/t/11_T1w.nii.gz", None),
        (["1"], "/t/T1.nii.gz", None),
        (["1"], "/t/sub-2_run-1_T1w.nii", None),
        (["01", "sub-02"], "/b/sub-01/anat/sub-01_T1w.nii.gz", "10"),
        (["01", "sub-02"], "/b/sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz", "11"),
        (["sub-03"], "/b/sub-03/anat/T1w.nii.gz", "10"),
        (["anat", "sub-03"], "/b/sub-03/anat/T1w.nii.gz", "10"),
        (["a.nii.gz", "b.nii"], "/t/b.nii", "11"),
        (["a", "b"], "/t/c.nii", None),
        (["", "b"], "/t/c.nii", None),
        (["x.y"], "/t/xzy_T1.nii", None),
    ],
)
def test_the_longest_name_that_fits_is_the_row(names, path, expected):
    assert age(rows(names), path) == expected


def test_sessions_of_one_participant_have_rows_of_their_own():
    table = {"participant_id": ["sub-1", "sub-1"], "session_id": ["ses-1", "ses-2"], "age": [30, 31]}
    found = ScanRows.read(table, ["age"])
    assert age(found, "/b/sub-1/ses-2/anat/sub-1_ses-2_T1w.nii.gz") == "31"
    with pytest.raises(UserError, match="has several rows 'sub-1' with different values of 'age'"):
        ScanRows.read(table, ["age"], id="participant_id")
    same = ScanRows.read(table | {"sex": ["F", "F"]}, ["sex"], id="participant_id")
    assert same.of(Path("/sub-1_T1.nii")) == {"sex": "F"}


def test_a_column_that_the_model_asks_for_names_no_scans():
    with pytest.raises(UserError, match=r"no column that names the scans or the participants \(it has age, sex\)"):
        ScanRows.read({"age": [3], "sex": ["F"]}, ["age"])
    assert age(ScanRows.read({"age": ["a"]}, ["age"], id="age"), "/a.nii") == "a"


def test_a_column_scan_comes_first_and_a_named_one_before_all():
    table = {"subject": ["p", "q"], "scan": ["q_T1", "p_T1"], "code": ["z", "p"], "age": [1, 2]}
    assert age(ScanRows.read(table, ["age"]), "/p_T1.nii") == "2"
    assert age(ScanRows.read(table, ["age"], id="subject"), "/p_T1.nii") == "1"
    assert age(ScanRows.read(table, ["age"], id=["code"]), "/p_T1.nii") == "2"


def test_files_and_frames_are_read(tmp_path):
    (tmp_path / "new.tsv").write_text("participant_id\tage\tsex\nsub-01\t30\tn/a\nsub-02\tNA\tM\n")
    found = ScanRows.read(tmp_path / "new.tsv", ["age", "sex"])
    assert found.of(Path("/sub-01_T1w.nii")) == {"age": "30", "sex": ""}
    frame = pd.DataFrame({"id": ["s1", "s2"], "age": [30.5, float("nan")]})
    assert ScanRows.read(frame, ["age"]).of(Path("/s2.nii")) == {"age": ""}


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"subject": ["a"], "iq": ["1"]}, r"table='table' has no column 'age', which the model was trained with"),
        ({"age": ["1", "2"], "subject": ["a"]}, "no columns of equal length"),
        ({}, "no columns of equal length"),
        ("nowhere.csv", r"nowhere\.csv does not exist"),
    ],
)
def test_tables_that_cannot_be_used_are_named(table, told):
    with pytest.raises(UserError, match=told):
        ScanRows.read(table, ["age"])
