"""Learning curves: who learns at each fraction, what is predicted, and what more sessions would buy."""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import roc_auc_score

from mri3d import All, Holdout, KFold, Study, UserError, evaluate, models
from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.evaluation.folds import Sample
from mri3d.evaluation.learning_curve import LearningCurve, measured_curve
from mri3d.outcome import Classes, Line, Measure
from tests.evaluation.curves import RIDGE, Recorder, begun, curve_of, noise_study, options_of
from tests.evaluation.peer import Peer, flat, peer_study
from tests.studies import age_study, class_study, cnn


@pytest.fixture
def recorder():
    Recorder.fits.clear()
    return Recorder()


# ---- who learns


@pytest.mark.parametrize("families", [False, True])
@pytest.mark.parametrize("kind", ["classes", "measure"])
def test_parts_are_nested_and_hold_whole_groups_and_all_strata(kind, families):
    random = np.random.default_rng(1)
    groups = np.repeat(np.arange(200), random.integers(1, 4, 200))[:120] if families else np.arange(120)
    targets = random.permutation(np.arange(120) % 4 == 0).astype(int) if kind == "classes" else random.normal(size=120)
    sample = Sample(Classes(("a", "b")) if kind == "classes" else Measure("age"), targets, groups)
    strata = targets if kind == "classes" else np.searchsorted(np.quantile(targets, [0.25, 0.5, 0.75]), targets)
    splits = LearningCurve(folds=4, repeats=2, validation=0.25, fractions=[0.5, 0.25, 0.75])
    folds = splits.split(sample, seed=3)
    smaller = splits.smaller(sample, folds, seed=3)
    assert list(smaller) == [0.25, 0.5, 0.75]
    for number, fold in enumerate(folds):
        for side in ("train_rows", "validation_rows"):
            sizes = [*smaller, 1.0]
            parts = [getattr(each[number], side) for each in smaller.values()] + [getattr(fold, side)]
            for part, larger in itertools.pairwise(parts):
                assert set(part) < set(larger)
                assert np.array_equal(part, np.sort(part))
                assert not set(groups[part]) & set(groups[np.setdiff1d(larger, part)]), "whole groups"
            for fraction, part in zip(sizes, parts, strict=True):
                counts = [np.bincount(strata[rows], minlength=strata.max() + 1) for rows in (part, parts[-1])]
                assert np.abs(counts[0] - fraction * counts[1]).max() < (4 if families or kind == "measure" else 2)
        for each in smaller.values():
            assert each[number].test_rows is fold.test_rows
            assert (each[number].number, each[number].repeat) == (fold.number, fold.repeat)


def test_parts_follow_from_the_seed_and_differ_between_folds_and_repeats():
    sample = Sample(Classes(("a", "b")), np.arange(80) % 2, np.arange(80))
    splits = LearningCurve(folds=2, repeats=2, validation=0, fractions=[0.5])
    folds = splits.split(sample, seed=0)
    first, again, other = (splits.smaller(sample, folds, seed=seed)[0.5] for seed in (0, 0, 1))
    assert [fold.train_rows.tolist() for fold in first] == [fold.train_rows.tolist() for fold in again]
    assert [fold.train_rows.tolist() for fold in first] != [fold.train_rows.tolist() for fold in other]
    same = replace(folds[0], number=1)
    assert splits.smaller(sample, [same], seed=0)[0.5][0].train_rows.tolist() != first[0].train_rows.tolist()


def test_balanced_columns_are_cut_alike():
    columns = {"scanner": ["x" if row % 8 < 2 else "y" for row in range(160)]}
    sample = Sample(Classes(("a", "b")), np.arange(160) % 2, np.arange(160), columns=columns)
    splits = LearningCurve(folds=2, validation=0, balance="scanner", fractions=[0.5])
    for fold in splits.smaller(sample, splits.split(sample, seed=0), seed=0)[0.5]:
        assert 9 <= sum(columns["scanner"][row] == "x" for row in fold.train_rows) <= 11  # a quarter of 40


# ---- what is predicted


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_points_are_scores_of_fits_to_the_parts(task):
    study = peer_study() if task == "classification" else age_study(40)
    splits = LearningCurve(folds=3, validation=0.2, fractions=[0.4, 0.7])
    curve, results, evaluation = curve_of(study, Peer(), splits)
    smaller = splits.smaller(Sample.of(study), evaluation.folds, seed=7)
    assert [point.fraction for point in curve.points] == [0.4, 0.7, 1.0]
    for point, folds in zip(curve.points, [*smaller.values(), evaluation.folds], strict=True):
        right, pairs, errors, sizes = 0.0, 0, [], []
        for fold in folds:
            (values, targets), (tests, truth) = (
                (flat(study.volumes, rows), study.targets[rows]) for rows in (fold.train_rows, fold.test_rows)
            )
            sizes.append(len(fold.train_rows) + len(fold.validation_rows))
            if task == "classification":
                proba = LogisticRegression().fit(values, targets).predict_proba(tests)[:, 1]
                number = truth.sum() * (1 - truth).sum()
                right, pairs = right + number * roc_auc_score(truth, proba), pairs + number
            else:
                errors += np.abs(LinearRegression().fit(values, targets).predict(tests) - truth).tolist()
        expected = right / pairs if task == "classification" else np.mean(errors)
        assert point.scores[curve.score].value == pytest.approx(expected)
        assert point.num_train == pytest.approx(np.mean(sizes))
    assert curve.now.scores == {name: score for name, score in results.scores.items() if "prevalence" not in name}
    assert curve.score == ("auc" if task == "classification" else "mae")


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_no_test_session_reaches_a_fit(task, recorder):
    study = peer_study() if task == "classification" else age_study(40)
    splits = LearningCurve(folds=3, validation=0.2, fractions=[0.4, 0.7])
    _, _, evaluation = curve_of(study, recorder, splits)
    clean = {name: weights for name, (_, weights) in recorder.fits.items()}
    assert sorted(clean) == sorted(
        [f"fold_{fold}{fraction}" for fold in range(3) for fraction in ("", "_fraction_0.4", "_fraction_0.7")]
    )
    for fold in evaluation.folds:
        arrays = np.stack([study.volumes[row] for row in range(len(study.ids))])
        arrays[fold.test_rows] = 50 * np.random.default_rng(0).normal(size=arrays[fold.test_rows].shape)
        poisoned = replace(evaluation, study=Study.from_arrays(arrays, study.cohort.labels, **options_of(task)))
        trainings = [replace(each, volumes=poisoned.study.volumes) for each in evaluation.trainings]
        poisoned = replace(poisoned, trainings=trainings)
        recorder.fits.clear()
        measured_curve(poisoned, poisoned.run())
        for name, (_, weights) in recorder.fits.items():
            assert np.array_equal(weights, clean[name]) == name.startswith(f"fold_{fold.number}"), name


def test_each_seed_is_fitted_and_their_mean_is_the_prediction(recorder):
    @dataclass
    class Lucky(Recorder):
        def predict(self, volumes, rows):
            """Predict by chance alone."""
            p = np.random.default_rng([self.trainings[-1].seed, int(rows[0])]).random(len(rows))
            return np.stack([1 - p, p], axis=1)

    study = peer_study()
    splits = LearningCurve(folds=2, seeds=2, fractions=[0.5, 0.75])
    curve, _, evaluation = curve_of(study, Lucky(), splits)
    names = [name for name in recorder.fits if "fraction" in name]
    assert names == [
        f"fold_{fold}_fraction_{fraction}_seed_{seed}" for fraction in (0.5, 0.75) for fold in (0, 1) for seed in (0, 1)
    ]
    seeds = [recorder.fits[f"fold_0_fraction_0.5_seed_{which}"][0].seed for which in (0, 1)]
    rows = evaluation.folds[0].test_rows
    mean = np.mean([np.random.default_rng([seed, int(rows[0])]).random(len(rows)) for seed in seeds], axis=0)
    assert np.allclose(curve.points[0].tests.proba[: len(rows), 1], mean)
    assert all(recorder.fits[name][0].inner for name in names)


def test_corrected_predictions_count_as_they_were_before():
    study = age_study(40)
    splits = LearningCurve(folds=3, validation=0, fractions=[0.4, 0.7])
    plain, _, _ = curve_of(study, Peer(), splits)
    curve, results, _ = curve_of(study, Peer(line=Line(intercept=12.0, slope=0.8)), splits)
    assert curve.score == "mae_raw"
    assert curve.now.scores["mae_raw"] == results.scores["mae_raw"]
    for point, other in zip(curve.points, plain.points, strict=True):
        assert point.scores["mae_raw"].value == pytest.approx(other.scores["mae"].value)
    assert " the MAE before correction " in curve.sentence


def test_networks_learn_from_parts_with_their_own_validation_and_leave_nothing(tmp_path):
    study = class_study(60)
    curve, _, _ = curve_of(study, cnn(epochs=1), LearningCurve(folds=2, fractions=[0.5]), tmp_path)
    assert [point.num_train for point in curve.points] == [15, 30]
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"fold_0", "fold_1"}
    assert not [path for path in tmp_path.rglob("*") if "fraction" in path.name]


# ---- what is refused


@pytest.mark.parametrize(
    ("fractions", "told"),
    [
        (
            [0.2, 1.0],
            r"^fractions=\[0\.2, 1\.0\]: 1 is no share of the training sessions. Give numbers between 0 and 1",
        ),
        ([0.0, 0.5], r"^fractions=\[0\.0, 0\.5\]: 0 is no share"),
        ([-0.5], r"-0\.5 is no share"),
        ([20, 40], r"20 is no share"),
        ([float("nan")], r"nan is no share"),
        ([], r"^fractions=\[\] names no smaller training set. Give two shares or more"),
        (0.5, r"^fractions=0\.5 is not a list, each item a number"),
        (["a"], r"^fractions=\['a'\] is not a list, each item a number"),
    ],
)
def test_what_is_no_share_is_refused(fractions, told):
    with pytest.raises(UserError, match=told):
        LearningCurve(fractions=fractions)


def test_fractions_are_sorted_and_each_is_there_once():
    assert LearningCurve(fractions=[0.5, 0.25, 0.5]).fractions == (0.25, 0.5)
    assert LearningCurve().fractions == (0.2, 0.4, 0.6, 0.8)
    assert LearningCurve(fractions=np.array([0.5])).fractions == (0.5,)


def test_parts_without_a_class_are_refused_by_fraction():
    labels = ["rare" if row < 3 else "usual" for row in range(60)]
    study = Study.from_arrays(np.random.default_rng(0).normal(size=(60, 3, 4, 5)), labels)
    model = Peer()
    with pytest.raises(UserError, match=r"^fractions: 0\.1 of what fold 0 learns from is too little: no session of cl"):
        begun(study, model, LearningCurve(folds=3, validation=0, fractions=[0.1, 0.5]))
    assert model.trainings == []


def test_parts_that_a_model_cannot_learn_from_are_refused_by_fraction():
    model = models.KNN(k=3, num_components=10, inner_folds=2)
    told = (
        r"^fractions: 0\.2 of what fold 0 learns from is too little: .*num_components=10 is impossible.* Or leave out"
    )
    with pytest.raises(UserError, match=told):
        begun(class_study(60), model, LearningCurve(folds=2, fractions=[0.2, 0.9]))
    with pytest.raises(UserError, match=r"0\.05 of what .* a CNN stops by its validation rows, and there are none"):
        begun(class_study(60), cnn(), LearningCurve(folds=2, validation=0.1, fractions=[0.05, 0.9]))


def test_validation_without_a_class_is_told(caplog):
    labels = ["rare" if row % 3 == 0 else "usual" for row in range(30)]
    study = Study.from_arrays(np.random.default_rng(0).normal(size=(30, 3, 4, 5)), labels)
    begun(study, Peer(), LearningCurve(folds=2, validation=0.2, fractions=[0.3, 0.7]))  # of one and two sessions
    told = "some folds validate with no session of class 'rare': a network that stops by it may do worse"
    assert f"with 0.3 of what they learn from {told}" in caplog.messages
    caplog.clear()
    begun(class_study(80), Peer(), LearningCurve(folds=2, validation=0.2, fractions=[0.5, 0.8]))
    assert not [message for message in caplog.messages if "validate" in message]


def test_evaluate_measures_the_curve_and_refuses_before_any_work(monkeypatch):
    study = noise_study(40, effect=0.5)
    results = evaluate(study, RIDGE, LearningCurve(folds=2, fractions=[0.4, 0.7]))
    assert [point.fraction for point in results.learning_curve.points] == [0.4, 0.7, 1.0]
    told = results.metrics(num_subjects={}, seconds={})["learning_curve"]
    assert told == results.learning_curve.to_json()
    assert results.scores == evaluate(study, RIDGE, KFold(folds=2)).scores, "the curve changes nothing of them"
    monkeypatch.setattr(CrossValidation, "run", None)
    with pytest.raises(UserError, match=r"^fractions: 0\.05 of what fold 0 learns from is too little"):
        evaluate(study, models.KNN(k=3, num_components=5), LearningCurve(folds=2, fractions=[0.05, 0.5]))


@pytest.mark.parametrize("splits", [KFold(folds=2), Holdout(), All()])
def test_other_ways_to_split_have_no_curve(splits):
    results = evaluate(noise_study(40), RIDGE, splits)
    assert results.learning_curve is None
    assert "learning_curve" not in results.metrics(num_subjects={}, seconds={})
