"""Near-copies among the volumes of a cohort: one head twice, changed so that no comparison of bytes would see it.

Each volume is laid onto the average of the cohort, and its fine structure (`mri3d.volumes.fine_structure`) is held
against that of all others, straight and mirrored, what the cohort has in common taken off. The likest partner of each
is then laid onto it and the pair compared closely, where both show structure: so defaced and cropped copies are found.

At 50^3 no two of 135 heads of IXI are more alike than 0.57 of 9,045 pairs, straight and mirrored, and none of 96 demo
heads more than 0.48; of 200 planted copies of 20 kinds 198 were found, 196 of them with 0.72 and more. The tail of the
likest 300 pairs of IXI, taken as normal in Fisher's z, makes 0.03 false pairs of the 620,000 among 1,113 heads expected
at `CENTRED.certain` (0.003 by the likest 60), and 0.3 at `CENTRED.possible`.

Not found, or only as possible: about half of the second visits that differ by turn, bias field, contrast, a cropped
neck and noise at once. Fewer than `NUM_CENTRED` volumes cannot tell what they have in common: there a pair is compared
with it, in which demo heads reach 0.82 and whole heads 0.70, so that half of the cropped and defaced copies are missed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from mri3d.parallel import map_threads, num_cores, one_thread_each
from mri3d.volumes.alignment import Pose, Target, laid, mirrored, sample, shrink
from mri3d.volumes.fine_structure import (
    FINE,
    NEAR,
    NUM_CENTRED,
    Levels,
    Lying,
    Structure,
    Verdict,
    common,
    likeness,
    masked_correlations,
    median_near,
    stacked,
    structure,
)
from mri3d.volumes.sequence import VolumeSequence

# Without what the cohort has in common, and with it where that is not known.
CENTRED, PLAIN = Levels(0.72, 0.69), Levels(0.96, 0.93)

_CANDIDATE, _PROMISING, _UNCLEAR = 0.2, 0.35, 0.85  # below, no closer look is taken; above, none is needed
_NUM_KEPT = 256  # volumes of which the fine structure is kept, 0.3 MB each
_BLOCK = 256  # rows whose products are taken at once


@dataclass(frozen=True)
class NearCopy:
    """Two volumes that show the same head.

    Attributes:
        first: Row.
        second: Row, larger than `first`.
        similarity: Correlation of their fine structure, at most 1.
        certain: Whether no two heads are so alike; else a person should look at them.
    """

    first: int
    second: int
    similarity: float
    certain: bool


class _Pair(NamedTuple):
    first: int  # places among the rows
    second: int
    is_mirrored: bool


def find_near_copies(
    volumes: VolumeSequence, rows: Sequence[int] | np.ndarray, lying: Lying | None = None
) -> list[NearCopy]:
    """Find which volumes of a cohort show the same head.

    Of three and more volumes of one head as many pairs are named as link them: whoever parts the volumes parts a pair.

    Args:
        volumes: Read one at a time, and those that resemble another once more.
        rows: Which of them, [N], sorted if they are laid onto an average.
        lying: They as they lie to an average, where that is known.

    Returns:
        Near-copies, in the order of their rows.
    """
    rows = np.sort(np.asarray(rows, dtype=np.int64))
    if len(rows) < 2:
        return []
    found: dict[tuple[int, int], NearCopy] = {}
    heads = np.arange(len(rows))  # the same number for all that is certainly one head
    for first, second in _equal([volumes.digests[row] for row in rows]):
        heads[heads == heads[second]] = heads[first]
        found[first, second] = NearCopy(int(rows[first]), int(rows[second]), 1.0, True)
    cohort = _Cohort(volumes, rows, lying or Lying(volumes, rows))
    compared, active = set[_Pair](), np.ones(len(rows), bool)
    with one_thread_each(num_cores()):
        while active.any():
            pairs = sorted(set(cohort.candidates(np.flatnonzero(active), heads)) - compared)
            compared.update(pairs)
            answers = map_threads(cohort.compare, pairs, what="comparing volumes with each other")
            active[:] = False
            likely = [(answer, pair) for answer, pair in zip(answers, pairs, strict=True) if answer]
            for verdict, (first, second, _) in sorted(likely, reverse=True):
                if heads[first] != heads[second] and (first, second) not in found:
                    found[first, second] = NearCopy(int(rows[first]), int(rows[second]), *verdict)
                    if verdict.certain:
                        heads[heads == heads[second]] = heads[first]
                        active |= heads == heads[first]
    return [found[pair] for pair in sorted(found)]


class _Cohort:
    """The volumes of a cohort, whose pairs are compared."""

    def __init__(self, volumes: VolumeSequence, rows: np.ndarray, lying: Lying) -> None:
        self.volumes, self.rows, self.lying = volumes, rows, lying
        self._fine = lru_cache(maxsize=_NUM_KEPT)(self._structure)
        self._levels, self._plain = CENTRED.at(volumes.shape), PLAIN.at(volumes.shape, plain=True)

    def candidates(self, places: np.ndarray, heads: np.ndarray) -> list[_Pair]:
        """Choose for each place the volume, straight or mirrored, of another head that is most alike."""
        pairs, own = [], self.lying.own
        shape = (-1, *self.lying.average.middle.shape)
        for start in range(0, len(places), _BLOCK):
            block = places[start : start + _BLOCK]
            these = Structure(own.values[block], own.seen[block])
            turned = Structure(*(part.reshape(shape)[:, :, ::-1].reshape(part.shape) for part in these))
            alike = np.stack([masked_correlations(these, own), masked_correlations(turned, own)])  # [2, block, N]
            alike[:, heads[block][:, None] == heads] = -1
            for place, found in zip(block.tolist(), alike.swapaxes(0, 1), strict=True):
                is_mirrored, other = np.unravel_index(found.argmax(), found.shape)
                if found[is_mirrored, other] > _CANDIDATE:
                    pairs.append(_Pair(min(place, int(other)), max(place, int(other)), bool(is_mirrored)))
        return pairs

    def compare(self, pair: _Pair) -> Verdict | None:
        """Lay the second volume onto the first, and compare their fine structure."""
        lying, (first, second, is_mirrored) = self.lying, pair
        small, start = lying.small[second], lying.poses[second]
        if is_mirrored:
            small, start = mirrored(small), start.mirrored()
        one = laid(lying.small[first], lying.poses[first])
        start = Target(one).pose(small, start, steps=4, robust=True)
        centres = lying.centre, _flipped(lying.centre, one.shape) if is_mirrored else lying.centre
        if likeness(structure(one), structure(laid(small, start)), centres, one.shape).similarity < _PROMISING:
            return None
        one, two = (shrink(self.volumes[int(self.rows[place])], FINE) for place in (first, second))
        return self._closely(pair, laid(one, lying.poses[first]), mirrored(two) if is_mirrored else two, start)

    def _closely(self, pair: _Pair, first: np.ndarray, second: np.ndarray, start: Pose) -> Verdict | None:
        """Compare two volumes at `FINE`, the first of which lies as the average does."""
        one, two, shape = structure(first), structure(laid(second, start)), first.shape
        centres = self._centre, _flipped(self._centre, shape) if pair.is_mirrored else self._centre
        alike = likeness(one, two, centres, shape)
        if _PROMISING < alike.similarity < _UNCLEAR:
            better = structure(laid(second, Target(first).pose(second, start, steps=6, robust=True)))
            closer = likeness(one, better, centres, shape)
            if closer.similarity > alike.similarity:
                alike, two = closer, better
        verdict = alike.judged(self._levels, plain=self._plain)
        if verdict is None or len(self.rows) < NUM_CENTRED:
            return verdict
        near = median_near(pair.first, self.lying.own, lambda place: self._fine(place).values)
        centres = near, near
        if pair.is_mirrored:
            near = median_near(pair.second, self.lying.own, lambda place: self._fine(place).values)
            centres = centres[0], _flipped(near, shape)
        again = likeness(one, two, centres, shape).judged(self._levels.raised(NEAR), plain=self._plain)
        return verdict.confirmed(again)

    @cached_property
    def _centre(self) -> np.ndarray:
        """What the volumes have in common at `FINE`."""
        return common(stacked([self._fine(place) for place in sample(range(len(self.rows)))]))

    def _structure(self, place: int) -> Structure:
        """Return the fine structure of one volume at `FINE`."""
        return structure(laid(shrink(self.volumes[int(self.rows[place])], FINE), self.lying.poses[place]))


def _flipped(values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Mirror values [V] of volumes [C, X, Y, Z]."""
    return mirrored(values.reshape(shape)).ravel()


def _equal(digests: Sequence[str]) -> list[tuple[int, int]]:
    """Pair each place with the last one before it that has the same digest."""
    last: dict[str, int] = {}
    pairs = []
    for place, digest in enumerate(digests):
        if digest in last:
            pairs.append((last[digest], place))
        last[digest] = place
    return pairs
