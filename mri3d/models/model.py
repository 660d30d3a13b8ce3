"""The one seam: what fits on rows and predicts, be it a network or a PCA pipeline."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from mri3d.cohort.encoding import Encoder
from mri3d.cohort.variables import Variables
from mri3d.explain.evidence import Evidence, Question
from mri3d.explain.layers import Layers
from mri3d.explain.trust import SHORT, Form, Trust
from mri3d.model_folder import Card, Contents
from mri3d.outcome import Line, Outcome
from mri3d.volumes.reference import Reference
from mri3d.volumes.sequence import VolumeSequence

Setting = dict[str, Any]
"""One value for each parameter, such as {"C": 1.0}."""


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What one fit learns from; rows index into the volumes.

    Args:
        volumes: All volumes of the study, test rows included; a fit reads only its own rows.
        outcome: What is predicted.
        targets: Truth of each volume [N], see `mri3d.outcome.outcome`.
        groups: Who belongs together (family, repeated visits), [N]; a fit that splits its rows keeps groups whole.
        train_rows: Rows to learn from.
        validation_rows: Rows to choose by (early stopping, calibration); may be empty for fits that choose otherwise.
        seed: Everything random in the fit follows from it.
        folder: Of the run; a fit may leave checkpoints and logs in it.
        name: Of the fit within the run, such as `fold_3`; empty where there is but one.
        inner: True inside a hyper-parameter search: logs at DEBUG, no TensorBoard.
    """

    volumes: VolumeSequence
    outcome: Outcome
    targets: np.ndarray
    groups: np.ndarray
    train_rows: np.ndarray
    validation_rows: np.ndarray
    seed: int
    folder: Path
    name: str = ""
    inner: bool = False

    @property
    def rows(self) -> np.ndarray:
        """Training and validation rows together, sorted, int64."""
        return np.sort(np.concatenate([self.train_rows, self.validation_rows])).astype(np.int64)

    @property
    def checkpoints(self) -> Path:
        """Where a fit may leave what it needs to go on if it is cut off."""
        return self.folder / "checkpoints" / self.name


ROUNDING = 1e-9
"""Scores that differ by less are equal: sums in another order differ by 1e-15 or so."""


@dataclass(frozen=True, eq=False)
class Search:
    """What the inner folds of a hyper-parameter search found.

    Attributes:
        points: What was tried: one value for each parameter.
        train_scores: Score on the rows fitted on, [points, folds]; larger is better.
        validation_scores: Score on the rows held out, [points, folds].
        criterion: Name of the score.
        taken: Which of the points that did best; the first of them unless told.
    """

    points: list[Setting]
    train_scores: np.ndarray
    validation_scores: np.ndarray
    criterion: str
    taken: int | None = None

    @property
    def ties(self) -> list[int]:
        """The points with the best mean score on held-out rows but for rounding, which decides nothing; in order."""
        means = self.validation_scores.mean(axis=1)
        return np.flatnonzero(np.isclose(means, means.max(), rtol=ROUNDING, atol=ROUNDING)).tolist()

    @property
    def best(self) -> int:
        """The point that was taken."""
        return self.ties[0] if self.taken is None else self.taken

    @property
    def chosen(self) -> Setting:
        """The values of the best point."""
        return self.points[self.best]

    def table(self) -> list[dict[str, Any]]:
        """Return a row per point and inner fold: parameters, `inner_fold`, `train_<score>`, `validation_<score>`."""
        return [
            {
                **point,
                "inner_fold": fold,
                f"train_{self.criterion}": float(self.train_scores[number, fold]),
                f"validation_{self.criterion}": float(self.validation_scores[number, fold]),
            }
            for number, point in enumerate(self.points)
            for fold in range(self.validation_scores.shape[1])
        ]


class FittedModel(Protocol):
    """Predicts, explains, and can be written as a model folder."""

    def predict(self, volumes: VolumeSequence, rows: np.ndarray) -> np.ndarray:
        """Predict rows: of classes probabilities, float64 [len(rows), K]; of a measure its values [len(rows)].

        On several devices every process gets all rows.
        """

    @property
    def heatmaps(self) -> tuple[str, ...]:
        """The ways to explain that it has, of `mri3d.explain.evidence.KINDS`, the default first; empty for none."""

    @property
    def encoder(self) -> Encoder | None:
        """How the covariates of a session become columns; None where the image is all that the model sees."""

    def explain(self, asked: Question, *, reference: Reference) -> Evidence:
        """Map where in a volume the evidence for a prediction lies.

        Args:
            asked: About which volume, and how.
            reference: What the training volumes look like, which it is compared with.

        Raises:
            UserError: The way to explain does not fit the model, such as a layer that it does not have.
        """

    def examined(self, questions: Iterable[Question], *, reference: Reference, form: Form = SHORT) -> Trust | None:
        """Examine whether its maps can be trusted, see `mri3d.explain.trust`.

        Args:
            questions: About one volume or more that it did not learn from, all by one method that it has.
            reference: What the training volumes look like.
            form: How thoroughly.

        Returns:
            What was found; None of a model whose maps are what it computes, unless `form` asks for these too.
        """

    def features(self, volumes: VolumeSequence, rows: np.ndarray) -> np.ndarray | None:
        """Return what it decides by of rows, [len(rows), F], by this process alone; None if by the volumes themselves.

        Rows that are alike in it are alike to the model.
        """

    def maps(self) -> np.ndarray | None:
        """Return the weight of each voxel in each of D decisions, float32 [D, X, Y, Z]; None if not linear."""

    @property
    def layers(self) -> Layers | None:
        """Its layers, whose kernels and maps can be viewed; None of a model that has none."""

    def feature_maps(
        self, volume: np.ndarray, names: Sequence[str], *, covariates: Variables | None = None
    ) -> dict[str, np.ndarray]:
        """Compute what layers give for a volume [C, X, Y, Z] of a session with covariates, see `Layers.maps`."""

    @property
    def held_out(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Rows that the last fit did not learn from but chose or calibrated by, and what it predicts of them.

        Rows [M] and predictions [M, K] or [M], of models of inner folds where the fit has such; None without such rows.
        """

    def contents(self, card: Card) -> Contents:
        """Return what a model folder holds of it, with what surrounds it."""


class Model(FittedModel, Protocol):
    """Fits on rows and predicts. The constructor only stores; `fit` builds everything afresh."""

    @property
    def name(self) -> str:
        """What it is called in configurations, model folders and messages."""

    @property
    def chooses(self) -> bool:
        """Whether each fit chooses options of the model by inner folds of its rows, see `last_search`."""

    @property
    def permutes(self) -> bool:
        """Whether `permuted` refits the model."""

    @property
    def covariates(self) -> str | Sequence[str]:
        """Columns of the table, or the one, that go into the model beside the image: `VolumeSequence.covariates`."""

    @property
    def uses_components(self) -> bool:
        """Whether the model is built on principal components of the volumes, which a report then shows."""

    def identity(self, *, length: bool = True) -> str:
        """Write how the model is set, so that models of equal texts learn the same from the same rows.

        What changes nothing of that is left out, such as how many processes load volumes.

        Args:
            length: Whether it counts for how long the model trains: a fit that was cut off may go on for longer.
        """

    def check(self, training: TrainingSet) -> None:
        """Refuse, before any work starts, what cannot be learnt from; no volume is read.

        Raises:
            UserError: An option does not suit the volumes' shape, the outcome or the number of rows.
        """

    def fit(self, training: TrainingSet) -> None:
        """Learn from the training and validation rows, and from nothing else."""

    def permuted(self, training: TrainingSet, test_rows: np.ndarray, targets: np.ndarray) -> np.ndarray | None:
        """Predict rows by refits to many permutations of the targets, if that is a matter of minutes.

        Everything that labels touch is done again, the choice of options included; inner folds are those of the
        targets of `training`. Nothing of a fitted model changes.

        Args:
            training: What a fit learns from.
            test_rows: Rows to predict, M of them.
            targets: Of all rows under each permutation, [B, N]; those of rows that are not learnt from are not read.

        Returns:
            What `predict` would give under each permutation, but for `line`, which corrects nothing here: [B, M, K] or
            [B, M]; NaN where nothing can be learnt under a permutation. None where refits take too long.
        """

    @property
    def line(self) -> Line | None:
        """By what the fitted model's predictions were corrected; None where they were not."""

    @property
    def calibration(self) -> dict[str, Any]:
        """How the last fit turns what it computes into predictions, JSON types.

        `method`, and what it found: `temperature` (`temperature`, `log_odds`), `sigmoids` (`slopes`, `offsets`) or
        `line` (`intercept`, `slope`); `none` where nothing was fitted for it.
        """

    def history(self) -> list[dict[str, float]]:
        """Return the last fit epoch by epoch (`epoch`, `train_loss`, ...); empty where there are no epochs."""

    def last_search(self) -> tuple[Search, ...]:
        """Return how the last fit chose its options, outermost search first; empty where it had nothing to choose."""

    @classmethod
    def load(cls, contents: Contents, *, trust: Sequence[str] = ()) -> Self:
        """Build the fitted model from the contents of a model folder.

        Args:
            contents: What the folder holds.
            trust: Dotted names of networks of the user's own that may be imported.
        """
