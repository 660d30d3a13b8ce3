"""Volumes of several sites."""

import numpy as np

from mri3d.volumes.sequence import InMemory

SHAPE = (2, 3, 4, 5)


def example(counts, seed=0, shape=SHAPE):
    """Return volumes of sites that each have a location and a scale of their own in every voxel, and their sites."""
    random = np.random.default_rng(seed)
    sites = [name for name, number in counts.items() for _ in range(number)]
    random.shuffle(sites)
    location = {name: random.normal(0, 1, size=shape) for name in counts}
    scale = {name: random.uniform(0.5, 2, size=shape) for name in counts}
    base = random.normal(3, 1, size=shape)
    volumes = np.stack([base + location[site] + scale[site] * random.normal(size=shape) for site in sites])
    return InMemory(volumes.astype(np.float32)), sites


def flat(volumes):
    return np.stack([volumes[row].reshape(-1) for row in range(len(volumes))]).astype(np.float64)
