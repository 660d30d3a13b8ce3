"""What harmonising by site changes: where sites hide an effect, where there is none, and where it cannot be shown."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest

from mri3d import Column, Holdout, KFold, LeaveSiteOut, Study, UserError, evaluate, models
from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.evaluation.folds import Sample
from mri3d.evaluation.harmonizing import AS_THEY_ARE, DRAWS, HARMONIZED, _drawn, harmonize, judge_harmonization
from mri3d.outcome.score import Score
from mri3d.volumes.harmonization import Harmonized
from tests.evaluation.confounded import tiny_network
from tests.evaluation.of_sites import sites_study

RIDGE = models.Ridge(num_components=None, alpha=1.0)


def evaluated(study, splits, model=RIDGE, seed=0, folder=None):
    """Return the evaluation on harmonised volumes, and what it gave."""
    evaluation = CrossValidation.of(study, model, splits, seed=seed, folder=folder)
    trainings = harmonize(evaluation.trainings, evaluation.folds, Sample.of(study))
    evaluation = replace(evaluation, trainings=trainings)
    return evaluation, evaluation.run()


def judged(study, splits, model=RIDGE, seed=0, folder=None):
    return judge_harmonization(*evaluated(study, splits, model, seed, folder))


def test_an_effect_that_sites_hide_is_found():
    study = sites_study(5)
    found = judged(study, KFold(validation=0))
    apart = found.comparison.differences["auc"]
    assert found.scores[HARMONIZED]["auc"].value > 0.8
    assert found.scores[AS_THEY_ARE]["auc"].value < 0.75
    assert apart.difference == pytest.approx(
        found.scores[HARMONIZED]["auc"].value - found.scores[AS_THEY_ARE]["auc"].value
    )
    assert apart.p < 0.05
    for way in (AS_THEY_ARE, HARMONIZED):
        assert 0.4 < found.random_labels.means[way] < 0.6
    assert found.random_labels.number == DRAWS
    sentence = found.sentence(study.outcome)
    assert sentence.startswith(f"Harmonising by site changed the AUC from {apart.first:.3f} to {apart.second:.3f} (")
    assert f"; with random labels from {found.random_labels.means[AS_THEY_ARE]:.3f} to " in sentence


def test_scores_that_only_tell_of_sites_are_shown_to_do_so():
    """As they are, random labels are predicted by their sites; harmonised, nothing is left of these."""
    study = sites_study(1, number=80, effect=0.0, shares=(0.2, 0.4, 0.6, 0.8))
    found = judged(study, KFold(validation=0))
    assert found.random_labels.means[AS_THEY_ARE] > 0.6
    assert 0.42 < found.random_labels.means[HARMONIZED] < 0.58
    assert found.random_labels.difference.high < 0
    assert found.scores[HARMONIZED]["auc"].low < 0.5


def test_both_are_the_fits_that_arrays_of_these_volumes_give():
    study, splits = sites_study(2), Holdout(test=0.25)
    model = models.LinearSVM(num_components=[0.9, None], C=[0.1, 1.0])
    evaluation, results = evaluated(study, splits, model)
    found = judge_harmonization(evaluation, results)
    (training,) = evaluation.trainings
    volumes = np.stack([training.volumes[row][0] for row in range(48)])
    sites = [session.site for session in study.cohort.sessions]
    plain = Study.from_arrays(volumes, study.cohort.labels, sites=sites, ids=study.ids)
    for way, each in ((HARMONIZED, plain), (AS_THEY_ARE, study)):
        wanted = evaluate(each, model, splits).scores
        for name in ("auc", "log_loss", "brier"):
            assert found.scores[way][name].value == pytest.approx(wanted[name].value, abs=1e-6), (way, name)
    assert found.scores[HARMONIZED] == {name: results.scores[name] for name in found.scores[HARMONIZED]}


def test_a_site_that_is_only_tested_is_harmonised_by_its_own_sessions():
    study = sites_study(3, number=80)
    evaluation, results = evaluated(study, LeaveSiteOut(validation=0))
    for fold, training in zip(evaluation.folds, evaluation.trainings, strict=True):
        assert fold.name.removeprefix("site ") not in training.volumes.combat.sites
        mean = np.mean([training.volumes[row] for row in fold.test_rows], axis=0)
        others = np.mean([training.volumes[row] for row in training.rows], axis=0)
        raw = np.mean([study.volumes[row] for row in fold.test_rows], axis=0)
        assert np.abs(mean - others).mean() < 0.3 * np.abs(raw - others).mean()
    found = judge_harmonization(evaluation, results)
    assert found.scores[HARMONIZED]["auc"].value > found.scores[AS_THEY_ARE]["auc"].value > 0.6


def test_a_measure_is_judged_before_it_is_corrected():
    study = sites_study(4, number=80, task="regression")
    model = models.Ridge(alpha=1.0, num_components=None, debias=True)
    evaluation, results = evaluated(study, Holdout(test=0.4), model)
    found = judge_harmonization(evaluation, results)
    assert found.primary == "mae"
    assert found.scores[HARMONIZED]["mae"].value == results.scores["mae_raw"].value
    assert found.comparison.differences["mae"].difference < -0.1
    assert found.random_labels.means[HARMONIZED] > found.scores[HARMONIZED]["mae"].value + 0.2
    assert "changed the MAE from" in found.sentence(study.outcome)


def test_covariates_stay_beside_harmonised_volumes():
    study = sites_study(5, effect=0.0)
    told = {"told": [str(label) for label in study.cohort.labels]}
    volumes, sites = study.volumes.volumes, [session.site for session in study.cohort.sessions]
    known = Study.from_arrays(volumes, study.cohort.labels, sites=sites, covariates=told)
    found = judged(known, KFold(validation=0), models.Ridge(num_components=None, alpha=1.0, covariates="told"))
    assert found.scores[HARMONIZED]["auc"].value > 0.9
    assert found.scores[AS_THEY_ARE]["auc"].value > 0.9


def test_test_rows_have_no_part_in_any_fit():
    study = sites_study(6)
    sides = [session.covariates["side"] for session in study.cohort.sessions]
    one, sites = sides.index("test"), [session.site for session in study.cohort.sessions]
    volumes = study.volumes.volumes.copy()
    volumes[one] *= 50
    poisoned = Study.from_arrays(
        volumes, study.cohort.labels, ids=study.ids, sites=sites, covariates={"side": sides}
    )  # fmt: skip
    splits = Column("side", validation=0)
    ours, theirs = (evaluated(each, splits)[1] for each in (study, poisoned))
    rest = ours.rows != one
    np.testing.assert_allclose(theirs.predicted[rest], ours.predicted[rest], rtol=1e-9)
    assert np.abs(theirs.predicted[~rest] - ours.predicted[~rest]).max() > 1e-3


def test_random_labels_are_those_of_the_site_for_whole_groups():
    number = 4000
    site, pairs = np.where(np.arange(number) < 2000, "a", "b"), np.arange(number) // 2
    labels = np.where(site == "a", np.arange(number) % 8 < 2, np.arange(number) % 4 < 2).astype(int)
    volumes = np.random.default_rng(0).random((number, 2, 2, 2))
    study = Study.from_arrays(volumes, labels, sites=site, groups=pairs)
    evaluation = CrossValidation.of(study, RIDGE, KFold(validation=0), seed=0, folder=None)
    drawn = _drawn(evaluation, 30)
    groups, sites = study.groups, np.array([session.site for session in study.cohort.sessions])
    order = np.argsort(groups, kind="stable").reshape(-1, 2)
    np.testing.assert_array_equal(drawn[:, order[:, 0]], drawn[:, order[:, 1]])
    for name, share in (("a", 0.25), ("b", 0.5)):
        shares = drawn[:, sites == name].mean(axis=1)
        assert shares.mean() == pytest.approx(share, abs=0.01)
        assert shares.std() == pytest.approx((share * (1 - share) / 1000) ** 0.5, rel=0.4), "not permuted: drawn anew"
    assert abs(np.corrcoef(drawn[0], study.targets)[0, 1] - np.corrcoef(sites == "b", study.targets)[0, 1] ** 2) < 0.08


@pytest.mark.parametrize(
    ("fails", "has_comparison", "has_random"),
    [("fold_1_as_they_are", False, True), ("fold_1_random_as_they_are", True, False),
     ("fold_1_random_harmonized", True, False)],
)  # fmt: skip
def test_a_fit_that_fails_costs_nothing_else(fails, has_comparison, has_random, monkeypatch, caplog):
    def permuted(self, training, test_rows, targets, permuted=models.Ridge.permuted):
        if training.name == fails:
            raise UserError("nothing is left.")
        return permuted(self, training, test_rows, targets)

    monkeypatch.setattr(models.Ridge, "permuted", permuted)
    study = sites_study(7)
    found = judged(study, KFold(folds=2, validation=0))
    assert "fold 1: what harmonising changes cannot be shown in full: nothing is left." in caplog.text
    assert (found.comparison is not None, found.random_labels is not None) == (has_comparison, has_random)
    assert (AS_THEY_ARE in found.scores) == has_comparison
    told, sentence = json.loads(json.dumps(found.to_json(study.outcome))), found.sentence(study.outcome)
    assert told["sentence"] == sentence
    if has_comparison:
        assert sentence.endswith("; what it changes with random labels could not be found out.")
    else:
        assert sentence.endswith("is not known: no model of the volumes as they are was found.")
        assert told["differences"] == {}


def test_predictions_that_are_not_finite_are_no_fit(monkeypatch, caplog):
    def permuted(self, training, test_rows, targets, permuted=models.Ridge.permuted):
        found = permuted(self, training, test_rows, targets)
        if "random" in training.name:
            found[: len(found) // 2] = np.nan
        return np.full_like(found, np.nan) if training.name == "as_they_are" else found

    monkeypatch.setattr(models.Ridge, "permuted", permuted)
    found = judged(sites_study(8), Holdout(validation=0))
    assert found.comparison is None
    assert "there is no solution" in caplog.text
    assert found.random_labels.number == DRAWS // 2


def test_a_network_is_trained_three_times_more_and_no_oftener(monkeypatch, tmp_path, caplog):
    study, fitted, network = sites_study(9, number=40), [], tiny_network()

    def fit(self, training, fit=type(network).fit):
        fitted.append((training.name, isinstance(training.volumes, Harmonized), training.targets.tolist()))
        fit(self, training)

    monkeypatch.setattr(type(network), "fit", fit)
    with caplog.at_level(logging.WARNING):
        found = judged(study, Holdout(), network, folder=tmp_path)
    names = [name for name, *_ in fitted]
    assert names == ["", "as_they_are/0", "random_as_they_are/0", "random_harmonized/0"]
    assert [harmonized for _, harmonized, _ in fitted] == [True, False, False, True]
    true, plain, *random = (targets for *_, targets in fitted)
    assert true == plain
    assert random[0] == random[1] != true
    assert "harmonize='site': to show what it changes, the model of each fold is trained three more" in caplog.text
    assert found.random_labels.number == 1
    assert found.random_labels.difference.low is None
    assert not found.random_labels.better(ascending=False)
    assert found.comparison.differences["auc"].p <= 1
    assert not list(tmp_path.rglob("as_they_are*/**/*.ckpt")), "what the further fits left is removed"


def test_several_seeds_are_averaged_on_either_volumes(monkeypatch):
    fitted = []

    def permuted(self, training, test_rows, targets, permuted=models.Ridge.permuted):
        fitted.append(training.name)
        return permuted(self, training, test_rows, targets)

    monkeypatch.setattr(models.Ridge, "permuted", permuted)
    judged(sites_study(10), Holdout(validation=0, seeds=2))
    assert fitted[:2] == ["as_they_are_seed_0", "as_they_are_seed_1"]
    assert len(fitted) == 6


def test_what_metrics_tell_is_what_was_found():
    study = sites_study(11)
    found = judged(study, KFold(validation=0))
    told = json.loads(json.dumps(found.to_json(study.outcome)))
    assert told["by"] == "site"
    assert told["primary"] == "auc"
    assert Score(**told["scores"][HARMONIZED]["auc"]) == found.scores[HARMONIZED]["auc"]
    assert told["differences"]["auc"]["p"] == found.comparison.p
    random = told["random_labels"]
    assert random["difference"]["value"] == pytest.approx(random[HARMONIZED] - random[AS_THEY_ARE])
    assert random["difference"]["low"] < random["difference"]["value"] < random["difference"]["high"]
    assert random["better"] is False


def test_a_gain_of_random_labels_is_told(monkeypatch):
    study = sites_study(12)
    found = judged(study, KFold(validation=0))
    gained = replace(found, random_labels=replace(found.random_labels, difference=Score(0.04, 0.01, 0.07)))
    assert gained.random_labels.better(ascending=False)
    assert not gained.random_labels.better(ascending=True)
    assert gained.sentence(study.outcome).endswith(
        "Scores of random labels are better too: so much of the change is not about the outcome."
    )
    lower = replace(found.random_labels, difference=Score(-0.04, -0.07, -0.01))
    assert lower.better(ascending=True)
    assert not lower.better(ascending=False)


@pytest.mark.parametrize(
    ("sites", "splits", "told"),
    [
        ("abcdefghijklmnop", KFold(validation=0), r"too few sessions that fold 0 learns from: c 1, d 2, h 1"),
        ("abcdefghijkl", LeaveSiteOut(validation=0), r"that fold 0 tests and does not learn from: a 4\."),
        ("a", Holdout(validation=0), r"all sessions are of one site, 'a'"),
    ],
)
def test_sites_that_are_too_small_are_told_before_a_volume_is_read(sites, splits, told, monkeypatch):
    study = sites_study(13, sites=sites)
    monkeypatch.setattr(type(study.volumes), "__getitem__", lambda *_: pytest.fail("it was read"))
    monkeypatch.setattr(type(study.volumes), "block", lambda *_: pytest.fail("it was read"))
    evaluation = CrossValidation.of(study, RIDGE, splits, seed=0, folder=None)
    with pytest.raises(UserError, match=told):
        harmonize(evaluation.trainings, evaluation.folds, Sample.of(study))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("splits", "number"),
    [(KFold(folds=3, validation=0), 200), (Holdout(test=0.25, validation=0), 200), (LeaveSiteOut(validation=0), 80)],
)
def test_harmonising_raises_no_score_where_there_is_nothing(splits, number):
    """Cohorts of strong sites, with as many of each class at each: random labels gain nothing."""
    found = [judged(sites_study(1000 + seed, sites="abc", effect=0.0), splits, seed=seed) for seed in range(number)]
    gains = [each.random_labels.difference.value for each in found]
    assert abs(np.mean(gains)) < 0.01
    assert np.std(gains) / number**0.5 < 0.005, "else nothing is shown"


@pytest.mark.slow
def test_harmonising_leaves_nothing_of_what_sites_say():
    """100 cohorts whose classes differ in frequency between sites: random labels are predicted, and then no more."""
    cohorts = [sites_study(3000 + seed, effect=0.0, shares=(0.3, 0.4, 0.6, 0.7)) for seed in range(100)]
    found = [judged(study, Holdout(test=0.25, validation=0), seed=seed) for seed, study in enumerate(cohorts)]
    means = {way: np.mean([each.random_labels.means[way] for each in found]) for way in (AS_THEY_ARE, HARMONIZED)}
    assert means[AS_THEY_ARE] > 0.58
    assert abs(means[HARMONIZED] - 0.5) < 0.015


@pytest.mark.slow
def test_a_true_effect_is_not_taken_for_a_gain_of_random_labels():
    """Harmonising helps in nearly every cohort, and random labels gain by it no oftener than chance has it (2.5 %)."""
    found = [judged(sites_study(2000 + seed), KFold(validation=0), seed=seed) for seed in range(60)]
    gains = np.array([each.comparison.differences["auc"].difference for each in found])
    assert (gains > 0).mean() > 0.95
    assert gains.mean() > 0.2
    assert sum(each.random_labels.better(ascending=False) for each in found) <= 6
    assert abs(np.mean([each.random_labels.difference.value for each in found])) < 0.01
