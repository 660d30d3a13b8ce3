"""How a command ends: its exit status, and what it tells the user on standard error."""

import errno
import logging
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from mri3d.cli.limits import named_limits
from mri3d.errors import UserError, did_you_mean, options_as_typed
from mri3d.files import NO_ROOM
from mri3d.shortage import is_out_of_memory, memory_text

USER_ERROR = 2
RUN = "MRI3D_RUN"
"""Environment variable that tells the processes that Lightning starts for other devices which run they belong to."""

LESS_MEMORY = "Close other programs, or use a machine with more."

_PLACE = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG)
_MENDABLE = (errno.EACCES, errno.EPERM, errno.EROFS, *NO_ROOM, *_PLACE)


def invocation(command: str) -> str:
    """Return how a command is typed where this process was started: `python train.py` or `mri3d train`."""
    name = Path(sys.argv[0]).name
    if name == f"{command}.py":
        return f"python {name}"
    return f"python -m mri3d {command}" if name == "__main__.py" else f"mri3d {command}"


def exit_status(job: Callable[[], int], *, debug: bool) -> int:
    """Run a job; a mistake of the user's becomes one message on standard error and exit status 2.

    Args:
        job: Returns its exit status.
        debug: Show the traceback too.
    """
    try:
        return job()
    except Exception as error:
        mistake = users_mistake(error)
        if mistake is None:
            raise
        if debug:
            logging.getLogger(__name__).exception("traceback of the error below")
        tell(mistake)
        return USER_ERROR


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGUSR1: what a scheduler stops a job by; it ends a run as Ctrl-C does.

    Args:
        number: Of the signal.
    """

    def __init__(self, number: signal.Signals) -> None:
        super().__init__()
        self.number = number


def run_script(script: Callable[[], int], *, tells: bool = True) -> int:
    """Run a script; when it is stopped from outside it tells so, and how to go on, and ends with the shell's status.

    Args:
        script: Returns its exit status; notes on a KeyboardInterrupt are told to the user.
        tells: Whether this process is the one that speaks to the user.

    Returns:
        The script's status; 2 where memory or room on a disk was too little even to begin; 130 after Ctrl-C, 143 after
        SIGTERM, 138 after SIGUSR1.
    """

    def terminate(number: int, frame: object) -> None:
        raise Terminated(signal.Signals(number))

    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, terminate)
    try:
        with options_as_typed(), named_limits(less_memory=LESS_MEMORY):  # importing takes some too
            return script()
    except UserError as error:
        if tells:
            tell(error)
        return USER_ERROR
    except KeyboardInterrupt as stop:
        number = stop.number if isinstance(stop, Terminated) else signal.SIGINT
        if tells:
            tell(UserError(" ".join([f"stopped by {number.name}.", *getattr(stop, "__notes__", [])])))
        return 128 + number


def tell(error: UserError) -> None:
    """Print an error for the user, with the paths of the options that it names."""
    sys.stdout.flush()
    sys.stderr.write(f"error: {error.on_command_line()}\n")
    sys.stderr.flush()


def users_mistake(error: BaseException) -> UserError | None:
    """Find what the user can mend in an exception: a mistake that a library wrapped or told, or a lack; or None.

    Where memory was lacking that is told, whatever was made of it on the way: libraries, and messages of ours, take it
    for damage or for a setting that cannot be.
    """
    told: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, UserError):
        told.append(cause)
        cause = cause.__cause__
    reason = error if cause is None else cause.__cause__
    if reason is not None and is_out_of_memory(reason) and not (cause and "memory" in cause.text):
        return UserError(f"out of memory ({memory_text(reason)}). {LESS_MEMORY}")
    # Hydra and OmegaConf raise for a mistake in an override only.
    if cause is None and type(error).__module__.partition(".")[0] in ("hydra", "omegaconf"):
        return _of_hydra(": ".join(" ".join(str(each).split()) for each in told))
    if cause is None and isinstance(error, OSError) and error.errno in _MENDABLE:
        return UserError(f"{error.strerror}: {error.filename}. Mend that, or choose another place.")
    return cause


def _of_hydra(message: str) -> UserError:
    """Shorten what Hydra says of an option that a group does not have."""
    match = re.search(r"Could not find '([^']*)/([^']*)' Available options in '\S*': (.*?) Config search path", message)
    if not match:
        return UserError(message)
    group, option, options = match[1], match[2], match[3].split()
    return UserError(
        f"{group}={option}: there is no such option.{did_you_mean(option, options)} The options: {', '.join(options)}."
    )
