"""BIDS trees: sessions, runs, entities, and what does not fit together."""

import logging
import re
from collections import Counter
from pathlib import Path

import pytest

from mri3d.cohort.bids import Bids
from mri3d.cohort.cohort import CohortSource
from mri3d.errors import UserError

DEPRESSION = Path(__file__).parents[3] / "shared" / "data" / "depression-bids"


def tree(root: Path, table: str, *scans: str) -> str:
    """Write a table, its cells parted by spaces, and empty files in the place of scans."""
    lines = [line.strip().replace(" ", "\t") for line in table.strip().splitlines()]
    (root / "participants.tsv").write_text("\n".join(lines) + "\n")
    for scan in scans:
        (root / scan).parent.mkdir(parents=True, exist_ok=True)
        (root / scan).touch()
    return str(root)


def test_one_scan_each(tmp_path):
    table = """
        participant_id dx age
        sub-01 F 20
        02 M n/a
        sub-03 n/a 40"""
    others = ["sub-01/anat/sub-01_T2w.nii.gz", "sub-01/func/sub-01_task-x_bold.nii.gz", "sub-01/anat/sub-01_T1w.json"]
    others += ["derivatives/x/sub-01/anat/sub-01_T1w.nii.gz", "sourcedata/sub-01/anat/sub-01_T1w.nii.gz"]
    scans = [f"sub-0{i}/anat/sub-0{i}_acq-mprage_T1w.nii.gz" for i in (1, 2, 3)]
    cohort = Bids(tree(tmp_path, table, *scans, *others), "dx", covariates=["age"]).read()
    assert [s.id for s in cohort.sessions] == ["sub-01", "sub-02", "sub-03"]
    assert [s.scan for s in cohort.sessions] == [tmp_path / scan for scan in scans]
    assert [s.label for s in cohort.sessions] == ["F", "M", None]
    assert [s.covariates["age"] for s in cohort.sessions] == ["20", "", "40"]
    assert cohort.sessions[2].left_out == "no label"


def test_a_scan_in_another_participants_or_sessions_folder_is_a_problem(tmp_path):
    table = """
        participant_id dx
        sub-A F
        sub-B M
        sub-C F"""
    scans = [
        "sub-A/ses-1/anat/sub-A_ses-1_T1w.nii.gz",
        "sub-B/ses-1/anat/sub-A_ses-1_T1w.nii.gz",
        "sub-C/ses-1/anat/sub-C_ses-2_T1w.nii.gz",
    ]
    kept, stray, late = Bids(tree(tmp_path, table, *scans), "dx").read().sessions
    assert kept.scan == tmp_path / scans[0]
    assert kept.problem == ""
    for session in (stray, late):
        assert session.scan is None
        assert "lies in the folder of another participant or session than its name says" in session.problem


def test_visits_and_runs_are_subjects_of_one_group(tmp_path, caplog):
    table = """
        participant_id dx family
        sub-A F smith
        sub-B M n/a
        sub-C M smith"""
    scans = [
        "sub-A/ses-1/anat/sub-A_ses-1_T1w.nii.gz",
        "sub-A/ses-2/anat/sub-A_ses-2_run-1_T1w.nii.gz",
        "sub-A/ses-2/anat/sub-A_ses-2_run-2_T1w.nii.gz",
        "sub-B/ses-1/anat/sub-B_ses-1_run-01_T1w.nii",
        "sub-C/anat/sub-C_T1w.nii",
    ]
    root = tree(tmp_path, table, *scans)
    with caplog.at_level(logging.INFO):
        cohort = Bids(root, "dx").read()
    assert "1 participant has several scans" in caplog.text
    assert cohort.ids == ("sub-A_ses-1", "sub-A_ses-2_run-1", "sub-A_ses-2_run-2", "sub-B_ses-1", "sub-C")
    assert [s.group for s in cohort.sessions] == ["sub-A", "sub-A", "sub-A", "sub-B", "sub-C"]
    assert [s.participant for s in cohort.sessions] == ["sub-A", "sub-A", "sub-A", "sub-B", "sub-C"]
    families = Bids(root, "dx", group="family").read()
    assert [s.group for s in families.sessions] == ["smith", "smith", "smith", "sub-B", "smith"]
    assert [s.participant for s in families.sessions] == ["sub-A", "sub-A", "sub-A", "sub-B", "sub-C"]
    assert families.to_csv().splitlines()[0].startswith("subject,participant,scan,label,fold,left_out,")


def test_the_source_says_where_labels_are_and_what_is_asked_of_them(tmp_path):
    root = tree(tmp_path, "participant_id dx\nsub-A F\nsub-B F", "sub-A/anat/sub-A_T1w.nii")
    source: CohortSource = Bids(root, "dx", classes=True)
    assert (source.label, source.classes, source.suffix, source.skip_bad) == ("dx", True, "T1w", False)
    cohort = source.read()  # how many classes there are is for the outcome to judge
    assert (cohort.source, cohort.labels) == ("column 'dx' of participants.tsv", ("F", "F"))


@pytest.mark.parametrize(
    ("choice", "ids", "left_out"),
    [
        ({"session": "1"}, ["sub-A_ses-1", "sub-B_ses-1"], {"sub-C": "no scan with ses-1"}),
        ({"session": "ses-01"}, ["sub-A_ses-1", "sub-B_ses-1"], {"sub-C": "no scan with ses-01"}),
        ({"session": 2}, ["sub-A_ses-2"], {"sub-B": "no scan with ses-2", "sub-C": "no scan with ses-2"}),
        ({"entities": {"run": 1}}, ["sub-A_ses-2"], {"sub-B": "no scan with run-1", "sub-C": "no scan with run-1"}),
        (
            {"entities": {"run": None}, "session": 1},
            ["sub-A_ses-1", "sub-B_ses-1"],
            {"sub-C": "no scan with no run and ses-1"},
        ),
        ({"suffix": "T2w"}, ["sub-B"], {}),
    ],
)
def test_choices_leave_out_by_name(tmp_path, choice, ids, left_out):
    table = """
        participant_id dx
        sub-A F
        sub-B M
        sub-C M"""
    scans = ["sub-A/ses-1/anat/sub-A_ses-1_T1w.nii.gz", "sub-A/ses-2/anat/sub-A_ses-2_run-01_T1w.nii.gz"]
    scans += ["sub-B/ses-1/anat/sub-B_ses-1_T1w.nii.gz", "sub-C/anat/sub-C_T1w.nii", "sub-B/anat/sub-B_T2w.nii"]
    cohort = Bids(tree(tmp_path, table, *scans), "dx", **choice).read()
    assert [s.id for s in cohort.sessions if s.scan] == ids
    assert {s.id: s.left_out for s in cohort.sessions if s.left_out} == left_out


def test_what_does_not_fit_together_is_told(tmp_path, caplog):
    table = """
        participant_id dx
        sub-A F
        sub-B M
        sub-C M
        sub-D M"""
    scans = [f"sub-{name}/anat/sub-{name}_T1w.nii" for name in ("A", "B", "X", "Y")]
    root = tree(tmp_path, table, *scans, "sub-B/anat/sub-B_T1w.nii.gz", "sub-C/anat/sub-C_T2w.nii")
    sessions = {s.id: s for s in Bids(root, "dx").read().sessions}
    assert set(sessions) == {"sub-A", "sub-B", "sub-C", "sub-D", "sub-X", "sub-Y"}
    assert sessions["sub-B"].problem.endswith("sub-B_T1w.nii lies beside its twin sub-B_T1w.nii.gz: remove one")
    assert sessions["sub-C"].problem == "no scan sub-C/[ses-*/]anat/*_T1w.nii[.gz]"
    assert sessions["sub-X"].left_out == "no row in participants.tsv"
    assert sessions["sub-X"].scan == tmp_path / "sub-X/anat/sub-X_T1w.nii"
    assert "2 scanned participants have no row in the table and are left out: sub-X, sub-Y" in caplog.text


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        ("sub-A F, sub-A M", {}, "'A' .lines 2, 3.. Give each participant one row"),
        ("sub-A F, A M", {}, "'A' .lines 2, 3.. Give each participant one row"),
        ("sub-A F, sub-B M", {"label": "sex"}, "^column 'sex' is not in participants.tsv .* Set data.label to one"),
        ("sub-A F, sub-B M", {"suffix": "FLAIR"}, "^data.root=.* has no scan sub-.*FLAIR.* holds .*sub-A/"),
        (
            "sub-A F, sub-B M",
            {"session": 3},
            "none of the 2 T1w scans of .* has ses-3; the first is sub-A_T1w.nii. Set data.session and data.entities",
        ),
        ("sub-A F, sub-B M", {"table": "people.tsv"}, "people.tsv does not exist. .*participants.tsv"),
    ],
)
def test_mistakes_name_the_value_and_the_way_out(tmp_path, rows, changes, message):
    table = "\n".join(["participant_id dx", *rows.split(", ")])
    root = tree(tmp_path, table, "sub-A/anat/sub-A_T1w.nii", "sub-B/anat/sub-B_T1w.nii")
    with pytest.raises(UserError) as caught:
        Bids(**({"root": root, "label": "dx"} | changes)).read()
    assert re.search(message, caught.value.on_command_line())
    assert re.search(message.replace("data.", ""), str(caught.value))


def test_a_table_of_something_else_is_refused(tmp_path):
    root = tree(tmp_path, "subject dx\nsub-A F\nsub-B M", "sub-A/anat/sub-A_T1w.nii")
    with pytest.raises(UserError, match=r"participants.tsv has no column participant_id \(columns: subject, dx\)"):
        Bids(root, "dx").read()


@pytest.mark.skipif(not DEPRESSION.is_dir(), reason=f"the real scans are not at {DEPRESSION}")
def test_depression_study_has_the_documented_counts():
    cohort = Bids(str(DEPRESSION), "group", covariates=["IQ_Raven"]).read()
    assert Counter(cohort.labels) == {"control": 5, "depr": 7}
    assert cohort.sessions[10].id == "sub-55"
    assert cohort.sessions[10].covariates == {"IQ_Raven": ""}


def test_a_value_is_taken_as_a_number_only_where_no_name_has_it_as_it_stands(tmp_path):
    for folder, session in (("both", "01"), ("both", "1"), ("one", "01")):
        scan = tmp_path / folder / f"sub-A/ses-{session}/anat/sub-A_ses-{session}_T1w.nii"
        scan.parent.mkdir(parents=True)
        scan.write_bytes(b"")
        (tmp_path / folder / "participants.tsv").write_text("participant_id\tdx\nsub-A\tx\nsub-B\ty\n")
    for folder, session, expected in (("both", "01", "01"), ("both", 1, "1"), ("one", 1, "01")):
        sessions = Bids(tmp_path / folder, "dx", session=session).read().sessions
        assert [s.scan.parent.parent.name for s in sessions if s.scan] == [f"ses-{expected}"]


def test_a_value_for_no_label_that_nobody_has_is_said_whatever_is_missing_beside_it(tmp_path, caplog):
    table = """
        participant_id dx
        sub-1 F
        sub-2 M
        sub-3 NA
        sub-4 0"""
    scans = [f"sub-{number}/anat/sub-{number}_T1w.nii" for number in range(1, 5)]
    cohort = Bids(tree(tmp_path, table, *scans), "dx", unlabelled=[0, 9]).read()
    assert [session.label for session in cohort.sessions] == ["F", "M", None, None]
    said = [message for message in caplog.messages if message.startswith("unlabelled")]
    assert said == ["unlabelled names 9, which is not in column 'dx' of participants.tsv"]
