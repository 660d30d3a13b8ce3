"""A convolutional network as a classifier: training by Lightning, prediction, model folder."""

import functools
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LearningRateMonitor, TQDMProgressBar
from torch import nn

from mri3d.errors import UserError
from mri3d.files import digest_json
from mri3d.model_folder import Card, Model, write_model
from mri3d.models.model import Task
from mri3d.models.network.board import Board
from mri3d.models.network.callbacks import History, OwnSignals, Patience
from mri3d.models.network.checkpoints import Checkpoint, read_checkpoint
from mri3d.models.network.learner import Learner, OptimizerMaker, adamw, class_logits
from mri3d.models.network.trainer import build_trainer, check_trainer, named_interrupts, named_misuse, quiet_libraries
from mri3d.nets.networks import NETWORKS
from mri3d.nets.sfcn import SFCN
from mri3d.nets.summary import summarize
from mri3d.parallel import num_cores
from mri3d.volumes.augmentation import Augmentation
from mri3d.volumes.datamodule import VolumeDataModule, named_worker_deaths, volume_loader
from mri3d.volumes.sequence import VolumeSequence

log = logging.getLogger(__name__)

AUGMENTATION = Augmentation()


class CNN:
    """Train a network with early stopping and keep the weights of the best epoch.

    Args:
        network: A network class of `mri3d.nets` with its options bound; called with the volume's shape and the number
            of logits.
        trainer: Lightning's Trainer with the user's options bound. On a GPU `deterministic` is "warn" unless it is
            set: the same seed gives the same bits but where torch knows no way, as for pooling windows that overlap.
        optimizer: An optimizer class with its options bound; its learning rate is the peak of the one-cycle schedule.
        batch_size: Subjects per batch and device.
        patience: Epochs without a better validation loss before training stops.
        augmentation: Random changes of the training volumes, or None.
        num_workers: Processes that load volumes; None chooses: none on a CPU, whose cores are busy with the network,
            and up to 8 beside a GPU.

    Raises:
        UserError: An option is out of range, or the trainer has one that is not the user's.
    """

    def __init__(
        self,
        network: Callable[..., nn.Module] = SFCN,
        *,
        trainer: Callable[..., pl.Trainer] = pl.Trainer,
        optimizer: OptimizerMaker = adamw,
        batch_size: int = 8,
        patience: int = 20,
        augmentation: Augmentation | None = AUGMENTATION,
        num_workers: int | None = None,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("patience", patience)):
            if value < 1:
                raise UserError(f"model.{name}={value} is too small. Give 1 or more.")
        if num_workers is not None and num_workers < 0:
            raise UserError(
                f"model.num_workers={num_workers} is negative. Give 0 or more, or null to let it be chosen."
            )
        if getattr(trainer, "keywords", {}):
            check_trainer(trainer)  # a mistake is told now, not after the scans have been read
        try:
            optimizer([torch.nn.Parameter(torch.zeros(1))])
        except (TypeError, ValueError) as error:
            raise UserError(f"model.optimizer cannot be used as it is set: {error}") from error
        self.network, self.trainer, self.optimizer = network, trainer, optimizer
        self.batch_size, self.patience = batch_size, patience
        self.augmentation, self.num_workers = augmentation, num_workers

    def check(self, task: Task) -> None:
        """Refuse a task that cannot be done.

        Raises:
            UserError: The network cannot be built for the volumes' shape, there are no validation rows, or fewer rows
                than devices.
        """
        if not len(task.validation_rows):
            raise UserError("a CNN stops by its validation rows, and there are none. Raise evaluation.validation.")
        num_ranks = check_trainer(self.trainer).world_size
        for side, rows in (("training", task.train_rows), ("validation", task.validation_rows)):
            if len(rows) < num_ranks:  # a rank without rows would wait for the others for ever
                raise UserError(
                    f"{len(rows)} {side} subjects cannot be shared by {num_ranks} devices. Lower trainer.devices."
                )
        self._build_network(task)

    def fit(self, task: Task) -> None:
        """Train on the training rows, stop by the validation rows.

        Raises:
            UserError: As `check`; training diverged, or a loader process was killed.
        """
        self.check(task)
        torch.manual_seed(task.seed)
        network = self._build_network(task)
        summary = summarize(network, task.volumes.shape[1:])
        log.log(logging.DEBUG if task.inner else logging.INFO, "network\n%s", summary)
        learner = Learner(
            network,
            class_weights=class_weights(task),
            optimizer=self.optimizer,
            seed=task.seed,
            identity=digest_json([self.arguments_, task.volumes.recipe.arguments()]),
        )
        folder = task.checkpoints
        best = Checkpoint(folder, "best", monitor="val_loss")
        bar = sys.stderr.isatty() and getattr(self.trainer, "keywords", {}).get("enable_progress_bar", True)
        history = History(lines=not bar, inner=task.inner)
        callbacks = [history, Patience(self.patience), OwnSignals(), *([TQDMProgressBar()] if bar else [])]
        if not task.inner:
            callbacks += [Board(summary, task.classes), LearningRateMonitor("step")]
        callbacks += [best, Checkpoint(folder, "last")]
        trainer = build_trainer(self.trainer, task, callbacks, bar=bar)
        last = folder / "last.ckpt"
        if trainer.num_nodes > 1:
            log.info("waiting for the processes of all %d nodes", trainer.num_nodes)
        with quiet_libraries(), named_misuse(), named_interrupts(), named_worker_deaths():
            trainer.fit(learner, self._data(task), ckpt_path=last if last.is_file() else None, weights_only=True)
        if not best.best_model_path:
            raise UserError("no epoch was completed and validated. Give the trainer more epochs, steps or time.")
        trainer.strategy.barrier()
        learner.load_state_dict(read_checkpoint(folder / "best.ckpt")["state_dict"])
        self.network_, self.history_ = network.eval(), history.epochs
        self.device_ = trainer.strategy.root_device

    def predict_proba(self, volumes: VolumeSequence, rows: np.ndarray) -> np.ndarray:
        """Give the probability of each class, float64 [len(rows), K]; the ranks share the work and all get all rows."""
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank, num_ranks = (torch.distributed.get_rank(), torch.distributed.get_world_size()) if distributed else (0, 1)
        device = self.device_
        network = self.network_.to(device)
        loader = volume_loader(
            volumes,
            np.zeros(len(volumes), dtype=np.int64),
            rows,
            batch_size=self.batch_size,
            num_workers=self._workers() if len(rows) > self.batch_size else 0,
            rank=rank,
            num_ranks=num_ranks,
        )
        parts: list[tuple[np.ndarray, np.ndarray]] = []
        with torch.inference_mode(), named_worker_deaths():
            for batch in loader:
                logits = class_logits(network(batch["volume"].to(device)).double())
                parts.append((batch["row"].numpy(), logits.softmax(dim=1).cpu().numpy()))
        if distributed:
            gathered: list[Any] = [None] * num_ranks
            torch.distributed.all_gather_object(gathered, parts)
            parts = [part for rank_parts in gathered for part in rank_parts]
        by_row = {int(row): proba for part in parts for row, proba in zip(*part, strict=True)}
        return np.stack([by_row[int(row)] for row in rows])

    def history(self) -> list[dict[str, float]]:
        """Tell the last fit epoch by epoch."""
        return self.history_

    def last_search(self) -> None:
        """Give nothing: a CNN has its options."""

    def save(self, folder: Path, card: Card) -> None:
        """Write the network as a model folder."""
        tensors = {name: tensor.cpu().numpy() for name, tensor in self.network_.state_dict().items()}
        write_model(folder, Model("cnn", self.arguments_, tensors, card))

    @classmethod
    def load(cls, model: Model) -> Self:
        """Build the fitted network from the contents of a model folder.

        Raises:
            UserError: The card names a network that this version does not know.
        """
        arguments = model.arguments
        if arguments["network"] not in NETWORKS:
            raise UserError(
                f"the model's network {arguments['network']!r} is unknown here (known: {', '.join(NETWORKS)})."
            )
        maker = functools.partial(NETWORKS[arguments["network"]], **arguments["options"])
        classifier = cls(maker, batch_size=arguments["batch_size"])
        network = maker(tuple(arguments["volume_shape"]), arguments["num_outputs"])
        network.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in model.tensors.items()})
        classifier.network_, classifier.history_, classifier.arguments_ = network.eval(), [], arguments
        classifier.device_ = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return classifier

    def _build_network(self, task: Task) -> nn.Module:
        """Build the network for the task, and note what builds it again."""
        shape, num_outputs = task.volumes.shape[1:], 1 if len(task.classes) == 2 else len(task.classes)
        network = self.network(shape, num_outputs)
        self.arguments_ = {
            "network": _name(network),
            "options": dict(getattr(self.network, "keywords", {})),
            "volume_shape": list(shape),
            "num_outputs": num_outputs,
            "batch_size": self.batch_size,
        }
        return network

    def _workers(self) -> int:
        if self.num_workers is not None:
            return self.num_workers
        return min(8, num_cores() // 2) if torch.cuda.is_available() else 0

    def _data(self, task: Task) -> VolumeDataModule:
        return VolumeDataModule(
            task.volumes,
            task.targets,
            train_rows=task.train_rows,
            validation_rows=task.validation_rows,
            batch_size=self.batch_size,
            num_workers=self._workers(),
            augmentation=self.augmentation,
            seed=task.seed,
        )


def class_weights(task: Task) -> torch.Tensor:
    """Weight classes so that each counts the same in the loss whatever its number of training rows; float32 [K]."""
    counts = np.bincount(task.targets[task.train_rows], minlength=len(task.classes))
    assert counts.all(), "a class is not among the training rows"
    return torch.tensor(counts.sum() / (len(counts) * counts), dtype=torch.float32)


def _name(network: nn.Module) -> str:
    """Name a network as model folders do."""
    for name, kind in NETWORKS.items():
        if type(network) is kind:
            return name
    raise UserError(
        f"model.network: {type(network).__name__} could not be loaded again from a model folder. "
        f"Choose one of {', '.join(NETWORKS)}."
    )
