"""A convolutional network as a model: training by Lightning, prediction, explanation, model folder."""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from pytorch_lightning.callbacks import LearningRateMonitor, TQDMProgressBar
from torch import nn

from mri3d.arguments import check_fields
from mri3d.cohort.encoding import Encoder
from mri3d.errors import UserError, option
from mri3d.model_folder import Contents
from mri3d.models.model import Search, TrainingSet
from mri3d.models.model_texts import fitted_by, options_text
from mri3d.models.network.batches import check_batches
from mri3d.models.network.board import Board
from mri3d.models.network.building import begin_with_columns, build_network, check_maker
from mri3d.models.network.callbacks import History, Patience
from mri3d.models.network.checkpoints import Checkpoint, check_no_requeued, checkpoints_of
from mri3d.models.network.endings import named_interrupts, named_misuse, named_resumption
from mri3d.models.network.fitted import FittedNetwork
from mri3d.models.network.identity import checkpoint_identity, former_identity
from mri3d.models.network.learner import Learner, OptimizerMaker, adamw, check_optimizer
from mri3d.models.network.live_heatmaps import LiveHeatmaps
from mri3d.models.network.loading import load_network
from mri3d.models.network.repeatable import repeatable
from mri3d.models.network.stopping import Stopping
from mri3d.models.network.trainer import (
    TrainerMaker,
    build_trainer,
    check_trainer,
    count_processes,
    deciding,
    default_trainer,
    quiet_libraries,
)
from mri3d.nets.fused import Fused
from mri3d.nets.sfcn import SFCN
from mri3d.nets.summary import summarize
from mri3d.outcome import check_debias, correcting_line
from mri3d.texts import number_text
from mri3d.volumes.augmentation import Augmentation, Preset, augmentation_of
from mri3d.volumes.datamodule import VolumeDataModule, named_worker_deaths

log = logging.getLogger(__name__)


@dataclass
class CNN(FittedNetwork):
    """Train a network by Lightning, and keep the weights of the best epoch or of the last.

    Args:
        network: A network class of `mri3d.nets`, or one of your own (see `mri3d.nets.Network`), with its options bound;
            called with the volume's shape and the number of outputs.
        trainer: Lightning's Trainer with your options bound. On a GPU `deterministic` is "warn" unless it is set: the
            same seed gives the same bits but where torch knows no way, as for pooling windows that overlap.
        optimizer: An optimizer class with its options bound; its learning rate is the peak of the one-cycle schedule,
            which also moves its momentum, or the first of its betas: from 0.95 to 0.85 and back.
        batch_size: Sessions per batch and device.
        patience: Epochs without a better validation loss before training stops, and the best is kept; None for what the
            outcome asks for: 20 where classes are predicted. A measure's network is trained to the end, and that is
            kept: its validation error settles only with the learning rate, and the best of few rows is chance.
        augmentation: Random changes of the training volumes: "default", small ones; "strong", as large as between
            scanners; None; or an `Augmentation` with options of your own. Those of strong are set one by one as in
            `model.augmentation._target_=mri3d.volumes.augmentation.StrongAugmentation model.augmentation.gamma=0.3`.
        num_workers: Processes that load volumes; None chooses: none on a CPU, whose cores are busy with the network,
            and up to 8 beside a GPU.
        debias: Whether predictions of a measure are corrected for shrinking towards the mean, by the line that those
            of the validation rows follow (Cole et al. 2018).
        covariates: Columns of the table, or the one, that the network is given before its last layers, such as
            `[age, sex]`.

    Raises:
        UserError: An option is out of range, or the trainer has one that is not yours to set.

    >>> from mri3d.models import CNN
    >>> CNN(batch_size=4, patience=5).patience
    5
    """

    network: Callable[..., nn.Module] = SFCN
    trainer: TrainerMaker = default_trainer
    optimizer: OptimizerMaker = adamw
    batch_size: int = 8
    patience: int | None = None
    augmentation: Augmentation | Preset | None = Augmentation()  # noqa: RUF009 (it is frozen)
    num_workers: int | None = None
    debias: bool = False
    covariates: str | Sequence[str] = field(default=(), metadata={"newer": True})

    name: ClassVar[str] = "cnn"
    uses_components: ClassVar[bool] = False
    chooses: ClassVar[bool] = False
    permutes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_fields(self, "model")
        self.augmentation = augmentation_of(self.augmentation)
        for name, value in (("batch_size", self.batch_size), ("patience", self.patience)):
            if value is not None and value < 1:
                raise UserError(f"{option(f'model.{name}', value)} is too small. Give 1 or more.")
        if self.num_workers is not None and self.num_workers < 0:
            raise UserError(
                f"{option('model.num_workers', self.num_workers)} is negative. Give 0 or more, or null to let it be "
                "chosen."
            )
        check_maker(self.network)  # a mistake is told now, not after the scans have been read
        check_trainer(self.trainer)
        check_optimizer(self.optimizer)

    def identity(self, *, length: bool = True) -> str:
        """Write what decides the weights, see `Model.identity`."""
        return options_text(self, instead={"trainer": deciding(self.trainer, length=length), "num_workers": None})

    def check(self, training: TrainingSet) -> None:
        """Refuse what cannot be learnt from.

        Raises:
            UserError: The network cannot be built for the volumes' shape or the trainer on this machine, there are no
                validation rows, fewer rows than devices, or left and right cannot be told apart where they are to be
                exchanged; or Lightning requeued the run under SLURM, see `check_no_requeued`.
        """
        check_no_requeued(training.folder)
        check_debias(self.debias, training.outcome)
        augmentation = augmentation_of(self.augmentation)
        if augmentation and training.volumes.recipe:
            augmentation.check_orientation(training.volumes.recipe.orientation)
        if not len(training.validation_rows):
            raise UserError(
                f"a CNN stops by its validation rows, and there are none. Raise {option('evaluation.validation')}."
            )
        num_ranks = count_processes(self.trainer)
        for side, rows in (("training", training.train_rows), ("validation", training.validation_rows)):
            if len(rows) < num_ranks:  # a rank without rows would wait for the others for ever
                raise UserError(
                    f"{number_text(len(rows), f'{side} session')} cannot be shared by {num_ranks} devices. Lower "
                    f"{option('trainer.devices')}."
                )
        step = num_ranks * self.batch_size
        num_train, num_val = max(1, len(training.train_rows) // step), -(-len(training.validation_rows) // step)
        check_batches(self.trainer, {"train": num_train, "val": num_val})
        build_network(self.network, training, batch_size=self.batch_size, encoder=_encoder(training))

    @repeatable()
    def fit(self, training: TrainingSet) -> None:
        """Train on the training rows, stop by the validation rows.

        Raises:
            UserError: As `check`; training diverged, or a loader process was killed.
        """
        self.check(training)
        torch.manual_seed(training.seed)
        self.encoder = _encoder(training)
        network, self.arguments_ = build_network(
            self.network, training, batch_size=self.batch_size, encoder=self.encoder
        )
        num_channels, *sides = training.volumes.shape
        summary = summarize(network, sides, num_channels=num_channels)
        log.log(logging.DEBUG if training.inner else logging.INFO, "network\n%s", summary)
        outcome, seen = training.outcome, training.targets[training.train_rows]
        self.outcome_, self.scaling_, self.line_ = outcome, outcome.scaling(seen), None
        columns = self._columns(training.volumes)
        if isinstance(network, Fused):
            assert columns is not None, "it was built for them"
            begin_with_columns(network, columns[training.train_rows], outcome, seen)
        learner = Learner(
            network,
            objective=outcome.objective(seen, self.scaling_),
            optimizer=self.optimizer,
            seed=training.seed,
            identity=checkpoint_identity(self.arguments_, self.optimizer, self.augmentation, training),
            former=former_identity(self.arguments_, training),
        )
        self.history_, self.device_ = self._train(learner, training, summary)
        self.network_, self.temperature_ = network.eval(), None
        held_out, targets = training.validation_rows, training.targets
        outputs = self._outputs(training.volumes, held_out)
        self.temperature_ = outcome.tempered(outputs, targets[held_out], learnt=targets[training.rows])
        if self.debias and not training.inner:  # a choice is made by what the models predict, uncorrected
            self.line_ = correcting_line(outcome, targets[held_out], self.predict(training.volumes, held_out))
        self.held_out = held_out, self.predict(training.volumes, held_out)
        self.calibration = fitted_by(temperature=self.temperature_, line=self.line_)

    def permuted(self, training: TrainingSet, test_rows: np.ndarray, targets: np.ndarray) -> None:
        """Return None: it takes too long to train a network for each of many permutations."""

    def history(self) -> list[dict[str, float]]:
        """Return the last fit epoch by epoch."""
        return self.history_

    def last_search(self) -> tuple[Search, ...]:
        """Return nothing: a CNN has its options."""
        return ()

    @classmethod
    def load(cls, contents: Contents, *, trust: Sequence[str] = ()) -> Self:
        """Build the fitted network from the contents of a model folder.

        Raises:
            UserError: The card names a network that is not known here, or one of the user's own that is not trusted.
        """
        maker, network = load_network(contents, trust=trust)
        model = cls(maker, batch_size=contents.arguments["batch_size"])
        model.restore(contents, network)
        return model

    def _train(
        self, learner: Learner, training: TrainingSet, summary: str
    ) -> tuple[list[dict[str, float]], torch.device]:
        """Train, put the weights that are kept into the learner, and return the history and where it was trained."""
        folder, targets = training.checkpoints, training.targets[training.validation_rows]
        bar = sys.stderr.isatty() and getattr(self.trainer, "keywords", {}).get("enable_progress_bar", True)
        history = History(guessing=learner.objective.guessing(targets), lines=not bar, inner=training.inner)
        patience = training.outcome.patience if self.patience is None else self.patience
        best, last = Checkpoint(folder, "best", monitor="val_loss"), folder / "last.ckpt"
        stopping = Stopping(last)
        patiently = [] if patience is None else [Patience(patience)]
        callbacks = [history, *patiently, stopping, *([TQDMProgressBar()] if bar else [])]
        if not training.inner:
            heatmaps = LiveHeatmaps(training, scaling=self.scaling_, columns=self._columns(training.volumes))
            callbacks += [Board(summary, training.outcome), heatmaps, LearningRateMonitor("step")]
        callbacks += [best, Checkpoint(folder, "last")]
        trainer = build_trainer(self.trainer, training, callbacks, bar=bar)
        checkpoints = checkpoints_of(trainer)
        if trainer.num_nodes > 1:
            log.info("waiting for the processes of all %d nodes", trainer.num_nodes)
        named = named_resumption(checkpoints, stopping)
        with quiet_libraries(), named, named_misuse(), named_interrupts(), named_worker_deaths():
            trainer.fit(learner, self._data(training), ckpt_path=last if last.is_file() else None, weights_only=True)
        if not best.best_model_path:
            raise UserError("no epoch was completed and validated. Give the trainer more epochs, steps or time.")
        trainer.strategy.barrier()
        name = "last" if patience is None else "best"
        kept = trainer.strategy.broadcast(str(folder / f"{name}.ckpt"))  # each process may have a folder of its own
        checkpoints.token = trainer.strategy.broadcast(checkpoints.token)
        checkpoints.load_weights(Path(kept), learner)
        trainer.strategy.barrier()  # the first process may remove the folder once it goes on
        return history.epochs, trainer.strategy.root_device

    def _data(self, training: TrainingSet) -> VolumeDataModule:
        return VolumeDataModule(
            training.volumes,
            training.targets,
            train_rows=training.train_rows,
            validation_rows=training.validation_rows,
            batch_size=self.batch_size,
            num_workers=self._workers(),
            augmentation=augmentation_of(self.augmentation),
            seed=training.seed,
            columns=self._columns(training.volumes),
        )


def _encoder(training: TrainingSet) -> Encoder | None:
    """Learn from the training rows how covariates become columns; None where there are none."""
    variables = training.volumes.covariates
    return None if variables is None else Encoder.fit(variables, training.train_rows)
