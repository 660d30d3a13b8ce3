"""What cells of a label column may stand for, and what is told of those that may not."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from mri3d.cohort.bids import Bids
from mri3d.cohort.cohort import NO_LABEL, Cohort, Session
from mri3d.cohort.demo import Demo, DemoStudy
from mri3d.cohort.table import Table
from mri3d.outcome import Classes, Measure, outcome_of
from mri3d.study import Study
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.sequence import InMemory
from tests.models.refusals import refused
from tests.scans.phantom import SHARED_DATA, needs_shared_data, values, write_scan


def made(labels, task="classification", *, source="column 'sex' of subjects.csv", insist=False):
    """Make the outcome of sessions s0, s1, ... with these labels; None means no label."""
    cells = {f"s{number}": label for number, label in enumerate(labels) if label is not None}
    num_unlabelled = len(labels) - len(cells)
    return outcome_of(cells, task=task, name="sex", source=source, num_unlabelled=num_unlabelled, insist=insist)


# ---- classes


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["F", "F", None], r"'sex' of .* holds one class \(F 2\), and 1 row without a label; a classifier needs two"),
        ([None, None], r"holds no class, and 2 rows without a label"),
        (["F", "F"], r"holds one class \(F 2\); a classifier needs two or more classes\. Set data\.label to another"),
        ([f"{20 + i / 7:.2f}" for i in range(9)], r"has 9 different values in 9 rows \(20.00, 20.14, .*measurement"),
        ([str(i % 30) for i in range(3000)], "has 30 different values in 3000 rows"),
        (["1", "1.0", "2", "1", "2", "2"], "spells one class in two ways: '1' and '1.0'"),
        (["F", "f", "M", "F", "M", "M"], "spells one class in two ways: 'F' and 'f'"),
        (["Mild AD", "Mild  AD", "CN"] * 2, "spells one class in two ways: 'Mild  AD' and 'Mild AD'"),
        (["Mild AD", "mild_ad", "CN"] * 2, "spells one class in two ways: 'Mild AD' and 'mild_ad'"),
        (["Mild-AD", "mild\u2013AD", "CN"] * 2, "spells one class in two ways"),
        (["F", "\uff26", "M"] * 2, "spells one class in two ways: 'F' and '\uff26'"),
        (["I", "\u2160", "II"] * 2, "spells one class in two ways: 'I' and '\u2160'"),
        (["stra\u00dfe", "STRASSE", "x"] * 2, "spells one class in two ways"),
        (["a", "b", "c", "d", "a"], r"has 4 different values in 5 rows \(a, b, c, d\): .* a name, not a class\. Set"),
    ],
)
def test_labels_that_are_not_classes_are_refused_by_name(labels, message):
    with refused(message):
        made(labels)


AGES = [str(31 + number % 10) for number in range(24)]


@pytest.mark.parametrize("labels", [AGES, [f"{number % 6}" for number in range(600)], ["1.5", "2.5", "3.5", "1.5"]])
def test_numbers_of_many_values_are_a_measurement_and_the_hint_names_the_other_task(labels):
    count = len(set(labels))
    hint = r"Predict it as a number: task=regression; or take each value for a class: data\.classes=true\."
    in_python = r"Predict it as a number: task='regression'; or take each value for a class: classes=True\."
    told = f"has {count} different values in {len(labels)} rows .*this looks like a measurement. "
    with refused(told + hint, told + in_python):
        made(labels)


@pytest.mark.parametrize("labels", [["z -1", "z 1"], ["A+", "A-"], ["AD", "AD-"], ["10-1", "101"], ["a b", "ab"]])
def test_signs_and_words_that_are_joined_make_classes_of_their_own(labels):
    assert made(labels * 3).names == tuple(sorted(labels))


def test_the_user_may_insist_that_numbers_are_classes():
    assert made(AGES, insist=True).names == tuple(str(age) for age in range(31, 41))
    assert len(made([str(number) for number in range(9)], insist=True).names) == 9  # to be refused by who splits them
    with refused("has 9 different values in 9 rows .* a name, not a class"):
        made([f"sub-{number}" for number in range(9)], insist=True)  # these are no numbers


def test_few_numbers_are_grades():
    grades = [str(number % 5) for number in range(20)]
    assert made(grades).names == ("0", "1", "2", "3", "4")
    assert made(["-1", "1", "1"]).names == ("-1", "1")


def test_few_rows_of_two_classes_are_classes():
    assert made(["F", "M"]).names == ("F", "M")
    assert len(made([f"hospital {number % 25}" for number in range(100)]).names) == 25


def test_classes_sort_as_text_and_rows_index_them():
    outcome = made(["10", None, "9", "-1", "10", "9", "-1"])
    assert outcome == Classes(("-1", "10", "9"), "sex")
    targets = outcome.encode(["10", "9", "-1", "10"])
    np.testing.assert_array_equal(targets, [1, 2, 0, 1])
    assert targets.dtype == np.int64
    assert outcome.cells(targets) == ["10", "9", "-1", "10"]


# ---- measures


def measured(labels):
    return made(labels, "regression", source="column 'age' of subjects.csv")


def test_numbers_are_a_measure():
    outcome = measured(["35.5", None, "62", "-1e1", "35.5"])
    assert outcome == Measure("sex")
    targets = outcome.encode(["35.5", "62", "-1e1", "35.5"])
    np.testing.assert_array_equal(targets, [35.5, 62.0, -10.0, 35.5])
    assert targets.dtype == np.float64
    assert outcome.cells(targets) == [35.5, 62.0, -10.0, 35.5]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            ["41", "45 y", "39", "inf", "52"],
            r"column 'age' of subjects\.csv holds 2 cells that are no numbers: s1 has '45 y'; s3 has 'inf'\. Write "
            r"plain numbers such as 45\.5, .* data\.unlabelled\.",
        ),
        (
            ["F", "M", "F"],
            r"column 'age' of subjects\.csv holds no numbers \(F, M\)\. Set task=classification to predict classes",
        ),
        (["45"] * 9, r"holds 1 different value \(45\) in 9 rows, and a measure needs 3 or more\. Set (data\.)?label"),
        (["0", "1"] * 5, r"holds 2 different values \(0, 1\) in 10 rows, .* Set task=classification to predict"),
        (["0", "0.0", "1"], r"holds 2 different values \(0, 1\) in 3 rows"),
        ([None, None], r"holds no value in 0 rows"),
    ],
)
def test_cells_that_are_no_measure_are_refused_by_column_and_row(labels, message):
    with refused(message):
        measured(labels)


YEARS = [str(year) for year in range(20, 90, 2)]


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (["-9"] * 2, r"codes for missing values, far from all others: -9 \(2 rows\)\. Leave them out with data\.un"),
        (["-99"], r"-99 \(1 row\)"),
        (["999"] * 3, r"999 \(3 rows\)"),
        (["999", "-9", "999.0"], r": -9 \(1 row\); 999 \(2 rows\)\. Leave them out with .*=\[-9\.0, ?999\.0\]"),
        (["-1", *["-9"] * 3], r": -9 \(3 rows\); -1 \(1 row\)"),
        (["-88", *["-99"] * 3], r": -99 \(3 rows\); -88 \(1 row\)"),
        (["777", "888", "999"], r": 777 \(1 row\); 888 \(1 row\); 999 \(1 row\)"),
        (["-1"], r": -1 \(1 row\)"),
        (["999", "1000"], r": 999 \(1 row\)"),  # beside a value that is odd by itself
        (["-9", "-60"], r": -9 \(1 row\)"),
        (["-99", "-500", "990"], r": -99 \(1 row\)"),
    ],
)
def test_codes_for_missing_values_are_named_with_their_counts(codes, message):
    assert measured(YEARS) == Measure("sex")
    with refused(message):
        measured([*YEARS, *codes])


def test_a_code_among_small_scores_is_named():
    with refused(r"-9 \(1 row\)"):
        measured([f"{score:.2f}" for score in np.random.default_rng(0).standard_normal(40)] + ["-9"])
    with refused(r"99 \(2 rows\)"):
        measured([str(score) for score in range(11)] + ["99"] * 2)


@pytest.mark.parametrize(
    "ordinary",
    [
        [str(age) for age in range(20, 100)],  # 99 among ages up to 98
        ["-9", "-8.5", "-10", "-9.2", "-7", "-11"],
        [str(change) for change in range(-30, 31, 3)],  # -9 among changes
        [str(volume) for volume in range(900, 1100, 9)],  # 999 mm3
        ["-12", "-9", *[str(degrees) for degrees in range(0, 30, 2)]],
        ["-1", *[str(change) for change in range(12)]],
        ["1", "2", "2", "3", "4", "5", "8", "13", "30", "90", "200", "400", "700", "999"],  # a long tail
        ["-9", "999", "99"],  # nothing else: there is nothing to lie apart from
    ],
)
def test_values_that_only_look_like_codes_are_values(ordinary):
    assert measured(ordinary) == Measure("sex")


# ---- labels of a whole study


@dataclass
class Sessions:
    """A source of sessions that are there already."""

    sessions: tuple[Session, ...]
    skip_bad: bool = True
    classes: bool = False
    suffix: None = None
    label: str = "sex"

    def read(self) -> Cohort:
        """Return them."""
        return Cohort(self.sessions, "column 'sex' of subjects.csv")


RECIPE = Recipe(resolution=5, crop="none")


@pytest.fixture
def sessions(tmp_path, monkeypatch) -> tuple[Session, ...]:
    """Eight sessions a to h, F and M in turn, each with a scan."""
    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path / "cache"))
    return tuple(
        Session(name, write_scan(tmp_path / f"{name}.nii.gz", np.roll(values(), 31 * number)), "FM"[number % 2])
        for number, name in enumerate("abcdefgh")
    )


def test_two_classes_must_be_left_of_the_scans_that_can_be_used(sessions):
    assert Study.read(Sessions(sessions), RECIPE).outcome.names == ("F", "M")
    bad = tuple(replace(one, scan=None, problem="x") if one.label == "M" else one for one in sessions)
    with refused(r"of the sessions whose scans can be used, column 'sex' of subjects\.csv holds one class \(F 4\)"):
        Study.read(Sessions(bad), RECIPE)


def test_labels_are_refused_before_any_scan_is_read(tmp_path):
    nowhere = tuple(Session(name, tmp_path / "gone.nii", "F") for name in "ab")
    with refused(r"column 'sex' of subjects\.csv holds one class \(F 2\)"):
        Study.read(Sessions(nowhere), RECIPE)


def test_a_class_whose_sessions_are_all_left_out_is_no_class(sessions):
    third = replace(sessions[2], label="X")
    cohort = Cohort((*sessions[:2], replace(third, left_out="truncated")))
    study = Study(cohort, Classes(("F", "M")), InMemory(np.zeros((2, 1, 7, 8, 9), np.float32)))
    assert study.describe() == "3 sessions: 2 take part (F 1, M 1), 1 left out"
    bad = replace(third, scan=None, problem="truncated")
    found = Study.read(Sessions((*sessions[:2], bad, *sessions[3:])), RECIPE)
    assert found.outcome.names == ("F", "M")
    assert found.describe() == "8 sessions: 7 take part (F 3, M 4), 1 left out"


def test_numbers_of_sessions_that_have_no_label_do_not_count(sessions):
    unlabelled = tuple(replace(one, label=None, left_out=NO_LABEL) if one.id in "ab" else one for one in sessions)
    found = Study.read(Sessions(unlabelled), RECIPE)
    assert found.describe() == "8 sessions: 6 take part (F 3, M 3), 2 without a label"


def write_tables(folder: Path) -> None:
    """Write a table, and a BIDS tree of one, with a column that is alike in every row."""
    (folder / "subjects.csv").write_text("subject,one\na,x\nb,x\nc,x\n")
    (folder / "participants.tsv").write_text("participant_id\tdx\nsub-A\tF\nsub-B\tF\n")
    for name in "abc":
        write_scan(folder / f"{name}.nii", values())
    for name in "AB":
        (folder / f"sub-{name}" / "anat").mkdir(parents=True)
        write_scan(folder / f"sub-{name}" / "anat" / f"sub-{name}_T1w.nii.gz", values())


def test_tables_and_trees_of_one_class_are_refused_by_column_and_file(tmp_path):
    write_tables(tmp_path)
    with refused(r"column 'one' of .*subjects\.csv holds one class \(x 3\)"):
        Study.read(Table(str(tmp_path), "subjects.csv", label="one", scan="{id}.nii"), RECIPE)
    with refused(r"column 'dx' of .*participants\.tsv holds one class \(F 2\)"):
        Study.read(Bids(str(tmp_path), "dx"), RECIPE)


def test_cells_of_a_table_that_mean_missing_are_no_values_and_others_are_refused_by_row_and_column(tmp_path):
    for number, name in enumerate("abcde"):
        write_scan(tmp_path / f"{name}.nii", np.roll(values(), 31 * number))
    rows = "subject,age,note\na,41,x\nb,n/a,x\nc,39.5,x\nd,,x\ne,52,x\n"
    (tmp_path / "subjects.csv").write_text(rows)
    source = Table(str(tmp_path), "subjects.csv", label="age", scan="{id}.nii")
    study = Study.read(source, RECIPE, task="regression")
    assert study.ids == ("a", "c", "e")
    np.testing.assert_array_equal(study.targets, [41.0, 39.5, 52.0])
    assert study.describe() == "5 sessions: 3 take part (39.5 to 52, mean 44.17), 2 without a label"
    (tmp_path / "subjects.csv").write_text(rows.replace("39.5", "45 y"))
    with refused(r"column 'age' of .*subjects\.csv holds 1 cell that is no number: c has '45 y'"):
        Study.read(source, RECIPE, task="regression")


@needs_shared_data
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (lambda: Table(str(SHARED_DATA / "ixi"), "subjects.csv", label="sex", scan="T1/{id}_T1.nii.gz"), "F 68, M 63"),
        (lambda: Bids(str(SHARED_DATA / "depression-bids"), "group"), "control 5, depr 7"),
        (lambda: Demo(DemoStudy(num_subjects=12)), "-1 6, 1 6"),
    ],
    ids=["ixi", "depression-bids", "demo"],
)
def test_classes_of_known_cohorts_are_counted(source, expected):
    cohort = source().read()
    labels = {session.id: session.label for session in cohort.sessions if session.label is not None}
    outcome = outcome_of(labels, task="classification", name="label")
    assert outcome.words.describe(outcome.encode(cohort.labels)) == expected
