"""What a fitted classical model does: it predicts, explains, and is written as a model folder."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Self

import numpy as np

from mri3d.cohort.encoding import Encoder
from mri3d.cohort.variables import Variables
from mri3d.explain.evidence import Evidence, Question
from mri3d.explain.linear import LinearModel, LinearNumber, Pattern, linear_ways
from mri3d.explain.trust import SHORT, Form, Trust, follow
from mri3d.model_folder import Card, Contents
from mri3d.models.classical.beside import weighed
from mri3d.models.classical.decisions import Decision, LinearDecision, decision_tensors
from mri3d.models.classical.loading import restore
from mri3d.models.classical.search import outside
from mri3d.models.model import Search, Setting
from mri3d.outcome import Line, Outcome
from mri3d.volumes.reference import Reference
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
        pattern_: Of a linear model: how voxels go with its decisions; None in folders of mri3d up to 0.3.
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
    pattern_: Pattern | None
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
        """The ways to explain a linear model; none for the others, whose way from voxels to predictions is no sum."""
        return linear_ways(patterned=getattr(self, "pattern_", None) is not None) if self._is_linear else ()

    def explain(self, asked: Question, *, reference: Reference) -> Evidence:
        """Map the evidence in a volume, see `Model.explain`; what covariates add to a linear model lies nowhere."""
        assert asked.method.name in self.heatmaps, f"{self.name} has no {asked.method.name}"
        return self._linear().explain(asked, reference=reference, contrast=self._contrast(asked))

    def contrasted(self, asked: Question) -> LinearNumber:
        """Return a linear model as the number that a question is about."""
        return self._linear().contrasted(self._contrast(asked))

    def examined(self, questions: Iterable[Question], *, reference: Reference, form: Form = SHORT) -> Trust | None:
        """Follow what a linear model computes in the order of its maps, where `form` asks for it."""
        return follow(self, questions, reference=reference) if form.linear else None

    def _contrast(self, asked: Question) -> np.ndarray:
        """Return the weight of each decision in the number that a question is about [D]."""
        contrast = self.outcome_.contrast(asked.target, self.scaling_)
        return np.asarray(contrast / (1.0 if self.line_ is None else self.line_.slope))

    def features(self, volumes: VolumeSequence, rows: np.ndarray) -> None:  # noqa: B027 (of all of them)
        """Return nothing: it decides by the voxels."""

    def maps(self) -> np.ndarray | None:
        """Return what each voxel adds to each decision per unit of intensity, [D, X, Y, Z]; None if not linear."""
        if not self._is_linear:
            return None
        slope = 1.0 if self.line_ is None else self.line_.slope
        weights: np.ndarray = smooth(self._weights(), self.smoothing_).sum(axis=1) / np.float32(slope)
        return weights

    @property
    def layers(self) -> None:
        """There are none."""
        return None

    def feature_maps(
        self, volume: np.ndarray, names: Sequence[str], *, covariates: Variables | None = None
    ) -> dict[str, np.ndarray]:
        """Return nothing: there are no layers."""
        assert not names, f"{self.name} has no layers"
        return {}

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
        if self.pattern_ is not None:
            tensors |= {"pattern.covariances": self.pattern_.covariances, "pattern.decisions": self.pattern_.decisions}
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

    @property
    def _is_linear(self) -> bool:
        return self.decision_type is LinearDecision

    def _linear(self) -> LinearModel:
        return LinearModel(self._weights(), self.smoothing_, self.normalize, self.pattern_)

    def _weights(self) -> np.ndarray:
        """Return the weights of a linear model for smoothed voxels, float32 [D, C, X, Y, Z]."""
        return self.projection_.directions.reshape(-1, *self.volume_shape_)
