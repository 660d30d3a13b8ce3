"""Checkpoints that somebody made to do harm, their digest right: nothing runs, nothing is deleted, each is named."""

import functools
import io
import itertools
import os
import sys
import zipfile

import pytest
import torch

from mri3d.errors import UserError
from mri3d.files import digest
from mri3d.models.network.checkpoint_file import FIT, _seal, read_checkpoint, write_checkpoint
from mri3d.models.network.learner import Learner
from tests.models.blobs import cnn
from tests.models.checkpoints import copied, fitted, refused

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Give what a fit of one epoch learnt from, and its checkpoints."""
    return fitted(tmp_path_factory.mktemp("begun"))


def sealed_by_hand(data):
    return data + _seal(digest(data))


class Payload:
    """A pickle that runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.system, (self.command,))


@pytest.fixture(scope="module")
def happened():
    """Give the commands and files that Python is asked for while `happened` is watched."""
    events: list[tuple[str, object]] = []
    watching = [False]

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if watching[0] and (
            event in ("os.system", "exec", "subprocess.Popen", "os.remove", "os.rename", "shutil.rmtree")
        ):
            events.append((event, arguments))

    sys.addaudithook(hook)
    yield events, watching
    watching[0] = False


@pytest.mark.parametrize("variable", ["", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_WEIGHTS_ONLY_LOAD"])
@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt"])
@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("legacy_format", [False, True])
def test_pickles_run_nothing(tmp_path, monkeypatch, begun, happened, variable, name, sealed, legacy_format):
    made = copied(begun, tmp_path)
    path, victim = made.checkpoints / name, tmp_path / "victim"
    buffer = io.BytesIO()
    evil = read_checkpoint(path) | {"callbacks": {"History": Payload(f"touch {victim}")}}
    torch.save(evil, buffer, _use_new_zipfile_serialization=not legacy_format)
    data = buffer.getvalue()
    path.write_bytes(sealed_by_hand(data) if sealed else data)
    if variable:
        monkeypatch.setenv(variable, "1")
    events, watching = happened
    watching[0] = True
    with refused(path):
        cnn(epochs=1).fit(made)
    watching[0] = False
    assert not victim.exists()
    assert not [event for event, _ in events if event in ("os.system", "subprocess.Popen")]


def test_names_of_files_in_a_checkpoint_delete_nothing(tmp_path, begun):
    made = copied(begun, tmp_path)
    last = made.checkpoints / "last.ckpt"
    evil = read_checkpoint(last)
    treasure = tmp_path / "treasure"
    treasure.write_text("mine")
    for state in evil["callbacks"].values():
        for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
            if name in state:
                state[name] = f"{made.checkpoints}/.."
        if state.get("best_k_models"):
            state |= {
                "best_k_models": {f"{made.checkpoints}/..": torch.tensor(9.0)},
                "best_model_score": torch.tensor(9.0),
            }
            state |= {"kth_value": torch.tensor(9.0)}
    write_checkpoint(last, evil)
    cnn(epochs=3).fit(made)
    assert treasure.read_text() == "mine"
    assert sorted(path.name for path in made.checkpoints.iterdir()) == ["best.ckpt", "last.ckpt"]


def test_parts_that_would_swell_are_refused(tmp_path, begun):
    path = copied(begun, tmp_path).checkpoints / "best.ckpt"
    data = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as container:
        parts = {part.filename: container.read(part) for part in container.infolist()}
    largest = max(parts, key=lambda name: len(parts[name]))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as container:
        for name, part in parts.items():
            container.writestr(name, bytes(10_000_000) if name == largest else part)
    bomb = path.read_bytes()
    assert len(bomb) < 100_000
    path.write_bytes(sealed_by_hand(bomb))
    with refused(path, "its parts are compressed"):
        read_checkpoint(path)


def wrongly(*where: str, value: object):
    """Give what puts a value at a place of a checkpoint; `...` takes the place away."""

    def change(checkpoint):
        place = functools.reduce(lambda found, name: found[name], where[:-1], checkpoint)
        place[where[-1]] = value
        if value is ...:
            del place[where[-1]]

    return change


@pytest.mark.parametrize(
    "change",
    [
        wrongly("state_dict", "network.head.3.weight", value=torch.zeros(9, 9)),
        wrongly("state_dict", "network.head.3.weight", value=...),
        wrongly("callbacks", value=...),
        wrongly("callbacks", value=[1]),
        wrongly("loops", "fit_loop", value={"state_dict": 3}),
        wrongly("optimizer_states", value=[{}]),
        wrongly("optimizer_states", value="none"),
        wrongly("lr_schedulers", value=[{"step": "none"}]),
        wrongly("pytorch-lightning_version", value=...),
        wrongly("pytorch-lightning_version", value=[3]),
        wrongly("optimizer_states", value=...),
        wrongly(FIT, value={"of": 3}),
        wrongly(FIT, value=[]),
    ],
)
def test_a_checkpoint_that_makes_no_sense_is_named(tmp_path, begun, change):
    made = copied(begun, tmp_path)
    last = made.checkpoints / "last.ckpt"
    evil = read_checkpoint(last)
    change(evil)
    write_checkpoint(last, evil)
    with pytest.raises(UserError, match=rf"^{last} (cannot be read as a checkpoint|cannot be gone on from) \("):
        cnn(epochs=3).fit(made)


def test_an_error_of_the_training_itself_is_not_blamed_on_the_checkpoint(tmp_path, begun, monkeypatch):
    made = copied(begun, tmp_path)
    calls = itertools.count()

    def fail(learner, *_: object):
        raise ZeroDivisionError(next(calls))

    monkeypatch.setattr(Learner, "training_step", fail)
    with pytest.raises(ZeroDivisionError):
        cnn(epochs=3).fit(made)
