"""The CNN repeats itself to the bit: another time, cut off and resumed, moved, whatever lies in the test rows."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from mri3d.errors import UserError
from mri3d.models.network.checkpoint_file import read_checkpoint
from mri3d.models.network.learner import Learner
from mri3d.volumes.augmentation import Augmentation
from tests.models.blobs import TEST, cnn, planted, training, weights

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """Give the weights of a short fit, to compare others with."""
    model = cnn(augmentation=Augmentation())
    model.fit(training(tmp_path_factory.mktemp("twin")))
    return weights(model)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_same_seed_same_bits_whatever_the_workers_and_the_past(tmp_path, twin, num_workers):
    model = cnn(augmentation=Augmentation(), num_workers=num_workers)
    torch.manual_seed(99)
    np.random.seed(99)
    model.fit(training(tmp_path / "first"))
    assert weights(model) == twin
    if not num_workers:
        model.fit(training(tmp_path / "second"))  # a second fold inherits nothing from the first
        assert weights(model) == twin


def test_other_seed_other_weights(tmp_path, twin):
    model = cnn(augmentation=Augmentation())
    model.fit(training(tmp_path, seed=4))
    assert weights(model)["head.3.weight"] != twin["head.3.weight"]


def test_poisoned_test_rows_change_nothing(tmp_path, twin):
    volumes, targets = planted()
    volumes[TEST] = np.nan
    targets[TEST] = -1
    model = cnn(augmentation=Augmentation())
    model.fit(training(tmp_path, volumes=volumes, targets=targets))
    assert weights(model) == twin


class CutOffError(Exception):
    """Stands for the machine going down."""


@pytest.mark.parametrize("num_workers", [0, 2])
def test_run_that_was_cut_off_goes_on_to_the_same_bits(tmp_path, monkeypatch, num_workers):
    whole, resumed = (cnn(epochs=3, num_workers=num_workers) for _ in range(2))
    whole.fit(training(tmp_path / "whole"))

    def cut_off(learner, optimizer):
        if learner.current_epoch == 2:
            raise CutOffError

    with monkeypatch.context() as patch, pytest.raises(CutOffError):  # noqa: PT012
        patch.setattr(Learner, "on_before_optimizer_step", cut_off)
        resumed.fit(training(tmp_path / "cut"))
    resumed.fit(training(tmp_path / "cut"))
    assert weights(resumed) == weights(whole)
    for name in ("epoch", "train_loss", "val_loss", "val_auc", "learning_rate"):
        assert [epoch[name] for epoch in resumed.history()] == [epoch[name] for epoch in whole.history()]
    again = cnn(epochs=3)
    again.fit(training(tmp_path / "whole"))  # complete already: taken as it is
    assert again.history() == whole.history()
    assert weights(again) == weights(whole)


def test_moved_run_goes_on_with_its_best_epoch(tmp_path, overfitted):
    whole, made, _ = overfitted
    begun = cnn(epochs=20, patience=3)
    best = int(np.argmin([epoch["val_loss"] for epoch in whole.history()]))

    def cut_off(learner, optimizer):
        if learner.current_epoch == best + 2:  # two epochs no better than the best are behind it
            raise CutOffError

    with pytest.MonkeyPatch.context() as patch, pytest.raises(CutOffError):  # noqa: PT012
        patch.setattr(Learner, "on_before_optimizer_step", cut_off)
        begun.fit(replace(made, folder=tmp_path / "old"))
    (tmp_path / "old").rename(tmp_path / "new")
    moved = cnn(epochs=20, patience=3)
    moved.fit(replace(made, folder=tmp_path / "new"))
    assert weights(moved) == weights(whole)
    assert [epoch["val_loss"] for epoch in moved.history()] == [epoch["val_loss"] for epoch in whole.history()]
    assert not (tmp_path / "old").exists()


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_damaged_checkpoint_is_named_and_deleting_it_begins_afresh(tmp_path, twin, name):
    cnn(augmentation=Augmentation()).fit(training(tmp_path))
    path = tmp_path / "checkpoints" / name
    whole = path.read_bytes()
    again = cnn(augmentation=Augmentation())
    for damaged in (whole[: len(whole) // 2], b"", b"garbage"):
        path.write_bytes(damaged)
        told = rf"{path} cannot be read as a checkpoint .* delete the folder {path.parent} "
        with pytest.raises(UserError, match=told):
            again.fit(training(tmp_path))
    shutil.rmtree(path.parent)
    again.fit(training(tmp_path))
    assert weights(again) == twin


def test_checkpoint_runs_no_code(tmp_path):
    class Command:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (tmp_path.joinpath, ("never",))

    torch.save({"state_dict": Command()}, tmp_path / "last.ckpt")
    with pytest.raises(UserError, match=r"last\.ckpt cannot be read as a checkpoint \(Weights only load failed"):
        read_checkpoint(tmp_path / "last.ckpt")
