"""A lack of memory, known by what Python and its libraries say of it."""

import errno
import re
from collections.abc import Iterator

_NO_MEMORY = re.compile(
    r"out of memory|not enough memory|can't allocate memory|cannot allocate memory|unable to allocate|bad_alloc|"
    r"worker \(pid.*\) (?:is killed by signal: Killed|exited unexpectedly)|ALLOC_FAILED|"
    r"failed to map segment|can't start new thread|unable to mmap|error return without exception set",
    re.IGNORECASE,
)
"""How torch and its libraries say so in a RuntimeError, the linker in an ImportError, and Python in a SystemError."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error tells of a lack of memory, or was met while another one that does was handled.

    >>> is_out_of_memory(RuntimeError("can't start new thread")), is_out_of_memory(ValueError("out of memory"))
    (True, False)
    """
    return next(_lacks_of_memory(error), None) is not None


def memory_text(error: BaseException) -> str:
    """Return what is said of a lack of memory, see `is_out_of_memory`, on one line of bearable length."""
    cause = next(_lacks_of_memory(error), error)
    return " ".join(str(cause).split())[:200] or type(cause).__name__


def _lacks_of_memory(error: BaseException) -> Iterator[BaseException]:
    """Yield what tells of a lack of memory among an error, its causes, and what was handled when it was met."""
    found: BaseException | None = error
    seen = set[int]()
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        if (
            isinstance(found, MemoryError)
            or (isinstance(found, OSError) and found.errno == errno.ENOMEM)
            or (isinstance(found, RuntimeError | ImportError | OSError | SystemError) and _NO_MEMORY.search(str(found)))
        ):
            yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
