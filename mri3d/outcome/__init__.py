"""What is predicted: classes or a measure. Nothing outside this room asks which of the two it is."""

from mri3d.outcome.classes import Classes
from mri3d.outcome.conformal import num_needed
from mri3d.outcome.held_out import HeldOut
from mri3d.outcome.labels import DEFAULT_TASK, TASKS, check_task, outcome_from_json, outcome_of
from mri3d.outcome.line import Line, check_debias, correcting_line
from mri3d.outcome.measure import Measure
from mri3d.outcome.outcome import Example, Outcome
from mri3d.outcome.prediction_options import Region
from mri3d.outcome.score import (
    SCORE_MEANINGS,
    SCORE_RANGES,
    SCORE_TITLES,
    Score,
    Scores,
    interval_text,
    score_text,
)
from mri3d.outcome.temperature import Temperature
from mri3d.outcome.thresholds import Threshold, shifted
from mri3d.outcome.words import Words

__all__ = [
    "DEFAULT_TASK",
    "SCORE_MEANINGS",
    "SCORE_RANGES",
    "SCORE_TITLES",
    "TASKS",
    "Classes",
    "Example",
    "HeldOut",
    "Line",
    "Measure",
    "Outcome",
    "Region",
    "Score",
    "Scores",
    "Temperature",
    "Threshold",
    "Words",
    "check_debias",
    "check_task",
    "correcting_line",
    "interval_text",
    "num_needed",
    "outcome_from_json",
    "outcome_of",
    "score_text",
    "shifted",
]
