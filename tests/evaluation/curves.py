"""Studies and shortcuts for tests of learning curves."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from mri3d import Study, models
from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.evaluation.learning_curve import check_curve, measured_curve
from mri3d.models.model import TrainingSet
from tests.evaluation.peer import Peer

RIDGE = models.Ridge(num_components=0.9, inner_folds=2)


@dataclass
class Recorder(Peer):
    """A peer that remembers what all of its copies learnt from, and what they found."""

    fits: ClassVar[dict[str, tuple[TrainingSet, np.ndarray]]] = {}

    def fit(self, training):
        """Remember the weights by the name of the fit."""
        super().fit(training)
        self.fits[training.name] = training, self.estimator_.coef_.copy()


def begun(study, model, splits, folder=Path("nowhere")):
    """Begin an evaluation; what its learning curve cannot be measured with is refused."""
    evaluation = CrossValidation.of(study, model, splits, seed=7, folder=folder)
    check_curve(evaluation)
    return evaluation


def curve_of(study, model, splits, folder=Path("nowhere")):
    """Run an evaluation and measure its learning curve."""
    evaluation = begun(study, model, splits, folder)
    results = evaluation.run()
    return measured_curve(evaluation, results), results, evaluation


def noise_study(num_volumes, effect=0.0, seed=0):
    """Make volumes of noise, a third of which are brighter by the effect in some voxels for one class."""
    random = np.random.default_rng(seed)
    targets = random.permutation(np.arange(num_volumes) % 2)
    volumes = random.standard_normal((num_volumes, 3, 4, 5))
    volumes[:, 1:, 1:, 1:] += effect * targets[:, None, None, None]
    return Study.from_arrays(volumes.astype(np.float32), [("a", "b")[target] for target in targets])


def options_of(task):
    """Return what makes a study of arrays one of a task."""
    return {} if task == "classification" else {"task": "regression", "name": "age"}
