"""Every option of every config group is what it says: a comment, few lines, a constructor call that builds."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.utils import instantiate
from omegaconf import OmegaConf

import train
from mri3d.configuration import complete

CONF = Path(train.__file__).parent / "conf"
OPTIONS = sorted(path.relative_to(CONF).with_suffix("") for path in CONF.glob("*/*.yaml"))
NEEDED = {
    "data/table": ["data.root=/study", "data.table=subjects.csv"],
    "data/bids": ["data.root=/study", "data.label=group"],
}


def configuration(*overrides: str):
    ConfigStore.instance().store("schema", train.Schema)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("train", [*overrides, "name=test"])
    return complete(OmegaConf.to_container(composed, resolve=True))


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: path.stem)
def test_option_file_says_when_to_choose_it_and_little_else(path):
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# ")
    assert lines[0].endswith(".")
    assert len(lines) <= (60 if path.stem == "train" else 20)


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_option_builds(option):
    group = str(option.parent)
    node = configuration(f"{group}={option.name}", *[f"++{key}" for key in NEEDED.get(str(option), [])])[group]
    built = instantiate(node, _convert_="all")
    if group == "trainer":
        built = built(logger=False)
    assert type(built).__name__ == node["_target_"].rpartition(".")[2]


@pytest.mark.parametrize("option", sorted(path.stem for path in (CONF / "model").glob("*.yaml")))
@pytest.mark.parametrize("num_outputs", [1, 3])
def test_network_of_every_model_option_gives_its_logits(option, num_outputs):
    node = configuration(f"model={option}")["model"]
    if "network" not in node:
        pytest.skip(f"model={option} is no network")
    network = instantiate(node, _convert_="all").network((64, 64, 64), num_outputs).to("meta").eval()
    with torch.inference_mode():  # shapes alone: nothing is computed
        assert network(torch.zeros(2, 1, 64, 64, 64, device="meta")).shape == (2, num_outputs)


def test_resolved_configuration_names_the_defaults():
    resolved = configuration("resolution=33")
    assert resolved["preprocess"]["resolution"] == 33
    assert resolved["model"]["batch_size"] == 8
    assert resolved["model"]["trainer"] == resolved["trainer"]
    assert resolved["evaluation"]["test"] == 0.2
