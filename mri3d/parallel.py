"""Work on many items at once, in threads, and show how far it is."""

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import ThreadpoolController

from mri3d.progress import progress

Item = TypeVar("Item")
Result = TypeVar("Result")


def num_cores() -> int:
    """Count the cores that this process may use, which on a cluster are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_thread_each(num_jobs: int) -> contextlib.AbstractContextManager[object]:
    """Keep each of several jobs to one thread, else its matrix products would ask for all cores; a lone job has them.

    Args:
        num_jobs: How many jobs share the cores while the context lasts.
    """
    if num_jobs == 1:
        return contextlib.nullcontext()
    limited: contextlib.AbstractContextManager[object] = _numerical_libraries(len(sys.modules)).limit(limits=1)
    return limited


@functools.lru_cache(maxsize=1)
def _numerical_libraries(_num_modules: int) -> ThreadpoolController:
    """Find the libraries that have threads of their own: it takes milliseconds, so again only after further imports."""
    return ThreadpoolController()


def map_threads(
    function: Callable[[Item], Result], items: Sequence[Item], *, what: str, num_threads: int | None = None
) -> list[Result]:
    """Apply a function that releases the interpreter's lock to every item, in as many threads as there are cores.

    Args:
        function: What to do with one item; its first error ends the work.
        items: The items.
        what: What is being done, for the progress: "reading scans".
        num_threads: Threads to use instead.

    Returns:
        The results, in the order of the items.

    >>> map_threads(len, ["a", "bcd"], what="measuring words")
    [1, 3]
    """
    pool = ThreadPoolExecutor(num_threads or num_cores())
    try:
        return list(progress(pool.map(function, items), total=len(items), title=what))
    finally:
        pool.shutdown(cancel_futures=True)  # on an error or Ctrl-C the rest is not begun
