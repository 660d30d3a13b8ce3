"""Draw the pictures of a report that the README shows: python docs/pages.py runs/demo/<timestamp>/report.html.

It needs Chromium (`make browser`). The report is that of `make demo`.
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.chromium import Chromium, browser  # noqa: E402 (tests are in no package that is installed)

SUBJECT = "demo008"
SETTLED = "new Promise(done => setTimeout(done, 2500))"


def write(page: Chromium, name: str, *, height: int) -> None:
    """Write what the window shows, but for what lies below a number of pixels."""
    pixels = page.screenshot()[:height]
    Image.fromarray(pixels).save(ROOT / f"docs/{name}.png", optimize=True)


def main(report: Path) -> None:
    """Draw the table of tested subjects, and the viewer with one of them."""
    with browser(Path(tempfile.mkdtemp())) as page:
        page.open(report.resolve().as_uri(), width=1200, height=1000)
        page.evaluate(f"document.querySelector('.subjects thead').scrollIntoView(); {SETTLED}")
        write(page, "subjects", height=520)
        page.evaluate(f"document.querySelector('button[data-view={SUBJECT}]').click(); {SETTLED}")
        page.evaluate(f"document.querySelector('.viewer-stage').scrollIntoView(); {SETTLED}")
        write(page, "viewer", height=680)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
