"""What the scripts share: overrides that need no quoting tricks, and the exit status of a user's mistake."""

import logging
import re
import sys
from collections.abc import Callable, Iterable, Sequence

from mri3d.errors import UserError, did_you_mean

USER_ERROR = 2
_OVERRIDE = re.compile(r"(?P<mark>\+\+|\+|~)?(?P<key>[\w./@:-]+)=(?P<value>.*)", re.DOTALL)
_NEEDS_QUOTES = re.compile(r"[(){}\s=;&!\"']")


def hydra_overrides(arguments: Sequence[str], *, groups: Iterable[str], keys: Iterable[str]) -> list[str]:
    r"""Turn what users type into what Hydra's grammar takes.

    An option of a group may be set whether or not its file names it (`++`; the constructor's signature is checked
    later), and a value with braces, blanks or brackets, as paths and globs have them, is quoted.

    Args:
        arguments: The command line without the program's name.
        groups: Config groups: `group=option` chooses, `group.key=value` sets.
        keys: Plain keys.

    Raises:
        UserError: A key that is neither, named with the closest one that exists.

    >>> hydra_overrides(["trainer.devices=2", "data.scan=T1/{id}.nii", "-m"], groups=["trainer", "data"], keys=[])
    ['++trainer.devices=2', "++data.scan='T1/{id}.nii'", '-m']
    """
    groups, known = list(groups), [*groups, *keys]
    overrides = []
    for argument in arguments:
        match = _OVERRIDE.fullmatch(argument)
        if argument.startswith("-") or (match and match["key"].startswith("hydra")):
            overrides.append(argument)
            continue
        if not match and not argument.startswith("~"):
            raise UserError(f"{argument!r} is not of the form key=value (keys: {', '.join(known)}).")
        if not match:
            overrides.append(argument)
            continue
        first, dot, _ = match["key"].partition(".")
        if first not in known:
            raise UserError(f"there is no key {first!r} (keys: {', '.join(known)}).{did_you_mean(first, known)}")
        mark = "++" if dot and first in groups and match["mark"] != "~" else match["mark"] or ""
        overrides.append(f"{mark}{match['key']}={_quoted(match['value'])}")
    return overrides


def exit_status(job: Callable[[], int], *, debug: bool) -> int:
    """Run a job; a mistake of the user's becomes one message on standard error and exit status 2.

    Args:
        job: Returns its exit status.
        debug: Show the traceback too.
    """
    try:
        return job()
    except Exception as error:
        mistake = _user_error(error)
        if mistake is None:
            raise
        if debug:
            logging.getLogger(__name__).exception("traceback of the error below")
        tell(mistake)
        return USER_ERROR


def tell(error: Exception) -> None:
    """Print an error for the user."""
    sys.stdout.flush()
    sys.stderr.write(f"error: {error}\n")
    sys.stderr.flush()


def _user_error(error: BaseException | None) -> UserError | None:
    """Find the user's mistake that a library wrapped in an exception of its own."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__
    return error


def _quoted(value: str) -> str:
    plain = not _NEEDS_QUOTES.search(value)
    if plain or value[:1] in "'\"[" or (value.startswith("{") and ":" in value) or value.startswith("${"):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
