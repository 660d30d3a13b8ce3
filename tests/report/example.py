"""What the report of a run is written from, small."""

import numpy as np

from mri3d.outcome import Classes, Measure
from mri3d.report.page import write_report
from mri3d.report.shown_tests import ShownTests
from tests.report.reader import read

HISTORY = [{"epoch": 0, "train_loss": 1.0}]
SEXES = Classes(("F", "M"))
AGE = Measure("age")
CLASS_SCORES = ("auc", "accuracy", "balanced_accuracy", "f1", "log_loss", "brier", "expected_calibration_error")


def class_metrics(*, num_folds=1, **values):
    """The content of a metrics.json of classes."""
    return metrics(dict.fromkeys(CLASS_SCORES, 0.9) | {"expected_calibration_error": 0.05} | values, num_folds)


def metrics(scores, num_folds=1):
    """The content of a metrics.json with these scores."""
    fold = {
        "repeat": 0,
        "num_train": 50,
        "num_validation": 12,
        "num_test": 15,
        "epochs": 9,
        "seconds": 3.2,
        "chosen": {},
    }
    return {
        "test": {name: {"value": value, "low": None, "high": None} for name, value in scores.items()},
        "folds": [{"fold": number, **fold, "scores": scores} for number in range(num_folds)],
    }


def cohort(**row):
    """A row of cohort.csv."""
    return [{"subject": "s1", "label": "a", "left_out": "", "warnings": ""} | row]


def report(tmp_path, content, *, outcome=SEXES, num_tests=80, tests=None, **more):
    """Write a report, of tests of classes unless others are given, and read it back."""
    names = getattr(outcome, "names", ("value",))
    proba = np.random.default_rng(0).dirichlet(np.ones(len(names)), num_tests)
    arguments = {
        "title": "t",
        "facts": {},
        "outcome": outcome,
        "metrics": content,
        "tests": tests or ShownTests(np.arange(num_tests) % len(names), proba),
        "cohort": cohort(),
        "taking_part": [],
    }
    write_report(tmp_path / "report.html", **(arguments | more))
    return read(tmp_path / "report.html")


def report_of_ages(tmp_path, targets, predictions, raw=None, *, num_folds=1, **more):
    """Write a report of these ages and read it back."""
    content = metrics(AGE.scores(targets, predictions, raw), num_folds)
    return report(tmp_path, content, outcome=AGE, tests=ShownTests(targets, predictions, raw), **more)
