"""Every option of every config group is what it says: a comment, few lines, a constructor call that builds."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.utils import instantiate
from omegaconf import OmegaConf

import train
from mri3d.errors import UserError
from mri3d.plan import complete

CONF = Path(train.__file__).parent / "conf"
OPTIONS = sorted(path.relative_to(CONF).with_suffix("") for path in CONF.glob("*/*.yaml"))
NETWORKS = sorted(path.stem for path in (CONF / "model").glob("*.yaml") if "\nnetwork:" in path.read_text())
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


@pytest.mark.parametrize("option", NETWORKS)
@pytest.mark.parametrize("num_outputs", [1, 3])
def test_network_of_every_model_option_gives_its_logits(option, num_outputs):
    node = configuration(f"model={option}")["model"]
    network = instantiate(node, _convert_="all").network((64, 64, 64), num_outputs).to("meta").eval()
    with torch.inference_mode():  # shapes alone: nothing is computed
        assert network(torch.zeros(2, 1, 64, 64, 64, device="meta")).shape == (2, num_outputs)


def test_resolved_configuration_names_the_defaults():
    resolved = configuration("resolution=33")
    assert resolved["preprocess"]["resolution"] == 33
    assert resolved["model"]["batch_size"] == 8
    assert resolved["model"]["trainer"] == resolved["trainer"]
    assert resolved["evaluation"]["test"] == 0.2


@pytest.mark.parametrize(
    ("overrides", "settings"),
    [
        (["evaluation=kfold"], None),
        (["evaluation=nested"], None),
        (["evaluation=nested", "evaluation.grid={optimizer.lr: [1e-4, 1e-2]}"], [1e-4, 1e-2]),
    ],
)
def test_grid_of_a_nested_evaluation_makes_a_classifier_for_each_point(overrides, settings):
    found = configuration(*[f"++{text}" if "grid" in text else text for text in overrides])
    model = train._model(found["model"], instantiate(found["evaluation"], _convert_="all"))
    rates = [one.optimizer.keywords["lr"] for one in model.classifiers] if settings else None
    assert rates == settings


def test_option_of_a_grid_that_does_not_exist_is_named():
    found = configuration("evaluation=nested", "++evaluation.grid={optimiser.lr: [1e-4]}")
    evaluation = instantiate(found["evaluation"], _convert_="all")
    with pytest.raises(UserError, match=r"model\.optimiser\.lr does not exist\. Did you mean 'optimizer'"):
        train._model(found["model"], evaluation)
    found = configuration("model=knn", "evaluation=nested", "++evaluation.grid={kk: [1]}")
    with pytest.raises(UserError, match=r"model\.kk is no option of KNN"):
        train._model(found["model"], instantiate(found["evaluation"], _convert_="all"))
