"""A fitted model and what surrounds it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from mri3d.contract.contract import Contract
from mri3d.explain.evidence import Evidence, Question
from mri3d.model_folder import Card
from mri3d.models.model import FittedModel
from mri3d.outcome import HeldOut
from mri3d.study import Study
from mri3d.version import __version__
from mri3d.volumes.fingerprints import Fingerprints
from mri3d.volumes.reference import Reference
from mri3d.volumes.sequence import VolumeSequence


@dataclass(frozen=True, eq=False)
class Member:
    """One fitted model and what surrounds it."""

    model: FittedModel
    card: Card


def member_of(
    study: Study,
    model: FittedModel,
    *,
    train_rows: np.ndarray,
    validation_rows: np.ndarray,
    fingerprints: Fingerprints | None,
    contract: Contract | None,
    tested: tuple[np.ndarray, np.ndarray] | None = None,
    fold: int = 0,
    repeat: int = 0,
    num_folds: int = 1,
    run: str = "",
    facts: dict[str, Any] | None = None,
) -> Member:
    """Surround a model with what it needs to meet new scans.

    Args:
        study: What the model was fitted on.
        model: The fitted model.
        train_rows: Rows that it learnt from, whose average new volumes are held against.
        validation_rows: Rows that steered its training.
        fingerprints: Of the volumes of both; None of arrays.
        contract: What the scans of both are like; None of arrays.
        tested: Rows [M] that had no part in its training, and what it predicted of them; None where there are none.
        fold: Number of the fold.
        repeat: Number of the shuffle that the fold belongs to.
        num_folds: How many folds there are.
        run: What identifies the run, see `Card`.
        facts: What a reader of its card wants to know.
    """
    written = {
        "mri3d": __version__,
        "torch": str(torch.__version__),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    reference = Reference.fit(study.volumes, train_rows)
    learnt, nobody = np.concatenate([train_rows, validation_rows]), (train_rows[:0], np.empty(0))
    seen = [study.cohort.voxels[row] for row in learnt]
    steered, untouched = (
        HeldOut.of(study.targets[rows], predictions)
        for rows, predictions in (model.held_out or nobody, tested or nobody)
    )
    card = Card(
        study.outcome,
        study.recipe,
        reference,
        fold,
        num_folds,
        run,
        study.suffix,
        facts=written | (facts or {}),
        training=tuple(sorted({*seen} - {""})),  # sorted: the order would tell of the cohort's
        repeat=repeat,
        shares=study.outcome.options.shares(study.targets[learnt]),
        steered=steered,
        tested=untouched,
        fingerprints=fingerprints,
        contract=contract,
    )
    return Member(model, card)


def votes(members: Sequence[Member], volumes: VolumeSequence) -> np.ndarray:
    """Predict N volumes by each of M members, [M, N, K] or [M, N]."""
    rows = np.arange(len(volumes))
    return np.stack([member.model.predict(volumes, rows) for member in members])


def mean_evidence(members: Sequence[Member], asked: Question) -> Evidence:
    """Average the evidence of members, each against what is usual of its own training volumes."""
    return Evidence.mean([member.model.explain(asked, reference=member.card.reference) for member in members])
