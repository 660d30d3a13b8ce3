"""Tables as spreadsheets and scripts write them: read back exactly, or refused with the lines."""

import csv
import io
import re
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri3d.cohort.table import Table
from mri3d.cohort.text_table import read_text_table
from mri3d.errors import UserError

HEADER = ("subject", "label", "note")


def padded(rows):
    return tuple((*row, "", "")[:3] for row in rows)


def read_or_told(table, content, name="t.csv"):
    """Return the rows, or the message of the refusal."""
    try:
        return table(content, name), ""
    except UserError as error:
        return None, str(error)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Return a folder of files named as scans are."""
    folder = tmp_path_factory.mktemp("scans")
    for name in ("a", "b", "1", "-1", "a1", "e\u0301", "\u00e9", "~a", "[a]", "a b"):
        (folder / f"{name}.nii").touch()
        (folder / "a_" / name).mkdir(parents=True)
    return folder


# ---- what Python's csv module wrote


def written(rows, delimiter, quoting, line_end):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=line_end).writerows([HEADER, *rows])
    return text.getvalue()


DELIMITERS, QUOTINGS = st.sampled_from(",;\t|"), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
LINE_ENDS = st.sampled_from(["\n", "\r\n"])


def rows_of(text):
    """Draw rows with an id; cells are compared as they are read, which is trimmed, and texts are no formulas."""
    id = text.map(lambda cell: f"s{cell}".strip())
    cell = text.map(str.strip).filter(lambda cell: not re.fullmatch('="[^"]*"', cell))  # Excel's: see below
    return st.lists(st.tuples(id, cell, cell), min_size=1, max_size=6)


@settings(deadline=None)
@given(rows_of(st.text(max_size=6) | st.text(",;\t|\"'ab =", max_size=8)), DELIMITERS, QUOTINGS, LINE_ENDS)
def test_any_dialect_is_read_back_exactly(table, rows, delimiter, quoting, line_end):
    rows = [tuple(" ".join(re.split("[\r\n]", cell)).strip() for cell in row) for row in rows]
    read = table(written(rows, delimiter, quoting, line_end))
    assert read.cells == (HEADER, *rows)
    assert read.short == ()


@settings(deadline=None)
@given(rows_of(st.text("ab'\" \n\r\u00e9=", max_size=12)), DELIMITERS, QUOTINGS)
def test_cells_of_several_lines_are_read_back_exactly(table, rows, delimiter, quoting):
    assert table(written(rows, delimiter, quoting, "\r\n")).cells == (HEADER, *rows)


@settings(deadline=None)
@given(rows_of(st.text(',;\t|a"\n', max_size=12)), DELIMITERS, QUOTINGS)
def test_what_may_be_a_lone_quote_is_read_back_exactly_or_refused_by_its_lines(table, rows, delimiter, quoting):
    read, told = read_or_told(table, written(rows, delimiter, quoting, "\n"))
    assert read is None or read.cells == (HEADER, *rows)
    assert read or re.search(r"lines \d+ to \d+ of .*: a quote makes one cell of all up to the next", told)


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text("sub,;\t|\"'\r\n=\0x\ufeff", max_size=80).map(str.encode))
def test_whatever_a_file_holds_is_read_or_refused(table, content):
    read, told = read_or_told(table, content, "t.tsv")
    assert read is None or len({len(row) for row in read.cells}) == 1
    assert read is None or len(read.cells) == len(read.lines) >= 2
    assert read or "t.tsv" in told


CELLS = st.text("ab1~*?[]{}/.\\-_ \0\x01\u200b\u0301\u00e9\ufeff", max_size=12)


@settings(deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=4), st.text("*?[]-{}d/.~\\ab", max_size=8))
def test_whatever_cells_and_patterns_hold_scans_are_looked_for_or_it_is_refused(scans, rows, pattern):
    (scans / "t.csv").write_text(written(rows, ",", csv.QUOTE_ALL, "\n"))
    with suppress(UserError):
        cohort = Table(str(scans), "t.csv", scan=f"{pattern}{{subject}}{pattern}").read()
        assert len(cohort.sessions) <= len(rows)
        assert all(bool(session.scan) is not bool(session.problem) for session in cohort.sessions)


# ---- delimiters


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_ending_of_the_name_does_not_choose_the_delimiter(table, name, delimiter):
    rows = [HEADER, ("a", "F", "x"), ("b", "M", "")]
    assert table("\n".join(map(delimiter.join, rows)), name).cells == tuple(rows)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("subject;label;weight, kg\na;F;62,5\nb;M;80,1\n", [("subject", "label", "weight, kg"), ("a", "F", "62,5")]),
        ("subject;a, b, c\nx;1\ny;2\n", [("subject", "a, b, c"), ("x", "1")]),
        ("subject\tone, two, three, four\nx\t1\ny\t2\n", [("subject", "one, two, three, four"), ("x", "1")]),
        ("subject,a;b;c;d\nx,1\ny,2\n", [("subject", "a;b;c;d"), ("x", "1")]),
        ('"subject";"long, long, name"\n"x";"1"\n', [("subject", "long, long, name"), ("x", "1")]),
        ("subject\tdx\nx\ta, b\ny\tc\n", [("subject", "dx"), ("x", "a, b")]),
    ],
)
def test_the_delimiter_is_the_one_under_which_rows_agree(table, text, rows):
    assert table(text).cells[:2] == tuple(rows)


@pytest.mark.parametrize(
    ("line", "delimiter"),
    [
        ("sep=;", ";"),
        ("sep=,", ","),
        ("SEP=\t", "\t"),
        ('"sep=;"', ";"),
        ("sep=;;;", ";"),
        ("sep=|", "|"),
        ("sep=:", ":"),
    ],
)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_line_that_announces_a_delimiter_is_no_row(table, line, delimiter, mark):
    rows = [HEADER, ("a", "F", "1,5"), ("b", "M", "2,5")] if delimiter != "," else [HEADER, ("a", "F", "1;5")]
    read = table(f"{mark}{line}\r\n" + "\r\n".join(map(delimiter.join, rows)))
    assert read.cells == tuple(rows)
    assert read.lines[:2] == (2, 3)


def test_an_announcement_that_is_wrong_decides_nothing(table):
    assert table("sep=;\nsubject,label\na,F\n").cells == (("subject", "label"), ("a", "F"))


def test_column_names_parted_otherwise_than_rows_are_refused(table):
    with pytest.raises(UserError, match="the column names on line 1 are parted by a comma, and no line below is"):
        table("subject,label\na;F\nb;M\n")


# ---- widths


def test_empty_rows_and_columns_at_the_end_are_none(table):
    read = table("subject,label,,,\na,F,,,\n,,,,\n\nb,M\nc,F,,,,,,,\n,,,,\n,,,,\n")
    assert [row[:2] for row in read.cells] == [("subject", "label"), ("a", "F"), ("b", "M"), ("c", "F")]
    assert not any(any(row[2:]) for row in read.cells)
    assert read.lines == (1, 2, 5, 6)
    assert read.short == ()


def test_rows_of_too_few_cells_are_warned_of_by_line_and_of_too_many_refused(tmp_path, caplog):
    (tmp_path / "t.csv").write_text("subject,label,note\na,F,x\nb,M\nc\nd,F,y\n")
    assert read_text_table(tmp_path / "t.csv").rows[1:3] == (("b", "M", ""), ("c", "", ""))
    assert "2 rows of t.csv have fewer cells than the 3 column names (line 3, 4)" in caplog.text
    (tmp_path / "t.csv").write_text("subject,age,label\na,34,5,F\nb,30,M\nc,31,5,F\n")
    told = (
        r"line 2 of .* has 4 cells where the column names are 3 \(and so do 1 more, such as line 4\)\. .* a comma in it"
    )
    with pytest.raises(UserError, match=told):
        read_text_table(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("# of 2020, by X\n#\nsubject,label,age\na,F,1\nb,M,2\n", "begins with a comment, '# of 2020, by X'. Remove"),
        ("subject label\n1 a F\n2 b M\n", "seem to be parted by blanks: 'subject label'. Part them by a comma"),
        ('"subject" "label"\n"1" "a" "F"\n"2" "b" "M"\n', "seem to be parted by blanks"),
        ("subject   label\na  F\nb    M\n", "seem to be parted by blanks"),
        ("subject:label\na:F\nb:M\n", "seem to be parted by a colon"),
        ('"subject,label"\n"a,F"\n"b,M"\n', "parted by a comma within quotes around the whole line: .* without quotes"),
        (
            'subject,label\n"1",a,F\n"2",b,M\n',
            r"one cell more than .*, and the first is the row's number\. .*row\.names",
        ),
    ],
)
def test_what_is_no_table_by_a_usual_mistake_is_named(table, text, told):
    with pytest.raises(UserError, match=told):
        table(text)


def test_one_column_may_hold_blanks(table):
    assert table("session\nday one\nday two and three\n").cells == (("session",), ("day one",), ("day two and three",))


def test_texts_in_formulas_of_excel_are_read(table):
    assert table('subject,label\n="007",F\n"=""a, b""",M\n').cells[1:] == (("007", "F"), ("a, b", "M"))


# ---- encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_is_read_as_excel_writes_it(table, encoding):
    text = "subject\tlabel\r\nZo\u00eb\tF\r\n\u5f20\tM\r\n"
    assert table(text.encode(encoding)).cells == (("subject", "label"), ("Zo\u00eb", "F"), ("\u5f20", "M"))
    text = "\ufeff" + text if encoding.endswith("e") else text
    assert table(text.encode(encoding), "t.txt").cells[1:] == (("Zo\u00eb", "F"), ("\u5f20", "M"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            "subject,label\na,F\nZo\u00eb,M\n".encode("cp1252"),
            r"not text in UTF-8 \(line 3: .*\)\. Save it as CSV in UTF-8",
        ),
        (b"PK\x03\x04\x14\0\6\0\x08\0\0\0", r"not text in UTF-8 \(it is a workbook or another zip file\)"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "it is a workbook of an old Excel"),
        (b"\x1f\x8b\x08\0", "it is compressed"),
        ("subject,label\na,F\n".encode("utf-16")[:-1], "not text in UTF-8"),
    ],
)
def test_what_is_no_text_is_named(table, content, told):
    with pytest.raises(UserError, match=told):
        table(content)
