"""Studies from arrays: who takes part, and what is refused by name before work starts."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from mri3d import Study, UserError, evaluate, models
from mri3d.evaluation.folds import Sample
from mri3d.evaluation.splits import Holdout
from mri3d.outcome import Classes, Measure
from tests.studies import planted

LABELS = ["control", "patient"] * 4
AGES = [31.5, 20, 64, 47, 52.25, 38, 71, 29]


def volumes(num_volumes=8, *, seed=0):
    return planted(np.zeros(num_volumes), seed=seed)


def arrays(labels=LABELS, **more: object):
    return Study.from_arrays(volumes(len(labels)), labels, **more)


def refused(error):
    """Return what the library and the command line say; the library never names an option's path."""
    library, command_line = str(error.value), error.value.on_command_line()
    assert not re.search(r"\b(data|preprocess|model|trainer|evaluation)\.\w", library), library
    return library, command_line


def test_arrays_are_taken_as_they_are():
    given = volumes()
    study = Study.from_arrays(given, LABELS)
    assert study.outcome == Classes(("control", "patient"))
    assert study.targets.tolist() == [0, 1] * 4
    assert study.ids == tuple("01234567")
    assert len(set(study.groups)) == 8
    assert (study.recipe, study.suffix) == (None, None)
    assert study.volumes.shape == (1, 7, 8, 9)
    np.testing.assert_array_equal(study.volumes[3], given[3][None])
    assert study.describe() == "8 sessions: 8 take part (control 4, patient 4)"
    given[3] = 0  # a copy was taken
    assert study.volumes[3].std() > 0


@pytest.mark.parametrize(
    "made",
    [
        torch.from_numpy(volumes()),
        list(volumes()),
        volumes().astype(np.float64),
        volumes()[:, None],
        np.asfortranarray(volumes()),
    ],
    ids=["tensor", "list", "float64", "channel", "fortran"],
)
def test_arrays_of_every_kind_are_the_same_study(made):
    study = Study.from_arrays(made, np.array(LABELS))
    assert study.volumes[0].dtype == np.float32
    np.testing.assert_array_equal(study.volumes.volumes, volumes()[:, None])
    assert study.volumes.digests == arrays().volumes.digests


def test_several_channels_stay():
    two = np.stack([volumes(seed=0), volumes(seed=1)], axis=1)
    study = Study.from_arrays(two, LABELS)
    assert study.volumes.shape == (2, 7, 8, 9)
    np.testing.assert_array_equal(study.volumes[5], two[5])


def test_what_else_is_known_is_kept():
    study = arrays(
        ids=[f"s{row}" for row in range(8)],
        groups=[1, 1, 2, 2, None, None, np.nan, 3],
        sites=["x", "y"] * 4,
        covariates={"age": AGES, "note": [None] * 8},
        name="dx",
    )
    assert study.ids == tuple(f"s{row}" for row in range(8))
    groups = study.groups
    assert groups[0] == groups[1] != groups[2] == groups[3]
    assert len(set(groups)) == 6, "None and NaN stand alone"
    assert [session.site for session in study.cohort.sessions] == ["x", "y"] * 4
    assert study.cohort.sessions[4].covariates == {"age": "52.25", "note": ""}
    assert study.outcome.name == "dx"


@pytest.mark.parametrize("labels", [[0, 1] * 4, np.array([0, 1] * 4), pd.Series([0, 1] * 4, index=range(50, 58))])
def test_classes_are_the_labels_as_text(labels):
    study = arrays(labels)
    assert study.outcome.names == ("0", "1")
    assert study.targets.tolist() == [0, 1] * 4


def test_values_that_mean_no_label_are_named_as_for_a_table():
    labels = [1, -1, 0, 1, -1, 0, 1, -1]
    study = arrays(labels, unlabelled=0)
    assert study.outcome.names == ("-1", "1")
    assert study.ids == ("0", "1", "3", "4", "6", "7")
    coded = arrays([*AGES[:6], -99.0, 999], task="regression", unlabelled=[-99, 999])
    assert coded.targets.tolist() == AGES[:6]


def test_a_measure_is_the_labels_as_numbers():
    study = arrays(np.array(AGES), task="regression", name="age")
    assert study.outcome == Measure("age")
    assert study.targets.tolist() == AGES
    assert study.describe() == "8 sessions: 8 take part (20 to 71, mean 44.09)"


@pytest.mark.parametrize("missing", [None, np.nan, "", "n/a", "NaN", pd.NA], ids=str)
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_volumes_without_a_label_are_left_out_with_it(missing, task):
    labels = [*(LABELS if task == "classification" else AGES)]
    labels[2] = labels[5] = missing
    study = arrays(labels, task=task)
    assert study.ids == ("0", "1", "3", "4", "6", "7")
    np.testing.assert_array_equal(study.volumes.volumes, volumes()[[0, 1, 3, 4, 6, 7]][:, None])
    assert len(study.targets) == len(study.groups) == len(study.volumes) == 6
    assert [session.left_out for session in study.cohort.sessions] == ["", "", "no label", "", "", "no label", "", ""]
    assert study.describe().startswith("8 sessions: 6 take part (")
    assert study.describe().endswith("2 without a label")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"labels": LABELS[:6]}, r"labels has 6 entries, and there are 8 volumes\. Give one for each"),
        ({"ids": list("abc")}, r"ids has 3 entries, and there are 8 volumes"),
        ({"groups": np.zeros(9)}, r"groups has 9 entries, and there are 8 volumes"),
        ({"sites": ["x"]}, r"sites has 1 entry, and there are 8 volumes"),
        ({"covariates": {"age": AGES[:2]}}, r"covariates\['age'\] has 2 entries, and there are 8 volumes"),
        ({"labels": np.zeros((8, 2))}, r"labels has 8 x 2 entries, and there are 8 volumes"),
        ({"labels": "control"}, r"labels is 'control', not a list"),
        ({"groups": 3}, r"groups is 3, not a list with an entry for each of 8 volumes"),
        ({"labels": dict(enumerate(AGES)), "task": "regression"}, r"labels is \{0: .*, not a list with an entry"),
        ({"labels": set(AGES), "task": "regression"}, r"labels is \{.*, not a list with an entry"),
        ({"labels": [np.zeros(2)] * 8}, r"labels\[0\] is array\(\[0\., 0\.\]\), not one value"),
        ({"covariates": [1, 2]}, r"covariates are no dictionary"),
        ({"task": "regression", "labels": AGES, "classes": True}, r"classes=True and task='regression' contradict"),
        ({"ids": list("abcdefgg")}, r"1 id stands more than once: g\. Name each volume"),
        ({"ids": [*"abcdefg", None]}, r"ids\[7\] is empty\. Name each volume"),
        ({"labels": ["control"] * 8}, r"labels holds one class \(control 8\); a classifier needs two or more"),
        ({"labels": [None] * 8}, r"labels holds no class, and 8 rows without a label"),
        ({"labels": [*"aabbAabb"]}, r"labels spells one class in two ways: 'A' and 'a'"),
        ({"labels": AGES}, r"8 different values in 8 rows .*: this looks like a measurement.* task='regression'"),
        ({"task": "regresion"}, r"^task='regresion' is unknown\. Did you mean 'regression'\?"),
        ({"task": "regression"}, r"labels holds no numbers \(control, patient\)\. Set task='classification'"),
        ({"task": "regression", "labels": [40.0] * 8}, r"1 different value \(40\) in 8 rows.* needs 3 or more"),
        ({"task": "regression", "labels": [1, 2] * 4}, r"2 different values \(1, 2\).* Set task='classification'"),
        ({"task": "regression", "labels": [*AGES[:7], "45 y"]}, r"1 cell that is no number: 7 has '45 y'\."),
        ({"task": "regression", "labels": [*AGES[:7], np.inf]}, r"1 cell that is no number: 7 has 'inf'"),
        ({"task": "regression", "labels": [*AGES[:6], -99, -99]}, r"far from all others: -99 \(2 rows\)\. Leave"),
        ({"task": "regression", "labels": [*AGES[:7], 999]}, r"codes for missing values, .* 999 \(1 row\)"),
    ],
)
def test_what_does_not_fit_the_arrays_is_named(parts, message):
    options = {"labels": LABELS} | parts
    with pytest.raises(UserError, match=message) as error:
        Study.from_arrays(volumes(), **options)
    refused(error)


def test_tensors_of_one_number_are_numbers():
    study = Study.from_arrays(volumes(), torch.tensor([0, 1] * 4), groups=list(torch.arange(8) // 2))
    assert study.outcome.names == ("0", "1")
    assert list(study.groups[:3]) == ["group 0", "group 0", "group 1"]
    study = Study.from_arrays(volumes(), [np.array(age) for age in AGES], task="regression")
    np.testing.assert_array_equal(study.targets, AGES)


def test_masked_labels_are_missing():
    study = Study.from_arrays(volumes(), np.ma.masked_greater(AGES, 60), task="regression")
    np.testing.assert_array_equal(study.targets, [age for age in AGES if age <= 60])
    assert study.describe().endswith("2 without a label")


def with_voxel(value):
    made = volumes().astype(np.float64)
    made[3, 1, 1, 1] = value
    return made


def constant():
    made = volumes()
    made[2] = 7.0
    return made


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (with_voxel(np.nan), r"volume 3 has voxels that are NaN or infinite\. Replace them, or leave it out"),
        (with_voxel(-np.inf), r"volume 3 has voxels that are NaN or infinite"),
        (with_voxel(1e300), r"volume 3 has voxels that are NaN or infinite"),  # in single precision
        (constant(), r"volume 2 is constant: every voxel is 7\. Leave it out"),
        (np.zeros((8, 9)), r"volumes are an array of 8 x 9\. Give \[N, X, Y, Z\] or \[N, C, X, Y, Z\]"),
        (np.zeros((8, 9, 9)), r"volumes are an array of 8 x 9 x 9\."),
        (np.zeros((8, 1, 1, 7, 8, 9)), r"volumes are an array of 8 x 1 x 1 x 7 x 8 x 9\."),
        (np.zeros((8, 7, 8, 1)), r"volumes are an array of 8 x 7 x 8 x 1\. .* at least 2 x 2 x 2 voxels"),
        (np.zeros((0, 7, 8, 9)), r"volumes are an array of 0 x 7 x 8 x 9\."),
        (np.zeros(()), r"volumes are an array of a single number"),
        (volumes().astype(np.complex64), r"volumes hold complex64, not real numbers"),
        ([["a", "b"]] * 8, r"volumes are an array of 8 x 2\."),
        ([np.zeros((7, 8, 9)), np.zeros((7, 8, 8))] * 4, r"volumes are no array: .* Give volumes of one shape"),
    ],
)
def test_what_is_no_volume_is_named(made, message):
    with pytest.raises(UserError, match=message) as error:
        Study.from_arrays(made, LABELS)
    refused(error)


def test_copies_may_share_a_group_and_nothing_else():
    copied = volumes()
    copied[6] = copied[1]
    with pytest.raises(UserError, match=r"1 volume is a copy of another: 6 is the same as 1\. Leave them out, or put"):
        Study.from_arrays(copied, LABELS)
    with pytest.raises(UserError, match=r"g is the same as b"):
        Study.from_arrays(copied, LABELS, ids=list("abcdefgh"), groups=[0, 1, 2, 3, 4, 5, 6, 7])
    assert len(Study.from_arrays(copied, LABELS, groups=[0, 1, 2, 3, 4, 5, 1, 7]).ids) == 8
    labels = [*LABELS]
    labels[6] = None  # takes no part, so it gives nothing away
    assert len(Study.from_arrays(copied, labels).ids) == 7


def test_groups_that_leave_a_class_on_no_side_are_told_by_the_split():
    study = arrays(groups=[0, 1, 0, 2, 0, 3, 0, 4])  # all controls are one family
    with pytest.raises(UserError, match=r"class 'control' has 4 sessions in 1 group: fewer than the 3 that") as error:
        Holdout().split(Sample(study.outcome, study.targets, study.groups), seed=0)
    library, command_line = refused(error)
    assert library.endswith("or leave it out (unlabelled).")
    assert command_line.endswith("or leave it out (data.unlabelled).")


def test_classes_insists_that_numbers_are_classes():
    grades = [1, 2, 3, 4, 5, 6] * 3
    with pytest.raises(UserError, match=r"6 different values in 18 rows .* this looks like a measurement") as error:
        arrays(grades)
    library, command_line = refused(error)
    assert "task='regression'; or take each value for a class: classes=True." in library
    assert "task=regression; or take each value for a class: data.classes=true." in command_line
    study = arrays(grades, classes=True)
    assert study.outcome.names == tuple("123456")


@pytest.mark.parametrize("model", [models.LinearSVM(), models.KNN(), models.Ridge()])
def test_the_order_of_the_rows_changes_nothing(model):
    labels = ["a", "b"] * 15
    given, ids = planted(np.arange(30) % 2 * 0.4, seed=3), [f"s{row}" for row in range(30)]
    shuffled = np.random.default_rng(0).permutation(30)
    expected, found = (
        evaluate(Study.from_arrays(given[rows], np.array(labels)[rows], ids=np.array(ids)[rows]), model, seed=1)
        for rows in (np.arange(30), shuffled)
    )
    assert found.predictions.equals(expected.predictions)
    assert found.scores == expected.scores


def test_rows_are_sorted_by_the_numbers_in_their_ids():
    study = Study.from_arrays(volumes(4), ["a", "b"] * 2, ids=["s10", "s9", "s2", "s1"])
    assert study.ids == ("s1", "s2", "s9", "s10")
    assert study.targets.tolist() == [1, 0, 1, 0]
    np.testing.assert_array_equal(study.volumes[0], np.float32(volumes(4)[3])[None])
