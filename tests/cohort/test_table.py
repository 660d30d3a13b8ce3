"""Tables as people write them, patterns that find scans, and mistakes that are told."""

import logging
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from mri3d.cohort.cohort import CohortSource
from mri3d.cohort.table import Table
from mri3d.errors import UserError
from mri3d.plan import complete

IXI = Path(__file__).parents[3] / "shared" / "data" / "ixi"


def study(folder: Path, text: str | bytes, scans: list[str], name: str = "subjects.csv") -> Path:
    """Write a table and empty files in the place of scans: `read` never opens one."""
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    for scan in scans:
        (folder / scan).parent.mkdir(parents=True, exist_ok=True)
        (folder / scan).touch()
    return folder


def test_seed_layout_works_as_it_is(tmp_path):
    text = "Subject,class\n100307,1\n100408,-1\n100610,0\n000012,1\n"
    root = study(tmp_path, text, [f"brain_nii/{id}.nii" for id in ("100307", "100408", "100610", "000012")])
    table = Table(str(root), "subjects.csv", id="Subject", label="class", scan="brain_nii/{id}.nii*", unlabelled=[0])
    cohort = table.read()
    assert cohort.ids == ("100307", "100408", "000012")
    assert cohort.labels == ("1", "-1", "1")
    assert cohort.source == "column 'class' of subjects.csv"
    assert cohort.sessions[3].scan == root / "brain_nii" / "000012.nii"
    assert cohort.sessions[2].left_out == "no label"
    assert cohort.sessions[2].scan == root / "brain_nii" / "100610.nii"
    assert cohort.describe() == "4 sessions: 3 take part, 1 without a label"


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfsubject,label,note\r\n007,F,\r\n 008 ,M ,x\r\n\r\n,,\r\n",
        b'"subject";"label";"note, long; or short"\n"007";"F";"a;b"\n"008";"M";"two\nlines"\n',
        b"subject\tlabel\n007\tF\n008\tM",
        b"label,subject,dup,dup\nF,007,1,2\nM,008,3,4\n",
        b"subject,label,a\n007,F\n008,M,,,\n",
    ],
    ids=["byte-order-mark", "semicolons", "tabs", "repeated-column", "ragged-blanks"],
)
def test_spellings_of_one_table_read_alike(tmp_path, text):
    root = study(tmp_path, text, ["007.nii", "008.nii.gz"])
    sessions = Table(str(root), "subjects.csv").read().sessions
    assert [(s.id, s.label, s.scan and s.scan.name) for s in sessions] == [
        ("007", "F", "007.nii"),
        ("008", "M", "008.nii.gz"),
    ]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_words_for_missing_are_no_class(tmp_path, caplog, name):
    words = ["NA", "N/A", "nan", "NaN", "null", "None", "None", ""]
    labels = ["F", "M", *words, "F", "M"]
    separator = "\t" if name == "t.tsv" else ","
    rows = [("subject", "label", "family"), *((f"s{i}", label, label) for i, label in enumerate(labels))]
    study(tmp_path, "\n".join(separator.join(row) for row in rows), ["s0.nii", "s1.nii"], name)
    cohort = Table(str(tmp_path), name, group="family").read()
    assert [s.label for s in cohort.sessions] == ["F", "M", *[None] * len(words), "F", "M"]
    assert [s.group for s in cohort.sessions] == ["F", "M", *[None] * len(words), "F", "M"]
    assert cohort.describe() == "12 sessions: 4 take part, 8 without a label"
    (record,) = caplog.records
    assert record.getMessage().startswith(
        "cells of column 'label' that mean no label: NA 1, N/A 1, nan 1, NaN 1, null 1, None 2. If this is a class"
    )


def test_not_available_is_missing_without_a_word_in_tsv(tmp_path, caplog):
    rows = [("subject", "label"), ("a", "F"), ("b", "M"), ("c", "n/a"), ("d", "unknown"), ("e", "unknown")]
    root = study(tmp_path, "\n".join("\t".join(row) for row in rows), ["a.nii", "b.nii", "c.nii"], "t.tsv")
    assert Table(str(root), "t.tsv", unlabelled="unknown").read().labels == ("F", "M")
    assert not caplog.records
    rows += [(f"f{i}", "FM"[i % 2]) for i in range(6)]
    study(tmp_path, "\n".join("\t".join(row) for row in rows), [], "t.tsv")
    assert set(Table(str(root), "t.tsv").read().labels) == {"F", "M", "unknown"}
    assert (
        "label 'unknown' of column 'label' is taken as it stands; if it means no label, set unlabelled=['unknown']"
        in (caplog.text)
    )


def test_columns_are_kept_as_text(tmp_path):
    text = "subject,label,family,hospital,age,when\na,F,1,Oslo,007.50,2020-01-01\nb,M,,,,\n"
    root = study(tmp_path, text, ["a.nii", "b.nii"])
    first, second = (
        Table(str(root), "subjects.csv", group="family", site="hospital", covariates=["age", "when"]).read().sessions
    )
    assert (first.group, first.site, first.covariates) == ("1", "Oslo", {"age": "007.50", "when": "2020-01-01"})
    assert (second.group, second.site, second.covariates) == (None, None, {"age": "", "when": ""})


def test_one_value_needs_no_brackets(tmp_path):
    root = study(tmp_path, "subject,label,age\na,F,1\nb,M,2\nc,0,3\n", ["a.nii", "b.nii", "c.nii"])
    for unlabelled in (0, "0", 0.0):
        options = {"root": str(root), "table": "subjects.csv", "unlabelled": unlabelled, "covariates": "age"}
        complete({"_target_": "mri3d.cohort.table.Table", **options})
        complete({"_target_": "mri3d.cohort.bids.Bids", "label": "dx", **options})
        cohort = Table(**options).read()
        assert cohort.labels == ("F", "M")
        assert cohort.sessions[2].covariates == {"age": "3"}


def test_ids_of_several_columns_name_session_and_participant(tmp_path):
    text = "person,visit,label,family\nA,1,F,x\nA,2,F,x\nB,1,M,\ne\u0301_,1,M,\n\u00e9_,2,M,\n"
    scans = ["A_1.nii", "A_2.nii", "B/1_T1.nii", "e\u0301__1.nii", "\u00e9__2.nii"]
    root = study(tmp_path, text, scans)
    options = {"root": str(root), "table": "subjects.csv", "id": ["person", "visit"]}
    complete({"_target_": "mri3d.cohort.table.Table", **options})
    cohort = Table(**options).read()
    assert [s.id for s in cohort.sessions] == ["A_1", "A_2", "B_1", "e\u0301__1", "\u00e9__2"]
    participants = ["A", "A", "B", "\u00e9_", "\u00e9_"]
    assert [(s.participant, s.group) for s in cohort.sessions] == list(zip(participants, participants, strict=True))
    assert [s.scan and s.scan.name for s in cohort.sessions] == ["A_1.nii", "A_2.nii", None, *scans[3:]]
    families = Table(**options, group="family").read()
    assert [s.group for s in families.sessions] == ["x", "x", None, None, None]
    alike = [families.groups[row] == families.groups for row in range(5)]
    assert [list(row).count(True) for row in alike] == [2, 2, 1, 2, 2]
    apart = Table(**options, scan="{person}/{visit}_T1.nii").read().sessions
    assert [s.scan and s.scan.name for s in apart] == [None, None, "1_T1.nii", None, None]
    assert cohort.to_csv().splitlines()[1].startswith(f"A_1,A,{root}/A_1.nii,F,")


@pytest.mark.parametrize("id", ["subject", ["subject"], ("subject",)])
def test_an_id_of_one_column_names_no_participant(tmp_path, id):
    root = study(tmp_path, "subject,label\na,F\nb,M\n", ["a.nii", "b.nii"])
    cohort = Table(str(root), "subjects.csv", id=id).read()
    assert cohort.ids == ("a", "b")
    assert [(s.participant, s.group) for s in cohort.sessions] == [(None, None)] * 2
    assert cohort.groups.tolist() == ["subject a", "subject b"]
    assert "participant" not in cohort.to_csv()


def test_the_source_says_where_labels_are_and_what_is_asked_of_them(tmp_path):
    root = study(tmp_path, "subject,dx\na,F\nb,F\n", ["a.nii", "b.nii"])
    source: CohortSource = Table(str(root), "subjects.csv", label="dx", classes=True, skip_bad=True)
    assert (source.label, source.classes, source.suffix, source.skip_bad) == ("dx", True, None, True)
    cohort = source.read()  # how many classes there are is for the outcome to judge
    assert (cohort.source, cohort.labels) == ("column 'dx' of subjects.csv", ("F", "F"))


def test_unlabelled_value_that_no_row_has_is_said(tmp_path, caplog):
    root = study(tmp_path, "subject,label\na,F\nb,M\n", ["a.nii", "b.nii"])
    with caplog.at_level(logging.WARNING):
        Table(str(root), "subjects.csv", unlabelled=[0]).read()
    assert "unlabelled names 0, which is not in column 'label'" in caplog.text


@pytest.mark.parametrize(
    ("pattern", "scan"),
    [
        ("{id}.nii*", "a[1]*.nii.gz"),
        ("{sex}/{id}_T1.nii", "F/a[1]*_T1.nii"),
        ("*/{id}_T1.nii", "deep/a[1]*_T1.nii"),
        ("**/{id}.nii", "one/two/three/a[1]*.nii"),
        ("s[0-9]/*_{id}.nii.gz", "s3/x_a[1]*.nii.gz"),
        ("{file}", "odd name {id}.nii"),
        ("{id}.img", "a[1]*.img"),
    ],
)
def test_pattern_finds_the_scan_of_an_id_full_of_wildcards(tmp_path, pattern, scan):
    root = tmp_path / "st[u]dy {id}"
    root.mkdir()
    text = "subject,label,sex,file\na[1]*,F,F,odd name {id}.nii\nb,M,M,b.nii\n"
    study(root, text, [scan, "a1x.nii", "F/a1x_T1.nii", ".hidden/a[1]*_T1.nii", "a[1]*.nii.gz.bak"])
    first, second = Table(str(root), "subjects.csv", scan=pattern).read().sessions
    assert (first.scan, first.problem) == (root / scan, "")
    assert second.scan is None
    assert second.problem.startswith("no scan matches ")


def test_absolute_patterns_leave_the_root(tmp_path):
    study(tmp_path, "", ["elsewhere/a.nii", "elsewhere/b.nii"], "ignored")
    root = tmp_path / "tables"
    root.mkdir()
    study(root, "subject,label\na,F\nb,M\n", [])
    cohort = Table(str(root), "subjects.csv", scan=f"{tmp_path}/elsewhere/{{id}}.nii").read()
    assert cohort.scans == (tmp_path / "elsewhere" / "a.nii", tmp_path / "elsewhere" / "b.nii")


def test_missing_and_ambiguous_scans_are_problems_of_their_sessions(tmp_path):
    scans = ["a.nii", "b.nii", "b.nii.gz", "c_1.nii", "c_2.nii"]
    root = study(tmp_path, "subject,label\na,F\nb,M\nc,F\nd,M\n", scans)
    twins = Table(str(root), "subjects.csv", scan="{id}*.nii*").read().sessions
    assert [s.scan for s in twins] == [root / "a.nii", None, None, None]
    assert twins[0].problem == ""
    problems = [str(UserError(s.problem)) for s in twins]
    assert problems[1] == f"{root}/b.nii lies beside its twin b.nii.gz: remove one, or let scan name the ending"
    assert problems[2] == f"2 scans match {root}/c*.nii*: c_1.nii, c_2.nii; make scan narrower"
    assert UserError(twins[2].problem).on_command_line().endswith("; make data.scan narrower")
    assert problems[3] == f"no scan matches {root}/d*.nii*"


def test_what_is_in_the_place_of_a_scan_is_said(tmp_path):
    root = study(tmp_path, "subject,label\na,F\nb,M\nc,F\nd,M\n", ["a.nii", "c.nii/deep"])
    (root / "b.nii.gz").symlink_to("annex/b")
    os.mkfifo(root / "d.nii")
    for pattern in ("{id}.nii*", "{id}.nii"):
        problems = [s.problem for s in Table(str(root), "subjects.csv", scan=pattern).read().sessions]
        link = f"{root}/b.nii.gz is a link to annex/b, which does not exist"
        assert problems == [
            "",
            link if "*" in pattern else f"no scan matches {root}/b.nii",
            f"{root}/c.nii is a folder",
            f"{root}/d.nii is neither a file nor a folder",
        ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"root": "/no/such/study"},
            r"^data.root=.*/no/such/study.*: .*study does not exist. / holds .*Set data.root",
        ),
        (
            {"table": "subject.csv"},
            r"subject.csv does not exist. .* holds a.nii, .*subjects.csv.* Set data.table",
        ),
        (
            {"label": "dx"},
            r"^column 'dx' is not in subjects.csv \(columns: subject, sex, one, twin, twin, age\). Set data.label to ",
        ),
        ({"label": "Sex"}, "Did you mean 'sex'"),
        ({"id": "Subjekt"}, "Set data.id to one of them. Did you mean 'subject'"),
        ({"group": "family"}, "column 'family' .* Set data.group"),
        ({"site": "hospital"}, "column 'hospital' .* Set data.site"),
        ({"covariates": ["age", "icv"]}, "column 'icv' .* Set data.covariates"),
        ({"covariates": ["twin"]}, r"several columns 'twin' \(data.covariates\)"),
        ({"id": []}, r"^data.id names no column. Set it to one of subject, sex, one, twin, twin, age"),
        ({"id": ["subject", "visit"]}, "^column 'visit' is not in subjects.csv .* Set data.id to one of them"),
        ({"id": ["sex", "age"]}, "column 'age' of .* is empty on line 3, 4"),
        ({"id": ["sex", "one"]}, r"in columns 'sex', 'one' of .*: 'F_x' \(lines 2, 3\). Remove the copies"),
        (
            {"id": "sex"},
            r"1 id stands more than once in column 'sex' of .*: 'F' \(lines 2, 3\). .*set data.id to .*data.group",
        ),
        ({"id": "age"}, "column 'age' of .* is empty on line 3, 4"),
        ({"scan": "{session}.nii"}, r"^column 'session' is not in subjects.csv .* Set the \{...\} of data.scan to one"),
        ({"scan": "T1.nii"}, "^data.scan=T1.nii is the same for every session. Put {id} or a {column}"),
        (
            {"scan": "T1/{id}.nii"},
            r"^data.scan=.*T1.* finds no scan for any of the 3 rows of subjects.csv; looked for .*/T1/a.nii. .* holds",
        ),
    ],
)
def test_mistakes_name_the_value_and_the_way_out(tmp_path, changes, message):
    text = "subject,sex,one,twin,twin,age\na,F,x,1,1,7\nb,F,x,2,2,\nc,M,x,3,3,\n"
    root = study(tmp_path, text, ["a.nii", "b.nii", "c.nii"])
    arguments = {"root": str(root), "table": "subjects.csv", "label": "sex"} | changes
    with pytest.raises(UserError) as caught:
        Table(**arguments).read()
    assert re.search(message, caught.value.on_command_line())
    assert "data." not in str(caught.value)


def test_mistakes_name_arguments_in_python(tmp_path):
    root = study(tmp_path, "subject,sex\na,F\nb,M\n", ["a.nii"])
    with pytest.raises(
        UserError, match=r"^column 'dx' is not in subjects.csv \(columns: subject, sex\). Set label to one"
    ):
        Table(str(root), "subjects.csv", label="dx").read()
    with pytest.raises(
        UserError, match=r"^scan='T1.nii' is the same for every session. Put \{id\} or a \{column\} into"
    ):
        Table(str(root), "subjects.csv", label="sex", scan="T1.nii").read()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "has no rows"),
        (b"subject,label\n", "has no rows"),
        (b"PK\x03\x04\xff\xfe", "is not text in UTF-8 .* Save it as CSV"),
        (b'subject,label\na,"F\nb,M\n', "cannot be read at line 3: unexpected end of data"),
        (b"subject,label\na,F,x\nb,M\n", "line 2 of .* has 3 cells where the column names are 2"),
    ],
)
def test_broken_tables_are_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        Table(str(study(tmp_path, text, [])), "subjects.csv").read()


@pytest.mark.skipif(not IXI.is_dir(), reason=f"the real scans are not at {IXI}")
def test_ixi_has_the_documented_counts():
    cohort = Table(str(IXI), "subjects.csv", label="sex", scan="T1/{id}_T1.nii.gz", covariates=["icv_mm3"]).read()
    assert Counter(cohort.labels) == {"F": 68, "M": 63}
    assert [s.left_out for s in cohort.sessions].count("no label") == 4
    assert not any(s.problem for s in cohort.sessions)
