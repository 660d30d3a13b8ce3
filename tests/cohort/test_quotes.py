"""Quotes in tables: those that belong to cells are read, lone ones are refused by their lines."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri3d.errors import UserError
from tests.cohort.test_delimited import DELIMITERS, HEADER, LINE_ENDS, QUOTINGS, padded, read_or_told, written


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["a,F,", 'b,M,"', "c,F,", "d,M,x", 'e,F,"', "f,M,"], "lines 3 to 6 of"),
        (["a,F,", 'b,M,"tall', "c,F,", 'd,M,12"', "e,F,"], "lines 3 to 5 of"),
        (["a,F,", 'b,"M,', "", "c,F,", 'd",M,x', "e,F,"], "lines 3 to 6 of"),
        (["a,F,", 'b,M,"', 'c,F,"', "d,M,", 'e,M,"', "f,F,", 'g,M,"', "h,F,"], "lines 3 to 4, lines 6 to 8 of"),
        (["a,F,x", 'b,"M,x"', "c,F,x"], "line 3 of"),
        (["a,F", 'b,M,"', "c,F", 'd,M,"', "e,F"], "lines 3 to 5 of"),
        (["a,F,", 'b,M,"', "c,F,"], "cannot be read at line 4: unexpected end of data; the row begins on line 3"),
        (["a,F,", 'b,M,"', 'c,F,"x, y"', "d,M,"], "cannot be read at line 4: ',' expected after '\"'; the row begins"),
        (["a,F,", 'b,M,"a" b', "d,M,"], "cannot be read at line 3: ',' expected"),
    ],
)
def test_a_quote_that_swallows_rows_is_refused_by_its_lines(table, lines, told):
    with pytest.raises(UserError, match=told):
        table("\n".join([",".join(HEADER), *lines]) + "\n")


NOTES = ("", "ok", "5'2\"", '"', '" x', 'x"', '12"', '""', '"quoted"', '"a, b"', '"two\nlines"')


@settings(deadline=None)
@given(st.lists(st.sampled_from(NOTES), min_size=2, max_size=9), st.integers(0, 3), DELIMITERS)
def test_lone_quotes_in_any_column_lose_no_row_in_silence(table, notes, column, delimiter):
    names, rows = ["id", "sex", "age"], [[f"s{row}", "FM"[row % 2], "3"] for row in range(len(notes))]
    names.insert(column, "note")
    whole = [[*row[:column], note, *row[column:]] for row, note in zip(rows, notes, strict=True)]
    read, _ = read_or_told(table, "\n".join(map(delimiter.join, [names, *whole])) + "\n")
    if read is not None:
        assert [[*cells[:column], *cells[column + 1 :]] for cells in read.cells[1:]] == rows


@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize("first", ['"', '" moved'])
@pytest.mark.parametrize("last", ['"', '12"', 'so x"'])
def test_a_lone_quote_is_refused_in_every_column(table, column, first, last):
    rows = [["s", "F", "3"] for _ in range(9)]
    notes = ["note", "", first, "ok", "", last, "", "ok", "", ""]
    lines = [
        [*row[:column], note, *row[column:]] for row, note in zip([["id", "sex", "age"], *rows], notes, strict=True)
    ]
    with pytest.raises(UserError, match="lines 3 to 6 of"):
        table("\n".join(map(",".join, lines)))


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.text("ab'\" \n", max_size=9)] * 3), min_size=1, max_size=6), QUOTINGS, LINE_ENDS)
def test_cells_of_several_lines_are_read_back_exactly_in_every_column(table, rows, quoting, line_end):
    rows = [tuple(cell.strip() for cell in (first, f"s{second}", third)) for first, second, third in rows]
    assert table(written(rows, ",", quoting, line_end)).cells == (HEADER, *rows)


def test_a_swallowed_header_is_refused(table):
    with pytest.raises(UserError, match="lines 1 to 3 of"):
        table('subject,label,"note\na,F,x\nb,M,12"\nc,F,y\n')


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('a,F,12"\nb,M,6\' 2"\nc,F,\n', [("a", "F", '12"'), ("b", "M", "6' 2\""), ("c", "F")]),
        ('a,F,"two\nlines"\nb,M,x\n', [("a", "F", "two\nlines"), ("b", "M", "x")]),
        (
            'a,F,"tired, sad\nand cold, wet, ill"\nb,M,x\n',
            [("a", "F", "tired, sad\nand cold, wet, ill"), ("b", "M", "x")],
        ),
        ('a,"F\n",x\nb,M,"one\n\n\nfour"\n', [("a", "F", "x"), ("b", "M", "one\n\n\nfour")]),
        ('"a","F","x\ny,z,w"\n"b","M",""\n', [("a", "F", "x\ny,z,w"), ("b", "M")]),
        ('a,F,"12"" screen"\nb,M,"""so"""\n', [("a", "F", '12" screen'), ("b", "M", '"so"')]),
    ],
    ids=["within", "last-cell", "with-commas", "any-cell", "all-quoted", "doubled"],
)
def test_quotes_that_belong_to_cells_are_read(table, text, rows):
    header = '"subject","label","note"' if text.startswith('"') else "subject,label,note"
    assert table(f"{header}\n{text}").cells == (HEADER, *padded(rows))
