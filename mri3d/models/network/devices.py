"""A training on several devices is several processes: one of them speaks for all, and none outlives it."""

import functools
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from mri3d.errors import UserError, option
from mri3d.processes import first_speaks, is_first

log = logging.getLogger(__name__)

PATIENCE_S = 30.0
"""How long another process than the first keeps an error to itself."""

INTERRUPTION_S = 10.0
"""How long the first process has to end when another one has died."""

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

    Raises:
        UserError: A process of the training was killed, of which torch gives a traceback, and Lightning nothing.
    """
    first = os.getppid()
    try:
        yield
    except BaseException as error:
        found_dead = any(getattr(each, "found_dead", False) and each._child_processes for each in _observers())
        lost, how = _connection_lost(error) or found_dead, _ended_by()
        if is_first():
            _end_others()
        elif isinstance(error, Exception):
            _await_the_first(first, silent=not lost)
        if lost and not isinstance(error, UserError):
            raise _death(how) from error
        raise


def watch_others() -> None:
    """Have Lightning's observer of the other devices' processes leave it to this one to tell that one has died.

    It would kill this process without a word.
    """
    for observer in _observers():
        observer._terminate_all = functools.partial(_end_in_order, observer)


def _end_in_order(observer: Any) -> None:  # noqa: ANN401 (Lightning's own class is imported where it is used)
    """Interrupt the first process; kill it only if it cannot be, as where a GPU waits for one that is gone."""
    observer.found_dead = True
    os.kill(observer._main_pid, signal.SIGTERM)
    deadline = time.monotonic() + INTERRUPTION_S
    while observer._child_processes and time.monotonic() < deadline:
        time.sleep(0.2)
    if observer._child_processes:  # else the first process has ended them, and may be at work on something else
        log.error("%s", _death(_ended_by()))
        for process in observer._child_processes:
            process.kill()
        os.kill(observer._main_pid, signal.SIGKILL)


def _observers() -> list[Any]:
    """Return the threads by which Lightning watches the processes that it started for the other devices."""
    launcher = sys.modules.get("lightning_fabric.strategies.launchers.subprocess_script")
    if launcher is None:  # Lightning started none
        return []
    return [thread for thread in threading.enumerate() if isinstance(thread, launcher._ChildProcessObserver)]


def _connection_lost(error: BaseException) -> bool:
    """Return whether an error is what torch says when another process of the group is gone."""
    gloo = re.search(r"gloo.*(Connection|Broken pipe|Timed out)", str(error), re.DOTALL)
    return isinstance(error, torch.distributed.DistError) or (isinstance(error, RuntimeError) and gloo is not None)


def _ended_by() -> str:
    """Return by what signal a process was ended that Lightning started for another device; empty where none was."""
    ends = [process.poll() for observer in _observers() for process in observer._child_processes]
    killed = [signal.Signals(-end).name for end in ends if end is not None and end < 0]
    return f" by {killed[0]}" if killed else ""


def _death(how: str) -> UserError:
    return UserError(
        f"a process of another device was ended{how}, and the training with it. Most often the machine ran out of "
        f"memory: lower {option('model.batch_size')} or {option('resolution')} in a new run. As it is, this run can be "
        "resumed from its last checkpoint."
    )


def _end_others() -> None:
    """Kill the processes that Lightning started for the other devices; they hold nothing that is not written."""
    for observer in _observers():
        others = list(observer._child_processes)
        # First, or the observer may see one dead, and would kill this process and the rest of a sweep with it.
        observer._child_processes.clear()
        for process in others:
            process.kill()
        for process in others:
            process.wait()
        os.environ[ENDED] = "1"


def _await_the_first(first: int, *, silent: bool) -> None:
    """Give the first process time to end this one.

    Args:
        first: Its number, where Lightning started this one.
        silent: Whether this process need not tell what it knows if the first is gone, which has told it then.
    """
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        time.sleep(0.2)
        if os.getppid() != first:
            if silent:
                raise SystemExit(1)
            return


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
