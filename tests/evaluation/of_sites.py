"""Cohorts of several sites whose truth is known."""

import numpy as np

from mri3d import Study

SHAPE = (5, 6, 7)


def sites_study(seed, *, number=48, sites="abcd", effect=0.7, site_effect=2.0, shares=None, task="classification"):
    """Make a cohort of sites that shift and scale every voxel, and of classes that differ in a cube of 27 voxels.

    Args:
        seed: Of all that is random.
        number: Of sessions.
        sites: Of a letter each.
        effect: Of the class, in standard deviations.
        site_effect: By how many standard deviations sites are shifted.
        shares: How frequent the second class is at each site; exactly half of the sessions unless given.
        task: What is predicted.
    """
    random = np.random.default_rng(seed)
    site = np.arange(number) % len(sites)
    labels = np.zeros(number)
    for which in range(len(sites)):
        here = np.flatnonzero(site == which)
        halves = random.permutation(np.arange(len(here)) % 2)
        labels[here] = halves if shares is None else random.random(len(here)) < shares[which]
    if task == "regression":
        labels = random.normal(size=number)
    scale, shift = np.exp(0.5 * random.normal(size=(len(sites), *SHAPE))), random.normal(size=(len(sites), *SHAPE))
    volumes = scale[site] * random.normal(size=(number, *SHAPE)) + site_effect * shift[site]
    volumes[:, 1:4, 1:4, 2:5] += effect * labels[:, None, None, None]
    names = [sites[each] for each in site]
    cells = labels if task == "regression" else labels.astype(int)
    side = ["test" if row % 8 > 5 else "train" for row in range(number)]
    return Study.from_arrays(volumes, cells, sites=names, covariates={"side": side}, task=task)
