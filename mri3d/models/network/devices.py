"""A training on several devices is several processes: one of them speaks for all, and none outlives it."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mri3d.processes import first_speaks, is_first

PATIENCE_S = 30.0
"""How long another process than the first keeps an error to itself."""

ENDED = "MRI3D_DEVICES_ENDED"
"""Stands in the environment, beside what Lightning puts there, once the other processes were ended with an error."""


@contextmanager
def devices_together() -> Iterator[None]:
    """Let the processes of a training speak with one voice, and part in order when it is over.

    Runs of the command line and evaluations of the library go through here. Without a group each process is on its own
    afterwards, until the next training makes another one.
    """
    try:
        with one_voice(), first_speaks():
            yield
            _meet_elsewhere_next_time()
    finally:
        if _in_group():
            torch.distributed.destroy_process_group()


@contextmanager
def one_voice() -> Iterator[None]:
    """Let the first process tell of an error, and end the others with it.

    Most errors meet every process: a loss that they share is not finite, a checkpoint is damaged. Where the first met
    one alone, the others would wait for it for ever. Where another met one alone, it tells it itself after a while.
    """
    try:
        yield
    except BaseException as error:
        if is_first():
            _end_others()
        elif isinstance(error, Exception):
            _await_the_first()
        raise


def _end_others() -> None:
    """Kill the processes that Lightning started for the other devices; they hold nothing that is not written."""
    launcher = sys.modules.get("lightning_fabric.strategies.launchers.subprocess_script")
    if launcher is None:  # Lightning started none
        return
    for thread in threading.enumerate():
        if isinstance(thread, launcher._ChildProcessObserver):
            others = list(thread._child_processes)
            # First, or the observer may see one dead, and would kill this process and the rest of a sweep with it.
            thread._child_processes.clear()
            for process in others:
                process.kill()
            for process in others:
                process.wait()
            os.environ[ENDED] = "1"


def _await_the_first() -> None:
    """Give the first process time to end this one."""
    first, deadline = os.getppid(), time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        time.sleep(0.2)
        if os.getppid() != first:  # it is gone, and has told whatever there is to tell
            raise SystemExit(1)


def _in_group() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _meet_elsewhere_next_time() -> None:
    """Agree on another port for the next training of a script: what listens on this one's is about to be closed.

    A process that is quicker than the first would still meet it there. Where torchrun started the processes, it listens
    itself, but remembers where they were to be found this time.
    """
    if _in_group():
        # Models without a network come through here too, and need not wait for Lightning's import.
        from lightning_fabric.plugins.environments.lightning import find_free_network_port

        port = [find_free_network_port()]
        torch.distributed.broadcast_object_list(port)
        os.environ["MASTER_PORT"] = str(port[0])
        if "TORCHELASTIC_USE_AGENT_STORE" in os.environ:
            os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "False"
