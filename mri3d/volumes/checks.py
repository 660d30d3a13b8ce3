"""What the arguments of a recipe may be."""

from collections.abc import Iterable, Sequence
from typing import Any

from mri3d.errors import UserError, did_you_mean, option
from mri3d.scans.head_box import Box

MAX_RESOLUTION = 1024


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """Refuse an argument that is none of its choices."""
    if value not in choices:
        box = " or a voxel box" if name == "crop" else ""
        names = [str(choice) for choice in choices]
        hint = did_you_mean(value, names)
        raise UserError(f"{option(f'preprocess.{name}')} is {value!r}. Give one of {', '.join(names)}{box}.{hint}")


def check_resolution(value: object) -> None:
    """Refuse a resolution that is neither an edge in voxels nor `native`."""
    if value != "native" and not (type(value) is int and 2 <= value <= MAX_RESOLUTION):
        raise UserError(
            f"{option('resolution')} is {value!r}. Give a whole number from 2 to {MAX_RESOLUTION}, or native."
        )


def checked_box(value: Sequence[Sequence[int]]) -> Box:
    """Return a voxel box as tuples."""
    try:
        box = tuple((first, end) for first, end in value)
    except (TypeError, ValueError):
        box = ()
    if len(box) != 3 or not all(type(first) is type(end) is int and 0 <= first < end for first, end in box):
        raise UserError(
            f"{option('preprocess.crop')} is {value!r}. Give head, none, or three pairs of voxels, first and one past "
            "the last, e.g. [[50,205],[60,225],[30,225]]."
        )
    return box


def checked_sides(name: str, value: Sequence[float], number: type) -> tuple[Any, ...]:
    """Return three positive numbers as a tuple."""
    sides = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else ()
    if len(sides) != 3 or not all(isinstance(side, (int, number)) and side > 0 for side in sides):
        raise UserError(
            f"{option(f'preprocess.{name}')} is {value!r}. Give three positive numbers, or leave it to the cohort."
        )
    return tuple(number(side) for side in sides)


def as_json(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    """Return an argument as JSON has it: tuples are lists."""
    return [as_json(part) for part in value] if isinstance(value, tuple) else value


def by(sides: Iterable[float]) -> str:
    """Write sides for a message.

    >>> by((155, 165, 1.25))
    '155 x 165 x 1.25'
    """
    return " x ".join(f"{side:.4g}" for side in sides)
