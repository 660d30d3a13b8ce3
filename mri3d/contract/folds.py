"""Folds in which training scans are held against those of other people."""

import numpy as np

NUM_FOLDS = 5


def folds_of(groups: np.ndarray, *, seed: int) -> list[np.ndarray]:
    """Part sessions into folds at random, whoever belongs together in one.

    Args:
        groups: Who belongs together [N]; at least 2 sessions.
        seed: Of the draw.

    Returns:
        Places of the sessions of each fold, 2 to `NUM_FOLDS` folds. Where all belong together they are parted all the
        same.
    """
    names, whose = np.unique(groups, return_inverse=True)
    if len(names) == 1:
        names, whose = groups, np.arange(len(groups))
    order = np.random.default_rng(seed).permutation(len(names))  # neighbours in a table are of one site
    return [np.flatnonzero(np.isin(whose, part)) for part in np.array_split(order, min(NUM_FOLDS, len(names)))]
