"""Whether a model knows a scan from its training, and whether it is unlike everything that the model knows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from mri3d.models.member import Member
from mri3d.scans.scan import Scan, canonical_digest
from mri3d.scans.traits import Traits, traits_of
from mri3d.volumes.fine_structure import Verdict


@dataclass(frozen=True)
class Acquaintance:
    """What the members of a model know of a scan.

    Attributes:
        seen: How many were trained on it, or stopped by it, or for certain on a near-copy.
        known: That they were, or were on a near-copy of it; empty where they were not.
        strange: In what it is unlike the training scans; empty where it is not.
        outside: Whether it is so unlike that a prediction means nothing.
    """

    seen: int
    known: str
    strange: str
    outside: bool = False

    @property
    def status(self) -> str:
        """How it compares with the training scans: "ok", "unusual" or "outside"."""
        return "outside" if self.outside else "unusual" if self.strange else "ok"

    @classmethod
    def of(cls, members: Sequence[Member], scan: Scan, volume: np.ndarray) -> Self:
        """Hold a scan, and the volume [C, X, Y, Z] that was made of it, against what each member has seen."""
        knows = any(member.card.training for member in members)
        judges = any(member.card.contract for member in members)
        voxels, traits = canonical_digest(scan) if knows else "", traits_of(scan) if judges else None
        return cls.of_voxels(members, voxels, traits, volume)

    @classmethod
    def of_voxels(cls, members: Sequence[Member], voxels: str, traits: Traits | None, volume: np.ndarray) -> Self:
        """As `of`, by the `canonical_digest` of the scan's voxels, empty where that is not known, and by its traits."""
        seers = [voxels in member.card.training for member in members]
        copies = [] if any(seers) else _copied_from(members, volume)
        known = seen_warning(sum(seers), len(members)) or copy_warning(copies, len(members))
        seen = sum(seers) or sum(copy.certain for copy in copies)
        strange, outside = _strangeness(members, traits, volume, [knows or bool(copies) for knows in seers])
        return cls(seen, known, strange, outside)


def seen_warning(seen: int, num_members: int) -> str:
    """Write how many of the members of a model know a scan from their training; empty where none does.

    >>> seen_warning(1, 1), seen_warning(4, 5)
    ('was among the training scans of this model', 'was among the training scans of 4 of the 5 models that vote')
    """
    if not seen:
        return ""
    whose = "this model" if num_members == 1 else f"{seen} of the {num_members} models that vote"
    return f"was among the training scans of {whose}"


def copy_warning(copies: Sequence[Verdict], num_members: int) -> str:
    """Write that members learnt from a near-copy of a scan; empty where none did.

    Args:
        copies: How alike the two are, of each member that did.
        num_members: How many vote.

    >>> copy_warning([Verdict(0.93, True)], 1)
    'is a near-copy of a training scan of this model (similarity 0.93)'
    """
    if not copies:
        return ""
    whose = "this model" if num_members == 1 else f"{len(copies)} of the {num_members} models that vote"
    best = max(copies)
    told = "is" if best.certain else "may be"
    return f"{told} a near-copy of a training scan of {whose} (similarity {best.similarity:.2f})"


def _copied_from(members: Sequence[Member], volume: np.ndarray) -> list[Verdict]:
    """Find out which members learnt from a near-copy of a volume, and how alike the two are."""
    kept = [member.card.fingerprints for member in members]
    found = [prints.nearest(volume) for prints in kept if prints is not None]
    return [match[1] for match in found if match is not None]


def _strangeness(
    members: Sequence[Member], traits: Traits | None, volume: np.ndarray, known: Sequence[bool]
) -> tuple[str, bool]:
    """Describe in what a scan is unlike the training scans; most members, who saw others each, must find so.

    Args:
        members: Those that vote.
        traits: Of the scan; None where they are not known.
        volume: float32 [C, X, Y, Z].
        known: Which of them know it from their training.

    Returns:
        What is told of it, empty where nothing is; and whether a prediction would mean nothing.
    """
    said, outside = [], []
    for member, seen in zip(members, known, strict=True):
        card = member.card
        if card.contract is None:  # of versions that kept none
            told = card.reference.warning(volume, seen=seen)
        else:
            found = card.contract.judge(traits, volume)
            told = f"unlike the training scans: {'; '.join(found.reasons)}" if found.reasons else ""
            outside += [told] * (found.status == "outside")
        said += [told] * bool(told)
    if 2 * len(outside) > len(members):
        return outside[0], True
    return (said[0], False) if 2 * len(said) > len(members) else ("", False)
