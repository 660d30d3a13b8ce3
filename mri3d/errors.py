"""The user's mistakes: how they are raised, and how a near miss in a name is pointed out."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake that the user can mend: the scripts print it without a traceback and end with exit status 2.

    The message says what is wrong, the value and where it stands, and what to do.
    """


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
