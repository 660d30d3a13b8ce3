"""Labels and covariates per visit: `*_sessions.tsv`, and rows per session in the table of participants."""

import logging
import re
from pathlib import Path

import pytest

from mri3d.cohort.bids import Bids
from mri3d.cohort.cohort import Cohort
from mri3d.errors import UserError

TWO_EACH = [f"sub-{who}/ses-{visit}/anat/sub-{who}_ses-{visit}_T1w.nii" for who in "AB" for visit in ("01", "02")]


def write(path: Path, table: str) -> None:
    """Write a table, its cells parted by spaces."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line.strip().replace(" ", "\t") + "\n" for line in table.strip().splitlines()))


def tree(root: Path, table: str, *scans: str, **sessions: str) -> str:
    """Write a study: table of participants, empty files in the place of scans, tables of sessions by participant."""
    write(root / "participants.tsv", table)
    for who, rows in sessions.items():
        write(root / f"sub-{who}" / f"sub-{who}_sessions.tsv", rows)
    for scan in scans:
        (root / scan).parent.mkdir(parents=True, exist_ok=True)
        (root / scan).touch()
    return str(root)


def labels(cohort: Cohort) -> dict[str, str | None]:
    """Return the label of each session."""
    return {session.id: session.label for session in cohort.sessions}


CHANGING = {"sub-A_ses-01": "CN", "sub-A_ses-02": "MCI", "sub-B_ses-01": "MCI", "sub-B_ses-02": "AD"}


@pytest.mark.parametrize("who", ["sub-{}", "{}"])
@pytest.mark.parametrize("visit", ["ses-0{}", "0{}", "ses-{}", "{}"])
def test_rows_per_session_of_participants(tmp_path, who, visit):
    a, b, first, second = who.format("A"), who.format("B"), visit.format(1), visit.format(2)
    table = f"""
        participant_id session_id dx
        {b} {second} AD
        {a} {first} CN
        {a} {second} MCI
        {b} {first} MCI"""
    cohort = Bids(tree(tmp_path, table, *TWO_EACH), "dx").read()
    assert labels(cohort) == CHANGING
    assert [s.group for s in cohort.sessions] == ["sub-A", "sub-A", "sub-B", "sub-B"]
    assert [s.participant for s in cohort.sessions] == ["sub-A", "sub-A", "sub-B", "sub-B"]
    assert [s.scan for s in cohort.sessions] == [tmp_path / scan for scan in TWO_EACH]
    assert cohort.source == "column 'dx' of participants.tsv"


@pytest.mark.parametrize("visit", ["ses-0{}", "0{}", "ses-{}", "{}"])
def test_tables_of_sessions(tmp_path, visit):
    first, second = visit.format(1), visit.format(2)
    table = """
        participant_id sex
        sub-A F
        sub-B M"""
    sessions = {
        "A": f"session_id dx age\n{first} CN 60.5\n{second} MCI 62",
        "B": f"session_id age dx\n{second} 72 AD\n{first} n/a MCI",
    }
    cohort = Bids(tree(tmp_path, table, *TWO_EACH, **sessions), "dx", covariates=["sex", "age"]).read()
    assert labels(cohort) == CHANGING
    assert [dict(s.covariates) for s in cohort.sessions] == [
        {"sex": "F", "age": "60.5"},
        {"sex": "F", "age": "62"},
        {"sex": "M", "age": ""},
        {"sex": "M", "age": "72"},
    ]
    assert len(set(cohort.groups)) == 2
    assert cohort.source == "column 'dx' of sub-*_sessions.tsv"


def test_a_participants_label_holds_for_all_sessions_that_are_described_otherwise(tmp_path):
    sessions = {"A": "session_id age\nses-01 60\nses-02 62", "B": "session_id acq_time\nses-01 2009-06-15"}
    root = tree(tmp_path, "participant_id dx\nsub-A CN\nsub-B AD", *TWO_EACH, **sessions)
    expected = {"sub-A_ses-01": "CN", "sub-A_ses-02": "CN", "sub-B_ses-01": "AD", "sub-B_ses-02": "AD"}
    assert labels(Bids(root, "dx").read()) == labels(Bids(root, "dx", covariates="age").read()) == expected
    ages = [s.covariates["age"] for s in Bids(root, "dx", covariates="age").read().sessions]
    assert ages == ["60", "62", "", ""]


def test_where_both_have_the_column_that_of_the_session_holds(tmp_path, caplog):
    sessions = {"A": "session_id dx\nses-01 CN\nses-02 MCI"}
    scans = [*TWO_EACH, "sub-A/ses-03/anat/sub-A_ses-03_T1w.nii"]
    root = tree(tmp_path, "participant_id dx\nsub-A CN\nsub-B AD", *scans, **sessions)
    cohort = Bids(root, "dx").read()
    assert labels(cohort) == {
        "sub-A_ses-01": "CN",
        "sub-A_ses-02": "MCI",
        "sub-A_ses-03": None,  # what he or she was at the beginning is not known to hold
        "sub-B_ses-01": "AD",
        "sub-B_ses-02": "AD",
    }
    assert cohort.source == "column 'dx' of participants.tsv and sub-*_sessions.tsv"
    assert (
        "column 'dx' stands in participants.tsv and in sub-*_sessions.tsv: what is said of each session" in caplog.text
    )
    assert "1 scanned session has no row in the table of their participant's sessions: sub-A_ses-03" in caplog.text


def test_visits_without_a_scan_need_none_unless_the_table_of_all_lists_them(tmp_path):
    sessions = {"A": "session_id dx\nses-01 CN\nses-02 MCI\nses-03 AD"}
    root = tree(tmp_path / "own", "participant_id\nsub-A", *TWO_EACH[:2], **sessions)
    assert labels(Bids(root, "dx").read()) == {"sub-A_ses-01": "CN", "sub-A_ses-02": "MCI"}
    root = tree(tmp_path / "all", f"participant_id {sessions['A']}".replace("\nses", "\nsub-A ses"), *TWO_EACH[:2])
    *scanned, missing = Bids(root, "dx").read().sessions
    assert [s.problem for s in scanned] == ["", ""]
    assert (missing.id, missing.problem) == ("sub-A_ses-03", "no scan sub-A/ses-03/anat/*_T1w.nii[.gz]")
    chosen = Bids(root, "dx", session=2).read().sessions
    assert {s.id: s.left_out for s in chosen} == {
        "sub-A_ses-02": "",
        "sub-A_ses-01": "no scan with ses-2",
        "sub-A_ses-03": "no scan with ses-2",
    }
    assert not any(s.problem for s in chosen)


def test_a_scanned_session_without_a_row_is_left_out_by_name(tmp_path, caplog):
    table = "participant_id session_id dx\nsub-A ses-01 CN\nsub-B ses-01 AD\nsub-B ses-02 AD"
    sessions = {s.id: s for s in Bids(tree(tmp_path, table, *TWO_EACH), "dx").read().sessions}
    left_out = sessions["sub-A_ses-02"]
    assert (left_out.label, left_out.left_out) == (None, "no row for ses-02 in participants.tsv")
    assert left_out.participant == "sub-A"
    assert "1 scanned session has no row in participants.tsv and is left out: sub-A_ses-02" in caplog.text


def test_a_number_is_not_taken_for_another_session_that_is_there(tmp_path):
    scans = [f"sub-A/ses-{visit}/anat/sub-A_ses-{visit}_T1w.nii" for visit in ("1", "01")]
    root = tree(tmp_path, "participant_id session_id dx\nsub-A 1 CN", *scans)
    assert labels(Bids(root, "dx").read()) == {"sub-A_ses-1": "CN", "sub-A_ses-01": None}


def test_scans_without_a_session_in_their_name(tmp_path):
    table = "participant_id session_id dx\nsub-A M00 CN\nsub-B M00 AD\nsub-B M12 AD"
    first, second, *missing = (
        Bids(tree(tmp_path, table, "sub-A/anat/sub-A_T1w.nii", "sub-B/anat/sub-B_T1w.nii"), "dx").read().sessions
    )
    assert (first.id, first.label, first.problem) == ("sub-A", "CN", "")
    assert second.problem == f"{tmp_path}/sub-B/anat/sub-B_T1w.nii names no session, of which participants.tsv has 2"
    assert [s.problem for s in missing] == [f"no scan sub-B/ses-{v}/anat/*_T1w.nii[.gz]" for v in ("M00", "M12")]


def test_groups_and_sites_may_change_from_session_to_session_and_a_participant_is_one_group(tmp_path):
    sessions = {"A": "session_id dx place\n01 CN Rome\n02 MCI Oslo", "B": "session_id dx place\n1 CN Rome\n2 AD Rome"}
    root = tree(tmp_path, "participant_id family\nsub-A x\nsub-B n/a", *TWO_EACH, **sessions)
    cohort = Bids(root, "dx", site="place", group="family").read()
    assert [s.site for s in cohort.sessions] == ["Rome", "Oslo", "Rome", "Rome"]
    assert [s.group for s in cohort.sessions] == ["x", "x", "sub-B", "sub-B"]
    assert len(set(Bids(root, "dx", group="place").read().groups)) == 1  # who was in Rome and Oslo joins the two


def test_another_table_with_rows_per_session_and_the_sessions_of_a_derivative(tmp_path):
    root = tree(
        tmp_path, "participant_id sex\nsub-A F\nsub-B M", A="session_id dx\n01 CN\n02 MCI", B="session_id dx\n2 AD"
    )
    table = "participant_id session_id score\nsub-A 01 1\nsub-A 02 2\nsub-B 01 3\nsub-B 02 4"
    write(tmp_path / "phenotype" / "test.tsv", table)
    for scan in TWO_EACH:
        (tmp_path / "derivatives" / "x" / scan).parent.mkdir(parents=True)
        (tmp_path / "derivatives" / "x" / scan).touch()
        (tmp_path / scan).parent.mkdir(parents=True)
        (tmp_path / scan).touch()
    assert list(labels(Bids(root, "score", table="phenotype/test.tsv").read()).values()) == ["1", "2", "3", "4"]
    derivative = Bids(f"{root}/derivatives/x", "dx", table="../../participants.tsv", covariates="sex").read()
    assert list(labels(derivative).values()) == ["CN", "MCI", None, "AD"]
    assert [s.covariates["sex"] for s in derivative.sessions] == ["F", "F", "M", "M"]


@pytest.mark.parametrize(
    ("table", "sessions", "message"),
    [
        (
            "participant_id dx\nsub-A CN\nsub-A AD",
            {},
            r"'A' \(lines 2, 3\)\. Give each participant one row, or name the session of each row in a column",
        ),
        (
            "participant_id session_id dx\nsub-A ses-1 CN\nA 1 AD",
            {},
            r"columns 'participant_id', 'session_id' of .*'A_1' \(lines 2, 3\)\. Give each session of a participant",
        ),
        (
            "participant_id session_id dx\nsub-A 1 CN\nsub-A n/a AD",
            {},
            r"column 'session_id' of .* is empty on line 3\.",
        ),
        (
            "participant_id sex\nsub-A F",
            {"A": "session_id age\n01 60"},
            r"^column 'dx' is not in participants\.tsv and sub-\*_sessions\.tsv \(columns: participant_id, sex, "
            r"session_id, age\)\. Set data\.label to one of them\.",
        ),
        (
            "participant_id sex\nsub-A F",
            {"A": "session dx\n01 CN"},
            r"sub-A/sub-A_sessions\.tsv has no column session_id \(columns: session, dx\)\. Name its sessions there\.",
        ),
    ],
)
def test_mistakes_name_where_was_looked_and_the_way_out(tmp_path, table, sessions, message):
    with pytest.raises(UserError) as caught:
        Bids(tree(tmp_path, table, *TWO_EACH, **sessions), "dx").read()
    assert re.search(message, caught.value.on_command_line())


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("session dx\n01 CN\n02 AD", "has no column session_id (columns: session, dx). Name its sessions there."),
        ("session_id dx\n01 CN\n1 AD\nses-01 AD", "'01' (lines 2, 4). Give each session one row."),
        ("session_id dx dx\n01 CN AD", "has several columns 'dx'"),
        ("session_id dx", "has no rows"),
    ],
)
def test_what_is_wrong_with_one_participants_table_is_a_problem_of_his_or_hers(tmp_path, rows, problem, caplog):
    sessions = {"A": rows, "B": "session_id dx\n01 MCI\n02 AD"}
    with caplog.at_level(logging.INFO):
        cohort = Bids(tree(tmp_path, "participant_id\nsub-A\nsub-B", *TWO_EACH, **sessions), "dx").read()
    for session in cohort.sessions[:2]:
        assert problem in str(UserError(session.problem))
        assert "sub-A_sessions.tsv" in session.problem
        assert session.left_out == ""  # so that the audit ends the run
    assert [(s.label, s.problem) for s in cohort.sessions[2:]] == [("MCI", ""), ("AD", "")]


def test_a_table_of_sessions_of_which_nothing_is_used_is_not_judged(tmp_path):
    root = tree(tmp_path, "participant_id dx\nsub-A CN\nsub-B AD", *TWO_EACH, A="session acq_time\n01 noon")
    assert [(s.label, s.problem) for s in Bids(root, "dx").read().sessions] == [("CN", "")] * 2 + [("AD", "")] * 2
