"""Near-copies across the sides of a split end an evaluation before anything is trained."""

import json

import numpy as np
import pytest

from mri3d import All, Column, Holdout, KFold, UserError, evaluate, fit, models
from mri3d.evaluation import leaks
from mri3d.evaluation.folds import Fold, Sample
from mri3d.evaluation.leaks import audit_leaks
from mri3d.runs import run
from mri3d.volumes.near_copies import NearCopy
from tests.studies import class_study

RIDGE = models.Ridge(num_components=2, alpha=1.0, inner_folds=2)
KNN = models.KNN(k=3, num_components=2, inner_folds=2)
CERTAIN, POSSIBLE = NearCopy(2, 5, 0.98765, True), NearCopy(3, 4, 0.66, False)


def folds_of(*test_rows: list[int], num_rows=24):
    rows = np.arange(num_rows)
    return [
        Fold(number, 0, np.setdiff1d(rows, tested)[2:], np.setdiff1d(rows, tested)[:2], np.array(tested))
        for number, tested in enumerate(test_rows)
    ]


@pytest.fixture
def found(monkeypatch):
    """Let the search find what a test says."""
    pairs = []
    monkeypatch.setattr(leaks, "find_near_copies", lambda *_: list(pairs))
    return pairs


def test_pairs_are_held_against_every_fold(found):
    found += [CERTAIN, POSSIBLE]
    audit = audit_leaks(class_study(), folds_of([2, 3, 4], [5, 9], [10, 11]), allowed=True)
    assert [(pair.first, pair.second, pair.folds, pair.certain) for pair in audit.near_copies] == [
        ("2", "5", (0, 1), True),
        ("3", "4", (), False),
    ]
    assert audit.across == audit.near_copies[:1]
    assert json.loads(json.dumps(audit.to_json())) == {
        "sessions": 24,
        "near_copies": [
            {"first": "2", "second": "5", "similarity": 0.9877, "certain": True, "folds": [0, 1]},
            {"first": "3", "second": "4", "similarity": 0.66, "certain": False, "folds": []},
        ],
        "across": 1,
        "allowed": True,
    }


def test_a_copy_among_validation_rows_is_on_another_side_than_the_test(found):
    found.append(NearCopy(0, 5, 0.9, True))  # row 0 steers training
    with pytest.raises(UserError, match="near-copies are on two sides of the split"):
        audit_leaks(class_study(), folds_of([5]), allowed=False)


def test_a_certain_pair_ends_it_and_says_what_to_do(found):
    found += [CERTAIN, NearCopy(0, 1, 0.9, True)]
    with pytest.raises(UserError) as raised:
        audit_leaks(class_study(), folds_of([0, 2]), allowed=False)
    assert raised.value.on_command_line() == (
        "near-copies are on two sides of the split, so that a model is tested on heads that it learnt from: 2 pairs, "
        "2 and 5 (similarity 0.99); 0 and 1 (similarity 0.90). Let a column of the table say who is one person and set "
        "data.group to it, remove the copies, or set evaluation.allow_leaks=true to go on and have them in the report."
    )


def test_what_is_allowed_or_not_certain_is_warned_of(found, caplog):
    found += [CERTAIN, POSSIBLE]
    audit_leaks(class_study(), folds_of([2, 3]), allowed=True)
    assert "1 pair of near-copies on two sides of the split, as allowed: scores are too good. 2 and 5" in caplog.text
    assert "may be near-copies on two sides of the split, look at them: 3 and 4 (similarity 0.66)" in caplog.text


def test_evaluations_refuse_them_whatever_the_way_to_split(found):
    found.append(CERTAIN)
    study = class_study(covariates={"side": ["train", "train", "test", "test"] + ["train"] * 20})
    for splits in (KFold(folds=4), Holdout(test=0.5), Column("side", validation=0.0)):
        seed = next(
            seed
            for seed in range(20)
            if any(len({2, 5} & set(fold.test_rows)) == 1 for fold in splits.split(Sample.of(study), seed=seed))
        )
        with pytest.raises(UserError, match="near-copies"):
            evaluate(study, KNN, splits, seed=seed)
    results = evaluate(study, KNN, Column("side", validation=0.0, allow_leaks=True))
    assert [pair.folds for pair in results.leaks.across] == [(0,)]
    together = class_study(groups=[0, 1, 2, 3, 4, 2, *range(6, 24)])
    assert not evaluate(together, KNN, KFold(folds=3)).leaks.across, "one group is never parted"
    assert fit(study, KNN).members, "without a test nothing leaks into it"


def test_a_run_tells_them_before_its_folder_exists(found, tmp_path):
    found.append(CERTAIN)
    study = class_study(covariates={"side": ["train", "train", "test", "test"] + ["train"] * 20})
    names = {"title": "a", "model_name": "knn", "configuration": {"seed": 0}}
    with pytest.raises(UserError, match="near-copies"):
        run(lambda: study, KNN, Column("side", validation=0.0), seed=0, folder=tmp_path / "run", **names)
    assert not (tmp_path / "run").exists()
    splits = Column("side", validation=0.0, allow_leaks=True)
    run(lambda: study, KNN, splits, seed=0, folder=tmp_path / "run", **names)
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["leaks"]["across"] == 1
    assert "Tested on near-copies" in (tmp_path / "run/report.html").read_text()


def test_a_study_is_looked_through_once_and_not_at_all_where_nobody_is_tested(monkeypatch):
    looked = []
    monkeypatch.setattr(leaks, "find_near_copies", lambda *given: looked.append(given) or [])
    study = class_study()
    evaluate(study, RIDGE, All())
    assert looked == []
    for splits in (Holdout(), KFold(folds=3), Holdout()):
        assert evaluate(study, RIDGE, splits).leaks.near_copies == ()
    assert len(looked) == 1


def test_copies_that_are_linked_by_one_who_takes_no_part_are_found(found):
    found += [NearCopy(2, 5, 0.9, True), NearCopy(5, 9, 0.8, True)]
    rows = np.arange(24)
    without = np.setdiff1d(rows, [2, 5])  # 2 is tested, 9 is learnt from, and 5, which links them, takes no part
    fold = Fold(0, 0, without[2:], without[:2], np.array([2]))
    with pytest.raises(UserError, match=r"1 pair, 2 and 9 \(similarity 0\.80\)"):
        audit_leaks(class_study(), [fold], allowed=False)
    whole = audit_leaks(class_study(), folds_of([2, 5, 9]), allowed=False)
    assert [(pair.first, pair.second) for pair in whole.near_copies] == [("2", "5"), ("5", "9")]


def test_scores_on_near_copies_are_not_called_better_than_chance(found, tmp_path):
    study, splits = class_study(effect=3.0), KFold(folds=3, allow_leaks=True)
    first, second = sorted(int(fold.test_rows[0]) for fold in splits.split(Sample.of(study), seed=0)[:2])
    found += [NearCopy(first, second, 0.98, True)]
    results = evaluate(study, RIDGE, splits)
    assert results.leaks.found
    assert results.better_than_chance is None
    assert results.headline().endswith(", tested on near-copies of what was learnt from: too good")
    metrics = results.metrics(num_subjects={}, seconds={})
    honest = metrics | {"leaks": metrics["leaks"] | {"near_copies": []}}
    for told, said in ((metrics, False), (honest, True)):
        assert ("No model was tested" in study.outcome.words.result_sentence(told, results.targets)[1]) == said
