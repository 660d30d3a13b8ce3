"""Which of several processes this is: where a training runs on several devices, the first speaks and writes for all."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lightning_utilities.core.rank_zero import rank_zero_only

_RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")  # as Lightning looks for them


def is_first() -> bool:
    """Return whether this is the first process, or the only one."""
    known = getattr(rank_zero_only, "rank", None)  # once Lightning is imported
    return int(next((os.environ[name] for name in _RANKS if name in os.environ), "0") if known is None else known) == 0


def several_processes() -> bool:
    """Return whether this is one of several processes that train together."""
    torch = sys.modules.get("torch")  # without it there is but one
    together = torch.distributed if torch is not None else None
    return bool(together and together.is_available() and together.is_initialized() and together.get_world_size() > 1)


@contextmanager
def first_speaks() -> Iterator[None]:
    """Keep what mri3d logs in the block to the first process; errors are told by any."""
    logger = logging.getLogger("mri3d")
    level = logger.level
    if not is_first():
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
