"""Volumes in memory whose classes differ by a blob, and small CNNs that learn them within seconds."""

import functools

import numpy as np
import pytorch_lightning as pl
import torch

from mri3d.models.model import TrainingSet
from mri3d.models.network.cnn import CNN
from mri3d.nets.sfcn import SFCN
from mri3d.outcome import Classes, Measure
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.sequence import InMemory

SHAPE = (12, 13, 14)
BLOB = (slice(3, 7), slice(4, 8), slice(5, 9))
"""Where the second class of `planted` is brighter, and where older volumes of `planted_measure` are."""


TRAIN, VALIDATION, TEST = np.arange(0, 24), np.arange(24, 36), np.arange(36, 48)
CLASSES = ("control", "patient", "other")


def planted(num_classes=2, *, num_subjects=48, seed=0):
    """Give noise with a blob that is bright in the second class and dark in the third, and the targets."""
    targets = np.arange(num_subjects) % num_classes
    volumes = np.random.default_rng(seed).standard_normal((num_subjects, 1, *SHAPE)).astype(np.float32)
    for target, change in enumerate((0.0, 4.0, -4.0)):
        volumes[(targets == target, slice(None), *BLOB)] += change
    return volumes, targets


def training(folder, *, num_classes=2, volumes=None, targets=None, seed=3, **parts: object):
    """Give what a fit of the planted classes learns from, parts of it changed."""
    planted_volumes, planted_targets = planted(num_classes)
    options = {
        "volumes": InMemory(planted_volumes if volumes is None else volumes),
        "outcome": Classes(CLASSES[:num_classes]),
        "targets": planted_targets if targets is None else targets,
        "groups": np.arange(48),
        "train_rows": TRAIN,
        "validation_rows": VALIDATION,
    } | parts
    options["volumes"].recipe = Recipe("native", shape=SHAPE)  # as a cohort's volumes have
    return TrainingSet(**options, seed=seed, folder=folder)


def planted_measure(*, num_channels=1, seed=0):
    """Give noise with a blob that brightens from 20 years to 80, and darkens in a second channel; and the ages."""
    random = np.random.default_rng(seed)
    ages = random.uniform(20, 80, 48).round(1)
    standard = ((ages - 50) / 17)[:, None, None, None]
    volumes = random.standard_normal((48, num_channels, *SHAPE)).astype(np.float32)
    for channel in range(num_channels):
        volumes[(slice(None), channel, *BLOB)] += (-1) ** channel * 3 * standard
    return volumes, ages


def measured(folder, *, volumes=None, targets=None, **parts: object):
    """Give what a fit of the planted ages learns from, parts of it changed."""
    planted_volumes, ages = planted_measure()
    given = (planted_volumes if volumes is None else volumes), (ages if targets is None else targets)
    return training(folder, volumes=given[0], targets=given[1], **{"outcome": Measure("age"), **parts})


def cnn(*, epochs=2, lr=0.02, trainer=None, network=None, **options: object):
    bound = {"accelerator": "cpu", "max_epochs": epochs, "log_every_n_steps": 1, "enable_model_summary": False}
    return CNN(
        network or functools.partial(SFCN, channels=[4, 4], dropout=0.2),
        trainer=functools.partial(pl.Trainer, **bound | {"devices": 1} | (trainer or {})),
        optimizer=functools.partial(torch.optim.AdamW, lr=lr),
        **{"batch_size": 4, "num_workers": 0} | options,
    )


def weights(model):
    """Give the fitted network's state, each tensor as bytes."""
    return {name: tensor.numpy().tobytes() for name, tensor in model.network_.state_dict().items()}
