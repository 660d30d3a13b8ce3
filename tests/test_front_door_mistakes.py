"""The front door names arguments of another type, before any work starts."""

import numpy as np
import pytest

from mri3d import KFold, Recipe, Study, UserError, compare, evaluate, fit, load
from mri3d.models import Ridge
from tests.studies import class_study


@pytest.fixture(scope="module")
def study():
    return class_study(12)


@pytest.fixture(scope="module")
def model(study):
    return fit(study, Ridge(alpha=1.0, num_components=2, inner_folds=2))


@pytest.mark.parametrize("function", [evaluate, fit])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"study": None}, r"study=None is not an instance of Study"),
        ({"study": np.zeros((3, 4, 5, 6))}, r"study=array\(.* is not an instance of Study"),
        ({"seed": "1"}, r"seed='1' is not a whole number"),
        ({"seed": 1.5}, r"seed=1.5 is not a whole number"),
        ({"folder": 5}, r"folder=5 is not text or a path or None"),
        ({"folder": True}, r"folder=True is not text or a path or None"),
        ({"model": "ridge"}, r"model is 'ridge', which has no way to fit"),
        ({"model": Ridge}, r"model is the class Ridge"),
    ],
)
def test_evaluate_and_fit(study, function, options, message):
    with pytest.raises(UserError, match=rf"^{message}"):
        function(**{"study": study, "model": Ridge()} | options)


@pytest.mark.parametrize("splits", [5, "kfold", KFold, object()])
def test_splits_that_are_none(study, splits):
    with pytest.raises(UserError, match=r"^splits is "):
        evaluate(study, Ridge(), splits)


def test_validation_that_is_no_number(study):
    with pytest.raises(UserError, match=r"^validation='0.2' is not a number"):
        fit(study, Ridge(), validation="0.2")


@pytest.mark.parametrize("given", [None, 5, "results"])
def test_compare(given):
    with pytest.raises(UserError, match=r"^first=.* is not an instance of Results"):
        compare(given, given)


@pytest.mark.parametrize("path", [None, 5, ["a"], b"a"])
def test_paths(model, path):
    with pytest.raises(UserError, match=r"^path=.* is not text or a path"):
        load(path)
    with pytest.raises(UserError, match=r"^folder=.* is not text or a path"):
        model.save(path)
    with pytest.raises(UserError, match=r"^scan=.* is not text or a path"):
        model.explain(path)
    with pytest.raises(UserError, match=r"^trust=5 is not text or a list, each item text"):
        load("a", trust=5)


@pytest.mark.parametrize("scans", [None, 5, [5], np.zeros((2, 3, 4, 5))])
def test_scans(model, scans):
    with pytest.raises(UserError, match=r"^scans=.* is not text or a path or a list"):
        model.predict(scans)


@pytest.mark.parametrize("method", [5, None, ["gradcam"], True, b"x", 2.5])
def test_methods(model, study, method):
    if method is not None:
        with pytest.raises(UserError, match=r"^method=.* is none of this model's.* Give one of integrated_gradients"):
            model.explain_arrays(study.volumes.volumes[:1], method=method)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"root": None}, r"root=None is not text or a path"),
        ({"recipe": "native"}, r"recipe='native' is not an instance of Recipe or an instance of BrainRecipe or None"),
        ({"recipe": Recipe}, r"recipe=<class .* is not an instance of Recipe or an instance of BrainRecipe or None"),
        ({"resolution": 50.0}, r"resolution=50.0 is not a whole number or text"),
        ({"task": None}, r"task=None is not text"),
        ({"label": ["sex"]}, r"label=\['sex'\] is not text"),
    ],
)
def test_studies_of_files(options, message):
    with pytest.raises(UserError, match=rf"^{message}"):
        Study.from_table(**{"table": "a.csv"} | options)
    with pytest.raises(UserError, match=rf"^{message}"):
        Study.from_bids(**{"root": "a", "label": "sex"} | options)
