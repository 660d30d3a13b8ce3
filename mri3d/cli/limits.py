"""What a machine has too little of, memory or room on a disk: told in a line that says what to do."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mri3d.errors import UserError
from mri3d.files import NO_ROOM
from mri3d.shortage import is_out_of_memory, memory_text

_NO_SHARED_MEMORY = re.compile(r"killed by signal: Bus error|unable to (?:open|write to|mmap).*shm|shared memory")


@contextmanager
def named_limits(*, less_memory: str, after_room: Callable[[], str] = str) -> Iterator[None]:
    """Raise what a full memory or disk leads to as the user's to mend.

    Args:
        less_memory: What to do to need less of it, a sentence.
        after_room: Says what to do once there is room, a sentence; asked then.

    Raises:
        UserError: In place of whatever error told of it.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if (told := _told(error, less_memory, after_room)) is None:
            raise
        raise UserError(told) from error


def threads_stop_silently(ended: threading.ExceptHookArgs) -> None:
    """Let go of a thread that found no room, as Lightning's for TensorBoard: the main one finds none either, and tells.

    Args:
        ended: What Python tells of a thread that an error has ended.
    """
    if not (isinstance(ended.exc_value, OSError) and ended.exc_value.errno in NO_ROOM):
        threading.__excepthook__(ended)


def _told(error: BaseException, less_memory: str, after_room: Callable[[], str]) -> str | None:
    """Say what is missing and what to do; None where the error is another."""
    text = " ".join(str(error).split())
    while isinstance(error, RuntimeError) and isinstance(error.__context__, OSError):
        error = error.__context__  # torch's writer tells of what it could not write by a count of bytes
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        place = f": {error.filename}" if error.filename else ""
        advice = NO_ROOM[error.errno]
        return f"{error.strerror}{place}. {advice[0].upper()}{advice[1:]}. {after_room()}".strip()
    if isinstance(error, RuntimeError) and _NO_SHARED_MEMORY.search(text):
        return f"too little shared memory (/dev/shm) for workers that load: {text[:200]}. Set model.num_workers=0."
    if is_out_of_memory(error):
        return f"out of memory ({memory_text(error)}). {less_memory}"
    return None
