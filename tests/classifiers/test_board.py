"""Memory is told in MiB on every system, and of the training that is going on."""

import resource
import sys
from types import SimpleNamespace

import pytest
import torch

from mri3d.classifiers.board import Board, peak_memory_mb


@pytest.mark.parametrize(("system", "peak"), [("linux", 300 * 2**10), ("darwin", 300 * 2**20)])
def test_peak_memory_is_in_mib_whatever_the_system_counts_in(monkeypatch, system, peak):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=peak))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # but training is on the CPU: nothing is allocated
    assert peak_memory_mb() == 300


def test_peak_memory_is_the_gpu_s_where_it_was_used(monkeypatch):
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 5 * 2**20)
    assert peak_memory_mb() == 5


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_each_training_on_a_gpu_counts_from_its_start(monkeypatch, device):
    resets = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: resets.append(device))
    trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)), logger=None)
    Board("", ("a", "b")).on_fit_start(trainer, None)
    assert resets == (["cuda"] if device == "cuda" else [])
