"""The same computation gives the same bits on a GPU, as far as torch knows a way."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def repeatable(*, full_precision: bool = False) -> Iterator[None]:
    """Choose deterministic algorithms where there is a GPU, and put torch's settings back afterwards.

    They hold for the whole process: a Trainer, which changes them as well, would else leave them to whatever comes
    after it. Where torch has no such algorithm, as for the gradient of pooling windows that overlap, it takes another
    in silence.

    Args:
        full_precision: Whether convolutions keep all 23 bits of a float32, so that a model predicts the same on every
            machine; by default torch lets GPUs round to the 10 of TensorFloat-32, which is faster.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn
    benchmark, tf32 = cudnn.benchmark, cudnn.allow_tf32
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have a deterministic implementation.*")
        try:
            if torch.cuda.is_available():
                torch.use_deterministic_algorithms(True, warn_only=True)
                cudnn.benchmark, cudnn.allow_tf32 = False, tf32 and not full_precision
            yield
        finally:
            enabled, warn_only = before
            torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
            cudnn.benchmark, cudnn.allow_tf32 = benchmark, tf32
