"""Time 3D convolutions from 3^3 to 60^3 taps: torch directly, the package fft-conv-pytorch, and `mri3d`.

    python benchmarks/convolution.py                      # all cores, wall time
    python benchmarks/convolution.py --one-core           # one core, CPU time: steady on a machine that others use too
    python benchmarks/convolution.py --device cuda

Every case runs in this one process; times are medians. Where torch would take longer than `--limit` seconds, it
computes a part of the output, its time is multiplied by the number of such parts, and the figure is marked with `~`.
`*` marks the way that `fast_conv3d` chooses. Memory is the peak above what was held before, forward and backward. The
lines after the table hold the choices and the aims of the project against these times.
"""

import argparse
import ctypes
import gc
import os
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from fft_conv_pytorch import fft_conv
from torch import Tensor
from torch.nn import functional

from mri3d.nets.fft.conv import expects_fft, fft_conv3d
from mri3d.nets.fft.geometry import Geometry

MAX_MEASURED_WORK = 2e9
"""Multiply-adds of the part that torch computes where its time is extrapolated."""
MEBIBYTE = 2**20
MAX_MISS = 1.2
LARGE_KERNEL = 15


@dataclass(frozen=True)
class Case:
    """One convolution with `same` padding."""

    size: tuple[int, int, int]
    channels: tuple[int, int]
    kernel: int
    batch_size: int = 1

    def tensors(self, device: str) -> tuple[Tensor, Tensor]:
        """Make the input and the kernels; a layer with one input channel is the first and needs no input gradient."""
        generator = torch.Generator().manual_seed(0)
        num_inputs, num_outputs = self.channels
        input = torch.randn(self.batch_size, num_inputs, *self.size, generator=generator).to(device)
        weight = torch.randn(num_outputs, num_inputs, *[self.kernel] * 3, generator=generator).to(device)
        return input.requires_grad_(num_inputs > 1), weight.requires_grad_()

    @property
    def work(self) -> int:
        """Multiply-adds of direct convolution."""
        return self.batch_size * prod(self.size) * prod(self.channels) * self.kernel**3

    def __str__(self) -> str:
        """Write it as a row's heading."""
        batch = f" x {self.batch_size}" if self.batch_size > 1 else ""
        size = f"{self.size[0]}^3" if len(set(self.size)) == 1 else " x ".join(map(str, self.size))
        return f"{size}{batch} | {self.channels[0]} -> {self.channels[1]} | {self.kernel}^3"


CASES = [
    *[Case((48, 48, 48), (8, 16), kernel) for kernel in (3, 5, 7, 9, 11, 15, 25)],
    *[Case((24, 24, 24), (32, 32), kernel, batch_size=4) for kernel in (3, 5, 7, 9, 11, 15)],
    *[Case((64, 64, 64), (1, 8), kernel) for kernel in (3, 5, 7, 9, 11, 15, 25, 31)],
    Case((40, 40, 40), (1, 8), 60),
    Case((155, 165, 195), (1, 8), 60),
    Case((51, 55, 65), (8, 16), 25),
    Case((25, 27, 32), (16, 32), 15),
    Case((12, 13, 16), (32, 64), 10),
    Case((6, 6, 8), (64, 128), 5),
]


class Clock:
    """How time and memory are measured on a device."""

    def __init__(self, device: str, *, one_core: bool, repeats: int) -> None:
        """Store."""
        self.cuda = device == "cuda"
        self.now = time.process_time if one_core else time.perf_counter
        self.repeats = repeats

    def seconds(self, run: Callable[[], object]) -> float:
        """Give the median time; after the first run, which warms up, fewer runs when they are long."""
        times: list[float] = []
        while len(times) < self.repeats + 1 and sum(times) < 10:
            self._wait()
            start = self.now()
            run()
            self._wait()
            times.append(self.now() - start)
        return statistics.median(times[1:] or times)

    def peak_bytes(self, run: Callable[[], object]) -> int:
        """Give the peak of memory above what was held before."""
        gc.collect()
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            run()
            return torch.cuda.max_memory_allocated() - before
        if os.name != "posix" or not Path("/proc/self/clear_refs").exists():
            return 0
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the kernel's peak starts again from what is held now
        before = _status("VmRSS")
        run()
        return _status("VmHWM") - before

    def _wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()


def _status(name: str) -> int:
    """Read a number of bytes from the kernel's account of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":")) * 1024


Convolve = Callable[[Tensor, Tensor], Tensor]


def directly(input: Tensor, weight: Tensor) -> Tensor:
    """Convolve as torch does, padded beforehand, since torch warns of `same` with even kernels."""
    size = weight.shape[-1]
    return functional.conv3d(functional.pad(input, [(size - 1) // 2, size // 2] * 3), weight)


def directly_in_bfloat16(input: Tensor, weight: Tensor) -> Tensor:
    """Convolve as torch does under mixed precision."""
    with torch.autocast(input.device.type, dtype=torch.bfloat16):
        return directly(input, weight)


def by_peer(input: Tensor, weight: Tensor) -> Tensor:
    """Convolve with fft-conv-pytorch."""
    output: Tensor = fft_conv(input, weight, padding="same")
    return output


def by_ours(input: Tensor, weight: Tensor) -> Tensor:
    """Convolve by this package's Fourier transforms."""
    return fft_conv3d(input, weight, padding="same")


def train(convolve: Convolve, input: Tensor, weight: Tensor) -> None:
    """Go forward and backward."""
    input.grad = weight.grad = None
    output = convolve(input, weight)
    torch.autograd.backward(output, torch.ones_like(output))


@dataclass(frozen=True)
class Cost:
    """What one way costs in one case."""

    forward: float
    """Seconds, without gradients."""
    both: float
    """Seconds, forward and backward."""
    peak_bytes: int
    estimated: bool = False
    """Whether the seconds are extrapolated."""

    def cells(self, chosen: tuple[bool, bool]) -> list[str]:
        """Write them, marked where the way is chosen for forward alone and for training."""
        tilde = "~" * self.estimated
        peak = f"{self.peak_bytes / MEBIBYTE:.0f}" if self.peak_bytes else ""
        return [tilde + _seconds(self.forward) + "*" * chosen[0], tilde + _seconds(self.both) + "*" * chosen[1], peak]


def measure(convolve: Convolve, case: Case, device: str, clock: Clock) -> Cost:
    """Measure one way as a whole."""
    input, weight = case.tensors(device)
    with torch.no_grad():
        forward = clock.seconds(lambda: convolve(input, weight))
    both = clock.seconds(lambda: train(convolve, input, weight))
    input.grad = weight.grad = None
    peak = clock.peak_bytes(lambda: train(convolve, input, weight))
    return Cost(forward, both, peak)


def measure_direct(convolve: Convolve, case: Case, device: str, clock: Clock, limit: float) -> Cost:
    """Measure torch as a whole if that is quick enough, else on a part of the output."""
    if case.work <= MAX_MEASURED_WORK:
        return measure(convolve, case, device, clock)
    lines = max(1, int(MAX_MEASURED_WORK * case.size[0] * case.size[1] / case.work))
    part = (max(1, min(case.size[0], lines // case.size[1])), min(case.size[1], lines), case.size[2])
    num_parts = prod(case.size) / prod(part)
    input, weight = case.tensors("meta")
    padded = [size + case.kernel - 1 for size in part]
    input = torch.randn(*input.shape[:2], *padded, device=device, requires_grad=input.requires_grad)
    weight = torch.randn(weight.shape, device=device, requires_grad=True)

    def convolve_part(input: Tensor, weight: Tensor) -> Tensor:
        if convolve is directly:
            return functional.conv3d(input, weight)
        with torch.autocast(device, dtype=torch.bfloat16):
            return functional.conv3d(input, weight)

    with torch.no_grad():
        forward = num_parts * clock.seconds(lambda: convolve_part(input, weight))
    both = num_parts * clock.seconds(lambda: train(convolve_part, input, weight))
    if both <= limit:
        return measure(convolve, case, device, clock)
    return Cost(forward, both, 0, estimated=True)


def check(case: Case, device: str) -> None:
    """Make sure that what is timed gives the same values."""
    with torch.no_grad():
        ours, theirs = (convolve(*case.tensors(device)) for convolve in (by_ours, by_peer))
    error = ((ours - theirs).abs().max() / theirs.abs().max()).item()
    assert error <= 1e-4, f"{case}: the outputs differ by {error}"


def _seconds(seconds: float) -> str:
    """Write a time with two digits that count."""
    if seconds >= 9.95:
        return f"{seconds:,.0f} s"
    if seconds >= 0.995:
        return f"{seconds:.1f} s"
    return f"{seconds * 1e3:.0f} ms" if seconds >= 9.95e-3 else f"{seconds * 1e3:.1f} ms"


def main() -> None:
    """Measure every case and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--one-core", action="store_true", help="one core, CPU time")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=float, default=10.0, help="seconds beyond which torch's time is extrapolated")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="fft_conv_pytorch")
    if options.one_core:
        torch.set_num_threads(1)
    clock = Clock(options.device, one_core=options.one_core, repeats=options.repeats)
    ways: dict[str, Convolve] = {"torch": directly}
    if options.device == "cuda":
        ways["torch bf16"] = directly_in_bfloat16
    ways |= {"fft-conv-pytorch": by_peer, "mri3d": by_ours}

    print(f"torch {torch.__version__}, {options.device}, {torch.get_num_threads()} threads, {os.cpu_count()} cores,")
    print(f"{'CPU' if options.one_core else 'wall'} time, load at the start {os.getloadavg()[0]:.1f}\n")
    print("| volume | channels | kernel | " + " | ".join(f"{way}: forward | + backward | MiB" for way in ways) + " |")
    print("|---|---|---|" + "---:|" * 3 * len(ways))
    verdicts: list[str] = []
    for case in CASES:
        check(case, options.device)
        costs = {
            way: measure_direct(convolve, case, options.device, clock, options.limit)
            if way.startswith("torch")
            else measure(convolve, case, options.device, clock)
            for way, convolve in ways.items()
        }
        chosen = choices(case, options.device)
        row = [cell for way, cost in costs.items() for cell in cost.cells(tuple(one == way for one in chosen))]
        print(f"| {case} | " + " | ".join(row) + " |", flush=True)
        verdicts += judge(case, costs, chosen)
    print("", *verdicts, sep="\n")


def choices(case: Case, device: str) -> tuple[str, str]:
    """Name the way that `fast_conv3d` goes forward without gradients, and in training."""
    input, weight = case.tensors(device)
    geometry = Geometry.of(input.shape, weight.shape, padding="same")
    in_training = expects_fft(input, weight, geometry)
    with torch.no_grad():
        forward = expects_fft(input, weight, geometry)
    return ("mri3d" if forward else "torch"), ("mri3d" if in_training else "torch")


def judge(case: Case, costs: dict[str, Cost], chosen: tuple[str, str]) -> list[str]:
    """Say by how much a choice misses the better way, and how the peers compare where kernels are large."""
    said = []
    for name, way in zip(("forward", "both"), chosen, strict=True):
        seconds = {one: getattr(costs[one], name) for one in ("torch", "mri3d")}
        if (ratio := seconds[way] / min(seconds.values())) > MAX_MISS:
            said.append(f"- {case}, {name}: {way} is chosen and takes {ratio:.2f} x as long as the other")
    if case.kernel >= LARGE_KERNEL:
        ours, peer, direct = (costs[way] for way in ("mri3d", "fft-conv-pytorch", "torch"))
        said.append(
            f"- {case}: forward {direct.forward / ours.forward:,.0f} x torch's speed{' (~)' * direct.estimated}, "
            f"both {direct.both / ours.both:,.0f} x; {peer.both / ours.both:.1f} x the peer's speed at "
            f"{ours.peak_bytes / peer.peak_bytes:.2f} of its memory"
        )
    return said


if __name__ == "__main__":
    main()
