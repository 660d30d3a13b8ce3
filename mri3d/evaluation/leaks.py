"""Whether a test session, or a near-copy of it, was learnt from: told before anything is trained."""

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from mri3d.cohort.people import count_sessions
from mri3d.errors import UserError, option
from mri3d.evaluation.folds import Fold
from mri3d.study import Study
from mri3d.texts import list_text, number_text
from mri3d.volumes.fine_structure import Lying
from mri3d.volumes.fingerprints import Fingerprints
from mri3d.volumes.near_copies import NearCopy, find_near_copies

log = logging.getLogger(__name__)


class Heads(NamedTuple):
    """What is known of whose heads the volumes of a study show.

    Attributes:
        learnt: Rows that are learnt from.
        copies: Near-copies among all rows; None where nobody is tested.
        fingerprints: Of all rows; what they share is of those that are learnt from.
    """

    learnt: tuple[int, ...]
    copies: list[NearCopy] | None
    fingerprints: Fingerprints


_known: WeakKeyDictionary[Study, Heads] = WeakKeyDictionary()


@dataclass(frozen=True)
class Likeness:
    """Two sessions whose volumes show the same head.

    Attributes:
        first: Name of one.
        second: Name of the other.
        similarity: See `mri3d.volumes.near_copies.NearCopy`.
        certain: Whether no two heads are so alike.
        folds: Numbers of the folds that test one of them and learn from the other.
    """

    first: str
    second: str
    similarity: float
    certain: bool
    folds: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.first} and {self.second} (similarity {self.similarity:.2f})"


@dataclass(frozen=True)
class LeakAudit:
    """What an evaluation's sides have in common.

    Attributes:
        num_sessions: How many sessions were held against each other.
        near_copies: Pairs of them that show the same head.
        allowed: Whether the evaluation goes on although a model learns from a near-copy of what it is tested on.
    """

    num_sessions: int
    near_copies: tuple[Likeness, ...]
    allowed: bool = False

    @property
    def across(self) -> tuple[Likeness, ...]:
        """The pairs of which some fold tests one and learns from the other."""
        return tuple(pair for pair in self.near_copies if pair.folds)

    @property
    def found(self) -> bool:
        """Whether a model was tested on what is certainly a near-copy of something that it learnt from."""
        return any(pair.certain for pair in self.across)

    def to_json(self) -> dict[str, Any]:
        """Return what metrics.json keeps."""
        return {
            "sessions": self.num_sessions,
            "near_copies": [vars(pair) | {"folds": list(pair.folds)} for pair in self.near_copies],
            "across": len(self.across),
            "allowed": self.allowed,
        }


def audit_leaks(study: Study, folds: Sequence[Fold], *, allowed: bool) -> LeakAudit:
    """Look for near-copies of test sessions among those that are learnt from; participants and groups are never parted.

    Args:
        study: Whose volumes are read.
        folds: Who learns and who is tested.
        allowed: Whether to go on where there are some.

    Raises:
        UserError: There are some for certain, and `allowed` is not set.
    """
    pairs = []
    copies = heads_of(study, folds).copies or []
    for copy in [*copies, *_implied(copies, folds)]:
        across = tuple(fold.number for fold in folds if _parted(fold, copy.first, copy.second))
        names = study.ids[copy.first], study.ids[copy.second]
        pairs.append(Likeness(*names, round(copy.similarity, 4), copy.certain, across))
    found = LeakAudit(len(study.volumes), tuple(pairs), allowed)
    certain = [str(pair) for pair in found.across if pair.certain]
    if certain and not allowed:
        raise UserError(
            f"near-copies are on two sides of the split, so that a model is tested on heads that it learnt from: "
            f"{number_text(len(certain), 'pair')}, {list_text(certain)}. Let a column of the table say who is one "
            f"person and set {option('data.group')} to it, remove the copies, or set "
            f"{option('evaluation.allow_leaks', True)} to go on and have them in the report."
        )
    if certain:
        log.warning(
            "%s of near-copies on two sides of the split, as allowed: scores are too good. %s",
            number_text(len(certain), "pair"),
            list_text(certain),
        )
    if possible := [str(pair) for pair in found.across if not pair.certain]:
        log.warning("may be near-copies on two sides of the split, look at them: %s", list_text(possible))
    if not pairs:
        log.info("no near-copies among %s", count_sessions(study.cohort, np.arange(len(study.volumes))))
    return found


def heads_of(study: Study, folds: Sequence[Fold]) -> Heads:
    """Find the near-copies of a study and take fingerprints, once: it may be evaluated many times."""
    learnt = np.unique(np.concatenate([rows for fold in folds for rows in (fold.train_rows, fold.validation_rows)]))
    tested, found = any(len(fold.test_rows) for fold in folds), _known.get(study)
    copies = found and found.copies
    if found is None or found.learnt != tuple(learnt.tolist()) or (tested and copies is None):
        rows = np.arange(len(study.volumes))
        lying = Lying(study.volumes, rows, averaged=learnt)
        if tested and copies is None:
            copies = find_near_copies(study.volumes, rows, lying)
        found = _known[study] = Heads(tuple(learnt.tolist()), copies, Fingerprints.of(lying, learnt))
    return found


def fingerprints_of(study: Study, folds: Sequence[Fold], rows: np.ndarray) -> Fingerprints | None:
    """Take the fingerprints of the rows that a fold learns from, of which nothing is of its test rows.

    A model of arrays has none: no scan can be given to it, to be known again.

    Args:
        study: Whose volumes are read.
        folds: All folds; what a single one learns from has been laid onto its own average already.
        rows: That the fold learns from.
    """
    if study.recipe is None:
        return None
    if len(folds) == 1:
        return heads_of(study, folds).fingerprints.some(rows)
    return Fingerprints.of(Lying(study.volumes, rows), np.arange(len(rows)))


def _implied(copies: Sequence[NearCopy], folds: Sequence[Fold]) -> list[NearCopy]:
    """Return pairs of one head, linked by others, that a fold parts although it parts no link: some take no part in it.

    Args:
        copies: The links, as few as join the volumes of each head.
        folds: Who learns and who is tested.
    """
    links = [copy for copy in copies if copy.certain]
    rows = sorted({row for link in links for row in (link.first, link.second)})
    head_of = {row: row for row in rows}
    for link in links:
        old, new = head_of[link.second], head_of[link.first]
        head_of = {row: new if head == old else head for row, head in head_of.items()}
    found = []
    for first, second in itertools.combinations(rows, 2):
        if head_of[first] != head_of[second]:
            continue
        own = [link for link in links if head_of[link.first] == head_of[first]]
        if any(
            _parted(fold, first, second) and not any(_parted(fold, link.first, link.second) for link in own)
            for fold in folds
        ):
            found.append(NearCopy(first, second, min(link.similarity for link in own), True))
    return found


def _parted(fold: Fold, first: int, second: int) -> bool:
    """Return whether a fold tests one row and learns from the other, or stops by it."""
    learnt = np.concatenate([fold.train_rows, fold.validation_rows])
    return any(one in fold.test_rows and other in learnt for one, other in ((first, second), (second, first)))
