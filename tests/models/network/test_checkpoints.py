"""No checkpoint is used but whole, of this training, and without running what stands in it; each refusal names it."""

import functools
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from mri3d.errors import UserError
from mri3d.models.network.checkpoint_file import FIT, PARTS, read_checkpoint, write_checkpoint
from mri3d.models.network.learner import Learner
from mri3d.nets.sfcn import SFCN
from tests.models.blobs import cnn, training, weights
from tests.models.checkpoints import copied, fitted, refused

pytestmark = pytest.mark.usefixtures("one_core")

MARK = {"of": "0" * 64, "token": "1" * 16}


def content(num_values=1000):
    values = torch.arange(num_values, dtype=torch.float32)
    empty = {name: kind() for name, kind in PARTS.items()}
    return empty | {"state_dict": {"weight": values}, "epoch": 3, FIT: MARK}


@pytest.fixture
def path(tmp_path):
    """Give a small checkpoint."""
    write_checkpoint(tmp_path / "best.ckpt", content())
    return tmp_path / "best.ckpt"


def flipped(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_checkpoint_holds_what_was_written_for_torch_too(path):
    for read in (read_checkpoint, functools.partial(torch.load, weights_only=True)):
        found = read(path)
        assert (found["epoch"], found[FIT]) == (3, MARK)
        assert torch.equal(found["state_dict"]["weight"], torch.arange(1000.0))


def test_each_byte_counts(path):
    data = path.read_bytes()
    random = np.random.default_rng(0)
    seal = range(8 * (len(data) - 90), 8 * len(data), 7)
    for bit in (*random.integers(8 * len(data), size=200).tolist(), *seal):
        path.write_bytes(flipped(data, bit))
        with refused(path):
            read_checkpoint(path)
    for length in (*random.integers(len(data), size=100).tolist(), *range(len(data) - 95, len(data))):
        path.write_bytes(data[:length])
        with refused(path):
            read_checkpoint(path)
    path.write_bytes(data + b"\0")
    with refused(path, "its digest is missing"):
        read_checkpoint(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt"])
def test_sixty_flipped_bits_in_twenty_megabytes_are_all_named(tmp_path, name):
    network = functools.partial(SFCN, channels=[128, 400, 4], dropout=0.2)
    made = training(tmp_path)
    cnn(network=network, epochs=1).fit(made)
    path = made.checkpoints / name
    data = path.read_bytes()
    assert len(data) > 15e6
    for bit in np.random.default_rng(0).integers(8 * len(data), size=60).tolist():
        path.write_bytes(flipped(data, bit))
        with refused(path):
            cnn(network=network, epochs=1).fit(made)
    path.write_bytes(data)
    cnn(network=network, epochs=1).fit(made)


def test_a_damaged_best_is_named_before_training_goes_on(tmp_path, monkeypatch):
    made = training(tmp_path)
    cnn(epochs=1).fit(made)
    best = made.checkpoints / "best.ckpt"
    best.write_bytes(flipped(best.read_bytes(), 30_000))
    monkeypatch.setattr(Learner, "training_step", lambda *_: pytest.fail("it went on"))
    with refused(best, "the digest is another"):
        cnn(epochs=3).fit(made)
    best.unlink()
    with refused(best, "No such file"):
        cnn(epochs=3).fit(made)


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """Give what two folds of a run learnt from, and one of a run that differs in nothing but its length."""
    run = tmp_path_factory.mktemp("run")
    longer = fitted(tmp_path_factory.mktemp("longer"), epochs=2)
    return fitted(run), fitted(run, name="fold_1", seed=4), longer


@pytest.mark.parametrize("names", [("best.ckpt",), ("last.ckpt",), ("best.ckpt", "last.ckpt")])
def test_another_folds_checkpoint_is_named(tmp_path, folds, names):
    first, second, _ = folds
    made = copied(first, tmp_path)
    for name in names:
        shutil.copy(second.checkpoints / name, made.checkpoints / name)
    told = rf"^{made.checkpoints / names[-1]} was not written by this training: it is of another fold or run"
    with pytest.raises(UserError, match=told):
        cnn(epochs=1).fit(made)
    shutil.rmtree(made.checkpoints)  # as it says
    cnn(epochs=1).fit(made)


def test_another_runs_best_is_named_although_all_else_is_the_same(tmp_path, folds):
    first, _, longer = folds
    made = copied(first, tmp_path)
    shutil.copy(longer.checkpoints / "best.ckpt", made.checkpoints)
    with pytest.raises(UserError, match=rf"{made.checkpoints / 'best.ckpt'} was not written by this training"):
        cnn(epochs=1).fit(made)


@pytest.mark.parametrize("part", ["targets", "volumes", "train_rows"])
def test_checkpoints_of_other_data_are_named(tmp_path, folds, part):
    first, _, _ = folds
    made = copied(first, tmp_path)
    other = {
        "targets": lambda: np.concatenate([made.targets[1::-1], made.targets[2:]]),
        "volumes": lambda: training(tmp_path, volumes=made.volumes.volumes + np.float32(1e-3)).volumes,
        "train_rows": lambda: made.train_rows[::-1].copy(),
    }[part]()
    with pytest.raises(UserError, match=rf"{made.checkpoints / 'last.ckpt'} was not written by this training"):
        cnn(epochs=1).fit(replace(made, **{part: other}))


def test_a_write_that_is_cut_off_leaves_the_old_checkpoint(path, monkeypatch):
    before = path.read_bytes()

    def half(data, file):
        file.write(b"PK\3\4 half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):  # noqa: PT012
        patch.setattr(torch, "save", half)
        write_checkpoint(path, content(5))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


# Those that earlier versions wrote: by torch, without a seal and without saying whose they are

IDENTITIES = {
    "0.1": "f47b7d6411a5154207de47283985f142aec44a942214c9fc5bcc2b29126a6670",
    "0.2": "b0eae456d41404dd999040707bdb4df978f96e1ec37298970ccca36b2733ba7d",
}
"""What these versions wrote of the training below, of volumes of the only version of the recipe that they had."""


def earlier(folder):
    """Give what a run of an earlier version learns from, whose volumes are of version 1 of the recipe."""
    made = training(folder)
    made.volumes.recipe = replace(made.volumes.recipe, version=1)
    return made


def make_old(path, **written: object):
    """Write a checkpoint again as an earlier version did."""
    found = read_checkpoint(path)
    found["callbacks"].pop("Stopping", None)
    found["callbacks"].get("History", {}).pop("begun", None)
    torch.save({name: value for name, value in found.items() if name != FIT} | written, path)


@pytest.mark.parametrize("version", IDENTITIES)
def test_run_of_an_earlier_version_is_resumed_with_a_warning(tmp_path, caplog, version):
    whole, begun, resumed = cnn(epochs=3), cnn(epochs=3), cnn(epochs=3)
    whole.fit(earlier(tmp_path / "whole"))
    made = earlier(tmp_path / "begun")

    class CutOffError(Exception):
        """Stands for the machine going down."""

    def cut_off(learner, optimizer):
        if learner.current_epoch == 2:
            raise CutOffError

    with pytest.MonkeyPatch.context() as patch, pytest.raises(CutOffError):  # noqa: PT012
        patch.setattr(Learner, "on_before_optimizer_step", cut_off)
        begun.fit(made)
    for name in ("best.ckpt", "last.ckpt"):
        make_old(made.checkpoints / name, identity=IDENTITIES[version])
    resumed.fit(made)
    assert weights(resumed) == weights(whole)
    (told,) = {message for message in caplog.messages if "last.ckpt" in message}
    assert "is of an earlier version, whose checkpoints have no digest" in told
    found = read_checkpoint(made.checkpoints / "last.ckpt")
    assert FIT in found
    assert found["identity"] == IDENTITIES["0.2"], "which this version still writes of version 1 of the recipe"
    make_old(made.checkpoints / "best.ckpt")  # it may have been the best since before
    cnn(epochs=3).fit(made)


@pytest.mark.parametrize(
    ("version", "change"),
    [
        *(("0.2", change) for change in ("recipe", "network", "optimizer", "augmentation")),
        *(("0.1", change) for change in ("recipe", "network")),  # of the others it wrote nothing
    ],
)
def test_checkpoint_of_an_earlier_version_and_of_another_training_is_refused(tmp_path, version, change):
    made = earlier(tmp_path)
    cnn(epochs=1).fit(made)
    make_old(made.checkpoints / "last.ckpt", identity=IDENTITIES[version])
    if change == "recipe":
        made.volumes.recipe = replace(made.volumes.recipe, version=2)
    other = {
        "recipe": {},
        "network": {"network": functools.partial(SFCN, channels=[4, 5], dropout=0.2)},
        "optimizer": {"lr": 0.03},
        "augmentation": {"augmentation": None},
    }[change]
    with pytest.raises(UserError, match=r"^the run's checkpoint is of another network, optimizer, augmentation, batch"):
        cnn(epochs=1, **other).fit(made)


def test_unsealed_best_in_a_run_of_this_version_is_refused(tmp_path):
    made = training(tmp_path)
    cnn(epochs=1).fit(made)
    make_old(made.checkpoints / "best.ckpt")
    with pytest.raises(UserError, match=r"best\.ckpt was not written by this training"):
        cnn(epochs=1).fit(made)


def test_an_old_checkpoint_is_held_against_its_checksums(path, caplog):
    make_old(path)
    data, right = path.read_bytes(), read_checkpoint(path)
    num_refused = 0
    for bit in np.random.default_rng(0).integers(8 * len(data), size=200).tolist():
        path.write_bytes(flipped(data, bit))
        try:
            found = read_checkpoint(path)
        except UserError:
            num_refused += 1
        else:  # bytes that are padding
            assert torch.equal(found["state_dict"]["weight"], right["state_dict"]["weight"])
            assert found["epoch"] == right["epoch"]
    assert num_refused > 150
