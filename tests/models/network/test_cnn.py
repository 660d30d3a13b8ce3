"""The CNN learns a planted blob, keeps the best epoch, and tells what it does."""

import logging
import re
from dataclasses import replace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from scipy.special import expit
from sklearn.metrics import roc_auc_score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mri3d.errors import UserError
from mri3d.model_folder import Card, read_model, write_model
from mri3d.models.network.checkpoint_file import read_checkpoint
from mri3d.models.network.cnn import CNN
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.reference import Reference
from tests.models.blobs import SHAPE, TEST, TRAIN, VALIDATION, cnn, planted, training, weights

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Give a model of two classes that has learnt, what it learnt from, and its run."""
    folder = tmp_path_factory.mktemp("run")
    made = training(folder)
    model = cnn(epochs=8)
    model.fit(made)
    return model, made, folder


def test_planted_blob_is_learnt(fitted):
    model, made, _ = fitted
    proba = model.predict(made.volumes, TEST)
    assert roc_auc_score(made.targets[TEST], proba[:, 1]) > 0.95
    losses = [epoch["train_loss"] for epoch in model.history()]
    assert losses[-1] < 0.9 * losses[0]


def test_three_classes_are_learnt(tmp_path):
    made = training(tmp_path, num_classes=3)
    model = cnn(epochs=10)
    model.fit(made)
    proba = model.predict(made.volumes, TEST)
    assert proba.shape == (12, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, atol=1e-12)
    assert roc_auc_score(made.targets[TEST], proba, multi_class="ovr") > 0.9


def test_probabilities_follow_the_order_of_the_rows(fitted):
    model, made, _ = fitted
    rows = np.array([47, 3, 20, 3, 40])
    proba = model.predict(made.volumes, rows)
    assert proba.shape == (5, 2)
    assert proba.dtype == np.float64
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, atol=1e-12)
    with torch.no_grad():
        logits = model.network_(torch.from_numpy(made.volumes.volumes[rows]))
    log_odds = model.temperature_.apply(logits.double().numpy())
    assert model.calibration == {"method": "temperature", **vars(model.temperature_)}
    np.testing.assert_allclose(proba[:, 1], expit(log_odds)[:, 0], atol=1e-6)
    for row, alone in zip(rows, proba, strict=True):
        np.testing.assert_allclose(model.predict(made.volumes, np.array([row]))[0], alone, atol=1e-6)


def test_predicting_changes_nothing(fitted):
    model, made, _ = fitted
    before = weights(model)
    first = model.predict(made.volumes, TEST)
    np.testing.assert_array_equal(model.predict(made.volumes, TEST), first)
    assert weights(model) == before


def test_saved_and_loaded_it_gives_the_same_probabilities(fitted, tmp_path):
    model, made, _ = fitted
    recipe = Recipe("native", crop="none", shape=SHAPE)
    write_model(tmp_path, model.contents(Card(made.outcome, recipe, Reference.fit(made.volumes, TRAIN))))
    contents = read_model(tmp_path)
    assert contents.model == "cnn"
    assert contents.arguments["network"] == "sfcn"
    assert contents.arguments["options"] == {"channels": [4, 4], "dropout": 0.2}
    loaded = CNN.load(contents)
    np.testing.assert_array_equal(loaded.predict(made.volumes, TEST), model.predict(made.volumes, TEST))
    assert loaded.history() == []
    assert loaded.line is None


def test_weights_of_the_best_epoch_are_kept(overfitted):
    model, made, folder = overfitted
    losses = [epoch["val_loss"] for epoch in model.history()]
    best = int(np.argmin(losses))
    assert best < len(losses) - 1
    checkpoint = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    assert checkpoint["epoch"] == best
    for name, tensor in model.network_.state_dict().items():
        assert torch.equal(tensor, checkpoint["state_dict"][f"network.{name}"])
    proba = model.predict(made.volumes, VALIDATION)
    loss = -np.log(proba[np.arange(len(VALIDATION)), made.targets[VALIDATION]]).mean()  # the classes are balanced
    assert loss == pytest.approx(min(losses), rel=1e-4)


def test_training_stops_when_patience_is_out(overfitted):
    model, made, _ = overfitted
    losses = [epoch["val_loss"] for epoch in model.history()]
    assert len(losses) == int(np.argmin(losses)) + 1 + 3 < 20
    again = cnn(epochs=20, patience=3)
    again.fit(made)  # resumed, it stays stopped
    assert again.history() == model.history()


@pytest.mark.parametrize(("epochs", "patience"), [(5, 20), (20, 3)])
def test_epochs_may_go_without_validation(tmp_path, overfitted, epochs, patience, caplog):
    made = overfitted[1] if patience == 3 else training(tmp_path)
    model = cnn(epochs=epochs, patience=patience, trainer={"check_val_every_n_epoch": 2})
    model.fit(replace(made, folder=tmp_path))
    history = model.history()
    validated = {epoch["epoch"]: epoch["val_loss"] for epoch in history if "val_loss" in epoch}
    best = min(validated, key=validated.get)
    if patience == 3:  # the loss can only rise; 3 epochs are passed with the second validation
        assert len(history) == best + 1 + 4 < 20
    else:
        assert [epoch["epoch"] for epoch in history] == list(range(5))
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert list(validated) == list(range(1, len(history), 2))
    checkpoint = read_checkpoint(tmp_path / "checkpoints" / "best.ckpt")
    assert checkpoint["epoch"] == best
    assert weights(model)["head.3.weight"] == checkpoint["state_dict"]["network.head.3.weight"].numpy().tobytes()
    events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"tensors": 0})
    events.Reload()
    assert len(events.Tensors("validation/text_summary")) == len(validated)
    again = cnn(epochs=epochs, patience=patience, trainer={"check_val_every_n_epoch": 2})
    again.fit(replace(made, folder=tmp_path))
    assert again.history() == history


def test_checkpoints_serve_to_resume_and_hold_plain_types(fitted):
    model, _, folder = fitted
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    last = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["epoch"] == len(model.history()) - 1


def test_history_tells_every_epoch(fitted):
    model, _, _ = fitted
    history = model.history()
    assert [epoch["epoch"] for epoch in history] == list(range(8))
    assert all(0 <= epoch["val_auc"] <= 1 and epoch["seconds"] > 0 for epoch in history)
    assert {"train_loss", "val_loss", "val_accuracy", "learning_rate"} < set(history[0])


def test_epochs_are_lines_of_the_log_where_there_is_no_terminal(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="mri3d"):
        cnn(epochs=1).fit(training(tmp_path))
    lines = [record.getMessage() for record in caplog.records]
    assert sum(bool(re.match(r"epoch 1 of 1  train_loss \d\.\d+  val_loss ", line)) for line in lines) == 1
    assert any(line.startswith("network\n") and "SFCN" in line for line in lines)


def test_fit_that_only_serves_a_choice_is_told_of_for_debugging_alone(tmp_path, caplog):
    volumes, _ = planted()
    made = replace(training(tmp_path, volumes=np.zeros_like(volumes)), name="fold_2", inner=True)
    with caplog.at_level(logging.DEBUG, logger="mri3d"):
        cnn().fit(made)
    assert {record.levelno for record in caplog.records if record.name.startswith("mri3d")} == {logging.DEBUG}
    for told in ("network\n", "epoch 1 of 2  train_loss", "epoch 2 of 2", "the network learnt nothing"):
        assert sum(record.getMessage().startswith(told) for record in caplog.records) == 1, told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints"]
    assert sorted(path.name for path in made.checkpoints.iterdir()) == ["best.ckpt", "last.ckpt"]


def test_event_files_hold_what_tensorboard_shows(fitted):
    model, _, folder = fitted
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"tensors": 0, "scalars": 0})
    events.Reload()
    for name in ("train_loss", "val_loss", "val_auc", "val_accuracy"):
        values = [event.value for event in events.Scalars(name)]
        assert values == pytest.approx([epoch[name] for epoch in model.history()], abs=1e-6)
    rates = [event.value for event in events.Scalars("lr-AdamW/pg1")]
    assert max(rates) == pytest.approx(0.02, rel=0.01)
    assert all(event.value > 0 for event in events.Scalars("volumes_per_second"))
    assert all(event.value > 50 for event in events.Scalars("memory_mb"))
    (network,) = (event.tensor_proto.string_val[0].decode() for event in events.Tensors("network/text_summary"))
    assert "Conv3d" in network
    assert "total" in network
    confusions = [event.tensor_proto.string_val[0].decode() for event in events.Tensors("validation/text_summary")]
    assert len(confusions) == 8
    rows = [re.fullmatch(r"\| \*\*(\w+)\*\* \| (\d+) \| (\d+) \|", line) for line in confusions[-1].splitlines()[2:]]
    counts = np.array([[int(row[2]), int(row[3])] for row in rows])
    assert [row[1] for row in rows] == ["control", "patient"]
    assert counts.sum(axis=1).tolist() == [6, 6]
    assert np.trace(counts) / 12 == pytest.approx(model.history()[-1]["val_accuracy"])
    (image,) = events.Images("training volumes")
    assert (image.height, image.width) == (4 * 14, 13 + 12 + 12)


def test_network_that_does_no_better_than_guessing_is_told_of(tmp_path, caplog):
    volumes, _ = planted()
    model = cnn()
    model.fit(training(tmp_path, volumes=np.zeros_like(volumes)))  # alike, they cannot be told apart
    (told,) = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    best = min(epoch["val_loss"] for epoch in model.history())
    assert told.startswith("the network learnt nothing that holds for the validation sessions")
    assert f"its best validation loss is {best:.3f}, and guessing gives 0.693. Try another learning rate" in told


def test_network_that_learns_is_not_told_of(tmp_path, caplog):
    cnn(epochs=3).fit(training(tmp_path))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((12, 12), (1.0, 1.0)), ((18, 6), (24 / 36, 24 / 12)), ((12, 8, 4), (24 / 36, 24 / 24, 24 / 12))],
)
def test_class_weights_are_inverse_to_the_counts_in_the_training_rows(tmp_path, monkeypatch, counts, expected):
    targets = np.concatenate([np.repeat(np.arange(len(counts)), counts), np.arange(24) % len(counts)])
    learners = []
    monkeypatch.setattr(pl.Trainer, "fit", lambda trainer, learner, *_, **__: learners.append(learner))
    with pytest.raises(UserError, match="no epoch was completed"):  # nothing was trained
        cnn().fit(training(tmp_path, targets=targets, num_classes=len(counts)))
    torch.testing.assert_close(learners[0].objective.class_weights, torch.tensor(expected))


@pytest.mark.parametrize(
    "settings", [{"precision": "bf16-mixed"}, {"accumulate_grad_batches": 2}, {"gradient_clip_val": 1}]
)
def test_trainers_own_options_work(tmp_path, settings):
    model = cnn(epochs=1, trainer=settings)
    made = training(tmp_path)
    model.fit(made)
    assert np.isfinite(model.predict(made.volumes, TEST)).all()
    assert all(tensor.dtype == torch.float32 for tensor in model.network_.parameters())
