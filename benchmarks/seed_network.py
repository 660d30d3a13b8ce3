"""Time whole training steps of the seed study's network at full size: forward, backward, AdamW.

    python benchmarks/seed_network.py
    python benchmarks/seed_network.py --one-core          # CPU time, steady on a machine that others use too
    python benchmarks/seed_network.py --device cuda

One volume of 155 x 165 x 195 voxels at a time; medians over `--repeats` steps after one that warms up. Memory is the
peak of the whole process (on a GPU: of its tensors).
"""

import argparse
import os
import resource
import statistics
import sys
import time
from itertools import pairwise

import torch
from torch.nn import functional

from mri3d.nets.seed import STUDY_VOLUME, Seed


def main() -> None:
    """Run the steps and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--one-core", action="store_true", help="one core, CPU time")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if options.one_core:
        torch.set_num_threads(1)
    now = time.process_time if options.one_core else time.perf_counter
    torch.manual_seed(0)
    net = Seed(STUDY_VOLUME, 1).to(options.device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-5)
    volume = torch.randn(1, 1, *STUDY_VOLUME, device=options.device)
    target = torch.ones(1, 1, device=options.device)

    load = os.getloadavg()[0]
    steps: list[list[float]] = []
    losses: list[float] = []
    for _ in range(options.repeats + 1):
        times = [now()]
        loss = functional.binary_cross_entropy_with_logits(net(volume), target)
        losses.append(loss.item())  # waits for a GPU
        times.append(now())
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        _wait(options.device)
        times.append(now())
        optimizer.step()
        _wait(options.device)
        times.append(now())
        steps.append([*(after - before for before, after in pairwise(times)), times[-1] - times[0]])
    assert losses[-1] < losses[0], f"the loss does not fall: {losses}"

    print(f"torch {torch.__version__}, {options.device}, {torch.get_num_threads()} threads, {os.cpu_count()} cores,")
    print(f"{'CPU' if options.one_core else 'wall'} time, load at the start {load:.1f}\n")
    print("| forward | backward | AdamW | step | peak memory |")
    print("|---:|---:|---:|---:|---:|")
    cells = [f"{statistics.median(column):.2f} s" for column in zip(*steps[1:], strict=True)]
    print("| " + " | ".join(cells) + f" | {_peak_gibibytes(options.device):.2f} GiB |")


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _peak_gibibytes(device: str) -> float:
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    unit = 1 if sys.platform == "darwin" else 1024  # Linux counts in KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


if __name__ == "__main__":
    main()
