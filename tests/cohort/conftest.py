"""A table of one's own."""

import itertools

import pytest

from mri3d.cohort.delimited import read_rows


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Return a function that writes a table and reads its rows."""
    folder, numbers = tmp_path_factory.mktemp("tables"), itertools.count()

    def read(content, name="t.csv"):
        path = folder / f"{next(numbers)}-{name}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_rows(path)

    return read
