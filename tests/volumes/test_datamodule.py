"""Which sample comes when, and how it is changed, are functions of (seed, epoch, row) alone."""

import os
import signal

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mri3d.errors import UserError
from mri3d.scans.scan import ScanError
from mri3d.volumes.augmentation import Augmentation
from mri3d.volumes.datamodule import EpochSampler, VolumeDataModule, named_worker_deaths, volume_loader
from mri3d.volumes.sequence import InMemory
from tests.models.refusals import refused

SHAPE = (7, 8, 9)
ROWS = np.array([1, 2, 3, 5, 8, 13, 14, 15, 16, 17, 19])


@pytest.fixture(autouse=True)
def soon_ended(monkeypatch):
    """Let workers look often whether they are still wanted: whoever collects an iterator that failed waits for that."""
    monkeypatch.setattr("torch.utils.data._utils.worker.MP_STATUS_CHECK_INTERVAL", 0.05)  # s, of 5


def sampler(*, shuffle=True, batch_size=2, **options: int):
    return EpochSampler(ROWS, batch_size=batch_size, shuffle=shuffle, **({"seed": 3} | options))


def drawn(samples, epoch=0):
    samples.set_epoch(epoch)
    return [row for row, _ in samples]


def noise_volumes(num_volumes=20):
    return InMemory(np.random.default_rng(0).standard_normal((num_volumes, 1, *SHAPE)).astype(np.float32))


def test_order_is_a_function_of_seed_and_epoch():
    first = sampler()
    in_order = [drawn(first, epoch) for epoch in range(3)]
    assert [drawn(sampler(), epoch) for epoch in (2, 0, 1)] == [in_order[2], in_order[0], in_order[1]]
    np.random.seed(9)
    torch.manual_seed(9)
    assert drawn(first, 1) == in_order[1]
    assert len({tuple(order) for order in in_order}) == 3
    assert drawn(sampler(seed=4), 0) != in_order[0]
    first.set_epoch(2)
    assert list(first) == [(row, 2) for row in in_order[2]]


def test_permutation_is_uniform():
    counts = np.zeros((len(ROWS), 10), dtype=int)  # how often each row comes at each place
    for epoch in range(1100):
        for place, row in enumerate(drawn(sampler(), epoch)):
            counts[np.searchsorted(ROWS, row), place] += 1
    chi2 = ((counts - 100) ** 2 / 100).sum()
    assert 60 < chi2 < 160  # about 100 degrees of freedom: 109 +- 15


@pytest.mark.parametrize(("batch_size", "num_ranks"), [(2, 1), (1, 2), (2, 2), (3, 3), (2, 4), (8, 2), (100, 3)])
def test_ranks_train_on_disjoint_rows_in_equal_numbers_of_batches(batch_size, num_ranks):
    ranks = [sampler(batch_size=batch_size, rank=rank, num_ranks=num_ranks) for rank in range(num_ranks)]
    seen = set()
    for epoch in range(6):
        orders = [drawn(rank, epoch) for rank in ranks]
        assert len({len(order) for order in orders}) == 1
        assert len(orders[0]) == len(ranks[0]) > 0
        rows = [row for order in orders for row in order]
        assert len(set(rows)) == len(rows)  # no subject comes twice to even the ranks out
        assert set(rows) <= set(ROWS)
        assert len(ROWS) - len(rows) < batch_size * num_ranks
        assert len(orders[0]) % batch_size == 0 or len(orders[0]) < batch_size
        seen |= set(rows)
    assert seen == set(ROWS)  # those left over differ from epoch to epoch


def test_more_ranks_take_the_same_batches():
    alone = np.reshape(drawn(sampler(batch_size=4), 5), (2, 4))
    shared = [np.reshape(drawn(sampler(batch_size=2, rank=rank, num_ranks=2), 5), (2, 2)) for rank in range(2)]
    assert [set(row) for row in np.concatenate(shared, axis=1)] == [set(row) for row in alone]


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 12])
def test_evaluation_sees_every_row_once_and_none_twice(num_ranks):
    ranks = [sampler(shuffle=False, batch_size=4, rank=rank, num_ranks=num_ranks) for rank in range(num_ranks)]
    orders = [drawn(rank) for rank in ranks]
    assert sorted(row for order in orders for row in order) == list(ROWS)
    assert [len(order) for order in orders] == [len(rank) for rank in ranks]
    assert all(order == sorted(order) for order in orders)


def epochs(num_workers, *, seed=3, augmentation=None, num_epochs=2):
    """Give, for each epoch, the rows in the order in which they came and their volumes."""
    loader = volume_loader(
        noise_volumes(),
        np.arange(20) % 3,
        ROWS,
        batch_size=4,
        num_workers=num_workers,
        training=True,
        augmentation=augmentation,
        seed=seed,
    )
    told = []
    for epoch in range(num_epochs):
        loader.sampler.set_epoch(epoch)
        batches = list(loader)
        told.append((torch.cat([b["row"] for b in batches]), torch.cat([b["volume"] for b in batches])))
    return told


def test_number_of_workers_changes_nothing():
    alone = epochs(0, augmentation=Augmentation())
    assert not torch.equal(alone[0][0], alone[1][0])
    for num_workers in (1, 2):  # they persist, and are told of each epoch
        for (rows, volumes), (other_rows, other_volumes) in zip(
            alone, epochs(num_workers, augmentation=Augmentation()), strict=True
        ):
            assert torch.equal(rows, other_rows)
            assert torch.equal(volumes, other_volumes)


def test_epoch_may_be_set_until_the_first_batch_is_asked_for():
    loader = volume_loader(
        noise_volumes(), np.zeros(20), ROWS, batch_size=4, num_workers=1, training=True, augmentation=None
    )
    batches = iter(loader)
    loader.sampler.set_epoch(5)
    assert torch.cat([batch["row"] for batch in batches]).tolist() == drawn(sampler(batch_size=4, seed=0), 5)


def test_iterating_takes_nothing_from_the_random_numbers_of_the_process():
    torch.manual_seed(1)
    np.random.seed(1)
    expected = torch.rand(3), np.random.rand(3)
    torch.manual_seed(1)
    np.random.seed(1)
    epochs(0, augmentation=Augmentation(flip=True))
    assert torch.equal(torch.rand(3), expected[0])
    np.testing.assert_array_equal(np.random.rand(3), expected[1])


def test_augmentation_differs_between_epochs_subjects_and_seeds():
    volume = np.random.default_rng(1).standard_normal((1, 1, *SHAPE)).astype(np.float32)
    same = InMemory(np.repeat(volume, 5, axis=0))
    changed = {}
    for seed in (0, 1):
        loader = volume_loader(
            same, np.zeros(5), np.arange(5), batch_size=5, training=True, augmentation=Augmentation(), seed=seed
        )
        for epoch in (0, 1):
            loader.sampler.set_epoch(epoch)
            (batch,) = loader
            for row, tensor in zip(batch["row"], batch["volume"], strict=True):
                changed[seed, epoch, int(row)] = tensor.numpy().tobytes()
    assert len(changed) == len(set(changed.values())) == 20


def test_volumes_are_changed_in_training_only_and_the_originals_never():
    volumes = noise_volumes()
    before = volumes.volumes.copy()
    data = VolumeDataModule(
        volumes,
        np.arange(20) % 2,
        train_rows=ROWS,
        validation_rows=np.array([0, 4, 6]),
        batch_size=2,
        num_workers=0,
        augmentation=Augmentation(probability=1.0),
        seed=0,
    )
    for batch in data.train_dataloader():
        assert not any(
            np.allclose(tensor, before[row]) for row, tensor in zip(batch["row"], batch["volume"], strict=True)
        )
    validation = list(data.val_dataloader())
    assert torch.cat([batch["row"] for batch in validation]).tolist() == [0, 4, 6]
    np.testing.assert_array_equal(torch.cat([batch["volume"] for batch in validation]), before[[0, 4, 6]])
    np.testing.assert_array_equal(volumes.volumes, before)


@pytest.mark.parametrize("augmentation", [None, Augmentation()])
def test_shapes_and_types_of_a_batch(augmentation):
    targets = np.arange(20, dtype=np.int32) % 3
    loader = volume_loader(noise_volumes(), targets, ROWS, batch_size=4, training=True, augmentation=augmentation)
    batches = list(loader)
    assert len(batches) == len(loader) == 2
    for batch in batches:
        assert batch["volume"].shape == (4, 1, *SHAPE)
        assert type(batch["volume"]) is torch.Tensor
        assert batch["volume"].dtype == torch.float32
        assert batch["target"].dtype == batch["row"].dtype == torch.int64
        assert batch["target"].tolist() == targets[batch["row"]].tolist()


class Failing(InMemory):
    """Volumes of which one fails to load."""

    def __init__(self, failure) -> None:
        super().__init__(noise_volumes().volumes)
        self.failure = failure

    def __getitem__(self, row) -> np.ndarray:
        if row == ROWS[-1]:
            self.failure()
        return super().__getitem__(row)


def fail_by(error):
    def failure():
        try:
            raise OSError("the cause")
        except OSError as cause:
            raise error from cause

    return failure


def read_all(volumes, num_workers):
    with named_worker_deaths():
        list(volume_loader(volumes, np.zeros(20), ROWS, batch_size=2, num_workers=num_workers))


# torch's handler of the signal raises wherever Python is just then, and a destructor may be: that much is torch's.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_killed_worker_is_a_mistake_that_the_user_can_mend():
    message = r"loads volumes died or hung: .*\w\. Most often .*model\.num_workers=0, or lower model\.batch_size or res"
    with refused(message, r"Most often .* Set num_workers=0, or lower batch_size or resolution\."):
        read_all(Failing(lambda: os.kill(os.getpid(), signal.SIGKILL)), num_workers=1)


@pytest.mark.parametrize("error", [ConnectionResetError("by peer"), EOFError("no more")])
def test_death_while_a_batch_was_handed_over_is_told_alike(monkeypatch, error):
    def sleep(seconds):
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")  # torch's signal handler

    def batches(loader):
        yield "a batch"
        raise error

    monkeypatch.setattr("mri3d.volumes.datamodule.time.sleep", sleep)
    monkeypatch.setattr(DataLoader, "__iter__", batches)
    with pytest.raises(UserError, match=r"hung: DataLoader worker .* Killed\. Most often"):
        read_all(Failing(lambda: None), num_workers=1)


def test_hanging_worker_is_told_alike():
    with pytest.raises(UserError, match="hung: DataLoader timed out after 600 seconds"), named_worker_deaths():
        raise RuntimeError("DataLoader timed out after 600 seconds")


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("kind", [UserError, ScanError])
def test_users_mistake_in_a_worker_keeps_its_words(num_workers, kind):
    message = "subject 7: /data/7.nii is truncated.\nCopy it again."
    with pytest.raises(UserError) as raised:
        read_all(Failing(fail_by(kind(message))), num_workers=num_workers)
    assert str(raised.value) == message


@pytest.mark.parametrize("num_workers", [0, 1])
def test_other_errors_in_a_worker_are_not_the_users(num_workers):
    with pytest.raises(RuntimeError, match="a bug"):
        read_all(Failing(fail_by(RuntimeError("a bug"))), num_workers=num_workers)
