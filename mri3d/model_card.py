"""What stands in a model folder, held against what it can be: a seal is only a hash, which anybody can compute.

Whoever gives away a model folder may have written anything into it. So nothing is built from a card before each of its
entries is of the type and size that mri3d writes, and no message of ours carries control characters of its texts.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mri3d.errors import UserError
from mri3d.outcome import HeldOut, Outcome
from mri3d.shortage import is_out_of_memory
from mri3d.volumes.recipes import AnyRecipe

FAILURES = (
    *(KeyError, IndexError, AttributeError, TypeError, ValueError),
    *(ArithmeticError, RuntimeError, MemoryError),  # RecursionError is a RuntimeError
)
"""What Python and its libraries raise when values are not what they should be."""

MAX_FOLDS = 100_000
ROUNDING = 1e-6  # of a correlation
MOST_VARIATIONS = 16  # each takes time at every explanation
LARGEST = 1e15  # of an average volume; squares of what lies beyond overflow in sums over voxels

_KINDS: Mapping[str, tuple[type, ...]] = {
    "model": (str,),
    "arguments": (dict,),
    "outcome": (dict,),
    "recipe": (dict, type(None)),
    "reference": (dict,),
    "contract": (dict, type(None)),
    "fold": (int,),
    "num_folds": (int,),
    "repeat": (int,),
    "shares": (list, type(None)),
    "held_out": (dict,),
    "run": (str,),
    "suffix": (str, type(None)),
    "training": (list,),
    "facts": (dict,),
}
_NAMES = {str: "a text", dict: "an object", int: "a whole number", list: "a list", type(None): "null"}
_DIGEST = re.compile("[0-9a-f]{64}")


def check_entries(card: Mapping[str, Any]) -> None:
    """Check the entries of a card that are there; those that are missing are told by who needs them.

    Raises:
        ValueError: One is of another type, or out of range.
    """
    for name, kinds in _KINDS.items():
        if name in card and type(card[name]) not in kinds:
            raise ValueError(f"{name} is not {' or '.join(_NAMES[kind] for kind in kinds)}")
    fold, repeat, num_folds = card.get("fold", 0), card.get("repeat", 0), card.get("num_folds", 1)
    if not 0 <= fold < MAX_FOLDS or not 0 <= repeat < MAX_FOLDS or not 1 <= num_folds <= MAX_FOLDS:
        raise ValueError("fold, repeat and num_folds are no numbers of a fold and a repeat, and a count of folds")
    if not all(isinstance(one, str) and _DIGEST.fullmatch(one) for one in card.get("training", [])):
        raise ValueError("training is not a list of SHA-256 digests")
    limits = [card.get("reference", {}).get(name, 0.0) for name in ("lowest", "highest")]
    if not all(type(limit) in (int, float) and abs(limit) <= 1 + ROUNDING for limit in limits):
        raise ValueError("reference has no two correlations")


def held_out_rows(card: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    """Read how frequent the classes were, and what was predicted of rows that were not learnt from.

    Args:
        card: Whose entries were checked.
        outcome: What is predicted.

    Returns:
        `shares`, `steered` and `tested`, see `mri3d.model_folder.Card`; nothing of what the card does not keep.

    Raises:
        KeyError, TypeError, ValueError: They are none of the outcome.
    """
    found: dict[str, Any] = {}
    if card.get("shares") is not None:
        outcome.options.check_shares(card["shares"])
        found["shares"] = tuple(card["shares"])
    kept = card.get("held_out", {})
    for side in ("steered", "tested"):
        if side in kept:
            found[side] = HeldOut.from_json(kept[side])
            outcome.options.check_held_out(found[side])
    return found


def card_of_format_1(
    card: dict[str, Any], tensors: dict[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Bring card and tensors of the first format, which knew classes only, to the newest."""
    facts = card["facts"]
    newer = {
        "model": card["classifier"],
        "outcome": {"classes": card["classes"]},
        "fold": facts.get("fold", 0),
        "num_folds": facts.get("num_folds", 1),
        "suffix": facts.get("suffix"),
    }
    if card["classifier"] != "cnn":  # networks may have a part called head
        tensors = {
            name.replace(".head.", ".decision.").replace(".sigmoids", ".scaling"): t for name, t in tensors.items()
        }
    return card | newer, tensors


def check_tensors(
    tensors: Mapping[str, np.ndarray], mean: np.ndarray, variations: np.ndarray | None, recipe: AnyRecipe | None
) -> None:
    """Check the arrays of a model folder.

    Args:
        tensors: Weights of the model by name.
        mean: The average training volume.
        variations: How training volumes differ from it; None of earlier versions.
        recipe: What makes volumes of scans; None for a model of arrays.

    Raises:
        ValueError: There are values that are not finite, or the average is no volume that the recipe makes.
    """
    if mean.dtype != np.float32 or mean.ndim != 4 or min(mean.shape) < 1:
        raise ValueError("reference.mean is no volume [C, X, Y, Z] of float32")
    if recipe is not None and mean.shape[1:] != recipe.volume_shape:
        raise ValueError("reference.mean has other sides than the volumes that the recipe makes")
    usual = {"reference.mean": mean}
    if variations is not None:
        known = variations.dtype in (np.float16, np.float32)
        if not (known and 0 < variations.size <= MOST_VARIATIONS * mean.size and variations.shape[1:] == mean.shape):
            raise ValueError("reference.variations are no volumes as reference.mean is one")
        usual["reference.variations"] = variations
    for name, volume in usual.items():
        if not float(np.abs(volume).max()) <= LARGEST:
            raise ValueError(f"{name} has values that no scan has")
    for name, tensor in {**tensors, **usual}.items():
        if not np.isfinite(tensor).all():
            raise ValueError(f"{name!r} holds values that are NaN or infinite")


@contextmanager
def described(path: Path) -> Iterator[None]:
    """Name the card in whatever its entries lead to."""
    try:
        yield
    except FAILURES as error:
        if is_out_of_memory(error):
            raise
        raise UserError(
            f"{path} does not describe a model that this version reads ({reason_of(error)}). "
            "Copy the model folder again, or use the version of mri3d that wrote it."
        ) from error


def reason_of(error: BaseException) -> str:
    r"""Write on one line why something cannot be read: what Python says, or all that a `UserError` says.

    >>> reason_of(KeyError("fold")), reason_of(ValueError("a\x1b[2J\nb"))
    ("KeyError: 'fold'", 'ValueError: a?[2J')
    """
    if isinstance(error, UserError):
        return error.text
    first = str(error).partition("\n")[0].rstrip(":")  # torch tells of every tensor
    return printable(f"{type(error).__name__}: {first}")


def printable(text: object, length: int = 300) -> str:
    """Cut a text of somebody else's to a length, and take control characters out of it."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text)[:length])
