"""What a fitted classical model does: it predicts, explains, and is written as a model folder."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Self

import numpy as np

from mri3d.cohort.encoding import Encoder
from mri3d.cohort.variables import Variables
from mri3d.explain.attribution import weighed_difference
from mri3d.model_folder import Card, Contents
from mri3d.models.classical.beside import weighed
from mri3d.models.classical.decisions import Decision, LinearDecision, decision_tensors
from mri3d.models.classical.loading import restore
from mri3d.models.classical.search import outside
from mri3d.models.model import Search, Setting
from mri3d.outcome import Line, Outcome
from mri3d.volumes.sequence import VolumeSequence
from mri3d.volumes.smoothing import smooth
from mri3d.voxels.projection import Projection


class FittedPipeline(ABC):
    """A projection of volumes, and a decision on it, as `ClassicalModel.fit` leaves them.

    Attributes:
        outcome_: What is predicted.
        projection_: From volumes to scores.
        decision_: From scores, and the covariates beside them, to decisions.
        scaling_: From decisions to predictions.
        unit_: What scores are divided by.
        chosen_: The value of each parameter.
        search_: What the inner folds found; None where there was nothing to choose.
        line_: What corrects the predictions; None without `debias`.
        smoothing_: How much the volumes are smoothed.
        volume_shape_: [C, X, Y, Z].
        encoder: How covariates become columns; None without.
    """

    name: ClassVar[str]
    decision_type: ClassVar[type[Decision]] = LinearDecision
    normalize: bool

    outcome_: Outcome
    projection_: Projection
    decision_: Decision
    scaling_: np.ndarray | None
    unit_: float
    chosen_: Setting
    search_: Search | None
    line_: Line | None
    smoothing_: float
    volume_shape_: tuple[int, ...]
    encoder: Encoder | None

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Return how the model is set, to make another like it: JSON types."""

    def predict(self, volumes: VolumeSequence, rows: np.ndarray) -> np.ndarray:
        """Predict rows, see `Model.predict`; the volumes are read block by block."""
        scores, squares = self.projection_.scores(volumes.smoothed(self.smoothing_), rows)
        beyond = outside(scores, squares / self.unit_**2, self.chosen_["num_components"])
        beside = weighed(volumes, rows, self.encoder, self.chosen_.get("covariate_weight", 0.0))
        decisions = self.decision_.decide(np.hstack([scores, beside]), beyond)
        predictions = self.outcome_.activate(decisions, self.scaling_)
        return predictions if self.line_ is None else self.line_.correct(predictions)

    @property
    def heatmaps(self) -> tuple[str, ...]:
        """Integrated gradients, which for a linear model are weight times difference; none for the others."""
        return ("integrated_gradients",) if self.decision_type is LinearDecision else ()

    def explain(
        self,
        volume: np.ndarray,
        *,
        baseline: np.ndarray,
        target: int,
        method: str,
        covariates: Variables | None = None,
    ) -> np.ndarray:
        """Map the evidence in a volume, see `Model.explain`; what covariates add to a linear model lies nowhere."""
        assert method in self.heatmaps, f"{self.name} has no {method}"
        contrast = self.outcome_.contrast(target, self.scaling_) / (1.0 if self.line_ is None else self.line_.slope)
        return weighed_difference(
            self._weights(),
            smooth(volume, self.smoothing_),
            baseline=smooth(baseline, self.smoothing_),
            contrast=contrast,
            normalize=self.normalize,
        )

    def maps(self) -> np.ndarray | None:
        """Return what each voxel adds to each decision per unit of intensity, [D, X, Y, Z]; None if not linear."""
        if not self.heatmaps:
            return None
        slope = 1.0 if self.line_ is None else self.line_.slope
        weights: np.ndarray = smooth(self._weights(), self.smoothing_).sum(axis=1) / np.float32(slope)
        return weights

    @property
    def line(self) -> Line | None:
        """What corrects the predictions."""
        return self.line_

    def history(self) -> list[dict[str, float]]:
        """Return nothing: there are no epochs."""
        return []

    def last_search(self) -> tuple[Search, ...]:
        """Return how the last fit chose its parameters; nothing where it had nothing to choose."""
        return () if self.search_ is None else (self.search_,)

    def contents(self, card: Card) -> Contents:
        """Return what prediction needs; arrays only, no scikit-learn object."""
        tensors = self.projection_.tensors() | decision_tensors(self.decision_)
        tensors["unit"] = np.array([self.unit_])
        if self.scaling_ is not None:
            tensors["scaling"] = self.scaling_
        arguments = {
            "options": self.options(),
            "chosen": self.chosen_,
            "volume_shape": list(self.volume_shape_),
            "line": None if self.line_ is None else asdict(self.line_),
            "smoothing": self.smoothing_,
            **({} if self.encoder is None else {"encoder": self.encoder.to_json()}),
        }
        return Contents(self.name, arguments, tensors, card)

    @classmethod
    def load(cls, contents: Contents, *, trust: Sequence[str] = ()) -> Self:
        """Build the fitted model from the contents of a model folder."""
        model = cls(**contents.arguments["options"])
        restore(model, contents)
        return model

    def _weights(self) -> np.ndarray:
        """Return the weights of a linear model for smoothed voxels, float32 [D, C, X, Y, Z]."""
        return self.projection_.directions.reshape(-1, *self.volume_shape_)
