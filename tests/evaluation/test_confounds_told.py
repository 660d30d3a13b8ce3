"""Columns that explain nothing, or all: what is told of confounds before anything is fitted, and beside results."""

import logging

import pytest

from mri3d import Holdout, KFold, LeaveSiteOut, Study, UserError, evaluate, models
from tests.evaluation.confounded import effect_study, scaled_study

RIDGE = models.Ridge(num_components=[0.5, None], alpha=[0.1, 1.0])


def judged(study, model=RIDGE, splits=None, seed=0):
    return evaluate(study, model, splits or KFold(confounds=["size"]), seed=seed).confounds


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["sise"], r"confounds='sise' is no column that the study kept \(kept: size, side, family, code, constant\)."),
        (["label"], "confounds='label' is what is predicted"),
        (["size", "size"], "stands there twice"),
        (["constant"], "is 7 for every session"),
        (["code"], "has -999 among its numbers"),
    ],
)
def test_columns_that_cannot_be_used_are_named_before_anything_is_fitted(names, told, monkeypatch):
    study = scaled_study(10, number=30)
    monkeypatch.setattr(models.Ridge, "fit", lambda *_: pytest.fail("it was fitted"))
    with pytest.raises(UserError, match=told):
        evaluate(study, RIDGE, KFold(confounds=names))


@pytest.mark.parametrize("option", ["confounds", "covariates"])
def test_a_site_that_is_never_learnt_from_where_it_is_tested_is_refused(option):
    study, given = effect_study(2, number=60), {option: ["site"]}
    model = models.Ridge(**given) if option == "covariates" else RIDGE
    splits = LeaveSiteOut(validation=0, **(given if option == "confounds" else {}))
    with pytest.raises(UserError, match=f"{option}='site': no session is tested whose site is learnt from"):
        evaluate(study, model, splits)


def test_a_value_that_is_tested_and_not_learnt_from_is_told(caplog):
    study = scaled_study(16, number=40)
    rare = ["rare" if row == 4 else "ab"[row % 2] for row in range(40)]
    named = Study.from_arrays(study.volumes.volumes, study.cohort.labels, ids=study.ids, covariates={"ward": rare})
    with caplog.at_level(logging.WARNING):
        judged(named, splits=KFold(folds=3, confounds=["ward"]))
    assert "confounds='ward': some values are tested and not learnt from, and count as not known: fold" in caplog.text
    assert "(rare)" in caplog.text


def test_groups_too_large_for_inner_folds_are_told_before_anything_is_fitted(monkeypatch):
    def too_few(training, **_: object):
        raise UserError(f"{training.name}: class 'k2' has 2 sessions in 1 group.")

    monkeypatch.setattr("mri3d.evaluation.crossvalidation.inner_folds_of", too_few)
    monkeypatch.setattr(models.Ridge, "fit", lambda *_: pytest.fail("it was fitted"))
    with pytest.raises(UserError, match="fold_0: class 'k2' has 2 sessions in 1 group"):
        judged(scaled_study(15, number=30))


def test_a_column_that_is_the_label_is_told_where_it_is_put_to_use(caplog):
    study = scaled_study(17, number=40)
    copies = ["xy"[int(label)] for label in study.cohort.labels]
    named = Study.from_arrays(study.volumes.volumes, study.cohort.labels, ids=study.ids, covariates={"copy": copies})
    results = evaluate(named, models.Ridge(covariates="copy", num_components=0.9, alpha=1.0), Holdout())
    assert "copy alone says what label is, so that nothing can be learnt about label itself" in caplog.text
    assert results.headline().endswith(", but copy alone says label: nothing is shown of it")
    assert results.better_than_chance is None
    plain = evaluate(named, RIDGE, Holdout())
    assert plain.better_than_chance is not None
    assert any(each.alias for each in plain.associations)


def test_a_column_that_says_the_class_by_being_there_is_told(caplog):
    study = scaled_study(18, number=40)
    codes = [f"F{row % 5}" if label == "1" else "" for row, label in enumerate(study.cohort.labels)]
    named = Study.from_arrays(study.volumes.volumes, study.cohort.labels, ids=study.ids, covariates={"icd": codes})
    results = evaluate(named, RIDGE, Holdout())
    (found,) = [each for each in results.associations if each.name == "icd, known or not"]
    assert found.alias
    told = [f"F{row % 5}" if label == "1" or row == 0 else "" for row, label in enumerate(study.cohort.labels)]
    nearly = Study.from_arrays(study.volumes.volumes, study.cohort.labels, ids=study.ids, covariates={"icd": told})
    (found,) = [e for e in evaluate(nearly, RIDGE, Holdout()).associations if e.name == "icd, known or not"]
    assert found.associated
