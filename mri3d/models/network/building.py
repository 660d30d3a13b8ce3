"""Build a network from its maker and what a model folder keeps of it."""

import json
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from mri3d.cohort.encoding import Encoder
from mri3d.errors import UserError, option
from mri3d.models.classical.decisions import fit_logistic, fit_ridge
from mri3d.models.model import TrainingSet
from mri3d.nets.fused import NUM_FEATURES, Fused
from mri3d.nets.network import check_network
from mri3d.nets.networks import network_name
from mri3d.outcome import Outcome


def check_maker(maker: Callable[..., nn.Module]) -> None:
    """Refuse a network in place of what builds one.

    Raises:
        UserError: It is built already.
    """
    if isinstance(maker, nn.Module):
        raise UserError(
            f"{option('model.network')} is a network that was built already, and each fold needs one of its own. "
            f"Give its class, {type(maker).__name__}, or a functools.partial of it."
        )


def build_network(
    maker: Callable[..., nn.Module], training: TrainingSet, *, batch_size: int, encoder: Encoder | None = None
) -> tuple[nn.Module, dict[str, Any]]:
    """Build the network for a training set.

    Args:
        maker: A network class with its options bound.
        training: What it is to learn from.
        batch_size: Kept among the arguments: predictions are made by it.
        encoder: How covariates become columns, which are put in before the last layers; None without.

    Returns:
        The network, and the arguments by which a model folder builds it again.

    Raises:
        UserError: It cannot be called so, does not fit the volumes, or could not be built again.
    """
    num_channels, *sides = training.volumes.shape
    arguments = {
        "options": dict(getattr(maker, "keywords", {})),
        "volume_shape": sides,
        "num_channels": num_channels,
        "num_outputs": training.outcome.num_outputs,
        "batch_size": batch_size,
        **({} if encoder is None else {"encoder": encoder.to_json()}),
    }
    try:
        network = call_maker(maker, arguments)
    except UserError:
        raise
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{option('model.network')} cannot be built: {error}. It is called with the volume's shape and the number "
            "of outputs, and with num_channels where the volumes have several."
        ) from error
    check_network(network, sides, training.outcome.num_outputs, num_channels=num_channels)
    arguments = {"network": network_name(cast(type, getattr(maker, "func", maker))), **arguments}
    try:
        json.dumps(arguments, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{option('model.network')} has options that no model folder can keep ({error}). Give numbers, texts, "
            "and lists of them."
        ) from error
    return network, arguments


def call_maker(maker: Callable[..., nn.Module], arguments: dict[str, Any]) -> nn.Module:
    """Call a maker of networks; of the volumes' channels only those beyond one need be known to it.

    Args:
        maker: A network class with its options bound.
        arguments: `volume_shape` X, Y, Z, `num_outputs`, and `num_channels` where it is not 1, as model folders keep
            them; with an `encoder` of covariates the network is asked for features, and these are put in before the
            last layers.
    """
    channels = {"num_channels": number} if (number := arguments.get("num_channels", 1)) > 1 else {}
    num_columns = Encoder.from_json(arguments["encoder"]).width if "encoder" in arguments else None
    num_outputs = arguments["num_outputs"] if num_columns is None else NUM_FEATURES
    network = maker(tuple(arguments["volume_shape"]), num_outputs, **channels)
    return network if num_columns is None else Fused(network, num_columns, arguments["num_outputs"])


def begin_with_columns(network: Fused, columns: np.ndarray, outcome: Outcome, targets: np.ndarray) -> None:
    """Let a fused network begin with what a regression on the columns alone predicts.

    Args:
        network: Not trained yet.
        columns: Covariates of the rows that are learnt from [N, Q].
        outcome: What is predicted.
        targets: Of the same rows [N].
    """
    wanted = outcome.columns(targets, outcome.scaling(targets))
    fits = (
        fit_logistic(columns, wanted, [1.0])
        if outcome.memberships
        else fit_ridge(columns, wanted, [1.0], memberships=False, num_beside=columns.shape[1])
    )
    with torch.no_grad():
        network.linear.weight.copy_(torch.from_numpy(fits[0].weights))
        network.linear.bias.copy_(torch.from_numpy(fits[0].intercepts))
