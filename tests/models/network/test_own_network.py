"""A network of the user's own trains, is saved and predicts like ours, and is loaded only where it is trusted."""

import functools
import importlib
import sys

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.metrics import roc_auc_score
from torch import nn

from mri3d.errors import UserError
from mri3d.explain.class_activation import grad_cam, hires_cam
from mri3d.explain.contrasted import Contrasted
from mri3d.model_folder import Card, write_model
from mri3d.models.loading import load
from mri3d.models.network.cnn import CNN
from mri3d.outcome import Classes
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.reference import Reference
from tests.explain.asked import ask, usual
from tests.models.blobs import SHAPE, TEST, TRAIN, cnn, training, weights
from tests.models.refusals import refused

pytestmark = pytest.mark.usefixtures("one_core")

CODE = """
import torch

class MyNet(torch.nn.Module):
    def __init__(self, volume_shape, num_outputs, *, width=3):
        super().__init__()
        self.convolution = torch.nn.Conv3d(1, width, 4, stride=3)
        self.head = torch.nn.Linear(width, num_outputs)

    def forward(self, volumes):
        return self.head(self.convolution(volumes).relu().amax(dim=(2, 3, 4)))
"""


@pytest.fixture
def my_net(tmp_path, monkeypatch):
    """Give the class of a network in a module that nobody else knows."""
    (tmp_path / "my_networks.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield importlib.import_module("my_networks").MyNet
    sys.modules.pop("my_networks", None)


def test_own_network_trains_and_is_loaded_where_it_is_trusted(my_net, tmp_path):
    made = training(tmp_path / "run")
    model = cnn(epochs=25, lr=0.05, network=functools.partial(my_net, width=5), augmentation=None)
    model.fit(made)
    proba = model.predict(made.volumes, TEST)
    assert roc_auc_score(made.targets[TEST], proba[:, 1]) > 0.9
    ways = ("integrated_gradients", "smoothgrad", "occlusion", "region_occlusion")
    assert model.heatmaps == ways  # it names no layer for Grad-CAM, and has no module ReLU
    baseline = made.volumes.volumes[TRAIN].mean(axis=0)
    evidence = model.explain(ask(made.volumes[TEST[1]], target=1), reference=usual(baseline))
    assert evidence.values.shape == SHAPE
    recipe = Recipe("native", crop="none", shape=SHAPE)
    write_model(tmp_path / "model", model.contents(Card(made.outcome, recipe, Reference.fit(made.volumes, TRAIN))))
    del sys.modules["my_networks"]
    told = r"the model's network 'my_networks\.MyNet' is code of its own, which would be imported and run\. Give trust="
    for trust in ((), "my_networks.Other", ["torch.nn.Linear", "my_networks"]):
        with refused(rf"{told}my_networks\.MyNet if you trust it", rf"{told}'my_networks\.MyNet' if you"):
            load(tmp_path / "model", trust=trust)
        assert "my_networks" not in sys.modules, "nothing of it was run"
    for trust in ("my_networks.MyNet", ["torch.nn.Linear", "my_networks.MyNet"]):
        loaded = load(tmp_path / "model", trust=trust).members[0].model
        assert isinstance(loaded, CNN)
        assert_array_equal(loaded.predict(made.volumes, TEST), proba)
        assert weights(loaded) == weights(model)
    assert type(loaded.network_).__name__ == "MyNet"
    assert loaded.network_.convolution.out_channels == 5


def test_own_network_that_changed_since_is_named(my_net, tmp_path):
    made = training(tmp_path / "run")
    model = cnn(epochs=1, network=my_net)
    model.fit(made)
    write_model(tmp_path / "model", model.contents(Card(made.outcome, None, Reference.fit(made.volumes, TRAIN))))
    my_net.__init__.__kwdefaults__["width"] = 4
    with refused(r"model does not fit this version of mri3d \(RuntimeError: Error\(s\) in loading state_dict for My"):
        load(tmp_path / "model", trust="my_networks.MyNet")


def test_grad_cam_is_offered_of_a_layer_that_is_named(my_net, tmp_path):
    sides = (10, 11, 12)
    model = CNN()
    model.network_, model.outcome_ = my_net(sides, 1).eval(), Classes(("a", "b"))
    model.scaling_ = model.line_ = model.temperature_ = None
    shape = {"volume_shape": list(sides), "num_outputs": 1, "batch_size": 1}
    model.arguments_ = {"network": "my_networks.MyNet", "options": {}, **shape}
    reference = Reference(np.zeros((1, *sides), np.float32), -1.0, 1.0)
    write_model(tmp_path / "model", model.contents(Card(model.outcome_, None, reference)))
    loaded = load(tmp_path / "model", trust="my_networks.MyNet")
    assert not {"gradcam", "hirescam"} & {*loaded.heatmaps}
    volume = np.random.default_rng(0).normal(size=(1, *sides)).astype(np.float32)
    for name, way in (("gradcam", grad_cam), ("hirescam", hires_cam)):
        with pytest.raises(UserError, match=rf"^method='{name}' is none of this model's unless layer names a layer\. "):
            loaded.method(name)
        evidence = way(Contrasted(model.network_, np.ones(1)), volume, layer="convolution")
        assert_array_equal(loaded.explain_arrays(volume, "b", method=name, layer="convolution")[0], evidence.heat)
    with pytest.raises(UserError, match=r"^layer='convolutions' is no layer of the network MyNet\. Did you mean 'conv"):
        loaded.method("gradcam", "convolutions")


class Constant(nn.Module):
    """A network that returns one output too many."""

    def __init__(self, volume_shape, num_outputs) -> None:
        super().__init__()
        self.head = nn.Parameter(torch.zeros(num_outputs + 1))

    def forward(self, volumes) -> torch.Tensor:
        """Return the same for all."""
        return self.head.expand(len(volumes), -1)


def test_own_network_of_another_number_of_outputs_is_named_before_training(tmp_path):
    with pytest.raises(UserError, match=r"Constant returns \[1, 2\] for one volume where \[1, 1\] is needed"):
        cnn(network=Constant).check(training(tmp_path))


def test_own_network_that_takes_one_channel_only_is_told_of_several(my_net, tmp_path):
    made = training(tmp_path, volumes=np.zeros((48, 2, *SHAPE), np.float32))
    with pytest.raises((UserError, TypeError), match="num_channels"):
        cnn(network=my_net).check(made)
