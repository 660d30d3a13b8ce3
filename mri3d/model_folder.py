"""Save and load what prediction needs, in formats whose reading runs no code."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from mri3d.errors import UserError
from mri3d.files import digest, digest_json, write_bytes, write_json
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.reference import Reference

FORMAT = 1
CARD, WEIGHTS = "card.json", "weights.safetensors"
SEAL = "card_sha256"  # digest of all else in the card


@dataclass(frozen=True, eq=False)
class Card:
    """What surrounds a classifier when it meets a new scan.

    Args:
        classes: Label texts; column k of the probabilities belongs to class k.
        recipe: How a scan becomes a volume.
        reference: What the training volumes look like.
        facts: What a reader wants to know: when, on whom, how well. JSON types.
    """

    classes: tuple[str, ...]
    recipe: Recipe
    reference: Reference
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Model:
    """The contents of a model folder.

    Args:
        classifier: Name of the classifier in the table of `mri3d.models.loading`.
        arguments: What the classifier needs to be built again, JSON types.
        tensors: Its weights by name.
        card: What surrounds it.
    """

    classifier: str
    arguments: dict[str, Any]
    tensors: dict[str, np.ndarray]
    card: Card


def write_model(folder: Path, model: Model) -> None:
    """Write a model folder; the card comes last, so a folder with a card is whole.

    Args:
        folder: Made if need be.
        model: What to write.
    """
    reference = model.card.reference
    weights = safetensors.numpy.save(
        {f"classifier.{name}": np.ascontiguousarray(tensor) for name, tensor in model.tensors.items()}
        | {"reference.mean": reference.mean}
    )
    (folder / CARD).unlink(missing_ok=True)
    write_bytes(folder / WEIGHTS, weights)
    card = {
        "format": FORMAT,
        "classifier": model.classifier,
        "arguments": model.arguments,
        "classes": list(model.card.classes),
        "recipe": model.card.recipe.arguments(),
        "reference": {"lowest": reference.lowest, "highest": reference.highest},
        "sha256": {WEIGHTS: digest(weights)},
        "facts": model.card.facts,
    }
    write_json(folder / CARD, card | {SEAL: digest_json(card)})


def read_model(folder: Path) -> Model:
    """Read a model folder and check every byte of it against the card.

    Args:
        folder: What `write_model` wrote.

    Raises:
        UserError: No model lies there, it is damaged, or a newer version wrote it.
    """
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder} is no model folder: it has no {CARD}. Give a run or its model folder.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{folder / CARD} is damaged ({error}). Copy the model folder again.") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        found = card.get("format") if isinstance(card, dict) else None
        raise UserError(
            f"{folder / CARD} has format {found!r}; this version reads {FORMAT}. "
            "Use the version of mri3d that wrote it."
        )
    seal = card.pop(SEAL, None)
    if digest_json(card) != seal:
        raise UserError(
            f"{folder / CARD} was changed after it was written: one letter can make predictions wrong, and nobody "
            "would notice. Copy the model folder again."
        )
    try:
        tensors = safetensors.numpy.load(_checked(folder / WEIGHTS, card["sha256"][WEIGHTS]))
        mean = tensors.pop("reference.mean")
        return Model(
            classifier=card["classifier"],
            arguments=card["arguments"],
            tensors={name.removeprefix("classifier."): tensor for name, tensor in tensors.items()},
            card=Card(
                classes=tuple(card["classes"]),
                recipe=Recipe(**card["recipe"]),
                reference=Reference(mean, **card["reference"]),
                facts=card["facts"],
            ),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{folder / CARD} does not describe a model that this version reads ({type(error).__name__}: {error}). "
            "Copy the model folder again, or use the version of mri3d that wrote it."
        ) from error


def _checked(path: Path, expected: str) -> bytes:
    """Read a file of a model folder if it is the one that the card describes."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} is missing. Copy the model folder again, whole.") from None
    if digest(data) != expected:
        raise UserError(f"{path} is not the file that {CARD} describes (SHA-256 differs). Copy the folder again.")
    return data


def model_folders(path: Path) -> list[Path]:
    """Find the model folders of a run: one after a hold-out, one per fold under k-fold.

    Args:
        path: A run, its `model` folder, or one `fold_<k>` beneath it.

    Raises:
        UserError: There is none.
    """
    if not path.is_dir():
        raise UserError(f"{path} is no folder. Set model to a run, such as runs/demo-sfcn-50/<timestamp>.")
    for folder in (path, path / "model"):
        if (folder / CARD).is_file():
            return [folder]
        folds = {card.parent.name.removeprefix("fold_"): card.parent for card in folder.glob(f"fold_*/{CARD}")}
        if numbers := sorted(int(number) for number in folds if number.isdecimal()):  # a copy may be fold_3_old
            return [folds[str(number)] for number in numbers]
    raise UserError(f"{path} holds no model: no {CARD} in it, in its model folder or in fold_<k> beneath.")
