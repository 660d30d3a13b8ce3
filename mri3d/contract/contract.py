"""The contract between a model and the scans that it meets: what those are like that it was trained on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np

from mri3d.contract.deviations import Deviations
from mri3d.contract.measures import COUNTED, OF_VOLUMES, TURNED, TURNED_RAS, Measure, measures_of, values_of
from mri3d.contract.outlier_model import TURNS_DEG, OutlierModel
from mri3d.scans.traits import BACKGROUNDS, Traits
from mri3d.volumes.alignment import sample
from mri3d.volumes.sequence import VolumeSequence

Status = Literal["ok", "unusual", "outside"]

MAX_ROWS = 600  # of which contracts are made, evenly chosen: more tell nothing new, and take memory
MAX_REASONS = 4
OUTSIDE_FROM = {"heads": 1.5, "brains": 2.0, "anything": 1.5}
"""Times the limit from which a scan is unusual, by what volumes show. What is no brain is refused by its alignment, and
wide ventricles are no reason to predict nothing: of one head of IXI it is 1.6 to 2.1, by whom it is held against. Of
brains that were blurred, or are noisy, it is 1.6 to 2, of one with letters burnt into it 2.1."""
PRECISION = "precision"  # the tensor beside those of the outlier model

_BACKGROUNDS = {
    "air": "it shows what surrounds the head, which was removed in every training scan",
    "removed": "what surrounds it was removed, as around a brain without its skull, and in no training scan",
    "bright": "its background is brighter than its tissue: the intensities are inverted, or of another contrast",
}


@dataclass(frozen=True)
class Judgement:
    """How a scan compares with the training scans.

    Attributes:
        status: "ok"; "unusual", where a prediction may be wrong; or "outside", where it means nothing.
        reasons: Why it is not ok, the gravest first.
    """

    status: Status
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Contract:
    """What training scans are like.

    A scan is unusual where its deviations are beyond the limit, and outside where they are far beyond it; what depends
    on the scanner, such as voxel size and noise, does not lead outside by itself. Of 131 heads of IXI, each held
    against four fifths of the others, 98 % were ok and none outside. Heads whose left and right were exchanged are too
    much like others to be known.

    Attributes:
        deviations: What is usual of each measure.
        backgrounds: What surrounds the training scans; empty where that is nothing to go by.
        labels: What labels they are, an empty text for intensities; empty where that is not known.
        outliers: Of their volumes.
        outside_from: Times the limit from which a scan is unusual, from where on it is outside.
    """

    deviations: Deviations
    backgrounds: tuple[str, ...]
    labels: tuple[str, ...]
    outliers: OutlierModel
    outside_from: float

    @classmethod
    def fit(
        cls,
        traits: Sequence[Traits],
        volumes: VolumeSequence,
        rows: Sequence[int] | np.ndarray,
        groups: np.ndarray | None = None,
    ) -> Self:
        """Learn what training scans are like.

        Args:
            traits: Of every scan of the cohort, in the order of the volumes; empty where there are arrays only.
            volumes: All volumes, which are read one at a time.
            rows: Those that the model learnt from [N]; at least 2.
            groups: Who belongs together, of every scan of the cohort; left out where each stands alone.
        """
        shows = "anything" if volumes.recipe is None else volumes.recipe.shows
        rows = np.array(sample(rows, MAX_ROWS))
        together = None if groups is None else groups[rows]
        outliers, unlike = OutlierModel.fit(volumes, rows, together)
        known = [traits[row] for row in rows] if traits else []
        turned = TURNED_RAS if volumes.recipe is not None and volumes.recipe.orientation == "ras" else TURNED
        measures = (*(COUNTED[shows] if known else ()), *OF_VOLUMES, *turned)
        values = [values_of(known[place] if known else None, each) for place, each in enumerate(unlike)]
        table = np.array([[measure.scaled(each[measure.name]) for measure in measures] for each in values])
        heads = known if shows == "heads" else []
        around = tuple(sorted({each.background for each in heads}))
        labels = tuple(sorted({each.labels for each in known}))
        return cls(Deviations.fit(measures, table, together), around, labels, outliers, OUTSIDE_FROM[shows])

    def judge(self, traits: Traits | None, volume: np.ndarray | None) -> Judgement:
        """Hold a scan against the training scans.

        Args:
            traits: Of the scan; None of an array.
            volume: What the recipe of the training scans makes of it [C, X, Y, Z]; None where it makes none.
        """
        usual = self.deviations
        values = values_of(traits, None if volume is None else self.outliers.measure(volume))
        scaled = [
            measure.scaled(values[measure.name]) if measure.name in values else float(centre)
            for measure, centre in zip(usual.measures, usual.centre, strict=True)
        ]
        off = usual.off(np.array([scaled]))[0]
        reasons, status = self._categories(traits)
        ras = TURNED_RAS[0] in usual.measures
        lies = (
            self.outliers.lies(volume, ras=ras) if volume is not None else ""
        )  # however small the deviations: some heads are
        if lies:  # nearly as wide as long, and back to front they differ little from others in any one measure
            reasons, status = [*reasons, f"it seems to be {lies}"], "outside"
        if usual.size(off) > usual.limit:
            reasons += self._reasons(off, values, turned=not lies)
            grave = usual.size(off * [measure.weight for measure in usual.measures])
            status = "outside" if status == "outside" or grave > self.outside_from * usual.limit else "unusual"
        return Judgement(status, tuple(reasons[:MAX_REASONS]))

    def _categories(self, traits: Traits | None) -> tuple[list[str], Status]:
        """Compare what is no number."""
        if traits is None:
            return [], "ok"
        if self.labels and traits.labels not in self.labels:
            if traits.labels:
                return [f"it is {traits.labels}, and no training scan is such"], "outside"
            return ["its values are intensities, and those of every training scan are labels"], "unusual"
        if not self.backgrounds or traits.background in self.backgrounds:
            return [], "ok"
        return [_BACKGROUNDS[traits.background]], "unusual"

    def _reasons(self, off: np.ndarray, values: Mapping[str, float], *, turned: bool) -> list[str]:
        """Describe deviations [M] beyond the limit, the largest first; else those that are most, together.

        Of measures that have much in common one is told; of angles last, where they are as large as is looked for:
        whatever is no head may have such.
        """
        measures = self.deviations.measures
        order = sorted(
            (place for place, measure in enumerate(measures) if measure.name in values),
            key=lambda place: (_is_turned_away(measures[place], values), -abs(off[place])),
        )
        groups: dict[str, int] = {}
        for place in order:
            if turned or measures[place].group != "turned":
                groups.setdefault(measures[place].group, place)
        beyond = [place for place in groups.values() if abs(off[place]) > self.deviations.limit]
        if beyond:
            return [self._told(place, values) for place in beyond]
        told = [self._told(place, values) for place in groups.values()]
        return [f"it differs a little in many measures, most in these: {'; '.join(told[:2])}"]

    def _told(self, place: int, values: Mapping[str, float]) -> str:
        """Describe one measure of a scan."""
        measure = self.deviations.measures[place]
        low, high = float(self.deviations.low[place]), float(self.deviations.high[place])
        if measure.relative:
            low, high = (math.exp(min(edge, 50.0)) for edge in (low, high))
        return measure.told(values[measure.name], low, high)

    def to_json(self) -> dict[str, Any]:
        """Return all but the tensors as JSON values."""
        rest = {"backgrounds": list(self.backgrounds), "labels": list(self.labels), "outside_from": self.outside_from}
        return self.deviations.to_json() | rest

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the arrays that are too large for JSON, by name."""
        return {PRECISION: self.deviations.precision, **self.outliers.tensors()}

    @classmethod
    def from_parts(cls, told: Mapping[str, Any], tensors: Mapping[str, np.ndarray], shape: Sequence[int]) -> Self:
        """Read what `to_json` and `tensors` returned.

        Args:
            told: JSON values.
            tensors: Arrays by name.
            shape: Of a volume, [C, X, Y, Z].

        Raises:
            KeyError: Something is missing, or there is no such measure.
            TypeError, ValueError: Something is not what it can be.
        """
        names = told["measures"]
        if type(names) is not list or not names or len(set(names)) < len(names):
            raise ValueError("measures of the contract are no list of different names")
        deviations = Deviations.from_parts(measures_of(names), told, tensors[PRECISION])
        backgrounds, labels = (_texts(name, told[name]) for name in ("backgrounds", "labels"))
        if not set(backgrounds) <= set(BACKGROUNDS):
            raise ValueError(f"backgrounds of the contract are not among {', '.join(BACKGROUNDS)}")
        outside_from = told["outside_from"]
        if type(outside_from) not in (int, float) or not 1 <= outside_from <= 10:
            raise ValueError("outside_from of the contract is out of range")
        return cls(deviations, backgrounds, labels, OutlierModel.from_tensors(tensors, shape), float(outside_from))


def _is_turned_away(measure: Measure, values: Mapping[str, float]) -> bool:
    """Return whether a measure is an angle as large as is looked for."""
    return measure.group == "turned" and abs(values[measure.name]) >= TURNS_DEG[-1]


def _texts(name: str, told: Any) -> tuple[str, ...]:  # noqa: ANN401 (whatever JSON holds)
    """Read short texts."""
    if type(told) is not list or len(told) > 10 or not all(type(one) is str and len(one) <= 100 for one in told):
        raise ValueError(f"{name} of the contract are not a few short texts")
    return tuple(told)
