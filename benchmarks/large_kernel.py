"""Time the first layer of the seed network, 60^3 taps, on 40^3 voxels beside `torch.nn.Conv3d` as people write it.

    python benchmarks/large_kernel.py          # over a minute

With `padding="same"` torch pads by itself, and slowly; `convolution.py` shows it padded beforehand, its quickest way.
Wall time; the median of nine runs of ours, one of torch's.
"""

import statistics
import time
import warnings

import torch
from torch import nn

from mri3d.nets.fft.conv import FFTConv3d


def main() -> None:
    """Measure both and print how far their values differ."""
    warnings.filterwarnings("ignore", ".*even kernel lengths.*")
    ours, theirs = FFTConv3d(1, 8, 60, padding="same"), nn.Conv3d(1, 8, 60, padding="same")
    theirs.load_state_dict(ours.state_dict())
    volume = torch.randn(1, 1, 40, 40, 40)
    times = []
    with torch.no_grad():
        ours(volume)  # warms up
        for _ in range(9):
            start = time.perf_counter()
            output = ours(volume)
            times.append(time.perf_counter() - start)
        start = time.perf_counter()
        expected = theirs(volume)
        direct = time.perf_counter() - start
    seconds, error = statistics.median(times), (output - expected).abs().max() / expected.abs().max()
    print(f"forward: torch.nn.Conv3d {direct:.1f} s, FFTConv3d {seconds * 1e3:.0f} ms, {direct / seconds:,.0f} x")
    print(f"largest difference {error.item():.1e} of the largest value")


if __name__ == "__main__":
    main()
