"""What the report of a run says about a measure: the result in a sentence, cautions, and how to read the scores."""

from collections.abc import Mapping
from typing import Any

import numpy as np

FEW_TESTS = 50
"""With fewer, the standard error of the mean absolute error is more than a tenth of it."""

_NOTABLE_SLOPE = 0.2  # error in units of the measure for each unit of the truth


def result_sentence(name: str, metrics: Mapping[str, Any], targets: np.ndarray) -> tuple[str, str]:
    """Write the mean absolute error, and what it means.

    Args:
        name: Of the measure.
        metrics: The content of metrics.json.
        targets: True value of each test [T].

    Returns:
        The number, and the sentence that goes on after it.
    """
    score, num_folds = metrics["test"]["mae"], len(metrics["folds"])
    interval = "" if score["low"] is None else f", 95 % interval {score['low']:.4g} to {score['high']:.4g}"
    tests = f"{len(targets)} test{'s' * (len(targets) != 1)}" + (f" in {num_folds} folds" if num_folds > 1 else "")
    sentence = (
        f"is the mean absolute error (MAE) of the predicted {name}{interval}, on {tests}. No model was tested on a "
        "scan that it was trained on."
    )
    explained, test = metrics["test"]["r2"]["value"], metrics["test"]
    if "mae_raw" in test:
        sentence += f" Before the correction for shrinkage it was {test['mae_raw']['value']:.4g}."
    if explained is not None:  # else all tests have one value
        written = f"{explained:.2f}".replace("-", "−")
        sentence += (
            f" Always predicting the mean {name} of the tests would have an error of {_mean_error(targets):.4g}. R² is "
            f"{written}: 1 is perfect, 0 is no better than that mean."
        )
    return f"{score['value']:.4g}", sentence


def cautions(name: str, metrics: Mapping[str, Any], targets: np.ndarray) -> list[str]:
    """Write what a reader must know before using the number; arguments as for `result_sentence`."""
    test, texts = metrics["test"], []
    if len(targets) < FEW_TESTS:
        texts.append(
            f"Few tests: only {len(targets)}. With other subjects, the error could differ by a fifth or more"
            + ("; evaluation=kfold tests every subject." if len(metrics["folds"]) == 1 else ".")
        )
    explained, slope = test["r2"]["value"], test["error_slope"]["value"]
    if explained is not None and explained <= 0:
        texts.append(f"R² is not above 0: always predicting the mean {name} would do as well as this model, or better.")
    elif slope is not None and abs(slope) > _NOTABLE_SLOPE:
        texts.append(_slope_caution(name, slope, corrected="mae_raw" in test))
    return texts


def reading(name: str) -> list[str]:
    """Write how the scores are to be read, and what they do not say."""
    return [
        f"MAE is the mean absolute error and RMSE the root of the mean squared error, both in the unit of {name}: "
        "lower is better. RMSE gives more weight to large errors.",
        f"R² is the proportion of the variance of {name} that the predictions explain: 1 is perfect, 0 is no better "
        "than always predicting the mean, and below 0 is worse than that.",
        "Pearson r and Spearman r are the correlations of predicted with true values, and of their ranks. They do not "
        "notice predictions that are all too high, or that vary too little.",
        "The error slope is the slope of the error (predicted minus true) against the true value, and the gap "
        "correlation is their correlation. Both are usually below 0, because predictions shrink towards the mean: low "
        "values are predicted too high and high values too low. Before relating the error to anything else, account "
        f"for the true {name}.",
        "With model.debias=true, predictions are corrected for this shrinkage by a line fitted inside the training "
        "subjects; the scores of the uncorrected predictions are then listed too. The correction usually makes the "
        "MAE larger.",
        f"The result holds for subjects and scanners like these, and all scores depend on the range of {name}: compare "
        f"studies of a similar range only. If {name} goes along with scanner, sex, head size or anything else, the "
        "model may have learnt that instead.",
    ]


def value_titles() -> tuple[str, ...]:
    """Return the titles of further columns in the report of predictions: none, the prediction is the value."""
    return ()


def prediction_reading(name: str) -> list[str]:
    """Write how predictions on new scans are to be read."""
    return [
        f"The prediction is the value of {name}, in the unit of the table that the model was trained on.",
        "Predictions shrink towards the mean of the training subjects: low values tend to be predicted too high and "
        "high values too low, unless the model was trained with model.debias=true.",
        f"The predictions hold for scans like those the model was trained on, and for {name} in the same range. On "
        "another scanner, sequence, age group or illness they can be wrong without any sign of it here: test the model "
        "on scans of your own whose value is known first.",
    ]


def _mean_error(targets: np.ndarray) -> float:
    """Return the mean absolute error of the mean of targets [T] as prediction."""
    return float(np.abs(targets - targets.mean()).mean())


def _slope_caution(name: str, slope: float, *, corrected: bool) -> str:
    """Write that the error depends on the truth."""
    if slope > 0:
        return (
            f"The error rises with the true {name} (error slope {slope:.2f}): low values are predicted too low and "
            "high values too high."
        )
    text = (
        f"Predictions shrink towards the mean (error slope −{-slope:.2f}): low values of {name} are predicted too high "
        f"and high values too low. Groups that differ in {name} therefore differ in their error as well"
    )
    return text + (
        "." if corrected else "; model.debias=true corrects for it, which usually makes the mean absolute error larger."
    )
