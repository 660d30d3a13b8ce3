"""Cells that mean that nothing is known: which do, and which may have been meant so."""

from collections.abc import Iterable, Sequence

from mri3d.texts import parse_number

# What means that there is nothing, in any case, as pandas has it.
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "<na>", "#na", "#n/a", "#n/a n/a"})
_MISSING |= {"-nan", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"}

# What is taken as it stands, but may have been meant so: words, and what spreadsheets write of an error.
_LOOKS_MISSING = frozenset({"missing", "unknown", "unk", "not known", "not available", "not applicable", "no data"})
_LOOKS_MISSING |= {"undefined", "undetermined", "refused", "tbd", "blank", "empty", "n.a.", "n.a", "nil"}
_LOOKS_MISSING |= {"?", "??", "???", ".", "..", "...", "-", "--", "---", "*", "_"}
_LOOKS_MISSING |= {"#value!", "#ref!", "#div/0!", "#num!", "#name?", "#null!", "#error!", "#calc!", "#spill!"}

MISSING_CODES = frozenset(
    float(code)
    for code in (
        *(-1, -3, -4, -7, -8, -9, -66, -77, -88, -99, -666, -777, -888, -998, -999, -9998, -9999),
        *(99, 666, 777, 888, 998, 999, 7777, 8888, 9998, 9999, 99999),
    )
)
"""Numbers by which studies say that there is no value, for classes and for measures."""


def is_missing(cell: str) -> bool:
    """Return whether a cell is empty or holds one of the words for it: NA, N/A, NaN, null, None, in any case."""
    return cell.casefold() in _MISSING


def may_be_missing(labels: Iterable[str]) -> list[str]:
    """Return the labels that somebody may have meant as missing: words for it, and codes, see `missing_codes`.

    Beside labels that are no numbers every code is one.

    >>> may_be_missing(["1", "-1", "-1"]), may_be_missing(["1", "2", "2", "-9"]), may_be_missing(["AD", "-4", "?"])
    ([], ['-9'], ['-4', '?'])
    """
    cells = [cell for cell in labels if not is_missing(cell)]
    words = {cell for cell in cells if cell.casefold() in _LOOKS_MISSING}
    numbers = {cell: parse_number(cell) for cell in cells if cell not in words}
    values = [number for cell in cells if (number := numbers.get(cell)) is not None]
    codes = missing_codes(values) if None not in numbers.values() else MISSING_CODES
    return sorted(words | {cell for cell, number in numbers.items() if number in codes})


def missing_codes(values: Sequence[float]) -> set[float]:
    """Return the values that are usual codes for "missing" and lie apart from all values that are none.

    Apart means beyond the others by more than half of their range, or negative where no other value is. A few odd
    values among the others, such as a code that is on no list, do not count.
    """
    others = _without_odd([value for value in values if value not in MISSING_CODES])
    if not others:
        return set()
    low, high = others[0], others[-1]
    margin = (high - low) / 2

    def is_apart(value: float) -> bool:
        if -9 < value < 0:  # small numbers are ordinary beside negative ones, and -1 beside 0 and other small ones
            return low >= (5 if value == -1 else 0)
        return not low - margin <= value <= high + margin or value < 0 <= low

    return {value for value in values if value in MISSING_CODES and is_apart(value)}


def _without_odd(values: list[float]) -> list[float]:
    """Sort values, and leave out the few at either end that lie beyond all further in by more than their range."""
    kept = sorted(values)
    for _ in range(len(values) // 10):
        if len(kept) > 2 and kept[1] - kept[0] > kept[-1] - kept[1]:
            kept = kept[1:]
        if len(kept) > 2 and kept[-1] - kept[-2] > kept[-2] - kept[0]:
            kept = kept[:-1]
    return kept
