"""What the scripts share: overrides that need no quoting tricks, and the exit status of a user's mistake."""

import errno
import itertools
import logging
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

from mri3d.errors import UserError, did_you_mean

USER_ERROR = 2
_PLACE = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG)
_MENDABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, *_PLACE)
_OVERRIDE = re.compile(r"(?P<mark>\+\+|\+|~)?(?P<key>[\w./@:-]+)=(?P<value>.*)", re.DOTALL)
_PLAIN = re.compile(r"[\w/+.$%*@?|:-]*", re.ASCII)
_QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
_FUNCTION = re.compile(
    r"(choice|range|interval|glob|shuffle|sort|tag|extend_list|int|float|str|bool|json_str)\(.*\)", re.DOTALL
)


def hydra_overrides(arguments: Sequence[str], *, groups: Iterable[str], keys: Iterable[str]) -> list[str]:
    r"""Turn what users type into what Hydra's grammar takes.

    An option of a group may be set whether or not its file names it (`++`; the constructor's signature is checked
    later). Text that Hydra would not take as it stands is quoted: blanks, braces, brackets, quotes, accents, as paths
    and globs have them. A comma separates values in a list and under `-m`; elsewhere it is part of the text.

    Args:
        arguments: The command line without the program's name.
        groups: Config groups: `group=option` chooses, `group.key=value` sets.
        keys: Plain keys.

    Raises:
        UserError: A key that is neither, named with the closest one that exists; several options of a group, without
            `-m`.

    >>> hydra_overrides(["trainer.devices=2", "data.scan=T1/{id}.nii", "-m"], groups=["trainer", "data"], keys=[])
    ['-m', '++trainer.devices=2', "++data.scan='T1/{id}.nii'"]
    """
    groups, known = list(groups), [*groups, *keys]
    sweep = "-m" in arguments or "--multirun" in arguments
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
            raise UserError(f"there is no key {first!r}.{did_you_mean(first, known)} The keys: {', '.join(known)}.")
        if match["key"] in groups and match["value"] in ("", "null"):
            raise UserError(f"{argument} chooses nothing. Give {first}=<option>, see --help.")
        values = elements(match["value"]) if sweep else [match["value"]]
        if not sweep and match["key"] in groups and "," in match["value"]:
            raise UserError(f"{argument} names several options. Add -m to run each of them.")
        mark = "++" if dot and first in groups and match["mark"] != "~" else match["mark"] or ""
        overrides.append(f"{mark}{match['key']}={','.join(map(_quoted, values))}")
    return sorted(overrides, key=lambda override: not override.startswith("-"))  # argparse wants options together


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
        if mistake is None and isinstance(error, OSError) and error.errno in _MENDABLE:
            mistake = UserError(f"{error.strerror}: {error.filename}. Mend that, or choose another place.")
        if mistake is None:
            raise
        if debug:
            logging.getLogger(__name__).exception("traceback of the error below")
        tell(mistake)
        return USER_ERROR


class Terminated(KeyboardInterrupt):
    """SIGTERM: what a scheduler stops a job by; it ends a run as Ctrl-C does."""


def run_script(script: Callable[[], int], *, tells: bool = True) -> int:
    """Run a script; when it is stopped from outside it says so, and how to go on, and ends with the shell's status.

    Args:
        script: Returns its exit status; notes on a KeyboardInterrupt are told to the user.
        tells: Whether this process is the one that speaks to the user.

    Returns:
        The script's status; 130 after Ctrl-C, 143 after SIGTERM.
    """

    def terminate(number: int, frame: object) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    try:
        return script()
    except KeyboardInterrupt as stop:
        number = signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT
        if tells:
            tell(UserError(" ".join([f"stopped by {number.name}.", *getattr(stop, "__notes__", [])])))
        return 128 + number


def tell(error: Exception) -> None:
    """Print an error for the user."""
    sys.stdout.flush()
    sys.stderr.write(f"error: {error}\n")
    sys.stderr.flush()


def _user_error(error: BaseException | None) -> UserError | None:
    """Find the user's mistake that a library wrapped in an exception of its own, or told by one."""
    told = []
    while error is not None and not isinstance(error, UserError):
        told.append(error)
        error = error.__cause__
    # Hydra and OmegaConf raise for a mistake in an override only; they are imported by the scripts alone.
    if error is None and told and type(told[0]).__module__.partition(".")[0] in ("hydra", "omegaconf"):
        return _of_hydra(": ".join(" ".join(str(cause).split()) for cause in told))
    return error


def _of_hydra(message: str) -> UserError:
    """Say shorter what Hydra says of an option that a group does not have."""
    match = re.search(r"Could not find '([^']*)/([^']*)' Available options in '\S*': (.*?) Config search path", message)
    if not match:
        return UserError(message)
    group, option, options = match[1], match[2], match[3].split()
    return UserError(
        f"{group}={option}: there is no such option.{did_you_mean(option, options)} The options: {', '.join(options)}."
    )


def _quoted(value: str) -> str:
    """Give text that Hydra reads as that text, and leave alone what is of Hydra's own syntax."""
    if any(syntax.fullmatch(value) for syntax in (_PLAIN, _QUOTED, _FUNCTION)):
        return value
    inside, brackets = value[1:-1], value[0] + value[-1]
    if brackets == "[]" and is_balanced(inside):
        return f"[{','.join(_quoted(element.strip()) for element in elements(inside))}]"
    if brackets == "{}" and ":" in inside and is_balanced(inside):
        return value
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)  # a backslash is special before a quote only
    escaped = re.sub(r"(\\+)\Z", r"\1\1", escaped)
    return f"'{escaped}'"


def elements(text: str) -> list[str]:
    """Split at the commas that stand outside brackets and quotes."""
    found, depth = [""], 0
    for part in _parts(text):
        depth += (part in "([{") - (part in ")]}")
        if part == "," and depth == 0:
            found.append("")
        else:
            found[-1] += part
    return found


def is_balanced(text: str) -> bool:
    """Tell whether each bracket has its counterpart: that of `[ab]*[cd]` without its ends has not."""
    depths = list(itertools.accumulate((part in "([{") - (part in ")]}") for part in _parts(text)))
    return not depths or (min(depths) >= 0 and depths[-1] == 0)


def _parts(text: str) -> Iterator[str]:
    """Cut into single characters and quoted strings; a quote within a word, as in O'Brien, is a character."""
    position, before = 0, ","
    while position < len(text):
        quoted = _QUOTED.match(text, position) if before in ",([{:=" else None
        part = quoted.group() if quoted else text[position]
        yield part
        position += len(part)
        before = part if part.strip() else before
