"""A training on several devices is several processes: one of them speaks for all, and none outlives it."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lightning_fabric.strategies.launchers.subprocess_script import _ChildProcessObserver
from pytorch_lightning.utilities import rank_zero_only

PATIENCE_S = 30.0
"""How long another process than the first keeps an error to itself."""


@contextmanager
def one_voice() -> Iterator[None]:
    """Let the first process tell of an error, and end the others with it.

    Most errors meet every process: a loss that they share is not finite, a checkpoint is damaged. Where the first met
    one alone, the others would wait for it for ever. Where another met one alone, it tells it itself after a while.
    """
    try:
        yield
    except BaseException as error:
        if getattr(rank_zero_only, "rank", 0) == 0:
            _end_others()
        elif isinstance(error, Exception):
            _await_the_first()
        raise


def _end_others() -> None:
    """Kill the processes that Lightning started for the other devices; they hold nothing that is not written."""
    for thread in threading.enumerate():
        if isinstance(thread, _ChildProcessObserver):
            others = list(thread._child_processes)
            # First, or the observer may see one dead, and would kill this process and the rest of a sweep with it.
            thread._child_processes.clear()
            for process in others:
                process.kill()
            for process in others:
                process.wait()


def _await_the_first() -> None:
    """Give the first process time to end this one."""
    first, deadline = os.getppid(), time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        time.sleep(0.2)
        if os.getppid() != first:  # it is gone, and has told whatever there is to tell
            raise SystemExit(1)
