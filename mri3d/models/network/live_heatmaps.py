"""Where a network finds evidence in a few validation volumes, pictured in TensorBoard while it learns."""

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.tensorboard import SummaryWriter

from mri3d.explain.contrasted import Contrasted
from mri3d.explain.gradients import midway_gradients
from mri3d.models.model import TrainingSet
from mri3d.models.network.board import writer_of
from mri3d.models.network.board_pictures import slices_with_evidence
from mri3d.models.network.learner import Learner
from mri3d.nets.fused import Fused, OfOneSession
from mri3d.volumes.alignment import sample
from mri3d.volumes.reference import Reference

log = logging.getLogger(__name__)

TAG = "validation heatmaps (integrated gradients, 2 points)"

MOST_VOLUMES = 4
MOST_TIMES = 10
"""How often in a training they are pictured, evenly spread: TensorBoard shows ten pictures of a name unless told.

With 83 training volumes of 50^3 a picture takes 7 % of an epoch, and so a training of 30 epochs 2 % longer."""

MOST_MIXED = 64
"""Training volumes in the mixtures that scans are compared with: their average correlates by 0.999 with IXI's."""


class LiveHeatmaps(pl.Callback):
    """Picture the evidence in the first validation volumes, the same at all times; nothing of the training changes.

    Maps of a finished model take many gradients for each scan. These take two, see `midway_gradients`.

    Args:
        training: What is learnt from.
        scaling: Of the network's outputs, see `mri3d.outcome.Outcome.scaling`.
        columns: Covariates of all volumes [N, Q], where the network is given such.
    """

    def __init__(self, training: TrainingSet, *, scaling: np.ndarray | None, columns: np.ndarray | None) -> None:
        self.training, self.columns = training, columns
        self.rows = np.sort(training.validation_rows)[:MOST_VOLUMES]
        outcome, targets = training.outcome, training.targets[self.rows]
        spoken_for = outcome.columns(targets, scaling).argmax(axis=1)  # of several classes that of the session
        self.targets = [outcome.target_named(outcome.decisions[each], np.empty(0)) for each in spoken_for]
        self.contrasts = [outcome.contrast(target, scaling) for target in self.targets]
        self._starts: Sequence[np.ndarray] = ()
        self._time, self._failed = -1, False

    def on_validation_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        """Picture them, if it is time, on the first rank; whatever goes wrong is told, and the training goes on."""
        writer = writer_of(trainer)
        if writer is None or self._failed:
            return
        time = (MOST_TIMES - 1) * (trainer.current_epoch + 1) // _num_epochs(trainer)
        if time == self._time:
            return
        assert isinstance(learner, Learner)
        self._time = time
        try:
            with _leaving_no_trace(learner.device):
                self._picture(writer, learner.network, trainer.current_epoch)
        except Exception as error:  # networks of the user's own may raise anything
            self._failed = True
            reason = " ".join(str(error).split()) or type(error).__name__
            log.warning("TensorBoard shows no heatmaps from epoch %d on: %s", trainer.current_epoch + 1, reason)

    def _picture(self, writer: SummaryWriter, network: torch.nn.Module, epoch: int) -> None:
        """Write one picture of all maps, and before the first what it shows."""
        volumes = [self.training.volumes[int(row)] for row in self.rows]
        if not self._starts:
            self._starts = _starts(self.training)
            writer.add_text(TAG, self._reading(), epoch)
        heats = []
        for row, volume, contrast in zip(self.rows, volumes, self.contrasts, strict=True):
            of_volumes = network
            if isinstance(network, Fused) and self.columns is not None:
                of_volumes = OfOneSession(network, torch.from_numpy(self.columns[row]))
            evidence = midway_gradients(Contrasted(of_volumes, contrast), volume, starts=self._starts)
            heats.append(np.nan_to_num(evidence.heat))  # NaN where the training diverged, which is told elsewhere
        writer.add_image(TAG, slices_with_evidence(np.stack([volume[0] for volume in volumes]), heats), epoch)

    def _reading(self) -> str:
        """Write in Markdown what the pictures show."""
        outcome, num_mixed = self.training.outcome, min(MOST_MIXED, len(self.training.train_rows))
        lines = [
            "Evidence in the first validation scans, a row for each, the same each time, on the planes through the "
            "strongest place of its map. Colours are relative to that place. A map is that of integrated gradients, "
            f"approximated at two points: midway from two typical scans (mixtures of {num_mixed} training scans).",
            "",
        ]
        cells = outcome.cells(self.training.targets[self.rows])
        for number, (cell, target) in enumerate(zip(cells, self.targets, strict=True), start=1):
            high, low = outcome.words.evidence(target)
            lines.append(f"{number}. {outcome.name} {cell}; warm colours: {high}; cool colours: {low}")
        return "\n".join(lines)


def _starts(training: TrainingSet) -> Sequence[np.ndarray]:
    """Mix some training volumes, evenly spread, see `Reference.starts`: two, since training waits for the gradients."""
    return Reference.fit(training.volumes, np.array(sample(np.sort(training.train_rows), MOST_MIXED))).starts[:2]


def _num_epochs(trainer: pl.Trainer) -> int:
    """Return how many epochs the training may take, whether it is limited by epochs or by steps."""
    steps = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    return math.ceil(trainer.estimated_stepping_batches / steps)


@contextmanager
def _leaving_no_trace(device: torch.device) -> Iterator[None]:
    """Let gradients be taken within a validation; what a network draws at random does not count."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.inference_mode(False), torch.enable_grad():
        yield
