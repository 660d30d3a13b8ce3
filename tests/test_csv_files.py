"""CSV: read back exactly, and run by no spreadsheet."""

import csv
import io
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri3d.csv_files import csv_cells, csv_text, write_csv


def test_csv_has_a_column_for_each_name_in_the_order_of_appearance():
    rows = [{"a": 1, "b": "x"}, {"c": True, "a": 2}]
    assert csv_text(rows) == "a,b,c\n1,x,\n2,,True\n"
    assert csv_text(rows, ("c", "a", "new")) == "c,a,new\n,1,\nTrue,2,\n"
    assert csv_text([], ("a", "b")) == "a,b\n"
    assert csv_text([]) == ""


def test_csv_is_read_back_whatever_is_in_its_cells():
    cells = ['say "so"', "a, b", "two\nlines", "ends in a return\r", " space ", "", "Zürich", "nan"]
    text = csv_text([{"cell, number 1": cell, "n": n} for n, cell in enumerate(cells)])
    read = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["cell, number 1"] for row in read] == cells
    assert [row["n"] for row in read] == [str(n) for n in range(len(cells))]


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("@SUM(1+1)*cmd", "'@SUM(1+1)*cmd"),
        ("+1+cmd|x", "'+1+cmd|x"),
        ("-2+3", "'-2+3"),
        ("-", "'-"),
        ("\t=1", "'\t'=1"),
        ("\rx", "'\rx"),
        ("\nx", "'\nx"),
        ("  =1", "'  =1"),
        ("\ufeff=1", "'\ufeff=1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("a;=1", "a;'=1"),  # a cell of its own where semicolons part cells
        ("a\n@x", "a\n'@x"),
        ("'=1", "''=1"),
        ("-1;2", "'-1;2"),
        *(
            (text, text)
            for text in ("-1", "+1.5e3", "-.5", "1e-9", "a=b", "a-b", "sub-1", "x;-1", "'quoted'", "", "'-1")
        ),
    ],
)
def test_csv_runs_nothing_in_a_spreadsheet_and_is_read_back(cell, safe):
    text = csv_text([{"note": cell, cell: "x"}])
    header, row = csv.reader(io.StringIO(text, newline=""))
    assert (header, row) == (["note", safe], [safe, "x"])
    assert list(csv_cells(text)) == [{"note": cell, cell: "x"}]


@settings(deadline=None)
@given(st.lists(st.tuples(st.text("'=+-@1.e;\t\r\n ax,\"\uff1d"), st.text()), min_size=1, max_size=4))
def test_csv_cells_are_read_back_exactly_and_begin_with_nothing_that_runs(pairs):
    rows = [{"one": one, "two": two} for one, two in pairs]
    text = csv_text(rows)
    assert list(csv_cells(text)) == rows
    for cell in itertools.chain.from_iterable(csv.reader(io.StringIO(text, newline=""))):
        assert not cell.startswith(("=", "@", "\t", "\r", "\n"))
        assert not cell.startswith(("+", "-")) or math.isfinite(float(cell))


def test_csv_numbers_are_never_touched():
    numbers = [-1, -1.5, np.int8(-3), np.float32(-0.5), float("-inf"), True]
    assert csv_text([{"x": x} for x in numbers], digits=3) == "x\n-1\n-1.5\n-3\n-0.5\n-inf\nTrue\n"


def test_csv_with_ragged_rows_is_not_read_back():
    with pytest.raises(ValueError, match="zip"):
        list(csv_cells("a,b\n1\n"))


@pytest.mark.parametrize("nothing", [None, math.nan, np.nan, np.float32("nan"), np.float64("nan")])
@pytest.mark.parametrize("digits", [None, 9])
def test_csv_leaves_the_cell_of_what_is_not_there_empty(nothing, digits):
    assert csv_text([{"x": nothing, "y": 1}], digits=digits) == "x,y\n,1\n"


@pytest.mark.parametrize("kind", [float, np.float32, np.float64])
def test_csv_numbers_are_exact_or_of_the_digits_asked_for(kind):
    numbers = [kind(x) for x in (0.1, 1 / 3, 1e-17, 123456789.125, -2.0)]
    assert [kind(cell) for cell in csv_text([{"x": x} for x in numbers]).split()[1:]] == numbers
    assert csv_text([{"x": x} for x in numbers], digits=3) == "x\n0.1\n0.333\n1e-17\n1.23e+08\n-2\n"
    assert csv_text([{"x": kind("inf")}], digits=3) == "x\ninf\n"


@pytest.mark.parametrize("number", [1234567, np.int64(1234567), np.uint8(200)])
def test_csv_digits_are_of_floating_point_numbers_only(number):
    assert csv_text([{"n": number, "text": "0.123456"}], digits=2) == f"n,text\n{number},0.123456\n"


def test_csv_files_are_utf8_and_may_name_what_is_no_text(tmp_path):
    write_csv(tmp_path / "t.csv", [{"scan": b"caf\xe9".decode(errors="surrogateescape"), "p": 0.12345}], digits=2)
    assert (tmp_path / "t.csv").read_bytes() == b"scan,p\ncaf\\udce9,0.12\n"
    write_csv(tmp_path / "t.csv", [], ["Zürich"])
    assert (tmp_path / "t.csv").read_bytes() == "Zürich\n".encode()
