"""Work on many items at once, in threads, and show how far it is."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tqdm import tqdm

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

_SECONDS_BETWEEN_LINES = 10.0


def num_cores() -> int:
    """Count the cores that this process may use, which on a cluster are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def progress(items: Iterable[Item], *, total: int, what: str) -> Iterator[Item]:
    """Pass items on and show how many: a bar on a terminal, elsewhere a log line every ten seconds.

    Args:
        items: What is iterated over.
        total: How many there are.
        what: What is being done, to begin the line: "reading scans".
    """
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=what, leave=False)
        return
    began = said = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - said > _SECONDS_BETWEEN_LINES and done < total:
            said = now
            log.info("%s: %d of %d, %.0f s left", what, done, total, (now - began) / done * (total - done))


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
        return list(progress(pool.map(function, items), total=len(items), what=what))
    finally:
        pool.shutdown(cancel_futures=True)  # on an error or Ctrl-C the rest is not begun
