"""Heatmaps in TensorBoard while a network learns: what they show, and that the training does not notice them."""

import functools
import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from mri3d.explain.contrasted import smoothed
from mri3d.models.network import live_heatmaps
from mri3d.models.network.board_pictures import slices_with_evidence
from mri3d.models.network.live_heatmaps import TAG, LiveHeatmaps
from mri3d.nets.fused import Fused
from mri3d.outcome import Measure
from mri3d.volumes.reference import Reference
from tests.models.blobs import TRAIN, VALIDATION, cnn, measured, training

pytestmark = pytest.mark.usefixtures("one_core")


class Noisy(nn.Module):
    """A network with a normalisation and dropout, which draws at random when it is evaluated, too."""

    def __init__(self, volume_shape, num_outputs) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv3d(1, 3, 4, stride=3), nn.BatchNorm3d(3)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(3, num_outputs))

    def forward(self, volumes):
        """Return outputs [B, D]."""
        features = self.norm(self.convolution(volumes)).relu().mean(dim=(2, 3, 4))
        return self.head(features + 0.01 * torch.randn_like(features))


class Refusing(Noisy):
    """A network that cannot be asked for gradients once it is evaluated."""

    def forward(self, volumes):
        """Return outputs [B, D], with no gradient but for training."""
        if torch.is_grad_enabled() and not self.training:
            raise KeyError("no gradients <script>")
        return super().forward(volumes)


def events_of(folder):
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"tensors": 0, "images": 0})
    return events.Reload()


@pytest.mark.parametrize("network", [Noisy, Refusing], ids=["noisy", "refusing"])
def test_training_is_the_same_to_the_bit_without_them(tmp_path, monkeypatch, network, caplog):
    halves = {"val_check_interval": 0.5}  # what is drawn after the first validation of an epoch must not differ
    fits = [cnn(trainer=halves, network=network) for _ in range(2)]
    fits[0].fit(training(tmp_path / "with"))
    told = [record.getMessage() for record in caplog.records if record.name == live_heatmaps.__name__]
    refused = ["TensorBoard shows no heatmaps from epoch 1 on: 'no gradients <script>'"]  # once, though all fail
    assert told == (refused if network is Refusing else [])
    monkeypatch.setattr(LiveHeatmaps, "on_validation_end", lambda *given: None)
    fits[1].fit(training(tmp_path / "without"))
    states = [fit.network_.state_dict() for fit in fits]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    last = [torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True) for name in ("with", "without")]
    assert all(torch.equal(tensor, last[1]["state_dict"][name]) for name, tensor in last[0]["state_dict"].items())
    images = [events_of(tmp_path / name).Tags()["images"] for name in ("with", "without")]
    assert [TAG in tags for tags in images] == [network is Noisy, False]


def test_picture_shows_the_validation_volumes_with_the_evidence_of_the_epoch(tmp_path):
    made = training(tmp_path, validation_rows=VALIDATION[[5, 9, 0, 2, 7]])
    model = cnn(epochs=1)
    model.fit(made)
    volumes = made.volumes.volumes
    rows = VALIDATION[[0, 2, 5, 7]]
    shown, starts = torch.from_numpy(volumes[rows]), Reference.fit(made.volumes, TRAIN).starts[:2]
    method = IntegratedGradients(model.network_)
    found = sum(method.attribute(shown, torch.from_numpy(start)[None], n_steps=1) for start in starts) / len(starts)
    maps = [smoothed(each[0].detach().numpy()) for each in found]
    expected = slices_with_evidence(volumes[rows, 0], [each / np.abs(each).max() for each in maps])
    (image,) = events_of(tmp_path).Images(TAG)
    pixels = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)), np.float64) / 255
    assert pixels.shape == (4 * 14, 13 + 12 + 12, 3)
    np.testing.assert_allclose(pixels, expected.transpose(1, 2, 0), atol=1.5 / 255)
    assert image.step == 0


@pytest.mark.parametrize(
    ("num_classes", "spoken_for"), [(2, ["patient"] * 4), (3, ["control", "patient", "other", "control"])]
)
def test_text_says_whose_evidence_is_shown(tmp_path, num_classes, spoken_for):
    text = LiveHeatmaps(training(tmp_path, num_classes=num_classes), scaling=None, columns=None)._reading()
    truth = ["control", "patient", "other"][:num_classes] * 2
    assert "midway from two typical scans (mixtures of 24 training scans)" in text
    assert text.splitlines()[2:] == [
        f"{number}. label {cell}; warm colours: for {name}; cool colours: against {name}"
        for number, (cell, name) in enumerate(zip(truth, spoken_for, strict=False), start=1)
    ]


def test_text_says_what_raises_a_measure_in_a_single_session(tmp_path):
    made = measured(tmp_path, outcome=Measure("age | <b>"), validation_rows=VALIDATION[:1])
    text = LiveHeatmaps(made, scaling=np.array([[17.0, 50.0]]), columns=None)._reading()
    age = made.targets[VALIDATION[0]]
    expected = f"1. age | <b> {age}; warm colours: raises age | <b>; cool colours: lowers age | <b>"
    assert text.splitlines()[2:] == [expected]


@pytest.mark.parametrize(("num_epochs", "every"), [(1, 1), (7, 1), (10, 1), (30, 1), (100, 2), (1000, 5)])
def test_there_are_ten_pictures_at_most_from_the_first_validated_epoch_to_the_last(
    tmp_path, monkeypatch, num_epochs, every
):
    drawn = []
    monkeypatch.setattr(live_heatmaps, "writer_of", lambda trainer: trainer.writer)
    monkeypatch.setattr(LiveHeatmaps, "_picture", lambda self, writer, network, epoch: drawn.append(epoch))
    monkeypatch.setattr(live_heatmaps, "Learner", SimpleNamespace)
    learner = SimpleNamespace(device=torch.device("cpu"), network=None)
    heatmaps = LiveHeatmaps(training(tmp_path), scaling=None, columns=None)
    settings = {"num_training_batches": 5, "accumulate_grad_batches": 2, "estimated_stepping_batches": 3 * num_epochs}
    validated = list(range(every - 1, num_epochs, every))
    for epoch in validated:
        for writer in (
            None,
            "of the first rank",
            "of the first rank",
        ):  # another rank; validated twice
            heatmaps.on_validation_end(SimpleNamespace(current_epoch=epoch, writer=writer, **settings), learner)
    assert drawn[0] == validated[0]
    assert drawn[-1] == validated[-1]
    assert len(drawn) == len(set(drawn))
    assert len(drawn) == min(10, len(validated))


def test_network_with_covariates_is_asked_about_each_session_with_its_own(tmp_path):
    made = training(tmp_path, validation_rows=VALIDATION[:2])
    columns = np.zeros((48, 1))
    columns[VALIDATION[1]] = 5.0
    fused = Fused(nn.Sequential(nn.Flatten(), nn.LazyLinear(2)), 1, 1, num_features=2)
    fused(torch.zeros(1, 1, *made.volumes.shape[1:]))
    with torch.no_grad():  # outputs: the first feature less the second, unless the column switches this off
        for part in (fused.joint, fused.last):
            part.weight.zero_()
            part.bias.fill_(10.0)
        fused.joint.weight[0, 0] = fused.joint.weight[1, 1] = fused.last.weight[0, 0] = 1.0
        fused.joint.weight[1, 2], fused.last.weight[0, 1] = -100.0, -1.0
    pictured = []
    writer = SimpleNamespace(
        add_text=lambda *given: None, add_image=lambda tag, picture, epoch: pictured.append(picture)
    )
    heatmaps = LiveHeatmaps(made, scaling=None, columns=columns)
    heatmaps._picture(writer, fused, 0)
    seen = made.volumes.volumes[VALIDATION[:2]]
    change = seen - made.volumes.volumes[TRAIN].mean(axis=0)
    first, second = fused.network[1].weight.detach().numpy().reshape(2, *made.volumes.shape[1:])
    maps = [smoothed(change[0, 0] * (first - second)), smoothed(change[1, 0] * first)]
    expected = slices_with_evidence(seen[:, 0], [each / np.abs(each).max() for each in maps])
    np.testing.assert_allclose(pictured[0], expected, atol=1e-4)


@pytest.mark.gpu
def test_training_on_a_gpu_in_half_precision_is_the_same_without_them(tmp_path, monkeypatch):
    settings = {"accelerator": "gpu", "precision": "16-mixed", "val_check_interval": 0.5}
    make = functools.partial(cnn, epochs=2, trainer=settings, network=Noisy)
    fits = [make(), make()]
    fits[0].fit(training(tmp_path / "with"))
    assert len(events_of(tmp_path / "with").Images(TAG)) == 2
    monkeypatch.setattr(LiveHeatmaps, "on_validation_end", lambda *given: None)
    fits[1].fit(training(tmp_path / "without"))
    states = [fit.network_.state_dict() for fit in fits]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
