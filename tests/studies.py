"""Small studies with a known truth, in memory and on disk, and a network that fits on them within a second."""

import csv
import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch

from mri3d.models.network.cnn import CNN
from mri3d.nets.sfcn import SFCN
from mri3d.study import Study
from tests.scans.phantom import write_scan

SHAPE = (7, 8, 9)
REGION = (slice(2, 5), slice(3, 6), slice(4, 8))
"""Where what is predicted shows."""

HEAD_SHAPE, SPACING_MM = (20, 22, 24), (9.0, 9.0, 8.0)
HEAD_REGION = (slice(6, 10), slice(6, 10), slice(6, 10))


def planted(strengths: Sequence[float] | np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Return noise that is brighter in `REGION` by the strength of each volume, float32 [N, X, Y, Z]."""
    volumes = np.random.default_rng(seed).standard_normal((len(strengths), *SHAPE))
    volumes[(slice(None), *REGION)] += np.reshape(strengths, (-1, 1, 1, 1))
    return volumes.astype(np.float32)


def class_study(num_volumes: int = 24, *, effect: float = 1.5, seed: int = 0, **more: object) -> Study:
    """Make a study of two classes in turn."""
    labels = [("control", "patient")[row % 2] for row in range(num_volumes)]
    return Study.from_arrays(planted([effect * (row % 2) for row in range(num_volumes)], seed=seed), labels, **more)


def ages_of(num_volumes: int) -> np.ndarray:
    """Return ages from 20 to 80 in a mixed order [N]."""
    return np.random.default_rng(3).permutation(np.linspace(20, 80, num_volumes)).round(1)


def age_study(num_volumes: int = 24, *, seed: int = 0) -> Study:
    """Make a study of a measure."""
    ages = ages_of(num_volumes)
    return Study.from_arrays(planted((ages - 50) / 10, seed=seed), ages, task="regression", name="age")


def cnn(
    *, epochs: int = 2, lr: float = 0.02, channels: Sequence[int] = (4, 4), pooling: int = 1, **options: object
) -> CNN:
    """Build a network of few weights for volumes as small as `SHAPE`, on one CPU core; volumes stay as they are."""
    bound = {"accelerator": "cpu", "max_epochs": epochs, "log_every_n_steps": 1, "enable_model_summary": False}
    return CNN(
        functools.partial(SFCN, channels=list(channels), pooling=pooling),
        trainer=functools.partial(pl.Trainer, **bound | {"devices": 1}),
        optimizer=functools.partial(torch.optim.AdamW, lr=lr),
        **{"batch_size": 4, "num_workers": 0, "augmentation": None} | options,
    )


def weights(model: CNN) -> dict[str, bytes]:
    """Return a fitted network's state, each tensor as bytes."""
    return {name: tensor.numpy().tobytes() for name, tensor in model.network_.state_dict().items()}


def head(brightness: float = 1.0, *, seed: int = 0) -> np.ndarray:
    """Return an ellipsoid of 100 with noise in it, brighter in `HEAD_REGION`, float32 [X, Y, Z]."""
    random = np.random.default_rng(seed)
    inside = np.indices(HEAD_SHAPE) - np.reshape(HEAD_SHAPE, (3, 1, 1, 1)) / 2
    ellipsoid = (np.square(inside / np.reshape([8, 9, 10], (3, 1, 1, 1))).sum(axis=0) < 1).astype(np.float64)
    data = ellipsoid * (100 + 10 * random.standard_normal(HEAD_SHAPE))
    data[HEAD_REGION] *= brightness
    return data.astype(np.float32)


def write_heads(root: Path, num_heads: int = 24, **columns: Sequence[object]) -> Path:
    """Write heads `s00.nii`, ... and `study.csv`.

    Those of label b, and those of older age, are brighter in `HEAD_REGION`.

    Returns:
        The table, with columns subject, label, age, and those given.
    """
    root.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(num_heads):
        brightness = 1 + 0.5 * (number % 2) + 0.5 * (number // 2) / num_heads
        write_scan(root / f"s{number:02}.nii", head(brightness, seed=number), np.diag([*SPACING_MM, 1.0]))
        age = 20 + 40 * (number % 2) + 40 * (number // 2) / num_heads
        given = {name: cells[number] for name, cells in columns.items()}
        rows.append({"subject": f"s{number:02}", "label": "ab"[number % 2], "age": f"{age:.1f}"} | given)
    with (root / "study.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return root / "study.csv"
