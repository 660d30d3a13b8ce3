"""Options are checked by the signature of the constructor that they go to, and become what it makes."""

import functools
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Literal

import pytest
import pytorch_lightning
import torch

from mri3d.arguments import fits
from mri3d.cohort.demo import Demo, DemoStudy
from mri3d.errors import UserError
from mri3d.evaluation.splits import KFold
from mri3d.plan import build, complete
from mri3d.volumes.recipe import Recipe

RECIPE = {"_target_": "mri3d.volumes.recipe.Recipe"}
KFOLD = {"_target_": "mri3d.evaluation.splits.KFold"}
TABLE = {"_target_": "mri3d.cohort.table.Table", "root": "/study", "table": "subjects.csv"}
DEMO = {"_target_": "mri3d.cohort.demo.Demo", "demo": {"_target_": "mri3d.cohort.demo.DemoStudy"}}
SFCN = {"_target_": "mri3d.nets.sfcn.SFCN", "_partial_": True}
ADAM = {"_target_": "torch.optim.Adam", "_partial_": True}
TRAINER = {"_target_": "pytorch_lightning.Trainer", "_partial_": True}
BOUND = {"_target_": "tests.test_plan.bound", "_partial_": True}
OURS = {"_target_": "mri3d.models.network.trainer.default_trainer", "_partial_": True}
PLAIN = {"_target_": "argparse.Namespace"}
OUTER = {"_target_": "tests.test_plan.outer", "_partial_": True}


def outer(inner=None, *, size: "NoSuchType" = 3) -> tuple[Any, Any]:  # noqa: F821
    """Stand for a library's function whose annotations cannot be read."""
    return inner, size


bound = functools.partial(outer, size=5)


def test_defaults_are_written_out_and_build_the_same():
    configuration = complete({"preprocess": RECIPE | {"resolution": 30}, "evaluation": KFOLD, "seed": 3})
    assert configuration["seed"] == 3
    defaults = {field.name: field.default for field in fields(KFold)}
    assert configuration["evaluation"] == KFOLD | defaults | {"balance": [], "confounds": []}
    assert set(configuration["preprocess"]) == {"_target_"} | {field.name for field in fields(Recipe)}
    assert build(configuration["preprocess"]) == Recipe(30)
    assert complete(configuration) == configuration  # what is written into config.yaml can be read again


def test_tuples_become_the_lists_that_yaml_has():
    table = complete(TABLE)
    assert table["covariates"] == []
    assert complete(SFCN)["channels"] == [32, 64, 128, 64]


def test_nested_calls_are_completed_and_nothing_given_is_changed():
    before = {"data": DEMO, "list": [KFOLD, 1], "plain": {"a": [1, {"b": None}]}}
    after = complete(before)
    assert after["data"]["demo"]["num_subjects"] == 96
    assert after["list"] == [complete(KFOLD), 1]
    assert after["plain"] == {"a": [1, {"b": None}]}
    assert "num_subjects" not in DEMO["demo"]


def test_calls_are_made_the_inner_ones_first_and_partial_ones_later():
    assert build({"seed": 3, "list": [1, {"a": PLAIN | {"b": [2]}}]}) == {
        "seed": 3,
        "list": [1, {"a": Namespace(b=[2])}],
    }
    demo = build(complete(DEMO | {"demo": DEMO["demo"] | {"num_subjects": 4}}))
    assert demo == Demo(DemoStudy(num_subjects=4, effect_center_mm=[-27.0, -16.0, -18.0]))
    make = build(OUTER | {"inner": ADAM | {"lr": 0.5}, "size": 7})
    inner, size = make()
    assert (inner.func, inner.keywords, size) == (torch.optim.Adam, {"lr": 0.5}, 7)
    assert make()[0] is inner, "a partial within a partial makes nothing by itself, so it may be shared"


def test_partial_of_a_partial_is_checked_by_what_it_wraps():
    node = complete({"trainer": OURS | {"max_epochs": 3}})["trainer"]
    own = {"max_epochs": 3, "devices": 1, "log_every_n_steps": 1, "enable_model_summary": False}
    assert node == OURS | own, "of the forty arguments of the Trainer only those that are bound are written out"
    make = build(node)
    assert (make.func, make.keywords) == (pytorch_lightning.Trainer, own)
    with pytest.raises(UserError, match=r"^trainer\.max_epoch is no option of default_trainer\. .*'max_epochs'"):
        complete({"trainer": OURS | {"max_epoch": 3}})
    with pytest.raises(UserError, match=r"^trainer\.max_epochs='ten' is not a whole number or null\.$"):
        complete({"trainer": OURS | {"max_epochs": "ten"}})
    assert build(complete(BOUND))() == (None, 5)


def test_value_that_stands_elsewhere_is_not_written_twice_and_reaches_its_constructor():
    plan = complete({"preprocess": RECIPE, "other": {"preprocess": RECIPE}}, elsewhere=["preprocess.resolution"])
    assert "resolution" not in plan["preprocess"]
    assert plan["other"]["preprocess"]["resolution"] == 50, "only at that path"
    assert build(plan["preprocess"], "preprocess", elsewhere={"preprocess.resolution": 33}) == Recipe(33)
    assert build(plan["preprocess"], "preprocess", elsewhere={"preprocess.voxels": 33}) == Recipe(50)
    with pytest.raises(UserError, match=r"^preprocess\.resolution is no option of Recipe\."):
        complete({"preprocess": RECIPE | {"resolution": 30}}, elsewhere=["preprocess.resolution"])


def test_refusals_of_constructors_name_their_place():
    with pytest.raises(UserError, match="resolution is 1"):
        build(RECIPE | {"resolution": 1})
    with pytest.raises(UserError, match=r"^data\.when cannot be used as it is set: month must be in 1\.\.12"):
        build({"when": {"_target_": "datetime.date", "year": 1, "month": 13, "day": 1}}, "data")


def test_librarys_defaults_stay_the_librarys():
    assert complete({"trainer": TRAINER | {"max_epochs": 3}}) == {"trainer": TRAINER | {"max_epochs": 3}}


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        (
            {"evaluation": KFOLD | {"fold": 3}},
            r"evaluation\.fold is no option of KFold\. .*'folds'\? Its options: folds, ",
        ),
        ({"data": DEMO | {"demo": DEMO["demo"] | {"efect": 1}}}, r"^data\.demo\.efect is no option .*'effect'"),
        ({"trainer": TRAINER | {"max_epoch": 3}}, r"^trainer\.max_epoch is no option of Trainer\. .*'max_epochs'"),
        ({"list": [KFOLD, KFOLD | {"fold": 1}]}, r"^list\[1\]\.fold is no option"),
        (KFOLD | {"fold": 1}, r"^fold is no option"),
        ({"evaluation": KFOLD | {"folds": "many"}}, r"^evaluation\.folds='many' is not a whole number\.$"),
        ({"evaluation": KFOLD | {"folds": True}}, r"^evaluation\.folds=True is not a whole number\.$"),
        ({"evaluation": {"_target_": ["a"]}}, r"_target_=\['a'\] names nothing"),
        ({"data": TABLE | {"group": 3}}, r"^data\.group=3 is not text or null\. Quote it twice to give text: "),
        ({"data": TABLE | {"covariates": 3}}, r"^data\.covariates=3 is not text or a list, each item text\. Quote it"),
        ({"data": TABLE | {"skip_bad": "no"}}, r"^data\.skip_bad='no' is not true or false\.$"),
        (
            {"preprocess": RECIPE | {"shape": [7, 8]}},
            r"shape=\[7, 8\] is not \[a whole number, a whole num.* or null",
        ),
        ({"model": SFCN | {"norm": "bath"}}, r"^model\.norm='bath' is not one of batch, instance, group, none\.$"),
        ({"trainer": TRAINER | {"max_epochs": "ten"}}, r"^trainer\.max_epochs='ten' is not a whole number or null\.$"),
        (
            {"data": {"_target_": "mri3d.cohort.table.Table", "table": "a"}},
            r"^data\.root is not set\. Give data\.root=",
        ),
        ({"data": TABLE | {"root": "???"}}, r"^data\.root is not set\. Give data\.root="),
        ({"model": OUTER | {"size": "???"}}, r"^model\.size is not set"),
        (
            {"model": {"_target_": "mri3d.nets.sfcn.SFCM"}},
            r"^model\._target_=mri3d\.nets\.sfcn\.SFCM cannot be imported",
        ),
        ({"model": {"_target_": "no.such.thing"}}, r"^model\._target_=no\.such\.thing cannot be imported"),
        ({"model": {"_target_": "SFCN"}}, r"^model\._target_=SFCN cannot be imported"),
        ({"model": {"_target_": "mri3d.errors"}}, r"^model\._target_: .*mri3d\.errors.* Name a class or a function"),
    ],
)
def test_mistakes_are_named_with_their_path(configuration, message):
    with pytest.raises(UserError, match=message):
        complete(configuration)


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"inner": PLAIN}, "model.inner"),
        ({"inner": [1, PLAIN]}, r"model.inner\[1\]"),
        ({"inner": {"deep": [OUTER, {"er": PLAIN}]}}, r"model.inner.deep\[1\].er"),
        ({"inner": OUTER | {"inner": PLAIN}}, "model.inner.inner"),
    ],
)
def test_call_that_all_folds_would_share_is_refused(options, where):
    with pytest.raises(UserError, match=rf"^{where} would be built once and shared by all.*Set {where}\._partial_"):
        complete({"model": OUTER | options})


def test_calls_within_calls_are_fine_where_each_is_built_afresh():
    for node in (OUTER | {"inner": ADAM}, OUTER | {"_partial_": False, "inner": PLAIN}, PLAIN | {"a": PLAIN}):
        assert complete({"model": node}) == {"model": node}


def test_library_with_unreadable_annotations_is_checked_by_name_only():
    assert complete(OUTER | {"size": "large"}) == OUTER | {"size": "large"}
    with pytest.raises(UserError, match=r"sise is no option of outer\..* Its options: inner, size"):
        complete(OUTER | {"sise": 1})


@pytest.mark.parametrize(
    ("hint", "fitting", "others"),
    [
        (int, [0, -3], [1.0, "1", None, True, [1]]),
        (float, [0, 0.5, float("inf")], ["1", None, False]),
        (str, ["", "a"], [1, None, ["a"]]),
        (bool, [True, False], [0, 1, "true", None]),
        (int | None, [1, None], ["1", 1.5]),
        (Literal["ras", "stored"] | int, ["ras", 3], ["lia", None]),
        (Sequence[str], [["a"], ("a", "b"), []], ["a", [1], {"a": 1}, None]),
        (list[int], [[1], []], [1, [1.5]]),
        (tuple[int, ...], [[1, 2, 3], []], [["1"], 1]),
        (tuple[int, str], [[1, "a"]], [[1], [1, "a", 2], ["a", 1]]),
        (tuple[tuple[int, int], ...], [[[1, 2], [3, 4]], []], [[1, 2], [[1, 2, 3]]]),
        (Any, [1, "a", None, [], {}], []),
        (complex, [1, "a", None], []),  # JSON has no word for it
    ],
)
def test_values_fit_annotations(hint, fitting, others):
    assert all(fits(value, hint) for value in fitting)
    assert not any(fits(value, hint) for value in others)
