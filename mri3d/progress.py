"""How far long work is: a bar on a terminal, a log line now and then elsewhere."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

log = logging.getLogger(__name__)

BAR_AFTER_S = 1.0
LINE_EVERY_S = 10.0

Step = TypeVar("Step")


def progress(steps: Iterable[Step], *, total: int, title: str) -> Iterator[Step]:
    """Pass steps on and show how far they are; short work shows nothing.

    Args:
        steps: Any iterable.
        total: How many there will be.
        title: What is being done.
    """
    if sys.stderr.isatty():
        yield from tqdm(steps, total=total, desc=title, delay=BAR_AFTER_S, leave=False)
        return
    start = told = time.monotonic()
    for number, step in enumerate(steps, start=1):
        now = time.monotonic()
        if now - told >= LINE_EVERY_S:
            told = now
            log.info("%s: %d of %d, %.0f s left", title, number, total, (now - start) * (total - number) / number)
        yield step
