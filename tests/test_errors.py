"""The closest name in a message, options as they are typed, and what tells of a lack of memory."""

import re
import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mri3d.cli.overrides import typed_values
from mri3d.errors import UserError, did_you_mean, option, options_as_typed


@pytest.mark.parametrize(
    ("name", "candidates", "closest"),
    [
        ("lable", ["label", "group"], "label"),
        ("sex", ["AGE", "SEX"], "SEX"),
        ("DIAGNOSIS", ["Diagnosis", "Sex"], "Diagnosis"),
        ("max_epoch", ["max_epochs", "max_time", "min_epochs"], "max_epochs"),
    ],
)
def test_closest_name_is_given_as_it_is_spelt(name, candidates, closest):
    assert did_you_mean(name, candidates) == f" Did you mean {closest!r}?"


def test_nothing_is_said_when_no_name_is_close():
    assert did_you_mean("xyz", ["label", "table"]) == ""
    assert did_you_mean("xyz", []) == ""


def test_a_user_error_is_a_value_error():
    with pytest.raises(ValueError, match="no such column"):
        raise UserError("no such column")


MODELS = [
    "sfcn",
    "seed",
    "resnet18",
    "resnet50",
    "densenet121",
    "efficientnet-b0",
    "logistic",
    "linear_svm",
    "rbf_svm",
    "knn",
    "ridge",
]
NETWORK = ["network", "trainer", "optimizer", "batch_size", "patience", "augmentation", "num_workers", "debias"]
LINEAR = ["num_components", "standardize", "normalize", "smoothing", "inner_folds", "debias", "C"]
TRAINER = [
    "accelerator",
    "strategy",
    "devices",
    "num_nodes",
    "precision",
    "max_steps",
    "max_epochs",
    "gradient_clip_val",
]
RECIPE = ["resolution", "orientation", "crop", "resize", "intensity", "shape", "spacing_mm"]
TABLE = ["root", "table", "id", "label", "scan", "unlabelled", "group", "site", "covariates", "skip_bad", "classes"]
COLUMNS = ["participant_id", "sex", "age", "group", "diagnosis", "site", "icv_mm3"]
KEYS = ["data", "preprocess", "model", "trainer", "evaluation", "task", "resolution", "seed", "name", "resume"]


@pytest.mark.parametrize(
    ("name", "candidates", "closest"),
    [
        ("batchsize", NETWORK, "batch_size"),
        ("batch", NETWORK, "batch_size"),
        ("workers", NETWORK, "num_workers"),
        ("optimiser", NETWORK, "optimizer"),
        ("n_components", LINEAR, "num_components"),
        ("standardise", LINEAR, "standardize"),
        ("folds", LINEAR, "inner_folds"),
        ("c", LINEAR, "C"),
        ("epochs", TRAINER, "max_epochs"),
        ("device", TRAINER, "devices"),
        ("clip", TRAINER, "gradient_clip_val"),
        ("orient", RECIPE, "orientation"),
        ("spacing", RECIPE, "spacing_mm"),
        ("unlabeled", TABLE, "unlabelled"),
        ("groups", TABLE, "group"),
        ("LinearSVM", MODELS, "linear_svm"),
        ("svm", MODELS, "linear_svm"),
        ("resnet", MODELS, "resnet18"),
        ("resnet34", MODELS, "resnet18"),
        ("efficientnet", MODELS, "efficientnet-b0"),
        ("sfnc", MODELS, "sfcn"),
        ("logistic_regression", MODELS, "logistic"),
        ("alfa", ["alpha", "debias"], "alpha"),
        ("diag", COLUMNS, "diagnosis"),
        ("Sex", COLUMNS, "sex"),
        ("gruop", COLUMNS, "group"),
        ("participant", COLUMNS, "participant_id"),
        ("lable", ["table", "label"], "label"),
        ("preprocessing", KEYS, "preprocess"),
        ("eval", KEYS, "evaluation"),
        ("Patients", ["control", "patient"], "patient"),
        ("grad_cam", ["integrated_gradients", "gradcam"], "gradcam"),
        ("integrated", ["integrated_gradients", "gradcam"], "integrated_gradients"),
        (None, ["none", "head"], "none"),
    ],
)
def test_plausible_misspellings_are_put_right(name, candidates, closest):
    assert did_you_mean(name, candidates) == f" Did you mean {closest!r}?"


@pytest.mark.parametrize(
    ("name", "candidates"),
    [
        ("dx", ["diagnosis", "sex"]),
        ("gender", COLUMNS),
        ("subject", COLUMNS),
        ("label", COLUMNS),
        ("bs", NETWORK),
        ("gpus", TRAINER),
        ("n_splits", ["folds", "repeats", "validation"]),
        ("target", TABLE),
        ("image", TABLE),
        ("cnn", MODELS),
        ("randomforest", MODELS),
        ("lasso", MODELS),
        ("normalization", RECIPE),
        ("out", KEYS),
        ("crop", ["pad", "warp"]),
        (None, ["ras", "stored"]),
        (float("nan"), ["a", "b"]),
        ("c", ["a", "b"]),
        ("", ["a", "b"]),
        ("-", ["_", "b"]),
    ],
)
def test_what_nobody_can_have_meant_is_not_proposed(name, candidates):
    assert did_you_mean(name, candidates) == ""


@pytest.mark.parametrize(
    ("value", "typed"),
    [
        (["-9", "?"], "[-9,?]"),
        ([-9.0, None, True], "[-9.0,null,true]"),
        ([[50, 205], [60, 225]], "[[50,205],[60,225]]"),
        (["n/a", "not done"], "'[n/a,not done]'"),
        (["a,b"], """'['"'"'a,b'"'"']'"""),
    ],
)
def test_lists_are_written_so_that_they_can_be_typed(value, typed):
    told = UserError(option("data.unlabelled", value)).on_command_line()
    assert told == f"data.unlabelled={typed}"


WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.just("\u00e9"), min_size=1, max_size=6)


@example(["0  :"])
@given(
    st.lists(
        WORDS.filter(lambda word: not re.fullmatch(r"[\s\d.+eE_-]*|(?i:true|false|null|[+-]?(?:nan|inf))", word)),
        max_size=4,
    )
)
def test_what_is_written_is_read_again_by_shell_and_hydra(value):
    told = UserError(option("data.unlabelled", value)).on_command_line()
    if told.endswith("..."):
        return
    (argument,) = shlex.split(told)
    read = typed_values([argument], groups=["data"], keys=[])["data.unlabelled"]
    assert [text.strip() for text in read] == [text.strip() for text in value]


def test_messages_name_options_as_they_are_typed_where_they_are():
    error = UserError(f"set {option('data.skip_bad', True)}")
    with options_as_typed():
        assert str(error) == "set data.skip_bad=true"
    assert str(error) == "set skip_bad=True"
