"""The map of the code is true: links and paths lead somewhere, and a default run calls the files that it lists."""

import importlib
import json
import re
import subprocess
import sys
import tomllib

import pytest
import yaml

import mri3d
from tests.pages import PAGES, ROOT, TRACE, anchors, blocks, links, paths
from tests.test_documents import DEMO

CONTRIBUTING, MAP = ROOT / "CONTRIBUTING.md", ROOT / "docs" / "architecture.md"

NOT_OURS = {"card.json", "config.yaml", "metrics.json", "trust.json", "mri3d/conf", "my_networks.py"}
"""Files of a run, the place of `conf/` in the wheel, and the file that the page on Python has the user write."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_lead_somewhere(page):
    for link in links(page):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {link}"
    for path in paths(page):
        if path not in NOT_OURS and not path.startswith(".venv"):
            assert list(ROOT.glob(path)), f"{page.name} names {path}"


def test_map_has_every_room_in_the_order_of_the_contracts():
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    rooms = [room.strip(" ()").removeprefix("mri3d.") for layer in layers for room in layer.split("|")]
    (drawing,) = [block.text for block in blocks(MAP) if block.language == "text"]
    drawn = re.findall(r"\b(?:" + "|".join(rooms) + r")\b(?=  |,| +[|])", drawing)
    assert set(drawn) | {"__main__", "errors"} == set(rooms)
    listed = {path.strip("/").removeprefix("mri3d/").removesuffix(".py") for path in paths(MAP)}
    assert set(rooms) - listed == {"__main__"}
    assert set(rooms) >= {path.stem for path in (ROOT / "mri3d").iterdir() if path.name[0] != "_"} - {"version"}


def route():
    """Return number and name of the files that pass a default run on, as the map has them, and all that it names."""
    section = MAP.read_text().partition("## One default run")[2].partition("\n## ")[0]
    return re.findall(r"^(\d+)\. `([\w/.]+)`", section, re.MULTILINE), {*re.findall(r"`([\w/]+\.py)`", section)}


def test_at_most_20_files_pass_a_default_run_on():
    numbers = [int(number) for number, _ in route()[0]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) <= 20
    assert f"Numbered are the {len(numbers)} files" in MAP.read_text()


@pytest.mark.slow
def test_default_run_calls_the_files_of_the_map(tmp_path, monkeypatch):
    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path / "cache"))  # nothing is made yet
    (tmp_path / "trace.py").write_text(TRACE)
    done = subprocess.run(
        [sys.executable, "trace.py", str(ROOT), *DEMO], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    calls = json.loads(done.stdout.splitlines()[-1])
    files, named = [file for _, file in route()[0]], route()[1]
    called = {file for _, file in calls} | {files[0]}
    assert named <= called
    assert len(called) > 2 * len(named)  # "more than as many again"
    for number, file in enumerate(files[1:], start=1):
        assert any(called == file and caller in files[:number] for caller, called in calls), file


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("NETWORKS", "mri3d.nets.networks"),
        ("MODELS", "mri3d.models.loading"),
        ("ClassicalModel", "mri3d.models.classical.models"),
        ("Model", "mri3d.models.model"),
        ("Outcome", "mri3d.outcome.outcome"),
        ("SCORE_TITLES", "mri3d.outcome.score"),
        ("TASKS", "mri3d.outcome.labels"),
        ("Words", "mri3d.outcome.words"),
        ("SCORE_RANGES", "mri3d.outcome.score"),
        ("CLASSICAL", "mri3d.models.classical.models"),
        ("COMMANDS", "mri3d.cli.main"),
        ("UserError", "mri3d.errors"),
    ],
)
def test_names_of_contributing_exist(name, module):
    text = CONTRIBUTING.read_text()
    assert f"`{name}`" in text
    assert f"{module.replace('.', '/')}.py" in text
    assert hasattr(importlib.import_module(module), name)


def test_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == mri3d.__version__
    assert f"\n## {mri3d.__version__}\n" in (ROOT / "CHANGELOG.md").read_text()
