"""Memory is told in MiB on every system, and of the run that is going on."""

import resource
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mri3d import memory
from mri3d.memory import peak_memory_mb, reset_peak_memory


@pytest.mark.parametrize(("system", "peak"), [("linux", 300 * 2**10), ("darwin", 300 * 2**20)])
def test_peak_memory_is_in_mib_whatever_the_system_counts_in(tmp_path, monkeypatch, system, peak):
    # A system that has no such folder, or does not tell the peak in it.
    monkeypatch.setattr(memory, "PROCESS", tmp_path)
    if system == "linux":
        (tmp_path / "status").write_text("Name:\tpython\nVmRSS:\t     512 kB\n")
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=peak))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # but training is on the CPU: nothing is allocated
    reset_peak_memory()
    assert peak_memory_mb() == 300


@pytest.mark.skipif(not (memory.PROCESS / "clear_refs").exists(), reason="the system cannot count memory afresh")
def test_peak_memory_is_that_of_this_run_and_of_no_earlier_one():
    reset_peak_memory()
    before = peak_memory_mb()
    np.ones(100 * 2**17)  # touched, and gone again
    assert before + 95 < peak_memory_mb() < before + 150
    reset_peak_memory()
    assert peak_memory_mb() < before + 50


@pytest.mark.parametrize(("num_allocated", "expected"), [(7, 5), (0, 300)])
def test_peak_memory_is_the_gpu_s_if_it_was_used_since(tmp_path, monkeypatch, num_allocated, expected):
    stats = {"allocation.all.allocated": num_allocated, "allocated_bytes.all.peak": 5 * 2**20}
    monkeypatch.setattr(torch.cuda, "memory_stats", lambda: stats)
    monkeypatch.setattr(memory, "PROCESS", tmp_path)
    (tmp_path / "status").write_text("VmHWM:\t  307200 kB\n")
    assert peak_memory_mb() == expected


def test_cuda_in_use_without_memory_there_counts_as_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "memory_stats", no_statistics)
    reset_peak_memory()
    assert peak_memory_mb() > 100, "a process with torch in it takes more"


def no_statistics():
    raise RuntimeError("invalid argument to memory_allocated")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_what_a_gpu_still_holds_of_an_earlier_run_does_not_count():
    held = torch.ones(2**20, device="cuda")
    assert peak_memory_mb() >= 4
    reset_peak_memory()
    assert torch.cuda.max_memory_allocated() >= held.nbytes
    resident = peak_memory_mb()
    del held
    assert resident > 100, "a process with torch in it takes more than what the GPU held"
    torch.ones(2**18, device="cuda")
    assert 1 <= peak_memory_mb() < 100
