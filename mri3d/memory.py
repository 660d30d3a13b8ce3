"""The most memory that this process held at once: on the GPU where one is used, else in main memory."""

import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

PROCESS = Path("/proc/self")
"""What Linux tells of this process, and lets it set."""


def reset_peak_memory() -> None:
    """Let `peak_memory_mb` count from now on, so that of several runs in one process each tells its own."""
    if _gpu_statistics():
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.reset_accumulated_memory_stats()
    with suppress(OSError):  # another system, or a container that does not let it be set
        (PROCESS / "clear_refs").write_text("5")


def peak_memory_mb() -> float:
    """Return the most memory held at once since `reset_peak_memory`, in MiB.

    If torch has allocated anything on the GPU since, it is what tensors took there. Otherwise it is the main memory of
    this process, without those that load volumes; since the process began, where the system cannot count afresh.
    """
    gpu = _gpu_statistics()
    if gpu.get("allocation.all.allocated", 0):  # the peak alone would not do: some memory outlives a training
        return float(gpu["allocated_bytes.all.peak"]) / 2**20
    with suppress(OSError):
        for line in (PROCESS / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10  # from kB
    unit = 1 if sys.platform == "darwin" else 2**10  # macOS counts in bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _gpu_statistics() -> dict[str, int]:
    """Return what torch counts on the GPU; nothing until it holds memory there."""
    try:
        return torch.cuda.memory_stats()
    except RuntimeError:  # some call began to use CUDA, and nothing was allocated yet
        return {}
