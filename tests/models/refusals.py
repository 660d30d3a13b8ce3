"""What a user is told: options by their paths on the command line, by their names alone in Python."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mri3d.errors import UserError


@contextmanager
def refused(message: str, python: str | None = None, *, kind: type[UserError] = UserError) -> Iterator[None]:
    """Expect a mistake of the user's.

    Args:
        message: Pattern of what the command line shows.
        python: Pattern of what Python shows; any, unless given.
        kind: Of the error.
    """
    with pytest.raises(kind, match=python) as raised:
        yield
    told = raised.value.on_command_line()
    assert re.search(message, told), told
    paths = re.findall(r"\b(?:data|preprocess|model|trainer|evaluation)\.[a-z_.]+", str(raised.value))
    assert not paths, f"paths of the command line in Python: {paths}"
