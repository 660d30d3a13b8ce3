"""Outputs of a network for many volumes, shared by the processes of several devices."""

from typing import Any

import numpy as np
import torch
from torch import nn

from mri3d.models.network.repeatable import repeatable
from mri3d.volumes.datamodule import inputs_of, named_worker_deaths, volume_loader
from mri3d.volumes.sequence import VolumeSequence


@repeatable(full_precision=True)
def network_outputs(
    network: nn.Module,
    volumes: VolumeSequence,
    rows: np.ndarray,
    *,
    batch_size: int,
    num_workers: int,
    columns: np.ndarray | None = None,
) -> np.ndarray:
    """Compute the outputs of a network; each process takes a part of the rows, and all get all of them.

    Args:
        network: Volumes [B, C, X, Y, Z] to outputs [B, D], in evaluation mode.
        volumes: All volumes.
        rows: Which of them, [N].
        batch_size: Volumes at a time.
        num_workers: Processes that load; 0 loads in this one.
        columns: Covariates of each volume [len(volumes), Q], or None.

    Returns:
        float64 [N, D].

    Raises:
        UserError: A loader process was killed.
    """
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    rank, num_ranks = (torch.distributed.get_rank(), torch.distributed.get_world_size()) if distributed else (0, 1)
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    loader = volume_loader(
        volumes,
        np.zeros(len(volumes), dtype=np.int64),
        rows,
        batch_size=batch_size,
        num_workers=num_workers,
        rank=rank,
        num_ranks=num_ranks,
        columns=columns,
    )
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    with torch.inference_mode(), named_worker_deaths():
        for batch in loader:
            outputs = network(*(given.to(device) for given in inputs_of(batch))).double()
            parts.append((batch["row"].numpy(), outputs.cpu().numpy()))
    if distributed:
        gathered: list[Any] = [None] * num_ranks
        torch.distributed.all_gather_object(gathered, parts)
        parts = [part for rank_parts in gathered for part in rank_parts]
    by_row = {int(row): output for part in parts for row, output in zip(*part, strict=True)}
    return np.stack([by_row[int(row)] for row in rows])
