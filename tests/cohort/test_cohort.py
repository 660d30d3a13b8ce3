"""The cohort: rows, groups, its table, and labels that are none."""

import csv
import dataclasses
import pickle
from pathlib import Path

import pytest

from mri3d.cohort.cohort import NO_LABEL, Cohort, Session, means_no_label
from mri3d.errors import option


def cohort_of(*labels: str | None) -> Cohort:
    return Cohort(
        tuple(
            Session(f"s{i}", Path(f"s{i}.nii"), label, left_out="" if label is not None else NO_LABEL)
            for i, label in enumerate(labels)
        )
    )


def test_rows_index_the_sessions_that_take_part():
    cohort = cohort_of("10", None, "9", "-1", "10")
    assert cohort.taking_part.ids == cohort.ids == ("s0", "s2", "s3", "s4")
    assert cohort.labels == ("10", "9", "-1", "10")
    assert cohort.scans == (Path("s0.nii"), Path("s2.nii"), Path("s3.nii"), Path("s4.nii"))
    with pytest.raises(AssertionError, match="without a label must be left out"):
        _ = Cohort((Session("a", None, None),)).labels


def test_who_is_left_out_is_counted_and_has_no_row():
    a, b, c = cohort_of("F", "M", "X").sessions
    cohort = Cohort((a, b, dataclasses.replace(c, left_out="truncated")), source="column 'x' of y.csv")
    assert cohort.labels == ("F", "M")
    assert cohort.describe() == "3 sessions: 2 take part, 1 left out"
    assert cohort.taking_part == Cohort((a, b), "column 'x' of y.csv")


def test_groups_hold_together_and_a_session_without_one_stands_alone():
    sessions = [
        Session(id, None, "F", group) for id, group in [("a", "b"), ("b", None), ("c", "b"), ("subject b", None)]
    ]
    groups = Cohort(tuple(sessions)).groups
    assert groups.tolist() == ["group b", "subject b", "group b", "subject subject b"]


def test_a_participant_is_never_parted_even_where_groups_would():
    def sessions(*pairs: tuple[str | None, str | None]) -> Cohort:
        made = [Session(f"s{i}", None, "F", group, participant=who) for i, (who, group) in enumerate(pairs)]
        return Cohort(tuple(made))

    assert sessions(("A", None), ("B", None), ("A", None)).groups.tolist() == [
        "participant A",
        "participant B",
        "participant A",
    ]
    by_scanner = sessions(("A", "one"), ("A", "two"), ("B", "two"), ("C", "three"), ("D", None), ("A", None))
    assert by_scanner.groups.tolist() == ["group one"] * 3 + ["group three", "participant D", "group one"]
    chained = sessions(("A", "1"), ("B", "2"), ("C", "3"), ("B", "3"), ("A", "2"), ("D", "4"), ("A", "3"))
    assert len(set(chained.groups)) == 2
    assert chained.groups.tolist().index("group 4") == 5


def test_csv_names_every_session_with_what_became_of_it(tmp_path):
    session = Session("a", Path("/x/a.nii"), "F", "fam", "Oslo", {"age": "3,5"}, warnings=("odd", "old"))
    other = Session("b", None, None, covariates={"age": ""}, left_out=NO_LABEL)
    (tmp_path / "cohort.csv").write_text(Cohort((session, other)).to_csv({"a": "0 test"}))
    with (tmp_path / "cohort.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "subject": "a",
        "scan": "/x/a.nii",
        "label": "F",
        "fold": "0 test",
        "left_out": "",
        "warnings": "odd; old",
        "digest": "",
        "group": "fam",
        "site": "Oslo",
        "covariate_age": "3,5",
    }
    assert (rows[1]["fold"], rows[1]["left_out"], rows[1]["scan"]) == ("", "no label", "")


def test_csv_has_masks_and_figures_of_scans_where_there_are_any():
    one = Session("A", Path("a.nii"), "F", mask=Path("m.nii"), figures={"brain_ml": 1387.3518, "overlap": 0.97})
    first, second = Cohort((one, Session("B", Path("b.nii"), "M"))).to_rows()
    assert {name: first[name] for name in ("mask", "brain_ml", "overlap")} == {
        "mask": "m.nii",
        "brain_ml": "1387.35",
        "overlap": "0.97",
    }
    assert {second[name] for name in ("mask", "brain_ml", "overlap")} == {""}


def test_csv_has_the_same_columns_as_ever_and_participants_only_where_there_are_any():
    columns = ["subject", "scan", "label", "fold", "left_out", "warnings", "digest", "group", "site"]
    one, two = Session("A_1", None, "F", participant="A"), Session("B", Path("/x/b, 1.nii"), "M")
    assert Cohort((two,)).to_csv({"B": "0 test"}) == ",".join(columns) + '\nB,"/x/b, 1.nii",M,0 test,,,,,\n'
    assert Cohort((one, two)).to_csv().splitlines() == [
        ",".join(["subject", "participant", *columns[1:]]),
        "A_1,A,,F,,,,,,",
        'B,,"/x/b, 1.nii",M,,,,,,',
    ]
    assert Cohort(()).to_csv() == "subject\n"


def test_csv_names_options_plainly():
    problem = f"2 scans match; make {option('data.scan')} narrower"
    (row,) = Cohort((Session("a", None, "F", problem=problem),)).to_rows()
    assert row["left_out"] == "2 scans match; make scan narrower"


def test_csv_has_a_column_for_every_covariate_whoever_comes_first_and_none_hides_another_column():
    without, with_age = Session("a", None, "F"), Session("b", None, "M", "fam", covariates={"age": "3", "group": "x"})
    rows = list(csv.DictReader(Cohort((without, with_age)).to_csv().splitlines()))
    assert [row["covariate_age"] for row in rows] == ["", "3"]
    assert (rows[1]["group"], rows[1]["covariate_group"]) == ("fam", "x")


def test_cohort_is_frozen_and_travels_between_processes():
    cohort = cohort_of("F", "M")
    with pytest.raises(dataclasses.FrozenInstanceError):
        cohort.sessions[0].label = "M"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(cohort)) == cohort
    assert hash(cohort) == hash(cohort_of("F", "M"))


@pytest.mark.parametrize(
    ("cell", "unlabelled", "expected"),
    [
        ("", [], True),
        ("0", [0], True),
        ("0.0", [0], True),
        ("0", ["0.0"], True),
        ("00", ["0"], True),
        ("1", [True], False),
        ("FALSE", [False], True),
        ("0", [False], False),
        ("NaN", [float("nan")], True),
        *(
            (cell, [], True)
            for cell in ("NA", "na", "N/A", "n/a", "nan", "NaN", "NULL", "null", "None", "none", "<NA>")
        ),
        *((cell, [], False) for cell in ("no", "nano", "N", "-", "nil", "unknown")),
        ("unknown", ["UNKNOWN"], False),
        ("10", [1, "0"], False),
        ("1_0", [10], False),
    ],
)
def test_no_label_compares_as_text_and_as_number(cell, unlabelled, expected):
    assert means_no_label(cell, unlabelled) is expected
