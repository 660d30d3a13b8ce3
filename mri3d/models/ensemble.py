"""Several fits of one model that differ in their seed, and predict together."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from mri3d.cohort.encoding import Encoder
from mri3d.cohort.variables import Variables
from mri3d.explain.evidence import Evidence, Question
from mri3d.explain.layers import Layers
from mri3d.explain.trust import SHORT, Form, Trust
from mri3d.model_folder import Card, Contents
from mri3d.models.model import FittedModel
from mri3d.volumes.reference import Reference
from mri3d.volumes.sequence import VolumeSequence

ENSEMBLE = "ensemble"
"""What its model folder is called."""


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Fits of one model to the same rows: their mean prediction is the prediction.

    Attributes:
        fits: The fitted models, one or more.
    """

    fits: tuple[FittedModel, ...]

    def predict(self, volumes: VolumeSequence, rows: np.ndarray) -> np.ndarray:
        """Average what the fits predict, see `FittedModel.predict`."""
        return np.asarray(np.mean([fit.predict(volumes, rows) for fit in self.fits], axis=0))

    @property
    def heatmaps(self) -> tuple[str, ...]:
        """The kinds of maps of one fit: all are of one kind."""
        return self.fits[0].heatmaps

    @property
    def encoder(self) -> Encoder | None:
        """How the covariates of a session become columns: all fits learnt from the same rows."""
        return self.fits[0].encoder

    def explain(self, asked: Question, *, reference: Reference) -> Evidence:
        """Average the evidence of the fits, see `FittedModel.explain`."""
        return Evidence.mean([fit.explain(asked, reference=reference) for fit in self.fits])

    def examined(self, questions: Iterable[Question], *, reference: Reference, form: Form = SHORT) -> Trust | None:
        """Examine the maps of the first fit: all are of one kind, and learnt from the same rows."""
        return self.fits[0].examined(questions, reference=reference, form=form)

    def features(self, volumes: VolumeSequence, rows: np.ndarray) -> np.ndarray | None:
        """Return those of all fits side by side; None if one of them has none."""
        found = [each for fit in self.fits if (each := fit.features(volumes, rows)) is not None]
        return np.hstack(found) if len(found) == len(self.fits) else None

    def maps(self) -> np.ndarray | None:
        """Average the weights of the fits; None if one of them is not linear."""
        maps = [weights for fit in self.fits if (weights := fit.maps()) is not None]
        return np.asarray(np.mean(maps, axis=0), dtype=np.float32) if len(maps) == len(self.fits) else None

    @property
    def layers(self) -> Layers | None:
        """Those of the first fit: what a channel tells differs from fit to fit, so there is no average."""
        return self.fits[0].layers

    def feature_maps(
        self, volume: np.ndarray, names: Sequence[str], *, covariates: Variables | None = None
    ) -> dict[str, np.ndarray]:
        """Compute what layers of the first fit give, see `FittedModel.feature_maps`."""
        return self.fits[0].feature_maps(volume, names, covariates=covariates)

    @property
    def held_out(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Rows that no fit learnt from but was chosen or calibrated by, and the mean of what the fits predict."""
        found = [held for fit in self.fits if (held := fit.held_out) is not None]
        if len(found) < len(self.fits):
            return None
        rows = reduce(np.intersect1d, [held[0] for held in found])
        return rows, np.asarray(np.mean([_of_rows(*held, rows) for held in found], axis=0))

    def contents(self, card: Card) -> Contents:
        """Return what a model folder holds of the fits: the tensors of each begin with its number."""
        parts = [fit.contents(card) for fit in self.fits]
        tensors = {f"{number}.{name}": t for number, part in enumerate(parts) for name, t in part.tensors.items()}
        return Contents(ENSEMBLE, {"model": parts[0].model, "fits": [part.arguments for part in parts]}, tensors, card)


def parts_of(contents: Contents) -> Iterator[Contents]:
    """Return the contents of each fit of an ensemble's model folder.

    Raises:
        KeyError, TypeError, ValueError: They are none, or there is a fit without tensors.
    """
    kind, fits = contents.arguments["model"], contents.arguments["fits"]
    tensors: dict[str, dict[str, np.ndarray]] = {}
    for name, tensor in contents.tensors.items():
        which, _, rest = name.partition(".")
        tensors.setdefault(which, {})[rest] = tensor
    if kind == ENSEMBLE or not tensors or set(tensors) != {str(number) for number in range(len(fits))}:
        raise ValueError("an ensemble needs one set of tensors for each of its fits")
    for number, arguments in enumerate(fits):
        yield replace(contents, model=kind, arguments=arguments, tensors=tensors[str(number)])


def _of_rows(held: np.ndarray, predictions: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Take the predictions [M] of rows `held` [M] for some of them, sorted."""
    order = np.argsort(held)
    return np.asarray(predictions[order[np.searchsorted(held, rows, sorter=order)]])
