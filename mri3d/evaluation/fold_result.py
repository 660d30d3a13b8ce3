"""What one fold gave: predictions of its test rows, scores, and what was fitted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mri3d.cohort.noticed import people_of
from mri3d.contract.contract import Contract, Judgement
from mri3d.errors import UserError
from mri3d.evaluation.exchanges import Exchanged
from mri3d.evaluation.folds import Fold
from mri3d.models.member import Member, member_of
from mri3d.models.model import FittedModel, Search, Setting
from mri3d.outcome import Scores
from mri3d.study import Study
from mri3d.volumes.fingerprints import Fingerprints


@dataclass(frozen=True, eq=False)
class Fit:
    """What one fit gave; M counts the test rows of its fold.

    Attributes:
        seed: Of the fit.
        predictions: Of the test rows, [M, K] or [M], see `mri3d.outcome`.
        raw: Those of a measure before they were corrected [M]; None where they were not.
        scores: Scores of the test rows; empty where there are none.
        history: The fit epoch by epoch; empty where there are no epochs.
        seconds: Time that fitting took.
        searches: How options were chosen, outermost first; empty where none were.
        calibration: How predictions were made of what the model computes, see `Model.calibration`.
    """

    seed: int
    predictions: np.ndarray
    raw: np.ndarray | None
    scores: Scores
    history: list[dict[str, float]]
    seconds: float
    searches: tuple[Search, ...] = ()
    calibration: Mapping[str, Any] = field(default_factory=dict)

    @property
    def chosen(self) -> Setting:
        """The chosen value of each parameter."""
        return {name: value for search in self.searches for name, value in search.chosen.items()}

    def facts(self) -> dict[str, Any]:
        """Return what metrics.json says of it: `seed`, `epochs`, `seconds`, `chosen`, `scores`."""
        told = {"epochs": len(self.history), "seconds": round(self.seconds, 3), "chosen": self.chosen}
        return {"seed": self.seed, **told, "scores": self.scores}


@dataclass(frozen=True, eq=False)
class FoldResult:
    """What one fold gave, by one fit or by several that differ in their seed and predict together.

    Attributes:
        fold: Who trained and who was tested.
        predictions: Of the test rows, [M, K] or [M], the mean of the fits'.
        raw: Those of a measure before they were corrected [M]; None where they were not.
        scores: Scores of the test rows; empty where there are none.
        fits: One or more.
        fingerprints: Of the volumes that were learnt from; None of arrays.
        model: What was fitted, where it was kept.
        run: What identifies the evaluation that the fold is of, see `mri3d.model_folder.Card`.
        held_out: Rows that the fits did not learn from but chose or calibrated by, and what they predict of them, see
            `FittedModel.held_out`.
        exchanged: Predictions of the test rows with each other's covariates; None where the model has none.
        contract: What the scans are like that were learnt from; None of arrays.
        judgements: How the scans of the test rows compare with them [M]; none where there is no contract.
    """

    fold: Fold
    predictions: np.ndarray
    raw: np.ndarray | None
    scores: Scores
    fits: Sequence[Fit]
    fingerprints: Fingerprints | None
    model: FittedModel | None = None
    run: str = ""
    held_out: tuple[np.ndarray, np.ndarray] | None = None
    exchanged: Exchanged | None = None
    contract: Contract | None = None
    judgements: tuple[Judgement, ...] = ()

    @property
    def seconds(self) -> float:
        """Time that fitting took."""
        return sum(fit.seconds for fit in self.fits)

    @property
    def chosen(self) -> Setting:
        """The value of each parameter that all fits chose."""
        first, *others = self.fits
        return {
            name: value for name, value in first.chosen.items() if all(fit.chosen.get(name) == value for fit in others)
        }

    def facts(self) -> dict[str, Any]:
        """Return what metrics.json says of the fold.

        Returns:
            `fold`, `repeat`, `name` where it has one, `num_train`, `num_validation`, `num_test`, `epochs`, `seconds`,
            what was `chosen` and the `scores`. Of several fits the most epochs, the seconds of all, what all chose, the
            scores of their mean prediction, and `fits`, see `Fit.facts`.
        """
        fold = self.fold
        return {
            "fold": fold.number,
            "repeat": fold.repeat,
            **({"name": fold.name} if fold.name else {}),
            "num_train": len(fold.train_rows),
            "num_validation": len(fold.validation_rows),
            "num_test": len(fold.test_rows),
            "epochs": max(len(fit.history) for fit in self.fits),
            "seconds": round(self.seconds, 3),
            "chosen": self.chosen,
            "scores": self.scores,
            **({"fits": [fit.facts() for fit in self.fits]} if len(self.fits) > 1 else {}),
        }

    def member(self, study: Study, *, num_folds: int) -> Member:
        """Return what was fitted with what surrounds it on new scans.

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
            fingerprints=self.fingerprints,
            contract=self.contract,
            facts=self._card_facts(study),
        )

    def _card_facts(self, study: Study) -> dict[str, Any]:
        """Return what a reader of the model folder wants to know of the fits, JSON types."""
        learnt_from, (first, *others) = np.union1d(self.fold.train_rows, self.fold.validation_rows), self.fits
        return {
            "seed": [fit.seed for fit in self.fits] if others else first.seed,
            "chosen": [fit.chosen for fit in self.fits] if others else first.chosen,
            "num_train": len(self.fold.train_rows),
            "num_validation": len(self.fold.validation_rows),
            "test_scores": self.scores,
            "train_subjects": [study.ids[row] for row in learnt_from],
            "people": people_of(study.cohort, learnt_from, label=study.outcome.name),
        }
