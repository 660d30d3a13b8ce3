"""Train, judge, explain and use models of 3D brain scans.

The names below are imported when they are first used, so that `import mri3d` takes no time.

    study = mri3d.Study.from_table("subjects.csv", root="/study", label="sex", scan="T1/{id}_T1.nii.gz")
    results = mri3d.evaluate(study, mri3d.models.LinearSVM(), mri3d.KFold(folds=5))
    model = mri3d.fit(study, mri3d.models.CNN())
"""

import importlib
from typing import TYPE_CHECKING

from mri3d.version import __version__

if TYPE_CHECKING:
    from mri3d import models, nets
    from mri3d.api import compare, evaluate, fit, validate
    from mri3d.errors import UserError
    from mri3d.evaluation.external_results import Validation
    from mri3d.evaluation.given_splits import Column, LeaveSiteOut
    from mri3d.evaluation.learning_curve import LearningCurve
    from mri3d.evaluation.nested import Nested
    from mri3d.evaluation.results import Results
    from mri3d.evaluation.splits import All, Holdout, KFold
    from mri3d.models.loading import load
    from mri3d.models.trained import TrainedModel
    from mri3d.study import Study
    from mri3d.volumes.brain_recipe import BrainRecipe
    from mri3d.volumes.recipe import Recipe

_PLACES = {
    "All": "mri3d.evaluation.splits",
    "Column": "mri3d.evaluation.given_splits",
    "Holdout": "mri3d.evaluation.splits",
    "KFold": "mri3d.evaluation.splits",
    "LearningCurve": "mri3d.evaluation.learning_curve",
    "LeaveSiteOut": "mri3d.evaluation.given_splits",
    "Nested": "mri3d.evaluation.nested",
    "BrainRecipe": "mri3d.volumes.brain_recipe",
    "Recipe": "mri3d.volumes.recipe",
    "Results": "mri3d.evaluation.results",
    "Study": "mri3d.study",
    "TrainedModel": "mri3d.models.trained",
    "UserError": "mri3d.errors",
    "Validation": "mri3d.evaluation.external_results",
    "compare": "mri3d.api",
    "evaluate": "mri3d.api",
    "fit": "mri3d.api",
    "load": "mri3d.models.loading",
    "validate": "mri3d.api",
}
_ROOMS = ("models", "nets")

__all__ = [
    "__version__",
    "All",
    "Column",
    "Holdout",
    "KFold",
    "LearningCurve",
    "LeaveSiteOut",
    "Nested",
    "BrainRecipe",
    "Recipe",
    "Results",
    "Study",
    "TrainedModel",
    "UserError",
    "Validation",
    "compare",
    "evaluate",
    "fit",
    "load",
    "models",
    "nets",
    "validate",
]


def __getattr__(name: str) -> object:
    if name in _ROOMS:
        return importlib.import_module(f"mri3d.{name}")
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'mri3d' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
