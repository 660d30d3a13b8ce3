"""The user's mistakes: how they are raised, how options are named in them, and how a near miss is pointed out."""

import difflib
import json
import re
from collections.abc import Iterable

_NOTHING = object()
_MARKED = re.compile("\x02([^\x02\x03\x1f]*)(?:\x1f([^\x02\x03\x1f]*)\x1f([^\x02\x03\x1f]*))?\x03")


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
        return _MARKED.sub(lambda mark: mark[1].rpartition(".")[2] + ((mark[2] and f"={mark[2]}") or ""), self.text)

    def on_command_line(self) -> str:
        """Return the message with the path of each option, as `train.py` takes it."""
        return _MARKED.sub(lambda mark: mark[1] + ((mark[3] and f"={mark[3]}") or ""), self.text)


def option(path: str, value: object = _NOTHING) -> str:
    """Name an option, or an option with a value, within the message of a `UserError`.

    Args:
        path: Where the option stands in a configuration, such as `data.label`; its last part is the argument's name.
        value: What it is set to; left out where only the name is meant.

    >>> str(UserError(f"Set {option('data.skip_bad', True)} to go on."))
    'Set skip_bad=True to go on.'
    >>> UserError(f"Set {option('data.skip_bad', True)} to go on.").on_command_line()
    'Set data.skip_bad=true to go on.'
    """
    if value is _NOTHING:
        return f"\x02{path}\x03"
    typed = value if isinstance(value, str) else json.dumps(value, default=str)
    return f"\x02{path}\x1f{value!r}\x1f{typed}\x03"


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Name the closest candidate as a sentence to append to a message, or nothing when none is close.

    Capital letters do not count: they are what people get wrong most often.

    >>> did_you_mean("dx", ["diagnosis", "sex"])
    " Did you mean 'sex'?"
    >>> did_you_mean("folds", ["x"])
    ''
    """
    spellings = {candidate.casefold(): candidate for candidate in candidates}
    close = difflib.get_close_matches(name.casefold(), spellings, n=1, cutoff=0.4)
    return f" Did you mean {spellings[close[0]]!r}?" if close else ""
