"""Scores of parts of a cohort: those of the part's own tests, and what tested scans are like beside the others."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mri3d import KFold, Recipe, Study, evaluate, models
from mri3d.cohort.variables import Variable
from mri3d.evaluation.sampling import Sampling
from mri3d.evaluation.scored_strata import ScoredStrata
from mri3d.outcome import Classes, Measure
from tests.studies import class_study, write_heads

RIDGE = models.Ridge(num_components=0.9, inner_folds=2)


def test_parts_have_the_scores_of_their_tests():
    sites = ["north", "south"] * 20
    results = evaluate(class_study(40, effect=0.3, sites=sites), RIDGE, KFold(folds=4))
    north = np.array(sites)[results.rows] == "north"  # one class alone
    table = results.strata
    assert table[["variable", "level", "sessions"]].to_numpy().tolist() == [
        ["site", "north", 20],
        ["site", "south", 20],
    ]
    right = results.predicted[north].argmax(axis=1) == results.targets[north]
    assert table["accuracy"][0] == pytest.approx(right.mean())
    assert table["accuracy_low"][0] < table["accuracy"][0] <= table["accuracy_high"][0]
    assert np.isnan(table["auc"].astype(float)[0]), "one class has no pairs"
    members = results.metrics(num_subjects={}, seconds={})["strata"]["members"]
    assert members[0]["scores"]["auc"] == {"value": None, "low": None, "high": None}
    assert members[0]["scores"]["accuracy"]["value"] == pytest.approx(right.mean())


def test_pairs_are_of_one_fold_and_repeats_count_once():
    random = np.random.default_rng(0)
    rows, folds = np.tile(np.arange(40), 2), np.repeat(np.arange(4), 20)
    targets, second = rows % 2, random.random(80) + 5 * (folds % 2)
    proba = np.column_stack([1 - second / 7, second / 7])
    sampling = Sampling(folds, rows, np.array([f"s{row}" for row in rows]), (30,) * 4)
    part = Variable.of("site", ["a" if row < 20 else "b" for row in rows])
    found = ScoredStrata.of(Classes(("x", "y")), targets, proba, sampling, [part])
    here = rows < 20
    aucs = [roc_auc_score(targets[here & (folds == fold)], second[here & (folds == fold)]) for fold in (0, 2)]
    assert found.scores[0]["auc"].value == pytest.approx(np.mean(aucs))
    assert found.to_json()["members"][0]["sessions"] == 20
    errors = np.where(here, 2.0, 5.0) + (rows == 0) * (folds > 1)  # one session errs differently in its two tests
    whole = ScoredStrata.of(Measure("age"), second, second + errors, sampling, [part])
    assert [scores["mae"].value for scores in whole.scores] == [pytest.approx(2 + 0.5 / 20), pytest.approx(5)]
    unknown = Variable.of("dose", ["" if row < 3 else f"{row % 2}" for row in rows])
    assert ScoredStrata.of(Measure("age"), second, second, sampling, [unknown]).to_json()["unknown"] == {"dose": 3}


def test_nothing_is_parted_where_nothing_is_known():
    results = evaluate(class_study(16), RIDGE, KFold(folds=2))
    assert len(results.strata) == 0
    assert results.judgements == ()
    assert results.metrics(num_subjects={}, seconds={})["strata"]["members"] == []


def test_tested_scans_are_held_against_those_that_were_learnt_from(tmp_path):
    write_heads(tmp_path, 24, site=["x", "y"] * 12)
    study = Study.from_table("study.csv", root=tmp_path, site="site", recipe=Recipe(8))
    results = evaluate(study, RIDGE, KFold(folds=3))
    assert len(results.judgements) == 24
    told = results.metrics(num_subjects={}, seconds={})["scans"]
    statuses = [each.status for each in results.judgements]
    assert {name: told[name] for name in ("ok", "unusual", "outside")} == {
        name: statuses.count(name) for name in ("ok", "unusual", "outside")
    }
    assert statuses.count("ok") >= 20, "all heads are alike"
    named = [study.ids[row] for row, status in zip(results.rows, statuses, strict=True) if status != "ok"]
    assert [each["subject"] for each in told["sessions"]] == named
    assert all(each["reasons"] and 0 <= each["fold"] < 3 for each in told["sessions"])
    contracts = [member.card.contract for member in results.model.members]
    assert [each is result.contract for each, result in zip(contracts, results.folds, strict=True)] == [True] * 3
    assert set(results.strata["variable"]) >= {"site"}
