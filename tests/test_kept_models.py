"""What a run keeps of its models, whatever they cannot do: a finished training stands."""

import logging

import numpy as np
import pytest

from mri3d import KFold
from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.kept_models import ModelKeeper, optional
from mri3d.models import LinearSVM
from tests.studies import class_study


def test_the_pattern_of_a_model_that_asks_for_the_site_is_kept(tmp_path):
    study = class_study(24, sites=[f"site {row // 2 % 2}" for row in range(24)])
    splits = KFold(folds=2, validation=0, harmonize="site")
    evaluation = CrossValidation.of(study, LinearSVM(num_components=2, C=1.0), splits, seed=0, folder=tmp_path)
    keeper = ModelKeeper(tmp_path, study, num_folds=2, covariates=evaluation.asked)
    result = next(iter(evaluation.run(after_fold=keeper, keep_models=False).folds))
    (pattern,) = keeper.patterns.values()
    assert pattern.shape == (1, *study.volumes.shape[1:])
    assert np.abs(pattern).max() > 0
    assert {fold for fold, _ in keeper.tested._tested} == {0, 1}
    assert result.model is None


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyError("gradients"), "'gradients'"),
        (ValueError("of two\nlines"), "of two lines"),
        (MemoryError(), "there is not enough memory"),
        (AssertionError(), "AssertionError"),
    ],
)
def test_what_cannot_be_made_is_told_and_done_without(error, told, caplog):
    with caplog.at_level(logging.WARNING), optional("a picture"):
        raise error
    assert caplog.messages == [f"a picture could not be made: {told}"]
