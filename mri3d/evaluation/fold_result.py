"""What one fold gave: predictions of its test rows, scores, and the fitted model."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mri3d.errors import UserError
from mri3d.evaluation.folds import Fold
from mri3d.models.member import Member, member_of
from mri3d.models.model import Model, Search, Setting
from mri3d.outcome import Scores
from mri3d.study import Study


@dataclass(frozen=True, eq=False)
class FoldResult:
    """What one fold gave.

    Attributes:
        fold: Who trained and who was tested.
        predictions: Of the test rows, [M, K] or [M], see `mri3d.outcome`.
        raw: Those of a measure before they were corrected [M]; None where they were not.
        scores: Scores of the test rows; empty where there are none.
        history: The fit epoch by epoch; empty where there are no epochs.
        seconds: Time that fitting took.
        searches: How options were chosen, outermost first; empty where none were.
        model: The fitted model, where it was kept.
        seed: Of the fit.
        run: What identifies the evaluation that the fold is of, see `mri3d.model_folder.Card`.
    """

    fold: Fold
    predictions: np.ndarray
    raw: np.ndarray | None
    scores: Scores
    history: list[dict[str, float]]
    seconds: float
    searches: tuple[Search, ...] = ()
    model: Model | None = None
    seed: int = 0
    run: str = ""

    @property
    def chosen(self) -> Setting:
        """The chosen value of each parameter."""
        return {name: value for search in self.searches for name, value in search.chosen.items()}

    def facts(self, study: Study) -> dict[str, Any]:
        """Return what a reader of the model folder wants to know of the fit, JSON types."""
        learnt_from = np.union1d(self.fold.train_rows, self.fold.validation_rows)
        return {
            "seed": self.seed,
            "chosen": self.chosen,
            "num_train": len(self.fold.train_rows),
            "num_validation": len(self.fold.validation_rows),
            "test_scores": self.scores,
            "train_subjects": [study.ids[row] for row in learnt_from],
        }

    def member(self, study: Study, *, num_folds: int) -> Member:
        """Return the fitted model with what surrounds it on new scans.

        Args:
            study: What it was fitted on.
            num_folds: How many folds there are.

        Raises:
            UserError: It was not kept.
        """
        if self.model is None:
            raise UserError("the models of these results were not kept in memory. Load them from the run's folder.")
        return member_of(
            study,
            self.model,
            train_rows=self.fold.train_rows,
            validation_rows=self.fold.validation_rows,
            tested=(self.fold.test_rows, self.predictions),
            fold=self.fold.number,
            repeat=self.fold.repeat,
            num_folds=num_folds,
            run=self.run,
            facts=self.facts(study),
        )
