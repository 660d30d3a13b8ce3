"""Damaged model folders: no flipped bit and no cut is used silently, and each error names the folder."""

import json
import shutil

import numpy as np
import pytest

from mri3d.errors import UserError
from mri3d.models.loading import load
from tests.test_inference import write_network

AMOUNTS = [pytest.param(40, id="few"), pytest.param(500, id="many", marks=pytest.mark.slow)]


def refusal(folder) -> str:
    """Return why a model folder is not loaded; nothing where it is."""
    try:
        load(folder)
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("number", AMOUNTS)
@pytest.mark.parametrize("cut", [False, True], ids=["flipped", "cut"])
def test_no_damage_of_a_model_folder_is_used(tmp_path, number, cut):
    whole = write_network(tmp_path / "whole")
    random = np.random.default_rng(0)
    for turn in range(number):
        damaged = tmp_path / "damaged"
        shutil.rmtree(damaged, ignore_errors=True)
        shutil.copytree(whole, damaged)
        path = damaged / random.choice(["card.json", "weights.safetensors"])
        data = bytearray(path.read_bytes())
        at = int(random.integers(0, len(data)))
        if cut:
            data = data[:at]
        else:
            data[at] ^= 1 << int(random.integers(0, 8))
        path.write_bytes(data)
        told = refusal(damaged)
        if not told:  # blanks between the entries say nothing
            assert json.loads(path.read_text()) == json.loads((whole / path.name).read_text()), turn
        assert not told or str(damaged) in told
