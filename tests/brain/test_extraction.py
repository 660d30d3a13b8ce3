"""The networks that extract brains: which are taken, and what they say where there is no brain."""

from importlib import metadata
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mri3d import UserError
from mri3d.brain import extraction
from mri3d.brain.extraction import INSTALL, NoBrain, brain_mask
from mri3d.brain.template import mni_template
from tests.commands import ROOT


@pytest.fixture
def afresh():
    """Load the networks in the test, and again after it."""
    extraction._networks.cache_clear()
    yield
    extraction._networks.cache_clear()


def test_without_deepbet_the_command_that_installs_it_is_told(afresh, monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(UserError, match=f"deepbet is not installed. Run: {INSTALL}"):
        brain_mask(np.ones((8, 8, 8), np.float32))


@pytest.mark.parametrize("content", [b"other", None])
def test_networks_that_are_not_those_that_are_known_are_not_run(afresh, monkeypatch, tmp_path, content):
    listed = []
    for name in ("bbox_model.pt", "model.pt"):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        listed.append(SimpleNamespace(name=name, suffix=".pt", locate=lambda name=name: tmp_path / name))
    monkeypatch.setattr(metadata, "distribution", lambda name: SimpleNamespace(files=listed, version="1.0.2"))
    with pytest.raises(UserError, match=r"networks of deepbet .* are not there, or are others\. Run: .* --force-re"):
        brain_mask(np.ones((8, 8, 8), np.float32))


@pytest.mark.parametrize("image", [np.zeros((9, 8, 7)), np.pad(np.ones((1, 1, 1)), 20)])
def test_where_there_is_nothing_no_brain_is_found(image):
    with pytest.raises(NoBrain):
        brain_mask(image)


def test_the_template_is_all_brain_and_threads_are_given_back():
    template, before = mni_template(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        mask = brain_mask(template.brain[::2, ::2, ::2])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    true = template.mask[::2, ::2, ::2]
    assert 2 * np.count_nonzero(mask & true) / (mask.sum() + true.sum()) > 0.95


def test_what_is_told_to_be_installed_is_what_is_tested():
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    assert INSTALL.split()[-1] in pinned
    assert f'brain = ["{INSTALL.split()[-1]}"]' in (ROOT / "pyproject.toml").read_text()
