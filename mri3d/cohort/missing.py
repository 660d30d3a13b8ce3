"""Cells that mean that nothing is known: which do, and which may have been meant so."""

import unicodedata
from collections.abc import Collection, Iterable, Sequence

from mri3d.texts import parse_number

# What means that there is nothing, in any case, as pandas has it.
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "<na>", "#na", "#n/a", "#n/a n/a"})
_MISSING |= {"-nan", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"}

# What is taken as it stands, but may have been meant so: words, and what spreadsheets write of an error.
_LOOKS_MISSING = frozenset({"missing", "unknown", "unk", "not known", "not available", "not applicable", "no data"})
_LOOKS_MISSING |= {"undefined", "undetermined", "unspecified", "refused", "tbd", "blank", "empty", "n.a", "nil"}
_LOOKS_MISSING |= {"nd", "n.d", "n/d", "not done", "not determined", "not assessed", "no value", "no diagnosis"}
_LOOKS_MISSING |= {"inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"}
_LOOKS_MISSING |= {"#value!", "#ref!", "#div/0!", "#num!", "#name?", "#null!", "#error!", "#calc!", "#spill!"}

MISSING_CODES = frozenset(
    float(code)
    for code in (
        *(-1, -3, -4, -7, -8, -9, -66, -77, -88, -99, -666, -777, -888, -998, -999, -9998, -9999),
        *(99, 666, 777, 888, 998, 999, 7777, 8888, 9998, 9999, 99999),
    )
)
"""Numbers by which studies say that there is no value, for classes and for measures."""

_MOST_CLASSES = 12
"""Numbers of more different values than this are no classes."""


def is_missing(cell: str) -> bool:
    """Return whether a cell is empty or holds one of the words for it: NA, N/A, NaN, null, None, in any case."""
    return cell.casefold() in _MISSING


def may_be_missing(labels: Iterable[str]) -> list[str]:
    """Return the labels that somebody may have meant as missing: words and marks for it, and codes.

    Codes are those of `missing_codes` and, beside classes, further ones, see `_class_codes`. Beside labels that are no
    numbers every code is one.

    >>> may_be_missing(["1", "-1", "-1"]), may_be_missing(["1", "2", "2", "-9"]), may_be_missing(["AD", "-4", "?"])
    ([], ['-9'], ['-4', '?'])
    """
    cells = [cell for cell in labels if not is_missing(cell)]
    words = {cell for cell in cells if _is_word_for_missing(cell)}
    numbers = {cell: parse_number(cell) for cell in cells if cell not in words}
    values = [number for cell in cells if (number := numbers.get(cell)) is not None]
    if None in numbers.values():
        digits = any(number is None and any(map(str.isdigit, cell)) for cell, number in numbers.items())
        codes = {value for value in values if value in MISSING_CODES or _is_code(value, single=not digits)}
    else:
        codes = missing_codes(values) | _class_codes(set(values))
    return sorted(words | {cell for cell, number in numbers.items() if number in codes})


def _is_word_for_missing(cell: str) -> bool:
    """Return whether a cell is a word for "missing" in any case, with a point at its end or without, or but marks."""
    text = unicodedata.normalize("NFKC", cell).casefold().strip()
    return text.rstrip(".") in _LOOKS_MISSING or text in _LOOKS_MISSING or _is_marks(text)


def _is_marks(text: str) -> bool:
    """Return whether a text is of dashes, points, question marks and the like; + is what some have found."""
    return all(letter == "\N{MINUS SIGN}" or unicodedata.category(letter).startswith("P") for letter in text)


def _is_code(value: float, *, single: bool) -> bool:
    """Return whether a number is one that studies take for codes: negative and whole, 66, 777, 95 to 98.

    Args:
        value: The number.
        single: Whether 7, 8 and 9 are some too.
    """
    if not value.is_integer():
        return False
    digits = f"{value:.0f}"
    alike = len(set(digits)) == 1 and digits[0] in "6789"
    return value < 0 or 95 <= value <= 98 or (alike and (len(digits) > 1 or (single and value > 6)))


def _class_codes(values: Collection[float]) -> set[float]:
    """Return those of the numbers that are classes which are usual codes, and lie apart from the others.

    More numbers than grades have are a measure. Negative whole numbers are codes beside two or more that are whole and
    not negative, but not where each has its like of the other sign (-1 and 1), or where they lead down from 0.
    """
    if len(values) > _MOST_CLASSES or not all(value.is_integer() for value in values):
        return set()
    others = sorted(value for value in values if not _is_code(value, single=True))
    negative = sorted(value for value in values if value < 0)
    positive = [value for value in values if value >= 0]
    codes = set[float]()
    leads_down = len(negative) > 1 and 0 in values and negative == list(range(-len(negative), 0))
    if len(positive) >= max(2, len(negative)) and {-value for value in values} != set(values) and not leads_down:
        codes |= set(negative)
    for value in sorted(set(positive) - set(others)):
        if len(others) > 1 and value - others[-1] >= max(others[-1] - others[0], 2):
            codes.add(value)
        else:
            others = sorted([*others, value])
    return codes


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
