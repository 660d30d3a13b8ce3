"""Save and load what prediction needs, in formats whose reading runs no code."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from mri3d.contract.contract import Contract
from mri3d.errors import UserError
from mri3d.files import digest, digest_json, what_is, write_bytes, write_json
from mri3d.model_card import card_of_format_1, check_entries, check_tensors, described, held_out_rows, reason_of
from mri3d.outcome import HeldOut, Outcome, outcome_from_json
from mri3d.volumes.fingerprints import Fingerprints
from mri3d.volumes.recipes import AnyRecipe, recipe_of
from mri3d.volumes.reference import Reference

FORMAT = 2
CARD, WEIGHTS = "card.json", "weights.safetensors"
SEAL = "card_sha256"  # digest of all else in the card
_SEEN, _CONTRACT = "training.", "contract."  # what is kept of the training scans, and by what new ones are judged
MAX_CARD_BYTES = 64 << 20  # of 100,000 training scans a card has 7 MB of digests


@dataclass(frozen=True, eq=False)
class Card:
    """What surrounds a model when it meets a new scan. All that steers prediction has a field of its own.

    Args:
        outcome: What is predicted.
        recipe: How a scan becomes a volume; None for a model of arrays, which no scan can be given to.
        reference: What the training volumes look like.
        fold: Number of the fold that the model was trained in.
        num_folds: How many folds its run has, all of which are needed to vote.
        run: Digest of the run's cohort, splits, settings and seed; empty in folders of versions that kept none.
        suffix: Of the training scans' names in their BIDS tree, which new scans are looked for by; None without one.
        facts: What a reader wants to know: when, on whom, how well. JSON types; nothing is decided by them.
        training: `mri3d.scans.scan.canonical_digest` of each scan that the model has seen, those that only steered
            training included, in an order that tells nothing; empty in folders of versions that kept none.
        repeat: Number of the shuffle of the cohort that the fold belongs to.
        shares: How frequent each class was among the rows that were learnt from, which is what the probabilities hold
            for; None of a measure, and in folders of versions that kept none.
        steered: What was predicted of rows that the model did not learn from, but was chosen or calibrated by; empty
            where there were none, None in folders of versions that kept none.
        tested: What was predicted of rows that had no part in training at all, likewise.
        contract: What these scans are like, by which new ones are judged; None of a model of arrays, and in folders of
            versions that kept none.
        fingerprints: Of the scans that the model has seen, by which a near-copy of one is known; None of a model of
            arrays, and in folders of versions that kept none.
    """

    outcome: Outcome
    recipe: AnyRecipe | None
    reference: Reference
    fold: int = 0
    num_folds: int = 1
    run: str = ""
    suffix: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    training: tuple[str, ...] = ()
    repeat: int = 0
    shares: tuple[float, ...] | None = None
    steered: HeldOut | None = None
    tested: HeldOut | None = None
    fingerprints: Fingerprints | None = None
    contract: Contract | None = None


@dataclass(frozen=True, eq=False)
class Contents:
    """The contents of a model folder.

    Args:
        model: Name of the kind of model in the table of `mri3d.models.loading`.
        arguments: What the model needs to be built again, JSON types.
        tensors: Its weights by name.
        card: What surrounds it.
    """

    model: str
    arguments: dict[str, Any]
    tensors: dict[str, np.ndarray]
    card: Card


def write_model(folder: Path, contents: Contents) -> None:
    """Write a model folder; the card comes last, so a folder with a card is whole.

    Args:
        folder: Made if need be.
        contents: What to write.
    """
    given = contents.card
    reference, prints, contract = given.reference, given.fingerprints, given.contract
    held_out = {"steered": given.steered, "tested": given.tested}
    weights = safetensors.numpy.save(
        {f"model.{name}": np.ascontiguousarray(tensor) for name, tensor in contents.tensors.items()}
        | {"reference.mean": reference.mean}
        | ({} if reference.variations is None else {"reference.variations": reference.variations})
        | {f"{_SEEN}{name}": tensor for name, tensor in (prints.tensors() if prints else {}).items()}
        | {f"{_CONTRACT}{name}": tensor for name, tensor in (contract.tensors() if contract else {}).items()}
    )
    (folder / CARD).unlink(missing_ok=True)
    write_bytes(folder / WEIGHTS, weights)
    card = {
        "format": FORMAT,
        "model": contents.model,
        "arguments": contents.arguments,
        "outcome": given.outcome.to_json(),
        "recipe": None if given.recipe is None else given.recipe.arguments(),
        "reference": {"lowest": reference.lowest, "highest": reference.highest},
        "contract": None if contract is None else contract.to_json(),
        "fold": given.fold,
        "num_folds": given.num_folds,
        "repeat": given.repeat,
        "run": given.run,
        "suffix": given.suffix,
        "training": list(given.training),
        "shares": None if given.shares is None else list(given.shares),
        "held_out": {side: held.to_json() for side, held in held_out.items() if held is not None},
        "sha256": {WEIGHTS: digest(weights)},
        "facts": given.facts,
    }
    write_json(folder / CARD, card | {SEAL: digest_json(card)})


def read_model(folder: Path) -> Contents:
    """Read a model folder and check every byte of it against the card.

    Args:
        folder: What `write_model` wrote, in this version or an earlier one.

    Raises:
        UserError: No model lies there, it is damaged, a newer version wrote it, or it holds what no model has.
    """
    if not os.path.lexists(folder / CARD):
        raise UserError(f"{folder} is no model folder: it has no {CARD}. Give a run or its model folder.")
    try:
        card = json.loads(_read(folder / CARD, max_bytes=MAX_CARD_BYTES).decode())
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        raise UserError(f"{folder / CARD} is damaged ({error}). Copy the model folder again.") from error
    found = card.get("format") if isinstance(card, dict) else None
    if type(found) is not int or not 1 <= found <= FORMAT:
        raise UserError(
            f"{folder / CARD} has format {found!r}; this version reads 1 to {FORMAT}. "
            "Use the version of mri3d that wrote it."
        )
    seal = card.pop(SEAL, None)
    try:
        unchanged = digest_json(card) == seal
    except (ValueError, RecursionError):  # NaN or infinity, or lists in lists in lists: no card holds such
        unchanged = False
    if not unchanged:
        raise UserError(
            f"{folder / CARD} was changed after it was written: one letter can make predictions wrong, and nobody "
            "would notice. Copy the model folder again."
        )
    with described(folder / CARD):
        expected = card["sha256"][WEIGHTS]
    tensors = _tensors(folder / WEIGHTS, expected)
    with described(folder / CARD):
        return _contents(*(card_of_format_1(card, tensors) if found == 1 else (card, tensors)))


def _contents(card: dict[str, Any], tensors: dict[str, np.ndarray]) -> Contents:
    """Read a card of the newest format."""
    check_entries(card)
    mean, variations, recipe = tensors.pop("reference.mean"), tensors.pop("reference.variations", None), None
    if card["recipe"] is not None:
        recipe = recipe_of(card["recipe"])
    check_tensors(tensors, mean, variations, recipe)
    seen = {name.removeprefix(_SEEN): tensors.pop(name) for name in [*tensors] if name.startswith(_SEEN)}
    judging = {n.removeprefix(_CONTRACT): tensors.pop(n) for n in [*tensors] if n.startswith(_CONTRACT)}
    told, outcome = card.get("contract"), outcome_from_json(card["outcome"])
    return Contents(
        model=card["model"],
        arguments=card["arguments"],
        tensors={name.partition(".")[2]: tensor for name, tensor in tensors.items()},
        card=Card(
            outcome=outcome,
            recipe=recipe,
            reference=Reference(mean, **card["reference"], variations=variations),
            fold=card["fold"],
            num_folds=card["num_folds"],
            run=card.get("run", ""),
            suffix=card["suffix"],
            facts=card["facts"],
            training=tuple(card.get("training", ())),
            repeat=card.get("repeat", 0),
            **held_out_rows(card, outcome),
            fingerprints=Fingerprints.from_tensors(seen, mean.shape) if seen else None,
            contract=None if told is None else Contract.from_parts(told, judging, mean.shape),
        ),
    )


def _tensors(path: Path, expected: str) -> dict[str, np.ndarray]:
    """Read the weights if they are those that the card describes."""
    try:
        data = _read(path, max_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        if digest(data) != expected:
            raise UserError(f"{path} is not the file that {CARD} describes (SHA-256 differs). Copy the folder again.")
        return safetensors.numpy.load(data)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is no safetensors file ({reason_of(error)}). Copy the folder again.") from error


def _read(path: Path, *, max_bytes: int) -> bytes:
    """Read a file of a model folder whole, if it is a file, and of bearable size."""
    try:
        if not path.exists():
            raise UserError(f"{path} is missing. Copy the model folder again, whole.")
        if not path.is_file():  # reading a pipe would wait for ever
            raise UserError(f"{path} {what_is(path)}. Copy the model folder again.")
        if (size := path.stat().st_size) > max_bytes:
            raise UserError(f"{path} is too large to be read: {size:,} bytes. Copy the model folder again.")
        return path.read_bytes()
    except MemoryError as error:
        raise UserError(f"{path} does not fit into memory. Use a machine with more of it.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}. Mend that, or copy the model folder.") from error
