"""A fitted model and what surrounds it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from mri3d.model_folder import Card
from mri3d.models.model import Model
from mri3d.study import Study
from mri3d.version import __version__
from mri3d.volumes.reference import Reference


@dataclass(frozen=True, eq=False)
class Member:
    """One fitted model and what surrounds it."""

    model: Model
    card: Card


def member_of(
    study: Study,
    model: Model,
    *,
    train_rows: np.ndarray,
    validation_rows: np.ndarray,
    fold: int = 0,
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
        fold: Number of the fold.
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
    seen = [study.cohort.voxels[row] for row in (*train_rows, *validation_rows)]
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
    )
    return Member(model, card)
