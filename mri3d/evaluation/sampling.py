"""Who was tested, in which fold, and how whole groups are drawn anew."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mri3d.outcome.resampling import Ranking

LEVEL = 0.95
"""How often an interval holds the true value."""

BLOCK = 4_000_000
"""Weights that are held at once: 32 MB of them."""


@dataclass(frozen=True, eq=False)
class Sampling:
    """Who was tested, and in which fold. T counts tests: a session is there once for each time it was tested.

    Attributes:
        folds: Number of the fold of each test [T]; a fold is of one repeat.
        rows: Session of each test [T].
        groups: Who is one unit, of each test [T]; a value of its own for a session that stands alone.
        num_train: Rows that the fit of each fold learnt from, in the order of the folds' numbers; none where models
            were not fitted for the evaluation.
        chosen_widening: In place of the factor of Nadeau and Bengio, see `mri3d.evaluation.nested_widening`.
    """

    folds: np.ndarray
    rows: np.ndarray
    groups: np.ndarray
    num_train: tuple[int, ...] = ()
    chosen_widening: float | None = None

    @cached_property
    def widening(self) -> float:
        """Factor on standard errors because folds share training rows; 1 where a model stays as it is.

        Nadeau and Bengio (2003, Inference for the generalization error) replace the variance S^2 / J of the mean of J
        folds by S^2 (1 / J + n_test / n_train). A variance over sessions is S^2 n_test / n_tested, so that becomes a
        factor of 1 + n_tested / n_train on it: of k folds 1 + k / (k - 1), repeated or not.
        """
        if self.chosen_widening is not None:
            return self.chosen_widening
        if len(self.num_train) < 2:
            return 1.0
        return float(np.sqrt(1 + len(np.unique(self.rows)) / np.mean(self.num_train)))

    @cached_property
    def unit(self) -> np.ndarray:
        """Group of each test, numbered from 0 [T]."""
        return np.asarray(np.unique(self.groups, return_inverse=True)[1])

    @cached_property
    def num_units(self) -> int:
        """Number G of groups."""
        return int(self.unit.max()) + 1

    @cached_property
    def once(self) -> np.ndarray:
        """Weight of each test with which every session counts the same, however often it was tested [T]."""
        _, session, counts = np.unique(self.rows, return_inverse=True, return_counts=True)
        return np.asarray(1.0 / counts[session])

    def count(self, members: np.ndarray) -> tuple[int, int]:
        """Count the groups and the sessions of which a test is a member [T]."""
        return len(np.unique(self.unit[members])), len(np.unique(self.rows[members]))

    def strata(self, ranking: Ranking | None) -> np.ndarray:
        """Return the class of each group, numbered from 0 [G]; all 0 where groups are mixed or a class has one group.

        Args:
            ranking: Of which class each test is; None where there are no classes.
        """
        alike = np.zeros(self.num_units, dtype=np.int64)
        if ranking is None:
            return alike
        classes = np.unique(ranking.truth, axis=0, return_inverse=True)[1].reshape(-1)
        pairs = np.unique(np.stack([self.unit, classes]), axis=1)
        if pairs.shape[1] > self.num_units or np.bincount(pairs[1]).min() < 2:
            return alike
        return np.asarray(pairs[1])

    def draws(self, strata: np.ndarray, replicates: int, seed: int) -> Iterator[np.ndarray]:
        """Draw groups with replacement, as many of each stratum as there are.

        Yields:
            Weights of the tests, blocks [R, T] that together have a row for each replicate.
        """
        random, block = np.random.default_rng(seed), max(1, BLOCK // len(self.unit))
        members = [np.flatnonzero(strata == stratum) for stratum in range(strata.max() + 1)]
        for start in range(0, replicates, block):
            rows = min(block, replicates - start)
            counts = np.empty((rows, self.num_units))
            for mine in members:
                drawn = random.integers(len(mine), size=(rows, len(mine)))
                places = (drawn + len(mine) * np.arange(rows)[:, None]).ravel()
                counts[:, mine] = np.bincount(places, minlength=rows * len(mine)).reshape(rows, -1)
            yield counts[:, self.unit] * self.once

    def omissions(self) -> Iterator[np.ndarray]:
        """Leave out each group in turn: weights of the tests, blocks that together have a row for each group."""
        block = max(1, BLOCK // len(self.unit))
        for start in range(0, self.num_units, block):
            left_out = np.arange(start, min(start + block, self.num_units))
            yield (self.unit != left_out[:, None]) * self.once
