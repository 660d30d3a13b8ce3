"""Feed volumes to Lightning: which sample comes when depends on (seed, epoch) alone, never on workers or ranks."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NotRequired, TypedDict

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from mri3d.errors import UserError, option
from mri3d.volumes.augmentation import Augmentation, augment
from mri3d.volumes.scanner import scale_of
from mri3d.volumes.sequence import VolumeSequence

WORKER_TIMEOUT_S = 600
"""A loader process that gives nothing for so long is stuck; torch would wait for ever."""


class Batch(TypedDict):
    """What the data module yields: volume float32 [B, C, X, Y, Z], target int64 or float64 [B], row int64 [B].

    With covariates also their columns, float32 [B, Q].
    """

    volume: torch.Tensor
    target: torch.Tensor
    row: torch.Tensor
    columns: NotRequired[torch.Tensor]


def inputs_of(batch: Batch) -> tuple[torch.Tensor, ...]:
    """Return what a network is given of a batch: volumes, and the columns of covariates where there are some."""
    return (batch["volume"], batch["columns"]) if "columns" in batch else (batch["volume"],)


class EpochSampler(Sampler[tuple[int, int]]):
    """Yield (row, epoch) pairs of one rank.

    Shuffled, the order is a permutation drawn from (seed, epoch), cut to a whole number of batches for every rank:
    ranks must make the same number of steps, and a subject must not come twice to even them out. Those left over
    differ from epoch to epoch. Unshuffled, every row comes once on exactly one rank.

    Args:
        rows: Rows of the volumes, int64 [N].
        batch_size: Subjects per batch and rank.
        shuffle: Whether this feeds training.
        seed: Of the run.
        rank: Of this process among `num_ranks`.
        num_ranks: Number of processes that train together.
    """

    def __init__(
        self, rows: np.ndarray, *, batch_size: int, shuffle: bool, seed: int, rank: int = 0, num_ranks: int = 1
    ) -> None:
        self.rows, self.shuffle, self.seed, self.rank, self.num_ranks = rows, shuffle, seed, rank, num_ranks
        step = batch_size * num_ranks
        if not shuffle:
            self.num_used = len(rows)
        elif len(rows) >= step:
            self.num_used = len(rows) // step * step
        else:
            self.num_used = len(rows) // num_ranks * num_ranks
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.rows) if self.shuffle else self.rows
        for row in order[: self.num_used][self.rank :: self.num_ranks]:
            yield int(row), self.epoch

    def __len__(self) -> int:
        return len(range(self.rank, self.num_used, self.num_ranks))


class VolumeDataset(Dataset[Batch]):
    """Volumes with their targets, addressed by (row, epoch).

    Args:
        volumes: All volumes of the cohort.
        targets: Truth of each [N], see `mri3d.outcome`.
        augmentation: What to change at random, or None.
        seed: Of the run; together with epoch and row it fixes each random change.
        columns: Covariates of each volume [N, Q], or None.
    """

    def __init__(
        self,
        volumes: VolumeSequence,
        targets: np.ndarray,
        *,
        augmentation: Augmentation | None,
        seed: int,
        columns: np.ndarray | None = None,
    ) -> None:
        self.volumes, self.targets, self.seed = volumes, _of_64_bits(targets), seed
        self.columns = None if columns is None else torch.from_numpy(columns.astype(np.float32))
        shape, scale = volumes.shape[1:], scale_of(volumes.recipe)
        self.transform = augmentation.transform(shape, scale) if augmentation else None

    def __getitem__(self, index: tuple[int, int]) -> Batch:
        row, epoch = index
        volume = self.volumes[row]
        if self.transform is not None:  # MONAI makes another Compose to find out whether one is empty
            draw = int(np.random.SeedSequence([self.seed, epoch, row]).generate_state(1)[0])
            tensor = augment(self.transform, volume, draw)
        else:
            tensor = torch.from_numpy(volume)
        item: Batch = {"volume": tensor, "target": self.targets[row], "row": torch.tensor(row)}
        if self.columns is not None:
            item["columns"] = self.columns[row]
        return item


def _of_64_bits(targets: np.ndarray) -> torch.Tensor:
    """Copy targets [N] in the precision that losses take, whole numbers as such.

    >>> _of_64_bits(np.array([1, 0], np.int8)).dtype, _of_64_bits(np.array([0.5], np.float32)).dtype
    (torch.int64, torch.float64)
    """
    return torch.from_numpy(targets.astype(np.result_type(targets, np.int64)))


class LazyLoader(DataLoader[Batch]):
    """A loader whose processes begin when the first batch is asked for.

    Lightning iterates before it reads the epoch from the checkpoint of a run that it resumes; processes that began at
    once would load epoch 0.
    """

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Yield the batches of the sampler's epoch.

        Raises:
            UserError: A process died while it handed a batch over.
        """
        try:
            yield from super().__iter__()
        except (ConnectionError, EOFError) as error:
            reason: Exception = error
            try:
                time.sleep(1.0)  # torch's signal handler is about to raise wherever we are: let it be here
            except RuntimeError as told:
                reason = told
            raise _death(reason) from error


def volume_loader(
    volumes: VolumeSequence,
    targets: np.ndarray,
    rows: np.ndarray,
    *,
    batch_size: int,
    num_workers: int = 0,
    training: bool = False,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    rank: int = 0,
    num_ranks: int = 1,
    columns: np.ndarray | None = None,
) -> DataLoader[Batch]:
    """Build the loader of one rank.

    Args:
        volumes: All volumes of the cohort.
        targets: Truth of each [N], see `mri3d.outcome`.
        rows: Which of them to load.
        batch_size: Subjects per batch and rank.
        num_workers: Processes that load; 0 loads in this one.
        training: Shuffle, augment, and keep batches whole; otherwise each row comes once, in order.
        augmentation: Random changes, or None; used in training only.
        seed: Of the run.
        rank: Of this process.
        num_ranks: Number of processes that share the rows.
        columns: Covariates of each volume [N, Q], or None.
    """
    changed = augmentation if training else None
    return LazyLoader(
        VolumeDataset(volumes, targets, augmentation=changed, seed=seed, columns=columns),
        batch_size=batch_size,
        sampler=EpochSampler(rows, batch_size=batch_size, shuffle=training, seed=seed, rank=rank, num_ranks=num_ranks),
        generator=torch.Generator(),  # else each iteration takes a number from torch's own, which dropout draws from
        num_workers=num_workers,
        persistent_workers=num_workers > 0 and training,
        timeout=WORKER_TIMEOUT_S if num_workers else 0,
        pin_memory=torch.cuda.is_available(),
    )


@contextmanager
def named_worker_deaths() -> Iterator[None]:
    """Explain what a loader process ended by; torch's own give a process number, or a traceback.

    Raises:
        UserError: A process was killed or hung, or met a mistake of the user's.
    """
    try:
        yield
    except UserError as error:
        if "in DataLoader worker process" not in str(error):
            raise
        *_, message = re.split(r"^\S*Error: ", str(error), flags=re.MULTILINE)  # the traceback's last lines
        raise UserError(message.strip()) from error
    except RuntimeError as error:
        if not str(error).startswith("DataLoader "):
            raise
        raise _death(error) from error


def _death(reason: Exception) -> UserError:
    told = str(reason).strip().rstrip(".") or type(reason).__name__
    return UserError(
        f"a process that loads volumes died or hung: {told}. Most often the machine ran out "
        f"of memory, or of shared memory (/dev/shm). Set {option('model.num_workers', 0)}, or lower "
        f"{option('model.batch_size')} or {option('resolution')}."
    )


class VolumeDataModule(pl.LightningDataModule):
    """The training and validation volumes of one fold.

    Args:
        volumes: All volumes of the cohort, cached on disk.
        targets: Truth of each [N], see `mri3d.outcome`.
        train_rows: Rows to learn from.
        validation_rows: Rows to stop early by.
        batch_size: Subjects per batch and device.
        num_workers: Processes that load; 0 loads in the training process.
        augmentation: Random changes of the training volumes, or None.
        seed: Of the run.
        columns: Covariates of each volume [N, Q], or None.
    """

    def __init__(
        self,
        volumes: VolumeSequence,
        targets: np.ndarray,
        *,
        train_rows: np.ndarray,
        validation_rows: np.ndarray,
        batch_size: int,
        num_workers: int,
        augmentation: Augmentation | None,
        seed: int,
        columns: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self.volumes, self.targets, self.columns = volumes, targets, columns
        self.train_rows, self.validation_rows = train_rows, validation_rows
        self.batch_size, self.num_workers, self.augmentation, self.seed = batch_size, num_workers, augmentation, seed

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the loader of shuffled, augmented batches of whole size."""
        return self._loader(self.train_rows, training=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the loader of the validation volumes, each once over all ranks."""
        return self._loader(self.validation_rows, training=False)

    def _loader(self, rows: np.ndarray, *, training: bool) -> DataLoader[Batch]:
        return volume_loader(
            self.volumes,
            self.targets,
            rows,
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            training=training,
            augmentation=self.augmentation,
            seed=self.seed,
            rank=self.trainer.global_rank if self.trainer else 0,
            num_ranks=self.trainer.world_size if self.trainer else 1,
            columns=self.columns,
        )
