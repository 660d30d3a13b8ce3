"""Cohorts whose truth is known: what a table says explains the labels, and a part of the image or all of it."""

import functools

import numpy as np
import pytorch_lightning as pl

from mri3d import Study, models
from mri3d.nets import SFCN

SHAPE = (9, 10, 11)


def _heads(sizes, random, noise):
    """Return balls whose size shows as it does where heads are not made equally large."""
    axes = np.meshgrid(*[np.linspace(-1, 1, side) for side in SHAPE], indexing="ij")
    distance = np.sqrt(np.square(axes).sum(axis=0))
    radii = 0.7 * (1 + 0.08 * sizes)
    balls = 1 / (1 + np.exp(16 * (distance - radii[:, None, None, None])))
    return balls + random.normal(0, noise, size=(len(sizes), *SHAPE))


def scaled_study(seed, *, number, task="classification", noise=0.3, families=False):
    """Make a cohort that differs in the size of heads alone, on which the label depends."""
    random = np.random.default_rng(seed)
    sizes = random.normal(size=number)
    labels = sizes + random.normal(0, 0.7, size=number)
    if task == "classification":
        labels = (labels > np.median(labels)).astype(int)
    side = ["test" if row % 4 == 0 else "train" for row in range(number)]
    pairs = [row // 2 for row in range(number)]
    columns = {"size": sizes, "side": side, "family": pairs, "code": [-999 if row % 9 == 0 else row for row in pairs]}
    columns |= {"constant": [7] * number}
    volumes = _heads(sizes, random, noise)
    return Study.from_arrays(volumes, labels, covariates=columns, task=task, groups=pairs if families else None)


def effect_study(seed, *, number, effect=0.9, site_effect=0.6):
    """Make a cohort of four sites, of which each has a pattern of its own and other shares of two classes.

    In the classes differs a cube of 3^3 voxels, by `effect` standard deviations.
    """
    random = np.random.default_rng(seed)
    site = np.arange(number) % 4
    labels = (random.random(number) < np.array([0.25, 0.4, 0.6, 0.75])[site]).astype(int)
    volumes = random.normal(size=(number, *SHAPE)) + site_effect * random.normal(size=(4, *SHAPE))[site]
    volumes[labels == 1, 2:5, 2:5, 2:5] += effect
    names = ["abcd"[each] for each in site]
    return Study.from_arrays(volumes, labels, sites=names, covariates={"site": names})


def tiny_network(epochs=2, **options):
    """Return a network that trains in a second."""
    network = functools.partial(SFCN, channels=[4, 4], stride=1, dropout=0.0)
    trainer = functools.partial(
        pl.Trainer, max_epochs=epochs, devices=1, accelerator="cpu", enable_progress_bar=False,
        enable_model_summary=False, log_every_n_steps=1,
    )  # fmt: skip
    return models.CNN(network, trainer, augmentation=None, batch_size=8, **options)
