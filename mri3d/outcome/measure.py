"""A measure as what is predicted: a number, such as an age or a test's score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from mri3d.errors import UserError
from mri3d.outcome.estimates import Calibration
from mri3d.outcome.known_labels import check_known_measure
from mri3d.outcome.measure_calibration import measure_calibration
from mri3d.outcome.measure_options import MeasureOptions
from mri3d.outcome.measure_resampling import MeasureResampling
from mri3d.outcome.measure_scores import measure_scores, r2
from mri3d.outcome.measure_words import MeasureWords, value_text
from mri3d.outcome.outcome import Example, Outcome
from mri3d.outcome.score import Score, Scores
from mri3d.outcome.thresholds import Threshold
from mri3d.texts import number_text

if TYPE_CHECKING:
    from mri3d.outcome.objectives import Objective


@dataclass(frozen=True)
class Measure(Outcome):
    """A number, in whatever unit the table has.

    A fit standardises it by the mean and the standard deviation of its own training rows.

    Attributes:
        name: The column of the table that it stands in, for axes and captions.

    >>> Measure("age").encode(["35.5", "62"])
    array([35.5, 62. ])
    """

    name: str = "value"

    task: ClassVar[str] = "regression"
    noun: ClassVar[str] = "a measure"
    continuous: ClassVar[bool] = True
    memberships: ClassVar[bool] = False
    calibrates: ClassVar[bool] = False
    shrinks: ClassVar[bool] = True
    in_every_part: ClassVar[bool] = False
    patience: ClassVar[int | None] = None
    smoothing: ClassVar[float] = 0.02
    criterion: ClassVar[str] = "r2"
    compared: ClassVar[tuple[str, ...]] = ("mae", "r2", "pearson_r")
    ascending: ClassVar[bool] = True
    mean_error: ClassVar[str] = "mae"
    evidence: ClassVar[str] = "pearson_r"
    charts: ClassVar[tuple[str, ...]] = ("predicted_against_true", "error_against_true")
    cohort_map: ClassVar[str] = "correlation"

    def encode(self, labels: Sequence[str]) -> np.ndarray:
        """Return the value of each cell, float64 [N]."""
        return np.array([float(label) for label in labels], dtype=np.float64)

    def cells(self, targets: np.ndarray) -> list[Any]:
        """Return the values of targets [N]."""
        return [float(target) for target in targets]

    def strata(
        self, targets: np.ndarray, groups: np.ndarray, *, needed: int, reason: str, remedy: str = ""
    ) -> np.ndarray:
        """Return the quantile of each row, int64 [N]; too few groups in all are a UserError."""
        num_groups = len(np.unique(groups))
        if num_groups < needed:
            within = f" in {number_text(num_groups, 'group')}" if num_groups < len(targets) else ""
            verb = "has" if len(targets) == 1 else "have"
            raise UserError(
                f"{number_text(len(targets), 'session')}{within} {verb} a value of {self.name}: fewer than the "
                f"{needed} that {reason}. {remedy}Add subjects."
            )
        num_strata = max(1, num_groups // (2 * needed))  # fine ones: the parts differ less, and scores vary less
        edges = np.quantile(targets, np.arange(1, num_strata) / num_strata)
        quantiles = np.searchsorted(edges, targets, side="right")
        return _merged(quantiles, groups, needed)

    def lacking(self, targets: np.ndarray) -> str:
        """Name the lack of two different values, if there is one."""
        return "" if len(np.unique(targets)) > 1 else f"no two different values of {self.name}"

    @property
    def decisions(self) -> tuple[str, ...]:
        """The measure itself."""
        return (self.name,)

    def scaling(self, targets: np.ndarray) -> np.ndarray | None:
        """Return standard deviation and mean of the training rows, float64 [1, 2]."""
        return np.array([[targets.std(), targets.mean()]])

    def columns(self, targets: np.ndarray, scaling: np.ndarray | None) -> np.ndarray:
        """Return standardised values, float64 [N, 1]."""
        assert scaling is not None
        return np.asarray((targets[:, None] - scaling[0, 1]) / scaling[0, 0])

    def judge(self, decisions: np.ndarray, columns: np.ndarray) -> float:
        """Compute the share of the variance that decisions [N, 1] explain."""
        explained = r2(columns[:, 0], decisions[:, 0])
        return -np.inf if explained is None else explained

    def calibrate(self, decisions: np.ndarray, columns: np.ndarray, scaling: np.ndarray | None) -> np.ndarray | None:
        """Return the scaling as it is: decisions are values already."""
        return scaling

    def tempered(self, outputs: np.ndarray, targets: np.ndarray, *, learnt: np.ndarray) -> None:
        """Return None: outputs are values."""

    def is_usable(self, scaling: np.ndarray | None) -> bool:
        """Return True: nothing was fitted."""
        return True

    def objective(self, targets: np.ndarray, scaling: np.ndarray | None) -> "Objective":
        """Build the squared error in standard deviations."""
        from mri3d.outcome.objectives import MeasureObjective

        assert scaling is not None
        return MeasureObjective(scaling)

    def activate(self, outputs: np.ndarray, scaling: np.ndarray | None) -> np.ndarray:
        """Turn standardised outputs [N, 1] into values [N]."""
        assert scaling is not None
        return np.asarray(outputs[:, 0] * scaling[0, 0] + scaling[0, 1])

    def prediction_columns(self, predictions: np.ndarray) -> dict[str, list[Any]]:
        """Return the value."""
        return {"prediction": predictions.tolist()}

    def test_columns(
        self, targets: np.ndarray, predictions: np.ndarray, raw: np.ndarray | None
    ) -> dict[str, list[Any]]:
        """Return the gap, predicted minus true, and the prediction before correction where there was one."""
        uncorrected = {} if raw is None else {"prediction_raw": raw.tolist()}
        return {"gap": (predictions - targets).tolist(), **uncorrected}

    def misses(self, targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        """Return the absolute errors."""
        return np.asarray(np.abs(predictions - targets))

    def hits(self, targets: np.ndarray, predictions: np.ndarray) -> None:
        """Return None: a value is more or less right."""

    def spread(self, predictions: np.ndarray) -> float:
        """Return the standard deviation of the values of models [M]."""
        return float(predictions.std())

    def contrast(self, target: int, scaling: np.ndarray | None) -> np.ndarray:
        """Weigh the only output by the standard deviation that it is in."""
        return np.ones(1) if scaling is None else np.asarray(scaling[:, 0])

    def target_named(self, name: str | int | None, prediction: np.ndarray) -> int:
        """Return 0; a class cannot be asked for."""
        if name not in (None, self.name):
            raise UserError(f"target={name!r} is no target: the model predicts {self.name}. Leave it out.")
        return 0

    def examples(self, targets: np.ndarray, predictions: np.ndarray) -> list[Example]:
        """Choose the best predicted session of the lowest and of the highest third."""
        order, third = np.argsort(targets, kind="stable"), max(1, len(targets) // 3)
        errors, chosen = np.abs(predictions - targets), dict[int, Example]()
        for rows in (order[:third], order[-third:]):
            row = int(rows[errors[rows].argmin()])
            said = f"of {self.name} {value_text(targets[row])}, predicted {value_text(predictions[row])}"
            chosen.setdefault(row, Example(row, 0, said, f"what raises and what lowers the predicted {self.name}"))
        return list(chosen.values())

    @property
    def chance(self) -> Mapping[str, float]:
        """What guessing gives: no more than the mean of the cohort."""
        return {"r2": 0.0, "pearson_r": 0.0}

    def scores(self, targets: np.ndarray, predictions: np.ndarray, raw: np.ndarray | None = None) -> Scores:
        """Score values [N], see `measure_scores`; those before correction are named `<score>_raw`."""
        uncorrected = {} if raw is None else measure_scores(targets, raw)
        return measure_scores(targets, predictions) | {f"{name}_raw": value for name, value in uncorrected.items()}

    def resampling(
        self, targets: np.ndarray, predictions: np.ndarray, raw: np.ndarray | None = None
    ) -> MeasureResampling:
        """Return tests to be scored with many weightings."""
        return MeasureResampling(targets, predictions, raw)

    def calibration(
        self, targets: np.ndarray, predictions: np.ndarray, *, weights: np.ndarray, learnt: Sequence[np.ndarray]
    ) -> Calibration:
        """Compare predicted with true values, see `measure_calibration`."""
        return measure_calibration(self.name, targets, predictions, weights=weights)

    def check_labels(self, labels: Mapping[str, str], *, source: str) -> None:
        """Refuse labels that are no numbers."""
        check_known_measure(labels, self.name, source)

    def decision_curve(self, targets: np.ndarray, predictions: np.ndarray) -> None:
        """Return None: there are no classes to act on."""

    def predicted_classes(
        self, targets: np.ndarray, predictions: np.ndarray, *, prevalence: Mapping[str, float] | None
    ) -> tuple[()]:
        """Return nothing: there are no classes."""
        return ()

    def above_chance(self, scores: Mapping[str, Score]) -> bool | None:
        """Return whether the interval of the correlation with the truth lies above 0."""
        low = scores[self.evidence].low
        return None if low is None else low > 0

    def levelled(self, predictions: np.ndarray, *, learnt: np.ndarray) -> None:
        """Return None: there are no classes."""

    @property
    def words(self) -> MeasureWords:
        """What people are told of the measure."""
        return MeasureWords(self.name)

    @property
    def options(self) -> MeasureOptions:
        """What may be asked of predicted values."""
        return MeasureOptions(self.name)

    def deciding(self, threshold: Threshold) -> Self:
        """Raise an error: `MeasureOptions` resolves no threshold."""
        raise TypeError("a measure has no threshold")

    def to_json(self) -> dict[str, Any]:
        """Return task and column."""
        return {"task": self.task, "name": self.name}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Build it from what `to_json` returned."""
        if not isinstance(value["name"], str):
            raise ValueError("the measure has no name")
        return cls(value["name"])


def _merged(quantiles: np.ndarray, groups: np.ndarray, needed: int) -> np.ndarray:
    """Join neighbouring quantiles [N] until each has enough groups: ties and large groups leave some with few."""
    numbers, quantile_of_row = np.unique(quantiles, return_inverse=True)
    stratum_of_quantile, number, held = np.zeros(len(numbers), dtype=np.int64), 0, set[Any]()
    for quantile in range(len(numbers)):
        stratum_of_quantile[quantile] = number
        held |= set(groups[quantile_of_row == quantile].tolist())
        if len(held) >= needed:
            number, held = number + 1, set()
    last = max(number - 1, 0)  # what is left over at the end joins the one before
    return np.minimum(stratum_of_quantile, last)[quantile_of_row]
