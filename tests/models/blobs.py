"""Volumes in memory whose classes differ by a blob, and small CNNs that learn them within seconds."""

import functools

import numpy as np
import pytorch_lightning as pl
import torch

from mri3d.models.model import Task
from mri3d.models.network.cnn import CNN
from mri3d.nets.sfcn import SFCN
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.sequence import InMemory

SHAPE = (12, 13, 14)
BLOB = (slice(3, 7), slice(4, 8), slice(5, 9))
TRAIN, VALIDATION, TEST = np.arange(0, 24), np.arange(24, 36), np.arange(36, 48)
CLASSES = ("control", "patient", "other")


def planted(num_classes=2, *, num_subjects=48, seed=0):
    """Give noise with a blob that is bright in the second class and dark in the third, and the targets."""
    targets = np.arange(num_subjects) % num_classes
    volumes = np.random.default_rng(seed).standard_normal((num_subjects, 1, *SHAPE)).astype(np.float32)
    for target, change in enumerate((0.0, 4.0, -4.0)):
        volumes[(targets == target, slice(None), *BLOB)] += change
    return volumes, targets


def task(folder, *, num_classes=2, volumes=None, targets=None, seed=3, **parts: object):
    planted_volumes, planted_targets = planted(num_classes)
    options = {
        "volumes": InMemory(planted_volumes if volumes is None else volumes),
        "targets": planted_targets if targets is None else targets,
        "groups": np.arange(48),
        "classes": CLASSES[:num_classes],
        "train_rows": TRAIN,
        "validation_rows": VALIDATION,
    }
    options["volumes"].recipe = Recipe("native", shape=SHAPE)  # as a cohort's volumes have
    return Task(**options | parts, seed=seed, folder=folder)


def cnn(*, epochs=2, lr=0.02, trainer=None, network=None, **options: object):
    bound = {"accelerator": "cpu", "max_epochs": epochs, "log_every_n_steps": 1, "enable_model_summary": False}
    return CNN(
        network or functools.partial(SFCN, channels=[4, 4], dropout=0.2),
        trainer=functools.partial(pl.Trainer, **bound | {"devices": 1} | (trainer or {})),
        optimizer=functools.partial(torch.optim.AdamW, lr=lr),
        **{"batch_size": 4, "num_workers": 0} | options,
    )


def weights(classifier):
    """Give the fitted network's state, each tensor as bytes."""
    return {name: tensor.numpy().tobytes() for name, tensor in classifier.network_.state_dict().items()}
