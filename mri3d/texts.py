"""Texts: lists and counts for messages, and what a cell or a setting stands for."""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

# What cannot be seen, though Python takes it for printable: fillers, and selectors of a letter's look.
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_LONGEST_NAME = 120  # bytes of a part of a file's name, which may have 255
_BETWEEN = re.compile("(?<=[^\\W_])(?![\\s_]+[-\u2010-\u2015\u2212]\\d)[\\s_\u2010-\u2015\u2212-]+(?=[^\\W_])")


def count_text(counts: Mapping[str, int]) -> str:
    """Write counts for a message.

    >>> count_text({"F": 68, "M": 63})
    'F 68, M 63'
    """
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def list_text(items: Sequence[str], separator: str = "; ", most: int = 5) -> str:
    """Join the first items of a list for a message, and count the others.

    >>> list_text(["a", "b", "c"], ", ", most=2)
    'a, b, and 1 more'
    """
    shown = separator.join(items[:most])
    return shown + (f"{separator}and {len(items) - most} more" if len(items) > most else "")


def number_text(number: int, what: str, one: str = "", several: str = "") -> str:
    """Write a number of things for a message, with what follows on one and on several of them.

    >>> number_text(1, "session"), number_text(0, "session"), number_text(2, "scan", "has", "have")
    ('1 session', '0 sessions', '2 scans have')
    """
    verb = one if number == 1 else several
    return f"{number} {what}" + ("" if number == 1 else "s") + (f" {verb}" if verb else "")


def parse_number(text: str) -> float | None:
    """Return the number that a cell is, or None where it is none or not finite.

    >>> [parse_number(cell) for cell in ("7.50", "-1e2", "45 y", "inf", "1_0")]
    [7.5, -100.0, None, None, None]
    """
    try:
        number = math.nan if "_" in text else float(text)  # Python would take 1_0 for 10
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def spelling(label: str) -> str:
    """Return what a label has in common with other ways to write it: forms and case of letters, what stands between.

    >>> spelling("Mild  AD"), spelling("mild-ad"), spelling("\uff2dild_AD"), spelling("z -1")
    ('mild ad', 'mild ad', 'mild ad', 'z -1')
    """
    return _BETWEEN.sub(" ", unicodedata.normalize("NFKC", label).casefold())


def parameter_text(value: object) -> str:
    """Write the value of a parameter as a configuration has it.

    >>> parameter_text(None), parameter_text(0.1), parameter_text(1e-5), parameter_text([1, 2])
    ('null', '0.1', '1e-05', '[1, 2]')
    """
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def file_names(texts: Mapping[int, str]) -> dict[int, str]:
    """Make texts fit for names of files, and keep them apart: by their numbers, where some would be one or too long.

    >>> file_names({0: "for M", 1: "for age/years"}), file_names({0: "a/b", 2: "A b"})
    ({0: 'for_M', 1: 'for_age_years'}, {0: '0', 2: '2'})
    """
    names = {number: re.sub(r"[^\w.+-]+", "_", text) for number, text in texts.items()}
    apart = len({name.casefold() for name in names.values()}) == len(names)
    short = all(len(name.encode()) <= _LONGEST_NAME for name in names.values())
    return names if apart and short else {number: str(number) for number in names}


def isolated(text: str) -> str:
    """Keep a text of any direction of writing from turning the sentence that it stands in, where no element can.

    >>> isolated("a") == "\u2068a\u2069"
    True
    """
    return f"\u2068{text}\u2069"


def natural_order(text: str) -> tuple[list[tuple[int, str]], str]:
    """Return a key that sorts names as people do: by their numbers, and where these are equal letter by letter.

    >>> sorted(["s10", "s2", "s02", "s1b"], key=natural_order)
    ['s1b', 's02', 's2', 's10']
    """
    parts = re.split("([0-9]+)", text)
    return [(int(part), "") if number % 2 else (-1, part) for number, part in enumerate(parts)], text


def as_list(value: object) -> list[object]:
    """Take `age` as well as `[age]`: a setting of one value is easily written without brackets.

    >>> as_list("age"), as_list(("age", "sex"))
    (['age'], ['age', 'sex'])
    """
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]


def visible(text: str) -> str:
    """Leave out what cannot be seen (marks of byte order, joiners, soft hyphens), and make every blank an ordinary one.

    >>> visible("sub\u00a001\ufeff\u200b"), visible("e\u0301") == "e\u0301"
    ('sub 01', True)
    """
    kept = "".join(" " if letter.isspace() else letter for letter in text if letter.isprintable() or letter.isspace())
    return _INVISIBLE.sub("", kept)
