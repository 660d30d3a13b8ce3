"""Scores: their names, what they are called, and how they are written."""

from collections.abc import Callable
from dataclasses import dataclass

Scores = dict[str, float | None]
"""Name of a score to its value; None where the tested sessions do not define it."""


@dataclass(frozen=True)
class Score:
    """A score with its 95 % interval.

    Attributes:
        value: None where the tests do not define it.
        low: Lower end of the interval; None where there is none, or nothing bounds it.
        high: Upper end.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


SCORE_TITLES = {
    "auc": "AUC",
    "auc_pooled": "AUC over all folds at once",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "balanced_accuracy_at_prevalence": "balanced accuracy at the prevalence",
    "f1": "F1",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "log_loss": "log loss",
    "brier": "Brier score",
    "expected_calibration_error": "calibration error",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
    "pearson_r": "Pearson r",
    "spearman_r": "Spearman r",
    "error_slope": "error slope",
    "gap_correlation": "gap correlation",
}
SCORE_TITLES |= {
    f"{name}_raw": f"{SCORE_TITLES[name]}, uncorrected"
    for name in ("mae", "rmse", "r2", "pearson_r", "spearman_r", "error_slope", "gap_correlation")
}
"""Name of a score in metrics.json, to its title."""

SCORE_RANGES = {
    **dict.fromkeys(("auc", "accuracy", "balanced_accuracy", "f1", "sensitivity", "specificity"), (0.0, 1.0)),
    **dict.fromkeys(("auc_pooled", "balanced_accuracy_at_prevalence"), (0.0, 1.0)),
    **dict.fromkeys(("r2", "pearson_r", "spearman_r", "gap_correlation"), (-1.0, 1.0)),
}
"""Name of a score without a unit, to the range that a chart need not go beyond."""

LESS_IS_BETTER = ("mae", "rmse", "log_loss", "brier", "expected_calibration_error")
"""Names of the scores of which less is better."""

SIGNIFICANT = 0.05
"""Up to which p chance is no good explanation any more."""

SCORE_MEANINGS = {
    "auc": "AUC is the area under the ROC curve: right pairs among all pairs of tests of the same fold",
    "balanced_accuracy": "Balanced accuracy is the mean over the classes of the proportion classified correctly",
    "mae": "MAE is the mean absolute error, in the unit of the measure",
    "r2": "R² is the proportion of the variance that the predictions explain",
}
"""Name of a score whose title does not say it, to what it is: a sentence without its end."""


def score_text(value: float) -> str:
    """Write a score: three decimals, or three digits where those would be zeros, as the error of a small measure is.

    >>> [score_text(value) for value in (0.98765, 12.3456, 0.0, 0.0001234)]
    ['0.988', '12.346', '0.000', '0.000123']
    """
    return f"{value:.3f}" if abs(value) >= 0.01 or not value else f"{value:.3g}"


def interval_text(score: Score) -> str:
    """Write an interval in brackets after a blank; nothing where there is none.

    >>> interval_text(Score(0.962, 0.9214, 0.9897)), interval_text(Score(0.5)), interval_text(Score(0.02, 0.0, 0.031))
    (' (0.92 to 0.99)', '', ' (0.00 to 0.031)')
    >>> interval_text(Score(3.2, 0.0, None))
    ' (0.00 and more)'
    """
    ends = ends_text(score.low, score.high, lambda end: f"{end:.2f}" if abs(end) >= 0.1 or not end else f"{end:.2g}")
    return ends and f" ({ends})"


def ends_text(low: float | None, high: float | None, write: Callable[[float], str]) -> str:
    """Write the ends of an interval, of which one or both may be open.

    >>> [ends_text(low, high, "{:.1f}".format) for low, high in ((0.5, 1), (0, None), (None, 1), (None, None))]
    ['0.5 to 1.0', '0.0 and more', '1.0 and less', '']
    """
    if low is None:
        return "" if high is None else f"{write(high)} and less"
    return f"{write(low)} and more" if high is None else f"{write(low)} to {write(high)}"


def p_text(p: float | None, *, none: str = "–") -> str:
    """Write a p value.

    >>> [p_text(p) for p in (0.15234, 0.00099, 0.00012, 1.0, None)]
    ['0.152', '< 0.001', '< 0.001', '1', '–']
    """
    if p is None:
        return none
    return "< 0.001" if p < 0.001 else f"{p:.3g}"


def p_relation(p: float) -> str:
    """Write a p value to stand after its name.

    >>> p_relation(0.15234), p_relation(0.00012)
    ('= 0.152', '< 0.001')
    """
    text = p_text(p)
    return text if text.startswith("<") else f"= {text}"
