"""What people are told of a measure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mri3d.outcome.score import ends_text
from mri3d.outcome.words import Words, num_repeats

FEW_TESTS = 50
"""With fewer, the standard error of the mean absolute error is more than a tenth of it."""

_NOTABLE_SLOPE = 0.2  # error in units of the measure for each unit of the truth


def value_text(value: float) -> str:
    """Write a value: four digits, and all of those before the point.

    >>> [value_text(value) for value in (47.738, 6.0, 1234567.8, 0.00012, 7.25e-10)]
    ['47.74', '6', '1234568', '0.00012', '7.25e-10']
    """
    return f"{value:.0f}" if 1e3 <= abs(value) < 1e15 else f"{value:.4g}"


@dataclass(frozen=True)
class MeasureWords(Words):
    """The texts of a measure.

    Attributes:
        name: Of the measure.
    """

    name: str

    def describe(self, targets: np.ndarray) -> str:
        """Write range and mean in a line: "20 to 86, mean 48.4"."""
        return f"{value_text(targets.min())} to {value_text(targets.max())}, mean {value_text(targets.mean())}"

    def cohort_rows(self, targets: np.ndarray) -> list[tuple[str, str]]:
        """Describe number, range and spread for a table."""
        return [
            (f"with {self.name}", str(len(targets))),
            ("range", f"{value_text(targets.min())} to {value_text(targets.max())}"),
            ("mean ± SD", f"{value_text(targets.mean())} ± {value_text(targets.std())}"),
        ]

    def decision(self, name: str) -> str:
        """Name the standardised prediction."""
        return f"the predicted {name}, in standard deviations of the training subjects,"

    def evidence(self, target: int) -> tuple[str, str]:
        """Name what raises the measure, and what lowers it."""
        return f"raises {self.name}", f"lowers {self.name}"

    def evidence_unit(self, target: int) -> str:
        """Name the unit of the measure."""
        return f"the unit of {self.name}"

    def heatmap_reading(self) -> str:
        """Write that what raises and what lowers the value is shown."""
        return (
            "A heatmap shows where the scan changes the predicted value: warm colours raise it and cool colours lower "
            "it, compared with typical training scans and relative to the strongest place in the same scan."
        )

    def validation_table(self, targets: np.ndarray, predictions: np.ndarray) -> str:
        """Write nothing: the curves of the scores say it."""
        return ""

    def prediction(self, prediction: np.ndarray) -> str:
        """Write the value."""
        return value_text(float(prediction))

    def verdict(self, prediction: np.ndarray) -> str:
        """Write the name and the value."""
        return f"{self.name} {self.prediction(prediction)}"

    def summary(self, predictions: Sequence[np.ndarray]) -> str:
        """Count how many scans were predicted, and write the range."""
        values = [float(prediction) for prediction in predictions]
        said = f": {self.name} {value_text(min(values))} to {value_text(max(values))}" if values else ""
        return f"{'scan' if len(predictions) == 1 else 'scans'} predicted{said}."

    def value_titles(self) -> tuple[str, ...]:
        """Return none: the prediction is the value."""
        return ()

    def miss_title(self) -> str:
        """Return what the absolute errors are called."""
        return "Absolute error"

    def prediction_reading(self) -> list[str]:
        """Write how predicted values are to be read."""
        return [
            f"The prediction is the value of {self.name}, in the unit of the table that the model was trained on.",
            "Predictions shrink towards the mean of the training subjects: low values tend to be predicted too high "
            "and high values too low, unless the model was trained with model.debias=true.",
            f"The predictions hold for scans like those the model was trained on, and for {self.name} in the same "
            "range. On another scanner, sequence, age group or illness they can be wrong without any sign of it here: "
            "test the model on scans of your own whose value is known first.",
        ]

    def spread_of(self) -> str:
        """Name the value."""
        return "the predicted value"

    def result_sentence(self, metrics: Mapping[str, Any], targets: np.ndarray) -> tuple[str, str]:
        """Write the mean absolute error, and what it means."""
        score = metrics["test"]["mae"]
        ends = ends_text(score["low"], score["high"], value_text)
        interval = f", 95 % interval {ends}" if ends else ""
        told = self.tested_on(metrics, targets)
        sentence = f"is the mean absolute error (MAE) of the predicted {self.name}{interval}, {told}"
        explained, test = metrics["test"]["r2"]["value"], metrics["test"]
        if "mae_raw" in test:
            sentence += f" Before the correction for shrinkage it was {value_text(test['mae_raw']['value'])}."
        if explained is not None:  # else all tests have one value
            written = f"{explained:.2f}".replace("-", "−")
            sentence += (
                f" Always predicting the mean {self.name} of the tests would have an error of "
                f"{value_text(_mean_error(targets))}. R² is {written}: 1 is perfect, 0 is no better than that mean."
            )
        return value_text(score["value"]), sentence

    def cautions(self, metrics: Mapping[str, Any], targets: np.ndarray) -> list[str]:
        """Warn of few tests, of predictions no better than the mean, and of errors that follow the truth."""
        test, texts = metrics["test"], []
        if (tested := len(targets) // num_repeats(metrics)) < FEW_TESTS:
            texts.append(
                f"Few tests: only {tested}. With other subjects, the error could differ by a fifth or more"
                + ("; evaluation=kfold tests every subject." if len(metrics["folds"]) == 1 else ".")
            )
        explained, slope = test["r2"]["value"], test["error_slope"]["value"]
        if explained is not None and explained <= 0:
            texts.append(
                f"R² is not above 0: always predicting the mean {self.name} would do as well as this model, or better."
            )
        elif slope is not None and abs(slope) > _NOTABLE_SLOPE:
            texts.append(_slope_caution(self.name, slope, corrected="mae_raw" in test))
        return texts

    def calibration(self, content: Mapping[str, Any]) -> list[str]:
        """Write whether predictions are too high or too low, and how far apart the truth is where they differ."""
        told = content["estimates"][self.name]
        difference, slope = told["mean_difference"], told["slope"]
        mean = value_text(difference["value"]).replace("-", "−")
        texts = [f"Predicted minus true {self.name} is {mean} on average{_ends(difference)}."]
        if slope["value"] is not None:
            texts.append(
                f"Where a prediction is higher by 1, the true {self.name} is higher by {slope['value']:.2f} on average"
                f"{_ends(slope)}: at best it would be by 1 too."
            )
        return [" ".join(texts)]

    def reading(self) -> list[str]:
        """Write how the scores of a measure are to be read."""
        return [
            "MAE is the mean absolute error and RMSE the root of the mean squared error, both in the unit of "
            f"{self.name}: lower is better. RMSE gives more weight to large errors.",
            f"R² is the proportion of the variance of {self.name} that the predictions explain: 1 is perfect, 0 is no "
            "better than always predicting the mean, and below 0 is worse than that.",
            "Pearson r and Spearman r are the correlations of predicted with true values, and of their ranks. They do "
            "not notice predictions that are all too high, or that vary too little.",
            "The error slope is the slope of the error (predicted minus true) against the true value, and the gap "
            "correlation is their correlation. Both are usually below 0, because predictions shrink towards the mean: "
            "low values are predicted too high and high values too low. Before relating the error to anything else, "
            f"account for the true {self.name}.",
            "With model.debias=true, predictions are corrected for this shrinkage by a line fitted inside the training "
            "subjects; the scores of the uncorrected predictions are then listed too. The correction usually makes the "
            "MAE larger.",
            "The result holds for subjects and scanners like these, and all scores depend on the range of "
            f"{self.name}: compare studies of a similar range only. If {self.name} goes along with scanner, sex, head "
            "size or anything else, the model may have learnt that instead.",
        ]


def _ends(estimate: Mapping[str, Any]) -> str:
    """Write the interval of an estimate in brackets after a blank; nothing where there is none."""
    ends = ends_text(estimate["low"], estimate["high"], lambda end: value_text(end).replace("-", "−"))
    return f" (95 % interval {ends})" if ends else ""


def _mean_error(targets: np.ndarray) -> float:
    """Return the mean absolute error of the mean of targets [T] as prediction."""
    return float(np.abs(targets - targets.mean()).mean())


def _slope_caution(name: str, slope: float, *, corrected: bool) -> str:
    """Write that the error depends on the truth."""
    if slope > 0:
        return (
            f"The error rises with the true {name} (error slope {slope:.2f}): low values are predicted too low and "
            f"high values too high{'; the correction for shrinkage went too far' if corrected else ''}."
        )
    text = (
        f"Predictions shrink towards the mean (error slope −{-slope:.2f}): low values of {name} are predicted too high "
        f"and high values too low. Groups that differ in {name} therefore differ in their error as well"
    )
    return text + (
        "." if corrected else "; model.debias=true corrects for it, which usually makes the mean absolute error larger."
    )
