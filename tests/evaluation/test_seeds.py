"""Each fold fitted with several seeds: their mean prediction is the prediction, and their spread is told."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mri3d import All, Holdout, KFold, Nested, evaluate, load, models
from mri3d.errors import UserError
from mri3d.evaluation.auc import within_fold_auc
from mri3d.evaluation.seeds import seed_spread
from mri3d.outcome.resampling import Ranking
from tests.studies import age_study, class_study, cnn, planted, weights

KNN = models.KNN(k=3, num_components=0.9, inner_folds=2)


@pytest.fixture(scope="module")
def networks():
    """Evaluate a network with one seed and with three."""
    study, model = class_study(effect=0.8), cnn()
    return [evaluate(study, model, KFold(folds=2, seeds=seeds), seed=5) for seeds in (1, 3)]


def test_the_first_seed_is_that_of_a_run_without_others(networks):
    one, three = networks
    for alone, several in zip(one.folds, three.folds, strict=True):
        assert [fit.seed for fit in alone.fits] == [several.fits[0].seed]
        assert len({fit.seed for fit in several.fits}) == 3
        assert_array_equal(several.fits[0].predictions, alone.predictions)
        assert weights(several.model.fits[0]) == weights(alone.model)
        assert weights(several.model.fits[1]) != weights(alone.model)
    seeds = [fit.seed for result in three.folds for fit in result.fits]
    assert len(set(seeds)) == 6, "no fold shares a seed with another"


def test_the_prediction_is_the_mean_and_the_model_folder_predicts_it(networks, tmp_path):
    three = networks[1]
    for result in three.folds:
        assert_allclose(result.predictions, np.mean([fit.predictions for fit in result.fits], axis=0), rtol=1e-12)
        assert result.scores == three.study.outcome.scores(
            three.study.targets[result.fold.test_rows], result.predictions
        )
    new = planted([0.0, 1.5, 0.0], seed=3)
    three.model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert len(loaded.members) == 2
    assert_array_equal(loaded.predict_arrays(new), three.model.predict_arrays(new))
    assert_array_equal(loaded.explain_arrays(new, target="patient"), three.model.explain_arrays(new, target="patient"))
    each = [fit.predict(three.study.volumes, np.arange(4)) for fit in three.folds[0].model.fits]
    one = load(tmp_path / "model/fold_0").members[0].model
    assert_allclose(one.predict(three.study.volumes, np.arange(4)), np.mean(each, axis=0), rtol=1e-12)


def test_the_spread_over_seeds_is_that_of_the_scores_of_all_tests(networks):
    one, three = networks
    assert one.seed_scores == []
    assert "seeds" not in one.metrics(num_subjects={}, seconds={})
    truth = three.targets == 1
    expected = []
    for which in range(3):
        decisions = np.concatenate([result.fits[which].predictions[:, 1] for result in three.folds])
        expected.append(within_fold_auc(Ranking(truth[:, None], decisions[:, None]), three.fold_numbers).value)
    told = three.metrics(num_subjects={}, seconds={})["seeds"]
    assert told["number"] == 3
    assert told["auc"]["values"] == pytest.approx(expected)
    assert told["auc"]["sd"] == pytest.approx(np.std(expected, ddof=1))
    assert told["auc"]["values"][0] == one.scores["auc"].value


def test_each_fit_of_a_fold_is_told(networks):
    folds = networks[1].metrics(num_subjects={}, seconds={})["folds"]
    for fold, result in zip(folds, networks[1].folds, strict=True):
        assert fold["scores"] == result.scores
        assert [fit["seed"] for fit in fold["fits"]] == [fit.seed for fit in result.fits]
        assert [fit["epochs"] for fit in fold["fits"]] == [2, 2, 2]
        assert fold["seconds"] == pytest.approx(sum(fit["seconds"] for fit in fold["fits"]), abs=0.01)
    assert "fits" not in networks[0].metrics(num_subjects={}, seconds={})["folds"][0]


def test_a_corrected_measure_has_the_mean_before_correction_too(tmp_path):
    model = models.Ridge(num_components=None, alpha=0.3, inner_folds=3, debias=True)
    results = evaluate(age_study(), model, KFold(folds=2, validation=0, seeds=2), seed=1)
    for result in results.folds:
        assert_allclose(result.raw, np.mean([fit.raw for fit in result.fits], axis=0))
        assert_allclose(result.predictions, np.mean([fit.predictions for fit in result.fits], axis=0))
    assert results.seed_scores[0]["mae_raw"] > 0
    results.model.save(tmp_path)
    new = planted([0.2, 1.1])
    assert_array_equal(load(tmp_path).predict_arrays(new), results.model.predict_arrays(new))


def test_a_model_that_is_not_random_does_not_spread_but_by_its_inner_folds():
    fixed = models.KNN(k=3, num_components=4)
    results = evaluate(class_study(), fixed, KFold(folds=2, validation=0, seeds=3))
    spread = seed_spread(results.seed_scores)
    assert spread["accuracy"]["values"][0] == results.scores["accuracy"].value


def test_permutations_are_of_the_mean_of_all_seeds(monkeypatch):
    asked = []

    def permuted(self, training, test_rows, targets):
        asked.append((training.seed, test_rows))
        proba = np.random.default_rng(training.seed).random((len(targets), len(test_rows)))
        return np.stack([1 - proba, proba], axis=-1)

    monkeypatch.setattr(models.KNN, "permuted", permuted)
    study = class_study(effect=0.4)
    results = evaluate(study, KNN, KFold(folds=2, validation=0, permutations=6, seeds=2), seed=2)
    assert [seed for seed, _ in asked] == [fit.seed for result in results.folds for fit in result.fits]
    right = pairs = 0.0
    for (first, rows), (second, _) in (asked[:2], asked[2:]):
        shown = [np.random.default_rng(seed).random((7, len(rows)))[0] for seed in (first, second)]
        truth, mean = study.targets[rows], np.mean(shown, axis=0)
        right += (mean[truth == 1][:, None] > mean[truth == 0]).sum()
        pairs += (truth == 1).sum() * (truth == 0).sum()
    assert results.permutation.scores["auc"].compared == pytest.approx(right / pairs)


def test_what_is_chosen_counts_for_each_fit():
    splits = Nested(folds=2, seeds=2, grid={"k": [1, 3]}, inner_folds=2, validation=0)
    results = evaluate(class_study(), models.KNN(num_components=2), splits)
    assert sum(results.chosen_counts["k"].values()) == 4
    assert {row["fit"] for row in results.search_rows()} == {0, 1}
    for fold, result in zip(results.metrics(num_subjects={}, seconds={})["folds"], results.folds, strict=True):
        agreed = {fit.chosen["k"] for fit in result.fits}
        assert fold["chosen"].get("k") == (agreed.pop() if len(agreed) == 1 else None)


def test_a_final_model_may_have_several_seeds(tmp_path):
    results = evaluate(class_study(), cnn(), All(seeds=2))
    assert results.seed_scores == []
    assert len(results.model.members[0].model.fits) == 2
    assert results.headline().startswith("none: trained on all 24")


@pytest.mark.parametrize("splits", [Holdout, KFold, All, Nested])
def test_less_than_one_seed_is_refused(splits):
    with pytest.raises(UserError, match=r"^seeds=0: give a whole number of at least 1\.$"):
        splits(seeds=0)


def test_an_evaluation_with_seeds_goes_on_in_its_folder(tmp_path, monkeypatch):
    study, model, splits = class_study(), cnn(), Holdout(seeds=2)
    whole = evaluate(study, model, splits)
    evaluate(study, model, splits, folder=tmp_path)
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"seed_0", "seed_1"}
    again = evaluate(study, model, splits, folder=tmp_path)
    assert_array_equal(again.predicted, whole.predicted)
    with pytest.raises(UserError, match="is of an evaluation with another splits"):
        evaluate(study, model, Holdout(seeds=3), folder=tmp_path)
