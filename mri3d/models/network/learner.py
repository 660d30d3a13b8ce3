"""The LightningModule: one network, one loss, one schedule."""

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torchmetrics.aggregation import MeanMetric

from mri3d.arguments import refused_option
from mri3d.errors import UserError, option
from mri3d.outcome.objectives import Objective
from mri3d.volumes.datamodule import Batch, inputs_of

MANY_INPUTS = 20_000
"""Of one output of a layer; more than any layer of the usual networks has."""

REFUSALS = (TypeError, ValueError, KeyError, RuntimeError, AssertionError)
"""What optimizers raise where they cannot be used as they are set."""

OptimizerMaker = Callable[[Iterable[Any]], torch.optim.Optimizer]


def adamw(parameters: Iterable[Any], *, lr: float = 3e-3, weight_decay: float = 1e-2) -> torch.optim.Optimizer:
    """Make the optimizer of the defaults (Loshchilov and Hutter 2019).

    Args:
        parameters: What to optimize.
        lr: Learning rate at the peak of the one-cycle schedule.
        weight_decay: Share of each weight that is taken off at every step, times the learning rate.
    """
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)


def check_optimizer(make: OptimizerMaker) -> None:
    """Refuse what cannot train a network on the one-cycle schedule, by one step of a tiny network.

    Raises:
        UserError: It cannot be called with groups of parameters, makes no optimizer, has no momentum to cycle, cannot
            step, or has an option that the cycle overrides.
    """
    name = getattr(getattr(make, "func", make), "__name__", repr(make))
    try:
        _check_momentum(_one_step(make))
    except UserError:
        raise
    except REFUSALS as error:
        reason = " ".join(str(error).split())
        if (refused := refused_option(make, _one_step, REFUSALS)) is not None:
            setting = option(f"model.optimizer.{refused}", make.keywords[refused])  # type: ignore[attr-defined]
            raise UserError(
                f"{setting} cannot be used with {name} ({reason}). Give another value, or leave it out."
            ) from error
        raise UserError(
            f"{option('model.optimizer')} cannot be used as it is set: {name} cannot train a network on the one-cycle "
            f"schedule ({type(error).__name__}: {reason}). Change its options, or give another optimizer, such as "
            "AdamW or SGD."
        ) from error


def _one_step(make: OptimizerMaker) -> torch.optim.Optimizer:
    """Take one step of a tiny network by an optimizer that is made for it, and return that."""
    with torch.random.fork_rng(devices=[]):  # whoever makes a model draws the same numbers afterwards
        network = nn.Conv3d(1, 2, 3)
        optimizer, schedule = one_cycle(make, network, num_steps=2)
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step(lambda: 0.0)  # as Lightning calls it
        schedule.step()
    return optimizer


def _check_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Refuse a momentum that the cycle would not keep; the default of an optimizer's class is nobody's wish."""
    name = "betas" if "betas" in optimizer.defaults else "momentum"  # as OneCycleLR chooses
    parameter = inspect.signature(type(optimizer)).parameters.get(name)
    if parameter is None or parameter.default is parameter.empty:
        return
    given, group = optimizer.defaults[name], optimizer.param_groups[0]
    start, end = group["max_momentum"], group["base_momentum"]
    first, usual = (value[0] if isinstance(value, list | tuple) else value for value in (given, parameter.default))
    if first not in (usual, start):
        which = " as the first of them" if name == "betas" else ""
        raise UserError(
            f"{option(f'model.optimizer.{name}', given)} would not be kept: the one-cycle schedule moves the momentum "
            f"from {start} to {end} and back. Leave it out, or give {start}{which}."
        )


def one_cycle(
    make: OptimizerMaker, network: nn.Module, *, num_steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.OneCycleLR]:
    """Build the optimizer of a network, and its one-cycle schedule (Smith and Topin 2018).

    Raises:
        UserError: `make` makes something else.
    """
    optimizer = make(parameter_groups(network))
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise UserError(
            f"{option('model.optimizer')} makes {optimizer!r}, which is no optimizer. Give a class of torch.optim, or "
            "a functools.partial of one."
        )
    for group in optimizer.param_groups:
        group["lr"] *= group["scale"]
    rates = [group["lr"] for group in optimizer.param_groups]
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rates, total_steps=num_steps)


def parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    """Sort parameters by how an adaptive optimizer may move them.

    Each step moves every weight by about the learning rate, in directions that add up where inputs are alike, as
    neighbouring voxels are: an output moves by as much as it has inputs. So beyond `MANY_INPUTS` the rate falls with
    their number (Yang et al. 2021, Tensor Programs V), and one rate suits kernels of 3^3 and of 60^3 voxels. Biases and
    normalisation gains have no scale to shrink towards: their weights do not decay.

    Returns:
        Groups for an optimizer, each with its `scale`, the share of the learning rate that it gets; largest first.
    """
    by_scale: dict[float, list[nn.Parameter]] = {}
    for parameter in network.parameters():
        if parameter.ndim > 1:
            by_scale.setdefault(min(1.0, MANY_INPUTS / parameter[0].numel()), []).append(parameter)
    groups: list[dict[str, Any]] = [{"params": by_scale[scale], "scale": scale} for scale in sorted(by_scale)[::-1]]
    plain = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    return [*groups, {"params": plain, "weight_decay": 0.0, "scale": 1.0}]


class Learner(pl.LightningModule):
    """Train a network on a one-cycle schedule.

    Args:
        network: Volumes [B, C, X, Y, Z] to outputs [B, D].
        objective: Loss and scores of the outputs; a torch module, which goes to the device with the network.
        optimizer: Called with the parameters; its learning rate is the peak of the cycle.
        seed: Of the run; what the network draws at random (dropout) follows from it, the epoch and the rank.
        identity: Of network and volumes; a checkpoint of another is refused.
        former: What an earlier version took for it; empty where it had no such training.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        objective: Objective,
        optimizer: OptimizerMaker,
        seed: int,
        identity: str = "",
        former: str = "",
    ) -> None:
        super().__init__()
        self.network, self.objective = network, objective
        self.optimizer_maker, self.seed, self.identity = optimizer, seed, identity
        self.identities = (identity, former or identity)
        self.train_loss = MeanMetric(nan_strategy=math.nan)  # by default NaN is dropped, and a divergence goes unseen
        self.val_loss = MeanMetric(nan_strategy=math.nan)
        self.val_scores = objective.scores()

    def forward(self, volume: Tensor, *columns: Tensor) -> Tensor:
        """Compute outputs [B, D] for volumes [B, C, X, Y, Z], and for covariates [B, Q] where the network has such."""
        outputs: Tensor = self.network(volume, *columns)
        return outputs

    def on_train_epoch_start(self) -> None:
        """Draw afresh, so that a run that is resumed goes on as if it had not been cut off."""
        draws = np.random.SeedSequence([self.seed, self.current_epoch, self.global_rank])
        torch.manual_seed(int(draws.generate_state(1)[0]))

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Compute the loss of a batch."""
        loss = self.objective.loss(self(*inputs_of(batch)), batch["target"])
        self.train_loss.update(loss.detach(), weight=len(batch["target"]))
        return loss

    def on_validation_start(self) -> None:
        """Make the ranks judge one and the same network: running statistics are averaged over them.

        DDP could copy rank 0's before every forward pass instead, but then ranks with unequal numbers of validation
        batches wait for each other for ever.
        """
        if self.trainer.world_size > 1:
            for buffer in self.network.buffers():
                if buffer.is_floating_point():
                    buffer.copy_(self.trainer.strategy.reduce(buffer.clone(), reduce_op="mean"))

    def validation_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Gather loss and scores of a batch; return its predictions: probabilities [B, K], or values [B]."""
        outputs: Tensor = self(*inputs_of(batch)).float()
        losses, weights = self.objective.losses(outputs, batch["target"])
        predictions = self.objective.predictions(outputs)
        self.val_loss.update(losses, weight=weights)
        self.val_scores.update(predictions, batch["target"])
        return predictions

    def on_validation_epoch_end(self) -> None:
        """Log the loss and the scores over all validation rows."""
        self.log("val_loss", self.val_loss.compute())
        self.log_dict(self.val_scores.compute())
        self.val_loss.reset()
        self.val_scores.reset()

    def configure_optimizers(self) -> Any:  # noqa: ANN401 (Lightning's own union of eight types)
        """Build the optimizer and its one-cycle schedule, stepped every batch.

        Raises:
            UserError: The number of steps is not known beforehand.
        """
        num_steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(num_steps):
            raise UserError(
                f"{option('trainer.max_epochs', self.trainer.max_epochs)} has no end, and the cycle of the learning "
                f"rate needs a length. Give {option('trainer.max_epochs')} or {option('trainer.max_steps')}."
            )
        optimizer, schedule = one_cycle(self.optimizer_maker, self.network, num_steps=int(num_steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note what the checkpoint is of."""
        checkpoint["identity"] = self.identity

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the new schedule but for the place in it: a run that is resumed may have been given more epochs.

        Raises:
            UserError: The checkpoint is of another network, or of other volumes.
        """
        if checkpoint.get("identity", "") not in self.identities:
            raise UserError(
                "the run's checkpoint is of another network, optimizer, augmentation, batch size or preprocessing than "
                "its config.yaml says by now. Undo the changes there, or start a new run."
            )
        place = ("last_epoch", "_step_count", "_last_lr")
        checkpoint["lr_schedulers"] = [{name: state[name] for name in place} for state in checkpoint["lr_schedulers"]]
