"""Maps of a network are trusted where the prediction follows them and shuffled weights change them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mri3d.explain.contrasted import Contrasted
from mri3d.explain.evidence import Evidence, Method, Question
from mri3d.explain.faithfulness import Curves
from mri3d.explain.of_network import explain_network
from mri3d.explain.trust import LONG, Form, MapTest, Trust, examine, likeness, sign_test, with_agreement
from mri3d.nets.shuffled import layer_weights, with_shuffled_weights
from tests.explain.asked import usual

SHAPE = (1, 16, 16, 16)
NOTHING = usual(np.zeros(SHAPE, np.float32))
GOOD = Trust("integrated_gradients", 6, 2.0, 0.3, 0.016, (0.9, 0.5, 0.2, 0.1))


class Explained:
    """A network whose maps are examined, or, in place of its maps, others."""

    def __init__(self, network, maps=None) -> None:
        self.network, self.maps = network, maps

    def explain(self, asked, *, reference):
        """Map the evidence in a volume."""
        if self.maps is not None:
            return Evidence(self.maps(asked.volume))
        return explain_network(self.contrasted(asked), asked, reference=reference)

    def contrasted(self, asked):
        """Return the network as the number that is explained."""
        return Contrasted(self.network, np.array([1.0]))

    @property
    def num_layers(self):
        """How many layers have weights."""
        return len(layer_weights(self.network))

    def shuffled(self, share):
        """Return another with shuffled weights."""
        return Explained(with_shuffled_weights(self.network, share), self.maps)


def test_maps_of_a_network_without_weights_to_shuffle_are_not_trusted():
    class Mean(nn.Module):
        def forward(self, volumes):
            return volumes.mean(dim=(1, 2, 3, 4))[:, None]

    found = examine(Explained(Mean()), questions(), reference=NOTHING)
    assert (found.trusted, found.similarity) == (False, (pytest.approx(1.0),))


@pytest.fixture
def network():
    """Weigh a corner of the volume only."""
    layer = nn.Linear(16**3, 1)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight.view(16, 16, 16)[:5, :5, :5] = 1.0
    return nn.Sequential(nn.Flatten(), layer)


def questions(count=6):
    volumes = 1 + np.random.default_rng(0).random((count, *SHAPE)).astype(np.float32)
    return [Question(volume, 0, Method("integrated_gradients")) for volume in volumes]


def test_maps_of_what_a_network_weighs_are_trusted(network):
    found = examine(Explained(network), questions(), reference=NOTHING)
    assert found.trusted is True
    assert found.gain > 5 * abs(found.gain_shuffled)
    assert found.similarity[-1] < 0.3
    assert found.p == 1 / 2**6
    assert "changes the prediction sooner than chance" in found.reason


def test_maps_of_the_scan_alone_are_not_trusted(network):
    found = examine(Explained(network, maps=lambda volume: volume[0]), questions(), reference=NOTHING)
    assert found.trusted is False
    assert found.similarity == pytest.approx((1.0,)), "it has one layer"


def test_maps_of_noise_are_not_trusted(network):
    random = np.random.default_rng(1)
    noise = Explained(network, maps=lambda volume: random.standard_normal(volume.shape[1:]).astype(np.float32))
    found = examine(noise, questions(), reference=NOTHING)
    assert found.trusted is False
    assert "decides no more than what a network with shuffled weights calls so" in found.reason


@pytest.mark.parametrize(
    ("changes", "trusted", "reason"),
    [
        ({}, True, "changes the prediction sooner"),
        ({"p": 0.051}, False, "decides no more than"),
        ({"similarity": (0.9, 0.9, 0.8, 0.5)}, False, "look much the same where all weights are shuffled"),
        ({"num_scans": 4}, None, "4 scans are too few"),
    ],
)
def test_the_verdict_and_why(changes, trusted, reason):
    found = replace(GOOD, **changes)
    assert found.trusted is trusted
    assert reason in found.reason
    assert found.to_json()["trusted"] is trusted


def test_the_long_form_shuffles_layer_by_layer_and_keeps_what_it_found_of_each_scan():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16**3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
    held = []

    def asked():
        for question in questions(7):
            held.append(len(held))
            yield question

    found = examine(Explained(network), asked(), reference=NOTHING, form=LONG)
    assert len(held) == found.num_scans == len(found.tests) == 7
    assert [len(test.similarity) for test in found.tests] == [3] * 6 + [1], "of three layers in three steps"
    assert len(found.similarity) == 3
    assert found.similarity[-1] == pytest.approx(np.mean([test.similarity[-1] for test in found.tests]))
    assert found.gain == pytest.approx(np.mean([test.gain for test in found.tests]))
    form = Form(2, 1, linear=False)
    short = examine(Explained(network), questions(7), reference=NOTHING, form=form)
    assert (short.gain, short.p, short.similarity[-1]) == (found.gain, found.p, found.similarity[-1])
    assert "tests" not in found.to_json()


def test_maps_of_linear_models_are_not_in_question():
    curves = Curves(np.array([[[1, *[0.0] * 7], [0, *[1.0] * 7]]]), np.tile(0.5, (2, 8)))
    found = Trust.of("weights", [MapTest(curves, ())] * 6)
    assert (found.gain, found.gain_shuffled, found.trusted) == (0.5, None, None)
    assert found.reason.startswith("These maps are what the model computes")
    assert "not which ones decide" in replace(found, method="pattern").reason


def test_likeness_leaves_out_where_both_are_faint():
    one, other = np.zeros((2, 10, 10, 10))
    one[:2], other[:2] = np.random.default_rng(0).standard_normal((2, 2, 10, 10))
    assert abs(likeness(one, other)) < 0.2
    assert likeness(one, 3 * one) == pytest.approx(1.0)
    assert likeness(one, np.zeros_like(one)) == 0.0
    assert likeness(np.zeros(4), np.zeros(4)) == 0.0


def test_signs_are_drawn_in_all_ways():
    assert sign_test(np.array([1.0, 2.0, 3.0])) == 1 / 8
    assert sign_test(np.array([1.0, -2.0, 3.0])) == 3 / 8  # 3+2+1, 3+2-1 and 3-2+1, which it is
    assert sign_test(np.zeros(5)) == 1.0
    assert sign_test(np.ones(40)) == 1 / 4096
    assert sign_test(np.array([np.nan, 1.0, 2.0, 3.0, 4.0])) == 1.0


def test_agreement_is_the_mean_over_pairs_and_scans():
    a, b = np.random.default_rng(0).standard_normal((2, 6, 6, 6))
    found = with_agreement(GOOD, [[a, a, b], [b, b, b]])
    assert found.agreement == pytest.approx((1 + 2 * likeness(a, b) + 3) / 6)
    assert with_agreement(GOOD, [[a], [b]]).agreement is None
