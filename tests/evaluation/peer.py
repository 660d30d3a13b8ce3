"""A model of scikit-learn in the shape that evaluations ask for."""

from dataclasses import dataclass, field

import numpy as np
from sklearn.linear_model import LinearRegression, LogisticRegression

from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.models.model import TrainingSet
from mri3d.outcome import Line
from mri3d.study import Study

CLASSES = ("control", "patient")


def peer_study():
    """Make a study of 41 small volumes in which the class shows a little."""
    random = np.random.default_rng(0)
    targets = random.permutation(np.repeat([0, 1], [23, 18]))
    volumes = random.normal(size=(41, 2, 3, 2)) + 0.5 * targets[:, None, None, None]
    ids = [f'scan "{row}", left' for row in range(41)]
    return Study.from_arrays(volumes, [CLASSES[target] for target in targets], ids=ids)


def flat(volumes, rows):
    """Return volumes as a matrix [N, V]."""
    return np.stack([volumes[int(row)].reshape(-1) for row in rows]).astype(np.float64)


class Double:
    """What the loop asks of a model that chooses, corrects and calibrates nothing."""

    name = "peer"
    chooses = False
    permutes = False
    uses_components = False
    line: Line | None = None
    held_out = None
    covariates = ()
    encoder = None
    calibration = {"method": "none"}  # noqa: RUF012 (nobody changes it)

    def check(self, training):
        """Take all."""

    def history(self):
        """Have no epochs."""
        return []

    def last_search(self):
        """Choose nothing."""
        return ()


@dataclass
class Peer(Double):
    """One of scikit-learn's estimators on flattened volumes, in the shape that the loop asks for."""

    trainings: list[TrainingSet] = field(default_factory=list)
    checked: list[TrainingSet] = field(default_factory=list)
    line: Line | None = None

    def identity(self, *, length=True):
        """Have one option."""
        return f"peer {self.line}"

    def check(self, training):
        """Remember what was checked; the list is shared with the copies on purpose."""
        self.checked.append(training)

    def fit(self, training):
        """Remember what was learnt from."""
        self.trainings.append(training)
        estimator = LogisticRegression() if training.outcome.task == "classification" else LinearRegression()
        rows = training.train_rows
        self.estimator_ = estimator.fit(flat(training.volumes, rows), training.targets[rows])

    def predict(self, volumes, rows):
        """Ask scikit-learn."""
        values = flat(volumes, rows)
        if isinstance(self.estimator_, LogisticRegression):
            return self.estimator_.predict_proba(values)
        predictions = self.estimator_.predict(values)
        return predictions if self.line is None else self.line.correct(predictions)

    def history(self):
        """Pretend three epochs."""
        return [{"epoch": epoch, "train_loss": 1.0} for epoch in range(3)]


def evaluate(study, splits, tmp_path, *, model=None, **more):
    prototype = model or Peer()
    validation = CrossValidation.of(study, prototype, splits, seed=7, folder=tmp_path)
    results = validation.run(**more)
    assert prototype.trainings == []
    return validation.folds, results
