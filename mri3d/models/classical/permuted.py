"""Refit a classical model for many permutations of its targets: everything that labels touch is done again.

The products of the volumes do not depend on the labels, and neither do the folds, so the components of each fold are
computed once. For each permutation the inner folds choose among all points of the grid again, the probabilities are
calibrated again, and the chosen point is fitted again. What is fitted column by column is fitted to the columns of many
permutations in one go: for ridge and for nearest neighbours that is a few products of matrices.

The inner folds are those of the labels that come with the rows, not of each permutation, so a permutation may leave one
without a class. If the rows that it learns from lack a class, the fold does not count for that permutation: neither in
the choice nor for calibration. If those that it holds out do, their decisions calibrate, but there is no score of
theirs to choose by.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mri3d.models.classical.calibration import calibrate
from mri3d.models.classical.grid import ParameterGrid
from mri3d.models.classical.inner_folds import InnerFold
from mri3d.models.classical.search import FitDecisions, FoldScores, told_what, without_warnings
from mri3d.models.model import Search, Setting
from mri3d.outcome import Outcome
from mri3d.outcome.column_scores import judge_columns
from mri3d.parallel import map_threads, num_cores, one_thread_each

CHUNK = 100
"""Permutations that one thread works on at once: many enough for products of matrices, few enough for memory."""


@dataclass(frozen=True, eq=False)
class Refit:
    """What refits of one fold have in common. N counts training rows, M test rows, D columns of the outcome.

    Attributes:
        outcome: What is predicted.
        grid: What is tried.
        folds: Positions among the training rows that an inner fold learns from, and that it holds out.
        inner: Scores of the training rows of each inner fold.
        final: Scores of all training rows, and of the test rows.
        fit_decisions: How to fit.
        separate: Whether each of several columns is fitted as it would be alone.
        calibrated: Whether held-out decisions are calibrated.
    """

    outcome: Outcome
    grid: ParameterGrid
    folds: Sequence[InnerFold]
    inner: Sequence[FoldScores]
    final: FoldScores
    fit_decisions: FitDecisions
    separate: bool
    calibrated: bool

    def predict(self, targets: np.ndarray, *, name: str) -> np.ndarray:
        """Fit to each permutation and predict the test rows, before a line corrects them.

        Args:
            targets: Of the training rows under each permutation, [B, N].
            name: What is refitted, for the progress.

        Returns:
            [B, M, K] or [B, M]; NaN under a permutation without a class among the training rows, or without a
            solution.
        """
        size = min(CHUNK, -(-len(targets) // num_cores()))
        chunks = [targets[start : start + size] for start in range(0, len(targets), size)]
        with one_thread_each(min(num_cores(), len(chunks))), without_warnings():
            return np.concatenate(map_threads(self._predict, chunks, what=f"permutations{name and f' of {name}'}"))

    def _predict(self, targets: np.ndarray) -> np.ndarray:
        """Refit for some permutations [B, N], in one thread."""
        outcome = self.outcome
        nothing = np.full((len(self.final.others), outcome.num_outputs), np.nan)
        found = np.stack([outcome.activate(nothing, outcome.scaling(each)) for each in targets])
        learnable = self._learnable(targets)
        if not len(learnable):
            return found
        targets = targets[learnable]
        scalings = [outcome.scaling(each) for each in targets]
        columns = np.stack([outcome.columns(*pair) for pair in zip(targets, scalings, strict=True)], axis=1)
        points, scalings = self._choose(targets, columns, scalings)
        for point in np.unique(points[points >= 0]):
            mine = np.flatnonzero(points == point)
            space, setting = self.grid.parted(point)
            decisions = self._decide(self.final, space, [setting], columns[:, mine])[0]  # [M, B, D]
            for number, which in enumerate(mine):
                found[learnable[which]] = outcome.activate(decisions[:, number], scalings[which])
        return found

    def _choose(
        self, targets: np.ndarray, columns: np.ndarray, scalings: list[np.ndarray | None]
    ) -> tuple[np.ndarray, list[np.ndarray | None]]:
        """Choose the point of the grid and calibrate for each permutation, -1 where no point has a solution."""
        if not self.folds:
            return np.zeros(len(targets), dtype=np.int64), scalings
        decisions = np.empty((len(self.grid.points), *columns.shape))
        judged = np.empty((len(self.grid.points), len(self.folds), len(targets)))
        counts = np.zeros((columns.shape[0], len(targets)), dtype=bool)
        for number, ((train, held_out), scores) in enumerate(zip(self.folds, self.inner, strict=True)):
            learnable = self._learnable(targets[:, train])
            decided = np.full((len(self.grid.points), len(held_out), *columns.shape[1:]), np.nan)
            decided[:, :, learnable] = np.concatenate(
                [
                    self._decide(scores, space, list(self.grid.settings), columns[train][:, learnable])
                    for space in self.grid.spaces
                ]
            )
            counts[np.ix_(held_out, learnable)] = True
            decisions[:, held_out] = decided
            for point, each in enumerate(decided):
                judged[point, number] = judge_columns(self.outcome, each, columns[held_out])
        points, calibrated = np.full(len(targets), -1), list(scalings)
        for number, rows in enumerate(counts.T):
            points[number], calibrated[number] = self._choose_one(
                judged[:, :, number], decisions[:, rows, number], columns[rows, number], scalings[number]
            )
        return points, calibrated

    def _choose_one(
        self, judged: np.ndarray, decisions: np.ndarray, columns: np.ndarray, scaling: np.ndarray | None
    ) -> tuple[int, np.ndarray | None]:
        """Choose as `fit` does, by scores [points, folds] and decisions [points, N, D] of the rows that count."""
        solved = np.flatnonzero(np.isfinite(decisions).all(axis=(1, 2)))
        if not len(solved) or not len(columns):
            return -1, scaling
        scores = judged[solved][:, np.isfinite(judged[solved]).all(axis=0)]
        if not scores.shape[1]:
            scores = np.zeros((len(solved), 1))  # nothing to choose by: the first
        found = Search([self.grid.points[point] for point in solved], scores, scores, self.outcome.criterion)
        if self.calibrated:
            found, scaling = calibrate(found, decisions[solved], columns, self.outcome, scaling)
        return int(solved[found.best]), scaling

    def _decide(self, scores: FoldScores, space: Setting, settings: list[Setting], columns: np.ndarray) -> np.ndarray:
        """Fit every setting to columns [N, B, D], and decide for the other rows, [settings, M, B, D]."""
        mine, others, beyond = scores.kept(**space)
        fit = told_what(self.fit_decisions, self.outcome, num_beside=scores.num_beside)
        parts = [columns.reshape(len(mine), -1)] if self.separate else list(columns.swapaxes(0, 1))
        decided = [
            np.stack([decision.decide(others, beyond) for decision in fit(mine, part, settings)])
            for part in parts
            if part.size
        ]
        shape = len(settings), len(others), *columns.shape[1:]
        return np.concatenate([np.empty((*shape[:2], 0)), *decided], axis=2).reshape(shape)

    def _learnable(self, targets: np.ndarray) -> np.ndarray:
        """Return which permutations [B, N] leave nothing lacking."""
        return np.array([number for number, each in enumerate(targets) if not self.outcome.lacking(each)], dtype=int)
