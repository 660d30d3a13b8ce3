"""What a model says of one scan."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self, get_type_hints

import numpy as np

from mri3d.arguments import fits
from mri3d.cohort.variables import Variables
from mri3d.errors import UserError
from mri3d.outcome import Outcome, Region
from mri3d.scans.scan import Scan

_TRAINING_OPTION = re.compile("\x02(?:(?:data|preprocess|resolution|task|evaluation|trainer)[.\x03\x1f]|model[.])")
_SENTENCE = re.compile(r"(?<=[.]) (?=[A-Z])")
_OR = re.compile(r",? or(?:,? if [^,]*,)? ")


@dataclass(frozen=True, eq=False)
class ScanPrediction:
    """What a model says of one scan.

    Attributes:
        name: What the scan is called.
        prediction: Probabilities [K], or a value [], of all members together; None where the scan could not be used.
        spread: How far the members differ; None for one.
        status: "ok"; "unusual" where the scan is unlike the training scans; "outside" where so much that a prediction
            means nothing, and none is made unless it was forced; or "failed" where the scan could not be used.
        warnings: What to know about the scan; why, where it could not be used.
        seen: How many members were trained on the scan or a near-copy of it, or stopped by it.
        scan: The scan as it was read.
        volume: What the model saw, float32 [C, X, Y, Z].
        region: Where the truth lies as often as was asked for; None where nothing was.
        covariates: What is known of the one session beside the scan; None where the model asks for nothing.
    """

    name: str
    prediction: np.ndarray | None
    spread: float | None = None
    status: str = "ok"
    warnings: tuple[str, ...] = ()
    seen: int = 0
    scan: Scan | None = None
    volume: np.ndarray | None = None
    region: Region | None = None
    covariates: Variables | None = None

    def warned(self, *warnings: str) -> "ScanPrediction":
        """Return the prediction with more warnings."""
        return replace(self, warnings=(*self.warnings, *warnings))


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of a prediction when the scan is not: a few hundred bytes.

    Attributes:
        scan: Its name.
        digest: Of header and voxels; empty where it could not be read.
        status: As in `ScanPrediction`, as are the others.
        warnings: What to know about the scan.
        prediction: Probabilities, or a value; None where it could not be used.
        spread: How far the members differ.
        seen: How many members know the scan.
        heatmap: Whether its heatmap was written.
        region: Where the truth lies.
    """

    scan: str
    digest: str
    status: str
    warnings: tuple[str, ...]
    prediction: tuple[float, ...] | float | None
    spread: float | None
    seen: int
    heatmap: bool
    region: Region | None = None

    @classmethod
    def of(cls, found: ScanPrediction, *, heatmap: bool) -> Self:
        """Keep what a table and a report tell of a prediction."""
        numbers = None if found.prediction is None else found.prediction.tolist()
        prediction = tuple(numbers) if isinstance(numbers, list) else numbers
        digest, numbers = found.scan.digest if found.scan else "", (prediction, found.spread, found.seen)
        return cls(found.name, digest, found.status, found.warnings, *numbers, heatmap, found.region)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned; in earlier versions there was no region.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """
        value = {"region": None} | dict(value)
        given: dict[str, Any] = {field.name: _as_tuple(value[field.name]) for field in fields(cls)}
        hints = get_type_hints(cls)
        if wrong := [name for name, one in given.items() if not fits(one, hints[name])]:
            raise ValueError(f"{', '.join(wrong)} cannot be so")
        return cls(**given)

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values by name."""
        return asdict(self)

    def restored(self) -> ScanPrediction:
        """Return the prediction, without scan and volume."""
        prediction = None if self.prediction is None else np.array(self.prediction)
        told = (self.spread, self.status, self.warnings, self.seen)
        return ScanPrediction(self.scan, prediction, *told, region=self.region)


@dataclass(frozen=True, eq=False)
class PredictionTable:
    """How predictions become rows of a table.

    Attributes:
        outcome: What is predicted.
        regions: Whether each prediction has a region.
        voted: Whether several members voted, of which `spread` is how far they differ.
    """

    outcome: Outcome
    regions: bool
    voted: bool

    def header(self) -> list[str]:
        """Return the columns of predictions.csv."""
        none = np.empty((0, len(self.outcome.words.value_titles())))
        columns = ["scan", *self.outcome.prediction_columns(none), *self._region(None), "status", "warnings"]
        return [*columns, "spread"] if self.voted else columns

    def row(self, found: ScanPrediction) -> dict[str, Any]:
        """Return the cells of a prediction by column."""
        given: dict[str, Any] = {"scan": found.name, "status": found.status, "warnings": "; ".join(found.warnings)}
        if found.prediction is not None:
            columns = self.outcome.prediction_columns(found.prediction[None])
            given |= {name: cells[0] for name, cells in columns.items()} | self._region(found.region)
            given |= {"spread": found.spread}
        return {name: given.get(name) for name in self.header()}

    def _region(self, region: Region | None) -> dict[str, Any]:
        return self.outcome.options.region_columns(region) if self.regions else {}


def without_training_advice(error: Exception) -> UserError:
    """Return why a new scan cannot be used, without the advice to train otherwise: the model is there already.

    >>> from mri3d.errors import option
    >>> advice = f"Set its sform, or choose {option('preprocess.orientation', 'stored')}."
    >>> str(without_training_advice(UserError(f"a.nii has no orientation. {advice}")))
    'a.nii has no orientation. Set its sform, or use a model that was trained with another preprocessing.'
    """
    text = error.text if isinstance(error, UserError) else str(error)
    sentences = _SENTENCE.split(text)
    told = [sentence for sentence in sentences[1:] if not _TRAINING_OPTION.search(sentence)]
    if len(told) == len(sentences[1:]):
        return UserError(text or "there is not enough memory for this scan.")  # as Python's MemoryError has it
    # Of "do this, or train otherwise" the first is left; the first sentence says what is wrong.
    ways = [way.rstrip(".") for sentence in sentences[1:] if sentence not in told for way in _OR.split(sentence)]
    ways = [way for way in ways if not _TRAINING_OPTION.search(way)]
    other = "use a model that was trained with another preprocessing."
    advice = ", or ".join([*ways, other]) if ways else other[0].upper() + other[1:]
    return UserError(" ".join([sentences[0], *told, advice]))


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
