"""How long heatmaps take, as ratios to one forward and backward pass of the network through one volume.

    python benchmarks/heatmaps.py                       # sfcn at 50^3 and 100^3
    python benchmarks/heatmaps.py 100 --network resnet18

Figures are CPU seconds on one thread, medians of several: what else runs on the machine changes them little. The
network has random weights, and the volume is noise that was smoothed; neither changes how long a gradient takes, but
integrated gradients take as many points as it needs for the evidence to add up.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from real_scans import say
from scipy.ndimage import gaussian_filter

from mri3d.explain.contrasted import Contrasted
from mri3d.explain.evidence import Method, Question
from mri3d.explain.of_network import explain_network, ways_of
from mri3d.nets.networks import find_network
from mri3d.volumes.reference import NUM_VARIATIONS, Reference

REPEATS = 5
SLOW = ("occlusion", "region_occlusion")  # as many passes as there are blocks, or regions


def median(call: Callable[[], object], repeats: int) -> float:
    """Measure CPU seconds."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return float(np.median(taken))


def table(network: str, edge: int, *, occlusion: bool) -> None:
    """Print a row for each way to explain."""
    torch.manual_seed(0)
    sides, random = (edge,) * 3, np.random.default_rng(0)
    explained = Contrasted(find_network(network)(sides, 1), np.array([1.0]))
    volume, mean, variation = (
        gaussian_filter(random.standard_normal((1, *sides)), (0, 2, 2, 2)).astype(np.float32) * 10 for _ in range(3)
    )
    reference = Reference(mean, -1.0, 1.0, np.stack([variation] * NUM_VARIATIONS))
    batch = explained.batch(volume).requires_grad_()
    passes = median(lambda: torch.autograd.grad(explained(batch).sum(), batch), 2 * REPEATS)
    say(f"\n{network} at {edge}^3: {passes:.3f} s for one forward and backward pass")
    for way in ways_of(explained.network):
        if way in SLOW and not (occlusion and way == "occlusion"):
            continue
        asked = Question(volume, 0, Method(way))
        taken = median(lambda asked=asked: explain_network(explained, asked, reference=reference), REPEATS)
        facts = explain_network(explained, asked, reference=reference).facts
        told = ", ".join(f"{name} {value:g}" for name, value in facts.items() if name.startswith("num_"))
        say(f"  {way:22}{taken:8.2f} s{taken / passes:8.1f} x   {told}")


def main() -> None:
    """Print a table for each edge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("edges", nargs="*", type=int, default=[50, 100])
    parser.add_argument("--network", default="sfcn")
    parser.add_argument("--occlusion", action="store_true", help="also occlusion, which takes long")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for edge in arguments.edges:
        table(arguments.network, edge, occlusion=arguments.occlusion)


if __name__ == "__main__":
    main()
