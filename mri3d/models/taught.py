"""Of whom the scans were that models learnt from, as their cards say it: nothing is decided by that."""

import math
from collections.abc import Sequence
from typing import Any

from mri3d.model_card import printable
from mri3d.models.member import Member
from mri3d.outcome.measure_words import value_text
from mri3d.texts import list_text

_MOST = 8  # names that are told


def ages_of_training(members: Sequence[Member]) -> tuple[float, float] | None:
    """Return from which to which age people were whose scans all members together learnt from; None if unknown."""
    ends = [told for member in members if (told := _ages(_people(member).get("age")))]
    if not ends:
        return None
    return min(low for low, _ in ends), max(high for _, high in ends)


def people_text(members: Sequence[Member]) -> str:
    """Say of whom the scans were; an empty text if nothing is known of them.

    Args:
        members: The models that vote.
    """
    ages, told = ages_of_training(members), []
    if ages:
        low, high = map(value_text, ages)
        told.append(f"age {low}" if low == high else f"age {low} to {high}")
    for kind in ("sex", "site"):
        names = {name for member in members for name in _names(_people(member).get(kind))}
        if names:
            told.append(f"{kind} {list_text(sorted(names), ', ', most=_MOST)}")
    return "; ".join(told)


def _people(member: Member) -> dict[str, Any]:
    told = member.card.facts.get("people")
    return told if isinstance(told, dict) else {}


def _ages(told: object) -> tuple[float, float] | None:
    """Read two numbers, which whoever gave the model away may have written."""
    if not isinstance(told, list) or len(told) != 2 or not all(type(one) in (int, float) for one in told):
        return None
    low, high = map(float, told)
    return (low, high) if math.isfinite(low) and math.isfinite(high) and low <= high else None


def _names(told: object) -> list[str]:
    """Read short texts."""
    return [printable(name, length=40) for name in told if isinstance(name, str)] if isinstance(told, list) else []
