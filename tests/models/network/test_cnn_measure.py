"""The CNN learns a measure in its own unit, repeats itself to the bit, and shows what raises and what lowers it."""

import functools
import json

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import linregress
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mri3d.model_folder import Card, read_model, write_model
from mri3d.models.loading import load
from mri3d.models.network.cnn import CNN
from mri3d.models.network.learner import Learner
from mri3d.models.network.live_heatmaps import TAG
from mri3d.nets.sfcn import SFCN
from mri3d.outcome import Measure
from mri3d.volumes.augmentation import Augmentation
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.reference import Reference
from mri3d.volumes.sequence import InMemory
from tests.explain.asked import ask, usual
from tests.models.blobs import (
    BLOB,
    SHAPE,
    TEST,
    TRAIN,
    VALIDATION,
    cnn,
    measured,
    planted_measure,
    training,
    weights,
)
from tests.models.refusals import refused

pytestmark = pytest.mark.usefixtures("one_core")

AGE = Measure("age")
RECIPE = Recipe("native", crop="none", shape=SHAPE)


def still(**options: object):
    """Give a CNN that learns a measure from few volumes within a second; they are not changed at random."""
    network = functools.partial(SFCN, channels=[8, 8], norm="none", dropout=0.0)
    return cnn(**{"epochs": 20, "augmentation": None, "network": network} | options)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """Give a model that has learnt ages and corrects them, what it learnt from, and its run."""
    folder = tmp_path_factory.mktemp("run")
    made = measured(folder)
    model = still(debias=True)
    model.fit(made)
    return model, made, folder


def raw_predictions(model, made, rows):
    """Put volumes through the network and leave predictions as they are, in years."""
    with torch.no_grad():
        outputs = model.network_(torch.from_numpy(made.volumes.volumes[rows])).double().numpy()[:, 0]
    seen = made.targets[TRAIN]
    return outputs * seen.std() + seen.mean()


def test_planted_ages_are_learnt_in_years(learnt):
    model, made, _ = learnt
    predictions = model.predict(made.volumes, TEST)
    assert predictions.shape == (12,)
    assert predictions.dtype == np.float64
    ages = made.targets[TEST]
    guessing = np.abs(ages - made.targets[TRAIN].mean()).mean()
    assert np.abs(predictions - ages).mean() < 0.4 * guessing
    assert np.corrcoef(predictions, ages)[0, 1] > 0.9
    losses = [epoch["train_loss"] for epoch in model.history()]
    assert losses[-1] < 0.5 * losses[0]


def test_predictions_are_standardised_outputs_in_the_unit_of_the_training_rows(learnt):
    model, made, _ = learnt
    raw = raw_predictions(model, made, TEST)
    assert_allclose(model.line.undo(model.predict(made.volumes, TEST)), raw, atol=1e-4)
    assert_allclose(model.predict(made.volumes, TEST), (raw - model.line.intercept) / model.line.slope, atol=1e-4)


def test_line_is_that_of_the_validation_rows(learnt):
    model, made, _ = learnt
    expected = linregress(made.targets[VALIDATION], raw_predictions(model, made, VALIDATION))
    assert model.line.slope == pytest.approx(expected.slope, rel=1e-5)
    assert model.line.intercept == pytest.approx(expected.intercept, rel=1e-4)
    corrected = linregress(made.targets[VALIDATION], model.predict(made.volumes, VALIDATION))
    assert corrected.slope == pytest.approx(1, rel=1e-5)


def test_correction_leaves_the_network_as_it_is(learnt, tmp_path):
    model, made, _ = learnt
    plain = still()
    plain.fit(measured(tmp_path))
    assert weights(plain) == weights(model)
    assert plain.line is None
    assert_allclose(plain.predict(made.volumes, TEST), raw_predictions(model, made, TEST), atol=1e-4)


def test_correction_is_refused_where_nothing_was_learnt_and_for_classes(tmp_path):
    noise = np.random.default_rng(0).standard_normal((48, 1, *SHAPE)).astype(np.float32)
    told = r"is not possible: on 12 training rows .* is -?0\.[01]"
    with refused(rf"^model\.debias=true {told}", rf"^debias=True {told}"):
        still(epochs=2, debias=True).fit(measured(tmp_path, volumes=noise))
    made = measured(tmp_path)
    ages = made.targets.copy()
    ages[VALIDATION] = 50.0
    with refused(r"model\.debias=true is not possible: .* is 0\.00"):
        still(epochs=1, debias=True).fit(measured(tmp_path / "constant", targets=ages))
    with refused(r"model\.debias=true corrects predictions of a measure, and task=classification has none"):
        still(debias=True).check(training(tmp_path))


@pytest.mark.parametrize("debias", [False, True])
def test_another_unit_of_the_measure_changes_nothing_but_the_unit(tmp_path, debias):
    volumes, ages = planted_measure()
    years, months = (still(epochs=6, debias=debias) for _ in range(2))
    years.fit(measured(tmp_path / "years"))
    months.fit(measured(tmp_path / "months", targets=ages * 12 + 5))
    stack = InMemory(volumes)
    assert_allclose(months.predict(stack, TEST), 12 * years.predict(stack, TEST) + 5, rtol=1e-3)
    for name in ("train_loss", "val_loss", "val_r2"):  # in standard deviations both are one and the same
        found, expected = ([epoch[name] for epoch in model.history()] for model in (months, years))
        assert_allclose(found, expected, rtol=1e-2, atol=1e-3)
    for ours, theirs in zip(years.history(), months.history(), strict=True):
        assert theirs["val_mae"] == pytest.approx(12 * ours["val_mae"], rel=1e-2)


def test_the_weights_of_the_end_are_kept_and_the_scores_are_those_of_the_validation_rows(learnt):
    model, made, _ = learnt
    kept = model.history()[-1]
    assert kept["val_loss"] != min(epoch["val_loss"] for epoch in model.history()), "else both would do"
    ages, predictions = made.targets[VALIDATION], raw_predictions(model, made, VALIDATION)
    assert kept["val_mae"] == pytest.approx(np.abs(predictions - ages).mean(), rel=1e-4)
    explained = 1 - ((predictions - ages) ** 2).sum() / ((ages - ages.mean()) ** 2).sum()
    assert kept["val_r2"] == pytest.approx(explained, rel=1e-3)
    assert kept["val_loss"] == pytest.approx(((predictions - ages) ** 2).mean() / made.targets[TRAIN].var(), rel=1e-4)


def test_the_best_epoch_is_kept_where_patience_is_asked_for(tmp_path):
    made = measured(tmp_path)
    model = still(patience=99)
    model.fit(made)
    losses = [epoch["val_loss"] for epoch in model.history()]
    predictions = raw_predictions(model, made, VALIDATION)
    loss = ((predictions - made.targets[VALIDATION]) ** 2).mean() / made.targets[TRAIN].var()
    assert loss == pytest.approx(min(losses), rel=1e-4)
    assert min(losses) < losses[-1]


def test_tensorboard_shows_the_scores_and_no_confusion(learnt):
    model, _, folder = learnt
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"tensors": 0, "scalars": 0, "images": 0})
    events.Reload()
    for name in ("train_loss", "val_loss", "val_mae", "val_r2"):
        values = [event.value for event in events.Scalars(name)]
        assert values == pytest.approx([epoch[name] for epoch in model.history()], rel=1e-5)
    assert sorted(events.Tags()["tensors"]) == ["network/text_summary", f"{TAG}/text_summary"]
    assert len(events.Images(TAG)) == 10


def test_network_that_does_no_better_than_the_mean_is_told_of(tmp_path, caplog):
    model = still(epochs=2)
    made = measured(tmp_path, volumes=np.random.default_rng(0).standard_normal((48, 1, *SHAPE)).astype(np.float32))
    model.fit(made)
    seen, ages = made.targets[TRAIN], made.targets[VALIDATION]
    guessing = ((ages - seen.mean()) ** 2).mean() / seen.var()
    best = min(epoch["val_loss"] for epoch in model.history())
    assert 1 > best > guessing, "the validation subjects differ less than the training subjects"
    assert "the network learnt nothing that holds for the validation sessions" in caplog.text
    assert f"its best validation loss is {best:.3f}, and guessing gives {guessing:.3f}" in caplog.text


# ---- the same bits


def test_poisoned_test_rows_change_nothing(tmp_path, learnt):
    model, made, _ = learnt
    volumes, ages = planted_measure()
    volumes[TEST], ages[TEST] = np.nan, 1e9
    poisoned = still(debias=True)
    poisoned.fit(measured(tmp_path, volumes=volumes, targets=ages))
    assert weights(poisoned) == weights(model)
    assert poisoned.line == model.line
    assert_array_equal(poisoned.predict(made.volumes, TEST), model.predict(made.volumes, TEST))


class CutOffError(Exception):
    """Stands for the machine going down."""


@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_run_that_was_cut_off_goes_on_to_the_same_bits(tmp_path, monkeypatch, num_workers):
    network = functools.partial(SFCN, channels=[8, 8], norm="none", dropout=0.2)
    options = {"epochs": 6, "network": network, "augmentation": Augmentation(noise=0.1), "num_workers": num_workers}
    whole, resumed = (still(**options, debias=True) for _ in range(2))
    whole.fit(measured(tmp_path / "whole"))

    def cut_off(learner, optimizer):
        if learner.current_epoch == 4:
            raise CutOffError

    with monkeypatch.context() as patch, pytest.raises(CutOffError):  # noqa: PT012
        patch.setattr(Learner, "on_before_optimizer_step", cut_off)
        resumed.fit(measured(tmp_path / "cut"))
    resumed.fit(measured(tmp_path / "cut"))
    assert weights(resumed) == weights(whole)
    assert resumed.line == whole.line
    for name in ("epoch", "train_loss", "val_loss", "val_mae", "val_r2", "learning_rate"):
        assert [epoch[name] for epoch in resumed.history()] == [epoch[name] for epoch in whole.history()]


@pytest.mark.parametrize("debias", [False, True])
def test_saved_and_loaded_it_gives_the_same_values(learnt, tmp_path, debias):
    model, made, _ = learnt
    if not debias:
        model = still(epochs=2)
        model.fit(measured(tmp_path / "run"))
    card = Card(AGE, RECIPE, Reference.fit(made.volumes, TRAIN))
    write_model(tmp_path / "model", model.contents(card))
    arguments = json.loads((tmp_path / "model" / "card.json").read_text())["arguments"]
    assert arguments["scaling"] == [[made.targets[TRAIN].std(), made.targets[TRAIN].mean()]]
    assert (arguments["line"] is None) == (not debias)
    for loaded in (CNN.load(read_model(tmp_path / "model")), load(tmp_path / "model").members[0].model):
        assert_array_equal(loaded.predict(made.volumes, TEST), model.predict(made.volumes, TEST))
        assert loaded.line == model.line
        write_model(tmp_path / "again", loaded.contents(card))
        again = CNN.load(read_model(tmp_path / "again"))
        assert_array_equal(again.predict(made.volumes, TEST), model.predict(made.volumes, TEST))
    trained = load(tmp_path / "model")
    assert trained.outcome == AGE
    assert_array_equal(trained.predict_arrays(made.volumes.volumes[TEST]), model.predict(made.volumes, TEST))


# ---- explanations


DARK_BLOB = (slice(8, 11), slice(8, 11), slice(1, 5))
"""Far from the planted one, whose place a network that averages over the volume does not know."""


def test_heatmaps_show_what_raises_and_what_lowers_the_prediction(learnt):
    model, made, _ = learnt
    baseline = made.volumes.volumes[TRAIN].mean(axis=0)
    changed = baseline.copy()
    changed[(0, *BLOB)] += 3
    changed[(0, *DARK_BLOB)] -= 3
    heat = model.explain(ask(changed), reference=usual(baseline)).heat
    assert heat.shape == SHAPE
    assert np.abs(heat).max() == pytest.approx(1)
    assert heat[BLOB].mean() > 0.1
    assert heat[DARK_BLOB].mean() < -0.1
    assert np.unravel_index(heat.argmax(), SHAPE)[0] in range(2, 8)
    assert np.unravel_index(heat.argmin(), SHAPE)[0] in range(7, 12)


def test_evidence_adds_up_to_the_change_in_years(learnt):
    model, made, _ = learnt
    baseline = made.volumes.volumes[TRAIN].mean(axis=0)
    for row in TEST[:3]:
        evidence = model.explain(ask(made.volumes[row]), reference=usual(baseline))
        alone, average = model.predict(InMemory(np.stack([made.volumes[row], baseline])), np.arange(2))
        assert evidence.values.sum() == pytest.approx(alone - average, abs=0.15 * made.targets.std())


def test_heatmaps_that_compare_with_the_average_or_weigh_a_layer_have_both_signs(learnt):
    model, made, _ = learnt
    baseline = made.volumes.volumes[TRAIN].mean(axis=0)
    for method in ("integrated_gradients", "gradcam", "hirescam", "occlusion"):
        maps = [model.explain(ask(made.volumes[row], method), reference=usual(baseline)).values for row in TEST[::6]]
        assert min(map(np.min, maps)) < 0 < max(map(np.max, maps)), method


# ---- several channels


def test_two_channels_are_learnt_and_predicted(tmp_path):
    volumes, ages = planted_measure(num_channels=2)
    made = measured(tmp_path / "run", volumes=volumes)
    model = still()
    model.fit(made)
    predictions = model.predict(made.volumes, TEST)
    assert np.corrcoef(predictions, ages[TEST])[0, 1] > 0.9
    assert model.arguments_["num_channels"] == 2
    write_model(tmp_path / "model", model.contents(Card(AGE, None, Reference.fit(made.volumes, TRAIN))))
    loaded = load(tmp_path / "model")
    assert_array_equal(loaded.predict_arrays(volumes[TEST]), predictions)
    assert loaded.explain_arrays(volumes[TEST[:2]]).shape == (2, *SHAPE)
    with refused(r"volumes of 1 x 12 x 13 x 14 \(channels, X, Y, Z\) do not fit a model of 2 x 12 x 13 x 14"):
        loaded.predict_arrays(volumes[TEST, 0])
