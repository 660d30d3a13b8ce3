"""A model that is loaded predicts as the one that was saved, and a card that asks for another is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from mri3d.errors import UserError
from mri3d.model_folder import CARD, WEIGHTS, Contents, read_model, write_model
from mri3d.models.loading import load
from mri3d.nets.sfcn import SFCN
from mri3d.outcome import HeldOut, Measure
from mri3d.volumes.sequence import InMemory
from tests.test_model_folder import RECIPE, SHAPE, card, change_card, contents


@pytest.fixture
def trained(tmp_path):
    """Return the model folder of a network, and the network."""
    torch.manual_seed(0)
    network = SFCN(SHAPE, 1, channels=[2, 2], pooling=1, dropout=0.0).eval()
    arguments = {
        "network": "sfcn",
        "options": {"channels": [2, 2], "pooling": 1, "dropout": 0.0},
        "volume_shape": list(SHAPE),
        "num_outputs": 1,
        "batch_size": 2,
        "scaling": None,
        "line": None,
        "temperature": {"temperature": 2.0, "log_odds": [-0.5]},
    }
    tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    write_model(tmp_path / "model", Contents("cnn", arguments, tensors, card(mri3d="9.9")))
    return tmp_path / "model", network


def test_loaded_network_gives_the_same_probabilities(trained):
    folder, network = trained
    loaded = load(folder)
    (member,) = loaded.members
    volumes = np.random.default_rng(2).standard_normal((5, 1, *SHAPE)).astype(np.float32)
    proba = member.model.predict(InMemory(volumes), np.arange(5))
    with torch.no_grad():
        expected = (network(torch.from_numpy(volumes)).double() / 2 - 0.5).sigmoid().numpy()[:, 0]
    np.testing.assert_allclose(proba[:, 1], expected, rtol=1e-6)
    np.testing.assert_array_equal(loaded.predict_arrays(volumes), proba)
    assert loaded.recipe == RECIPE
    loaded.save(folder.parent / "again")  # byte for byte the same model
    assert (folder.parent / "again" / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()
    assert (folder.parent / "again" / CARD).read_bytes() == (folder / CARD).read_bytes()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"model": "os.system"}, r"model 'os\.system', unknown here \(known: .*cnn.* by mri3d 9\.9"),
        ({"arguments": {"network": "sfnc", "options": {}}}, r"no network is called 'sfnc' \(known: seed"),
        (
            {"arguments": {"network": "torch.hub.load", "options": {}}},
            r"network 'torch\.hub\.load' is code of its own, which would be imported and run\. Give trust=",
        ),
        ({"arguments": {}}, r"does not fit this version of mri3d \(KeyError: 'network'\)"),
    ],
)
def test_names_that_are_not_in_the_tables_are_refused(trained, entries, message):
    folder, _ = trained
    change_card(folder, **entries)
    with pytest.raises(UserError, match=message):
        load(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": [2, 2], "future": 1}, r"does not fit this version of mri3d \(TypeError: .*'future'"),
        (
            {"channels": [2, 3], "pooling": 1},
            r"does not fit this version of mri3d \(RuntimeError: .* for SFCN\)",
        ),
        ({"channels": [0]}, r"channels=\[0\] is not made of whole numbers"),
    ],
)
def test_options_that_do_not_fit_the_weights_are_refused(trained, options, message):
    folder, _ = trained
    arguments = json.loads((folder / CARD).read_text(encoding="utf-8"))["arguments"]
    change_card(folder, arguments=arguments | {"options": options})
    with pytest.raises(UserError, match=message):
        load(folder)


def test_model_of_arrays_comes_back_without_a_recipe(tmp_path):
    written = replace(contents().card, recipe=None, suffix=None)
    write_model(tmp_path, replace(contents(), card=written))
    after = read_model(tmp_path).card
    assert (after.recipe, after.suffix) == (None, None)


def test_measure_comes_back(tmp_path):
    held = HeldOut.of(np.array([20.5, 61.0]), np.array([30.0, 50.25]))
    card = replace(contents().card, outcome=Measure("age"), shares=None, steered=held, tested=held)
    write_model(tmp_path, replace(contents(), card=card))
    again = read_model(tmp_path).card
    assert again.outcome == Measure("age")
    assert again.shares is None
    assert again.tested.to_json() == {"targets": [20.5, 61.0], "predictions": [30.0, 50.25]}
