"""A network's probabilities tell how frequent the classes are, whatever its loss weighs."""

import numpy as np
import pytest
from scipy.special import expit

from tests.models.blobs import BLOB, SHAPE, cnn, training


def test_probabilities_are_as_frequent_as_the_class_among_the_training_rows(tmp_path):
    random = np.random.default_rng(1)
    targets = (random.random(120) < 0.25).astype(np.int64)
    volumes = random.standard_normal((120, 1, *SHAPE)).astype(np.float32)
    volumes[(targets == 1, slice(None), *BLOB)] += 0.4  # barely visible
    rows = np.arange(120)
    parts = {"groups": rows, "train_rows": rows[:60], "validation_rows": rows[60:90]}
    model, made = cnn(epochs=6), training(tmp_path, volumes=volumes, targets=targets, **parts)
    model.fit(made)
    (log_odds,) = model.temperature_.log_odds
    share = targets[:90].mean()
    assert log_odds == pytest.approx(np.log(share / (1 - share)))
    proba = model.predict(made.volumes, rows[90:])[:, 1]
    equal = expit(np.log(proba / (1 - proba)) - log_odds)  # as the weighted loss has it
    truth = targets[90:]
    assert abs(proba.mean() - truth.mean()) < abs(equal.mean() - truth.mean()) - 0.1
    assert np.square(proba - truth).mean() < np.square(equal - truth).mean()
