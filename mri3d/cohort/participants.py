"""Who was scanned, by what a table says: whose visit each id is, and names that may mean one or none."""

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from mri3d.cohort.missing import is_missing, may_be_missing
from mri3d.errors import UserError, option
from mri3d.texts import list_text, number_text, parse_number

log = logging.getLogger(__name__)

_ENTITIES = "ses|acq|ce|rec|dir|run|echo|part|desc|space"
_BIDS_NAME = re.compile(rf"(?P<who>sub-[^\W_]+)(?:(?:_(?:{_ENTITIES})-[^_]+)+(?:_[^_]+)?)?", re.IGNORECASE)

_WHO = r"(?P<who>[^\d]*\d.*?)"
_KIND = r"(?:_(?:T[12]\w{0,2}|FLAIR|PD\w?|MPRAGE|brain))?"  # of scan, which may follow

# A word for a visit with its number, or with its name after a separator; and what OASIS writes: MR1, MR_d0129.
_WORDS = "session|sess|ses|visit|vis|timepoint|time|tp|wave|scan|followup|fu"
_NAMED = re.compile(
    rf"{_WHO}(?:[\W_]*(?<![^\W\d_])(?:(?:{_WORDS})(?:[\W_]?\d+[a-z]?|[\W_][^\W_]+)|MR(?:\d\d?|[\W_]d\d{{3,5}})))+{_KIND}",
    re.IGNORECASE,
)

# What may be a visit, as in ADNI (baseline, screening, month 6, visit 1, year 2), or a number of the participant's own.
_SHORT = re.compile(
    rf"{_WHO}[\W_]+(?:bl|sc|baseline|screening|followup|fu|pre|post|(?:[mvyt]|mo|month|yr|year|wk|week)[\W_]?\d{{1,3}})"
    rf"{_KIND}",
    re.IGNORECASE,
)

_FIRST_VISIT = re.compile(r"bl|sc|baseline|screening|[mvyt]0+")

_SUB = re.compile(r"(?:subject|subj|sub)(?:[\W_]+|(?=\d))")
_PARTS = re.compile(r"^-(?=\d)|\d+|[^\W\d_]+|[^\w\s./\\:-]")
_MANY = 3
"""Rows that make a group one of many."""


def participants_of(ids: Sequence[str]) -> list[str | None] | None:
    """Find out by their ids whose visits rows are, and log it.

    Ids as in BIDS say it by themselves. Others have a visit at their end. Since that may be the participant's own
    number, what comes before must have a digit and differ, and short ones such as `_m06` be no more than participants
    unless they have a first one.

    Args:
        ids: Names of the rows, as they are shown.

    Returns:
        A participant for each row, None for one whose id does not say it; or None where nobody has several rows.

    >>> participants_of(["002_S_0001_bl", "002_S_0001_m06", "002_S_0002_bl"])
    ['002_S_0001', '002_S_0001', '002_S_0002']
    >>> participants_of(["site1_v001", "site1_v002", "site1_v003", "site2_v001"])
    """
    short, named = _parted(ids, _SHORT), _parted(ids, _NAMED)
    visits = {id[len(who) :].casefold().strip("_-. ") for id, who in short.items()}
    doubtful = len(visits) > len(_people(ids, short)) and not any(map(_FIRST_VISIT.fullmatch, visits))
    whose: dict[str, str] = {}
    for found in ([] if doubtful else [short], [named]):
        for part in found:
            if len(_people(ids, part)) > 1:
                whose |= part
    whose |= _parted(ids, _BIDS_NAME)
    people = set(whose.values())
    rows = [id if id in people else whose.get(id) for id in ids]  # a first visit may have the participant's bare name
    if several := _several(ids, rows):
        count, example = several
        told = number_text(count, "participant", "has", "have")
        log.info("%s several rows; each takes part, and no split parts them (%s)", told, example)
        return rows
    if doubtful and (several := _several(ids, [short.get(id) for id in ids])):
        count, example = several
        log.warning(
            "%s at the beginning of several ids (%s). If these are visits of one participant, they may be both learnt "
            "from and tested: set %s to a column that names the participant",
            number_text(count, "name", "stands", "stand"),
            example,
            UserError(option("data.group")),
        )
    return None


def _parted(ids: Iterable[str], pattern: re.Pattern[str]) -> dict[str, str]:
    """Take participants from the ids that say them."""
    return {id: match["who"] for id in ids if (match := pattern.fullmatch(id))}


def _people(ids: Iterable[str], whose: Mapping[str, str]) -> set[str]:
    """Name the participants, those included whose only id is a name like theirs."""
    people = set(whose.values())
    like = {re.sub(r"\d+", "0", who) for who in people}
    return people | {id for id in ids if id not in whose and re.sub(r"\d+", "0", id) in like}


def _several(ids: Sequence[str], rows: Sequence[str | None]) -> tuple[int, str] | None:
    """Count the participants of several rows, with the rows of the first; None where there are none."""
    counts = Counter(who for who in rows if who is not None)
    repeated = [who for who, count in counts.items() if count > 1]
    if not repeated:
        return None
    return len(repeated), list_text([id for id, who in zip(ids, rows, strict=True) if who == repeated[0]], ", ", most=2)


def warn_of_spellings(names: Iterable[str], whose: str) -> None:
    """Warn of names that are the same but for the way that they are written.

    Args:
        names: Of participants, or of groups.
        whose: What they name, to begin a message.
    """
    spellings: dict[tuple[str, ...], list[str]] = {}
    for name in dict.fromkeys(names):
        spellings.setdefault(_bare(name), []).append(name)
    if alike := [" and ".join(map(repr, same)) for same in spellings.values() if len(same) > 1]:
        log.warning(
            "%s are the same but for case, 'sub-', zeros in front, '.0' or separators: %s. They are taken for "
            "different ones; write them alike where they are not",
            whose,
            list_text(alike, most=3),
        )


def _bare(name: str) -> tuple[str, ...]:
    """Return the letters and numbers of a name.

    >>> _bare("sub-S_01"), _bare("s1.0"), _bare("1-11") == _bare("11-1")
    (('s', '1'), ('s', '1'), False)
    """
    text = re.sub(r"(?<=\d)\.0+$", "", unicodedata.normalize("NFKC", name).casefold())
    text = _SUB.sub("", text, count=1) if _SUB.match(text) else text
    return tuple(part.lstrip("0") or "0" if part.isdecimal() else part for part in _PARTS.findall(text))


def warn_of_people(participants: Sequence[str | None], ids: Sequence[str]) -> None:
    """Warn of participants, or of sessions where each is one of its own, that are spelt in several ways."""
    warn_of_spellings([who or id for who, id in zip(participants, ids, strict=True)], "participants")


def warn_of_groups(cells: Sequence[str], where: str) -> None:
    """Warn of groups that may mean that there is none, and of groups spelt in several ways.

    Args:
        cells: The group of each session, as text.
        where: What holds them: "column 'family'", "groups".
    """
    groups = [cell for cell in cells if not is_missing(cell)]
    warn_of_spellings([re.sub(r"^(\d+)\.0*$", r"\1", cell) for cell in groups], f"groups in {where}")
    counts = Counter(groups)
    codes = {cell: counts[cell] for cell in may_be_missing(groups) if counts[cell] > 1}
    for cell, count in counts.items():
        others = max((counts[other] for other in counts if other != cell), default=count)
        if parse_number(cell) == 0 and count >= max(_MANY, 2 * others):
            codes[cell] = count
    for cell, count in codes.items():
        log.warning(
            "%r makes one group of %d rows in %s, none of which is ever parted from another; if it means that "
            "there is no group, empty those cells",
            cell,
            count,
            where,
        )
