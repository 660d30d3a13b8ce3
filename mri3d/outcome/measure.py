"""A measure as what is predicted: a number, such as an age or a test's score."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from mri3d.errors import UserError, option
from mri3d.outcome import measure_words
from mri3d.outcome.line import Line
from mri3d.outcome.measure_scores import measure_scores, r2
from mri3d.outcome.outcome import Example, Outcome, Scores

if TYPE_CHECKING:
    from mri3d.outcome.objectives import Objective

log = logging.getLogger(__name__)

FEW_LINE_ROWS = 20
MIN_SLOPE = 0.2
"""A flatter line says so little of the truth that dividing by its slope would blow up the noise five times."""


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

    task: ClassVar[Literal["regression"]] = "regression"
    calibrates: ClassVar[bool] = False
    in_every_part: ClassVar[bool] = False
    signed: ClassVar[bool] = True
    patience: ClassVar[int | None] = None
    smoothing: ClassVar[float] = 0.02
    criterion: ClassVar[str] = "r2"
    compared: ClassVar[tuple[str, ...]] = ("mae", "r2", "pearson_r")
    ascending: ClassVar[bool] = True
    charts: ClassVar[tuple[str, ...]] = ("predicted_against_true", "error_against_true")
    cohort_map: ClassVar[str] = "correlation"

    def encode(self, labels: Sequence[str]) -> np.ndarray:
        """Return the value of each cell, float64 [N]."""
        return np.array([float(label) for label in labels], dtype=np.float64)

    def cells(self, targets: np.ndarray) -> list[Any]:
        """Return the values of targets [N]."""
        return [float(target) for target in targets]

    def describe(self, targets: np.ndarray) -> str:
        """Write range and mean in a line: "20 to 86, mean 48.4"."""
        return f"{targets.min():.4g} to {targets.max():.4g}, mean {targets.mean():.4g}"

    def cohort_rows(self, targets: np.ndarray) -> list[tuple[str, str]]:
        """Describe number, range and spread for a table."""
        return [
            (f"with {self.name}", str(len(targets))),
            ("range", f"{targets.min():.4g} to {targets.max():.4g}"),
            ("mean ± SD", f"{targets.mean():.4g} ± {targets.std():.4g}"),
        ]

    def strata(
        self, targets: np.ndarray, groups: np.ndarray, *, needed: int, reason: str, remedy: str = ""
    ) -> np.ndarray:
        """Return the quantile of each row, int64 [N]; too few groups in all are a UserError."""
        num_groups = len(np.unique(groups))
        if num_groups < needed:
            within = f" in {num_groups} groups" if num_groups < len(targets) else ""
            raise UserError(
                f"{len(targets)} subjects{within} have a value of {self.name}: fewer than the {needed} that {reason}. "
                f"{remedy}Add subjects."
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

    def decision_words(self, number: int) -> str:
        """Name the standardised prediction."""
        return f"the predicted {self.name}, in standard deviations of the training subjects,"

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

    def objective(self, targets: np.ndarray, scaling: np.ndarray | None) -> "Objective":
        """Build the squared error in standard deviations."""
        from mri3d.outcome.objectives import MeasureObjective

        assert scaling is not None
        return MeasureObjective(scaling)

    def line(self, targets: np.ndarray, predictions: np.ndarray) -> Line:
        """Fit the line that predictions [N] of held-out rows follow; one of a slope below 0.2 is a UserError."""
        line = Line.fit(targets, predictions)
        if not line.slope >= MIN_SLOPE:
            raise UserError(
                f"{option('model.debias', True)} is not possible: on {len(targets)} training rows that the model had "
                f"not learnt from, the slope of predicted against true {self.name} is {line.slope:.3f}, and "
                f"below {MIN_SLOPE} the correction would only blow up noise. Leave it out, or find a model that "
                "predicts better."
            )
        if len(targets) < FEW_LINE_ROWS:
            log.warning("predictions are corrected by a line of %d training rows only: it is not certain", len(targets))
        return line

    def check_debias(self, debias: bool) -> None:
        """Accept it."""

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

    def spread(self, predictions: np.ndarray) -> float:
        """Return the standard deviation of the values of models [M]."""
        return float(predictions.std())

    def verdict(self, prediction: np.ndarray) -> str:
        """Write the value."""
        return f"{self.name} {float(prediction):.4g}"

    def summary(self, predictions: Sequence[np.ndarray]) -> str:
        """Count how many scans were predicted, and give the range."""
        noun = "scan" if len(predictions) == 1 else "scans"
        values = [float(prediction) for prediction in predictions]
        said = f": {self.name} {min(values):.4g} to {max(values):.4g}" if values else ""
        return f"{noun} predicted{said}."

    def contrast(self, target: int) -> np.ndarray:
        """Weigh the only output by 1."""
        return np.ones(1)

    def target_named(self, name: str | int | None, prediction: np.ndarray) -> int:
        """Return 0; a class cannot be asked for."""
        if name not in (None, self.name):
            raise UserError(f"target={name!r} is no target: the model predicts {self.name}. Leave it out.")
        return 0

    def as_heat(self, evidence: np.ndarray) -> np.ndarray:
        """Scale evidence to -1 to 1, with its signs.

        >>> Measure().as_heat(np.array([-4.0, 1.0, 2.0]))
        array([-1.  ,  0.25,  0.5 ])
        """
        return np.asarray(evidence / (np.abs(evidence).max() or 1.0))

    def evidence_words(self, target: int) -> tuple[str, str]:
        """Name what values of a heatmap mean."""
        return f"raises {self.name}", f"lowers {self.name}"

    def examples(self, targets: np.ndarray, predictions: np.ndarray) -> list[Example]:
        """Choose the best predicted subject of the lowest and of the highest third."""
        order, third = np.argsort(targets, kind="stable"), max(1, len(targets) // 3)
        errors, chosen = np.abs(predictions - targets), dict[int, Example]()
        for rows in (order[:third], order[-third:]):
            row = int(rows[errors[rows].argmin()])
            said = f"of {self.name} {targets[row]:.4g}, predicted {predictions[row]:.4g}"
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

    def result_sentence(self, metrics: Mapping[str, Any], targets: np.ndarray) -> tuple[str, str]:
        """Write the report's headline."""
        return measure_words.result_sentence(self.name, metrics, targets)

    def cautions(self, metrics: Mapping[str, Any], targets: np.ndarray) -> list[str]:
        """Write what a reader must know before using the number."""
        return measure_words.cautions(self.name, metrics, targets)

    def reading(self) -> list[str]:
        """Write how the scores are to be read."""
        return measure_words.reading(self.name)

    def value_titles(self) -> tuple[str, ...]:
        """Return the titles of the further numbers: none."""
        return measure_words.value_titles()

    def prediction_reading(self) -> list[str]:
        """Write how predictions on new scans are to be read."""
        return measure_words.prediction_reading(self.name)

    def validation_table(self, targets: np.ndarray, predictions: np.ndarray) -> str:
        """Write nothing: the curves of the scores say it."""
        return ""

    def to_json(self) -> dict[str, Any]:
        """Return task and column."""
        return {"task": self.task, "name": self.name}


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
