"""The browser that the tests share, and what it judges pages by."""

import importlib.util
import os
from pathlib import Path

import pytest

from tests.browser.chromium import browser, find_chromium


def needed(found, what):
    """Skip where something is missing, but for continuous integration, which has to have it."""
    if not found:
        (pytest.fail if os.environ.get("CI_BROWSER") == "1" else pytest.skip)(f"{what} is missing: make browser")
    return found


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    needed(find_chromium(), "chromium")
    with browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def axe():
    """The accessibility rules of axe-core, which the wheel of another project carries."""
    package = importlib.util.find_spec("axe_playwright_python")
    folder = needed(package, "axe-core").submodule_search_locations[0]
    return (Path(folder) / "axe.min.js").read_text(encoding="utf-8")
