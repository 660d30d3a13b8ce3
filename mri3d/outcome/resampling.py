"""What intervals and comparisons ask of tests of an outcome: its scores once more, of many weightings at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class Proportion:
    """How many of some tests were right. T counts tests.

    Attributes:
        hits: Which tests were right, bool [T].
        among: Which tests count, bool [T].
        share: Weight of the proportion in the score.
        doubled: Whether a right answer counts twice, as in F1: of the tests that are of a class or predicted to be so,
            those that are both are in both.
    """

    hits: np.ndarray
    among: np.ndarray
    share: float = 1.0
    doubled: bool = False


@dataclass(frozen=True, eq=False)
class Ranking:
    """What an AUC compares: D columns, one of two classes, or all of more.

    Attributes:
        truth: Whether each test is of the class, bool [T, D].
        decisions: What speaks for the class [T, D].
    """

    truth: np.ndarray
    decisions: np.ndarray


class Resampling(Protocol):
    """The tests of an outcome, to be scored with weights."""

    @property
    def bounds(self) -> Mapping[str, tuple[float, float]]:
        """Name of a score to the least and the largest value that it can have."""

    @property
    def ranking(self) -> Ranking | None:
        """What an AUC compares; None where there are no classes."""

    @property
    def answers(self) -> Proportion | None:
        """Which answers were right; None where none is right or wrong."""

    @property
    def proportions(self) -> Mapping[str, tuple[Proportion, ...]]:
        """Name of a score that counts right answers, to the proportions of which it is the sum, each by its share."""

    @property
    def distances(self) -> Mapping[str, np.ndarray]:
        """Name of a score that adds up absolute values of means, to the parts [T, B] of which these are the means."""

    def at_accuracy(self, accuracy: float, weights: np.ndarray) -> Mapping[str, float]:
        """Compute what losses would be if another share of the answers were right.

        Args:
            accuracy: That share. As many of those that are right count as wrong, or of the wrong ones as right.
            weights: Of the tests [T].

        Returns:
            Each loss by its name; none where answers are not right or wrong.
        """

    def scores(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Compute every score but the AUC under R weightings of the tests.

        Args:
            weights: Non-negative [R, T].

        Returns:
            Each score [R]; NaN where the tests with a weight do not define it.
        """
