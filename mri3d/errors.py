"""The user's mistakes: how they are raised, how options are named in them, and how a near miss is pointed out."""

import difflib
import json
import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_NOTHING = object()
_MARKED = re.compile("\x02([^\x02\x03\x1f]*)(?:\x1f([^\x02\x03\x1f]*)\x1f([^\x02\x03\x1f]*))?\x03")

_typed = False  # whether options are named as they are typed, see `options_as_typed`


class UserError(ValueError):
    """A mistake that the user can mend: the scripts print it without a traceback and end with exit status 2.

    The message says what is wrong, the value and where it stands, and what to do. Options in it are named by `option`:
    Python shows the argument's name, the command line the option's whole path.

    >>> error = UserError(f"no column 'dx'. Set {option('data.label')} to one that exists.")
    >>> str(error)
    "no column 'dx'. Set label to one that exists."
    >>> error.on_command_line()
    "no column 'dx'. Set data.label to one that exists."
    """

    @property
    def text(self) -> str:
        """The message with its marks, for an error that wraps this one."""
        return str(self.args[0]) if self.args else ""

    def __str__(self) -> str:
        if _typed:
            return self.on_command_line()
        return _MARKED.sub(lambda mark: mark[1].rpartition(".")[2] + ((mark[2] and f"={mark[2]}") or ""), self.text)

    def on_command_line(self) -> str:
        """Return the message with the path of each option, as `train.py` takes it."""
        return _MARKED.sub(lambda mark: mark[1] + ((mark[3] and f"={mark[3]}") or ""), self.text)


class NotInstalledError(UserError):
    """What a call needs is not installed, or is another version: it ends at once, since no scan is at fault."""


@contextmanager
def options_as_typed() -> Iterator[None]:
    """Let every message, those of logs and files too, name options as the command line takes them."""
    global _typed
    before, _typed = _typed, True
    try:
        yield
    finally:
        _typed = before


def option(path: str, value: object = _NOTHING) -> str:
    """Name an option, or an option with a value, within the message of a `UserError`.

    Args:
        path: Where the option stands in a configuration, such as `data.label`; its last part is the argument's name.
        value: What it is set to; left out where only the name is meant.

    >>> str(UserError(f"Set {option('data.skip_bad', True)} to go on."))
    'Set skip_bad=True to go on.'
    >>> UserError(f"Set {option('data.skip_bad', True)} to go on.").on_command_line()
    'Set data.skip_bad=true to go on.'
    >>> UserError(f"Set {option('data.unlabelled', ['-9', '?'])}.").on_command_line()
    'Set data.unlabelled=[-9,?].'
    """
    if value is _NOTHING:
        return f"\x02{path}\x03"
    if isinstance(value, str):
        return f"\x02{path}\x1f{value!r}\x1f{value}\x03"
    return f"\x02{path}\x1f{_shortened(repr(value))}\x1f{_shortened(_typed_text(value))}\x03"


def _typed_text(value: object) -> str:
    """Write a value as Hydra reads it, and a list so that a shell leaves it as it is."""
    if not isinstance(value, list | tuple):
        return json.dumps(value, default=str)
    text = f"[{','.join(map(_typed_item, value))}]"
    return text if re.fullmatch(r"[^\s'\"\\$`&|;<>(){}*#!~]*", text) else shlex.quote(text)


def _typed_item(value: object) -> str:
    """Write an item of a list; quotes are needed where a text could be taken for several items, or for none."""
    if not isinstance(value, str):
        return _typed_text(value)
    if value and value == value.strip() and not re.search(r"""[][{}(),'"\\]""", value):
        return value
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)  # a backslash is special before a quote only
    return "'" + re.sub(r"(\\+)\Z", r"\1\1", escaped) + "'"


def _shortened(text: str) -> str:
    """Write what may be a long array on one line of bearable length."""
    line = " ".join(part.strip() for part in text.splitlines())
    return line if len(line) <= 80 else f"{line[:77]}..."


def did_you_mean(name: object, candidates: Iterable[str]) -> str:
    """Name the closest candidate as a sentence to append to a message, or nothing when none is close.

    Close are what begins alike, words of which one holds the other, and few wrong letters. Capital letters, underscores
    and the like do not count: they are what people get wrong most often.

    >>> did_you_mean("LinearSVM", ["rbf_svm", "linear_svm"]), did_you_mean("epochs", ["devices", "max_epochs"])
    (" Did you mean 'linear_svm'?", " Did you mean 'max_epochs'?")
    >>> did_you_mean("age", ["sex", "table"])
    ''
    """
    close = {candidate: _closeness(str(name), candidate) for candidate in candidates}
    best = max(close, key=close.__getitem__, default="")
    return f" Did you mean {best!r}?" if close.get(best, 0.0) > 0.7 else ""


def _closeness(name: str, candidate: str) -> float:
    """Compare two names: above 0.7 where one is likely meant for the other, 1.1 where their letters are the same."""
    ours, theirs = (re.findall(r"[^\W_]+", text.casefold()) for text in (name, candidate))
    one, other = "".join(ours), "".join(theirs)
    if one == other:
        return 1.1 if one else 0.0
    few = min(len(one), len(other)) < 3  # letters: too little to compare
    alike = difflib.SequenceMatcher(None, one, other).ratio() + 0.1 * (one[:1] == other[:1])
    holds = one in theirs or other in ours
    begins = any(word.startswith(one) for word in theirs) or any(word.startswith(other) for word in ours)
    return max(0.0 if few else alike, 0.75 if holds or (begins and not few) else 0.0)
