"""Arguments of the wrong type are named where they are given; those in numpy's types work as Python's do."""

import functools
import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from mri3d import All, Holdout, KFold, Nested, Recipe, Study, UserError, fit, load, nets
from mri3d.arguments import checked, describe, fits, plain
from mri3d.cohort.bids import Bids
from mri3d.cohort.demo import DemoStudy
from mri3d.cohort.table import Table
from mri3d.models import CNN, KNN, RBFSVM, LinearSVM, Logistic, Ridge
from mri3d.volumes.augmentation import Augmentation
from tests.models.refusals import refused
from tests.studies import class_study

CLASSICAL = [KNN, RBFSVM, LinearSVM, Logistic, Ridge]
TABLE, BIDS = functools.partial(Table, "/study", "a.csv"), functools.partial(Bids, "/bids", "sex")
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.int64(3), 3),
        (np.uint8(3), 3),
        (np.float32(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array(3), 3),
        (torch.tensor(0.5, requires_grad=True), 0.5),
        (Fraction(1, 2), 0.5),
        (np.array([1.0, 2.0]), [1.0, 2.0]),
        (np.array([[1, 2]]), [[1, 2]]),
        (pd.Series([1, 2], index=[7, 8]), [1, 2]),
        (pd.Index(["a"]), ["a"]),
        (torch.arange(2), [0, 1]),
        (range(1, 3), [1, 2]),
        ((np.int8(1), None), (1, None)),
        ([np.float64(1.5), "a"], [1.5, "a"]),
        ({"a", "b"}, ["a", "b"]),
        ({"k": np.arange(2), "n": {"m": np.int64(1)}}, {"k": [0, 1], "n": {"m": 1}}),
        ("text", "text"),
        (None, None),
        (1e300, 1e300),
    ],
)
def test_plain_values_are_pythons_own(given, expected):
    found = plain(given)
    assert (found, type(found)) == (expected, type(expected))
    if isinstance(expected, list | tuple):
        assert [type(item) for item in found] == [type(item) for item in expected]


def test_what_holds_no_plain_value_stays_as_it_is():
    network, frame = nn.Linear(2, 2), pd.DataFrame({"a": [1]})
    for value in (network, frame, Augmentation(), print, Path("a")):
        assert plain(value) is value


@pytest.mark.parametrize(
    ("make", "name", "expected"),
    [
        *((functools.partial(kind, inner_folds=np.int64(3)), "inner_folds", 3) for kind in CLASSICAL),
        (lambda: Ridge(alpha=np.float32(0.5)), "alpha", 0.5),
        (lambda: Ridge(alpha=np.logspace(-1, 1, 3)), "alpha", [0.1, 1.0, 10.0]),
        (lambda: KNN(k=range(1, 4)), "k", [1, 2, 3]),
        (lambda: KNN(k=(np.int64(1), 3)), "k", (1, 3)),
        (lambda: LinearSVM(num_components=[np.int64(5), np.float64(0.9), None]), "num_components", [5, 0.9, None]),
        (lambda: LinearSVM(standardize=np.bool_(True)), "standardize", True),
        (lambda: Ridge(smoothing=np.float64(0.02)), "smoothing", 0.02),
        (lambda: KFold(folds=np.int32(3)), "folds", 3),
        (lambda: Holdout(test=np.float64(0.25)), "test", 0.25),
        (lambda: All(validation=np.float16(0.5)), "validation", 0.5),
        (lambda: Nested(grid={"alpha": np.array([0.1, 1.0])}), "grid", {"alpha": [0.1, 1.0]}),
        (lambda: Nested(inner_folds=np.int64(2), grid={"k": [1]}), "inner_folds", 2),
        (lambda: CNN(batch_size=np.int64(4)), "batch_size", 4),
        (lambda: CNN(patience=torch.tensor(4)), "patience", 4),
        (lambda: Augmentation(noise=np.float64(0.5)), "noise", 0.5),
        (lambda: Augmentation(flip=np.bool_(True)), "flip", True),
        (lambda: DemoStudy(effect_center_mm=np.array([1.0, 2.0, 3.0])), "effect_center_mm", [1.0, 2.0, 3.0]),
        (lambda: TABLE(scan=Path("T1") / "{id}.nii"), "scan", "T1/{id}.nii"),
        (lambda: TABLE(covariates=pd.Index(["age"])), "covariates", ["age"]),
        (lambda: TABLE(unlabelled=np.array([0, -9])), "unlabelled", [0, -9]),
        (lambda: BIDS(session=np.int64(1)), "session", 1),
        (lambda: Recipe(np.int64(60)), "resolution", 60),
        (lambda: Recipe(crop=np.array([[0, 5], [1, 6], [2, 7]])), "crop", ((0, 5), (1, 6), (2, 7))),
        (lambda: Recipe("native", spacing_mm=np.ones(3)), "spacing_mm", (1.0, 1.0, 1.0)),
    ],
)
def test_numbers_and_lists_of_numpy_pandas_and_torch_are_taken_as_plain_values(make, name, expected):
    found = getattr(make(), name)
    assert (found, type(found)) == (expected, type(expected))


def test_what_is_given_may_change_afterwards():
    penalties = [0.1, 1.0]
    model = Ridge(alpha=penalties)
    penalties.clear()
    assert model.alpha == [0.1, 1.0]


def test_a_model_of_numpy_arguments_is_saved_and_loaded(tmp_path):
    study = class_study(12)
    model = fit(study, Ridge(alpha=np.float64(1), num_components=np.int64(3), inner_folds=np.int8(2)), seed=np.int64(1))
    model.save(tmp_path)
    volumes = study.volumes.volumes
    np.testing.assert_array_equal(load(tmp_path).predict_arrays(volumes), model.predict_arrays(volumes))
    plainly = fit(study, Ridge(alpha=1.0, num_components=3, inner_folds=2), seed=1)
    np.testing.assert_array_equal(plainly.predict_arrays(volumes), model.predict_arrays(volumes))


WHOLE, NUMBER, TRUTH = "is not a whole number", "is not a number", "is not True or False"


@pytest.mark.parametrize(
    ("make", "path", "message"),
    [
        *(
            (functools.partial(kind, inner_folds=value), "model.inner_folds", rf"{WHOLE}\. The default is 5\.")
            for kind in CLASSICAL
            for value in ("2", 2.0, NAN, INF, True, None, [2], np.float64(2))
        ),
        *(
            (functools.partial(Ridge, **{name: value}), f"model.{name}", rf"{TRUTH}\. The default is False\.")
            for name in ("standardize", "normalize", "debias")
            for value in ("no", 1, None, [])
        ),
        *((functools.partial(Ridge, alpha=value), "model.alpha", NUMBER) for value in ("1", True, None, ["1"])),
        *((functools.partial(KNN, k=value), "model.k", WHOLE) for value in ("1", 2.5, [1.0], [True], {"k": 1})),
        (lambda: LinearSVM(num_components="all"), "model.num_components", f"{NUMBER} or None or a list"),
        (lambda: Ridge(smoothing="0.02"), "model.smoothing", f"{NUMBER} or None"),
        *(
            (functools.partial(KFold, **{name: value}), f"evaluation.{name}", WHOLE)
            for name in ("folds", "repeats")
            for value in ("2", 2.5, NAN, INF, True, None, [2])
        ),
        *(
            (functools.partial(Holdout, **{name: value}), f"evaluation.{name}", NUMBER)
            for name in ("test", "validation")
            for value in ("0.2", True, None, [0.2])
        ),
        (lambda: Nested(grid=["alpha"]), "evaluation.grid", "is not a dictionary, each key text"),
        (lambda: Nested(grid={1: [0.1]}), "evaluation.grid", "is not a dictionary, each key text"),
        (lambda: Nested(inner_folds="3", grid={"k": [1]}), "evaluation.inner_folds", f"{WHOLE} or None"),
        *(
            (functools.partial(CNN, **{name: value}), f"model.{name}", WHOLE)
            for name in ("batch_size", "patience", "num_workers")
            for value in ("4", 4.0, NAN, True, [4])
        ),
        *(
            (functools.partial(CNN, augmentation=value), "model.augmentation", "is not an instance of Augmentation")
            for value in ("no", False, Augmentation, {"noise": 0.1})
        ),
        *(
            (functools.partial(CNN, **{name: value}), f"model.{name}", "is not a class or a function")
            for name in ("network", "trainer", "optimizer")
            for value in ("sfcn", None, 5, {"a": 1})
        ),
        *(
            (functools.partial(Augmentation, **{name: value}), f"model.augmentation.{name}", NUMBER)
            for name in ("rotate_degrees", "scale", "shift_voxels", "intensity", "noise", "probability", "gamma")
            for value in ("1", None, True, [1])
        ),
        (lambda: Augmentation(flip="no"), "model.augmentation.flip", TRUTH),
        (lambda: DemoStudy(num_subjects="12"), "data.demo.num_subjects", WHOLE),
        (lambda: DemoStudy(effect_center_mm="left"), "data.demo.effect_center_mm", "is not a list, each item a num"),
        *((functools.partial(TABLE, label=value), "data.label", "is not text") for value in (5, None, ["sex"])),
        (lambda: TABLE(id=5), "data.id", "is not text or a list, each item text"),
        (lambda: TABLE(scan=None), "data.scan", r"is not text\. The default is '\{id\}\.nii\*'\."),
        (lambda: TABLE(skip_bad="no"), "data.skip_bad", TRUTH),
        (lambda: BIDS(entities=["acq"]), "data.entities", "is not a dictionary"),
        (lambda: BIDS(group=True), "data.group", "is not text or None"),
    ],
)  # fmt: skip
def test_arguments_of_another_type_are_named_when_they_are_given(make, path, message):
    name = path.rpartition(".")[2]
    with refused(rf"^{path}=.* {message}", rf"^{name}=.* {message}"):
        make()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"network": functools.partial(nets.SFCN, channels="4")},
            "channels='4' is not a list, each item a whole number",
        ),
        ({"network": functools.partial(nets.SFCN, dropout=None)}, "dropout=None is not a number"),
        ({"network": nn.Linear(2, 2)}, "network is a network that was built already"),
        ({"trainer": functools.partial(pl.Trainer, max_epochs="1")}, "max_epochs='1' is not a whole number or None"),
        ({"trainer": functools.partial(pl.Trainer, max_epochs=1.5)}, "max_epochs=1.5 is not a whole number or None"),
        ({"optimizer": functools.partial(torch.optim.AdamW, weight_decay="0")}, "weight_decay='0' is not a number"),
        ({"optimizer": functools.partial(torch.optim.AdamW, lr=-1.0)}, r"lr=-1\.0 cannot be used .* learning rate"),
        ({"optimizer": nn.ReLU}, "optimizer makes ReLU.*, which is no optimizer"),
        ({"optimizer": dict}, "optimizer cannot be used as it is set"),
    ],
)
def test_options_that_are_bound_for_later_are_checked_at_once(options, message):
    with pytest.raises(UserError, match=rf"^{message}"):
        CNN(**options)


def test_options_that_are_bound_for_later_become_plain():
    model = CNN(network=functools.partial(nets.SFCN, channels=np.array([4, 8]), stride=np.int64(1)))
    assert model.network.keywords == {"channels": [4, 8], "stride": 1}
    assert type(model.network.keywords["stride"]) is int
    assert model.network.func is nets.SFCN


def test_a_long_value_is_cut():
    with pytest.raises(UserError) as raised:
        KFold(folds=np.arange(1000))
    assert len(str(raised.value)) < 150
    assert str(raised.value).startswith("folds=array([")


class Kept:
    """Something of the user's own."""


@checked
def called(
    study: Study | None, path: str | Path, number: int = 3, *, share: float = 0.5, names: str | list[str] = "", any=None
) -> list[object]:
    return [study, path, number, share, names, any]


def test_functions_check_their_arguments_and_keep_what_fits():
    names, own = ["a"], Kept()
    found = called(None, Path("a"), np.int64(4), share=np.float32(0.25), names=names, any=own)
    assert found == [None, "a", 4, 0.25, names, own]
    assert [type(found[2]), type(found[3])] == [int, float]
    assert found[4] is names
    assert called.__name__ == "called"
    for options, message in (
        ({"number": "4"}, r"^number='4' is not a whole number\. The default is 3\."),
        ({"number": True}, "^number=True is not a whole number"),
        ({"share": None}, "^share=None is not a number"),
        ({"names": 5}, "^names=5 is not text or a list, each item text"),
        ({"path": 5}, r"^path=5 is not text or a path\.$"),
        ({"path": b"a"}, "^path=b'a' is not text or a path"),
        ({"study": "study.csv"}, r"^study='study\.csv' is not an instance of Study or None"),
    ):
        with pytest.raises(UserError, match=message):
            called(**{"study": None, "path": "a"} | options)
    with pytest.raises(TypeError, match="unexpected keyword argument 'nubmer'"):
        called(None, "a", nubmer=4)


@pytest.mark.parametrize(
    ("hint", "fitting", "others", "words"),
    [
        (Callable[..., int], [print, Kept], ["print", None, 3], "a class or a function"),
        (Mapping[str, object], [{}, {"a": 1}], [{1: 2}, [], None], "a dictionary, each key text"),
        (Augmentation | None, [Augmentation(), None], [Augmentation, {}, "no"], "an instance of Augmentation or None"),
        (str | Path, ["a", Path("a")], [b"a", 3, None], "text or a path"),
        (int | float | None, [1, 0.5, None, math.inf], ["1", True], "a number or None"),
        (bool, [True], [1, None], "True or False"),
        (list[object], [[1, "a"]], ["a", 1], "a list"),
    ],
)
def test_annotations_are_held_against_values_and_put_into_words(hint, fitting, others, words):
    assert all(fits(value, hint) for value in fitting)
    assert not any(fits(value, hint) for value in others)
    assert describe(hint, in_python=True) == words
