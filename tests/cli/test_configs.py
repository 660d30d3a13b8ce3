"""Every option of every config group is what it says: a comment, few lines, a constructor call that builds."""

import copy
import functools
import re
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

import mri3d
from mri3d.cli.configuration import (
    ALIASES,
    GROUPS,
    KEYS,
    Schema,
    check,
    check_trainer_is_used,
    conf_folder,
    make_parts,
)
from mri3d.cli.overrides import hydra_overrides
from mri3d.cli.places import PLACES, WORDS
from mri3d.errors import UserError
from mri3d.plan import build
from mri3d.volumes.augmentation import StrongAugmentation
from mri3d.volumes.recipe import Recipe
from tests import commands

CONF = Path(mri3d.__file__).parents[1] / "conf"
OPTIONS = sorted(path.relative_to(CONF).with_suffix("") for path in CONF.glob("*/*.yaml"))
NETWORKS = sorted(path.stem for path in (CONF / "model").glob("*.yaml") if "\nnetwork:" in path.read_text())
NEEDED = {
    "data/table": ["data.root=/study", "data.table=subjects.csv"],
    "data/bids": ["data.root=/study", "data.label=group"],
    "evaluation/column": ["evaluation.column=split"],
}


def composed(*overrides: str):
    """Return what Hydra makes of a command line."""
    return copy.deepcopy(composed_once(*overrides))


@functools.cache
@commands.composed_once()
def composed_once(*overrides: str):
    """Have Hydra compose a command line: several tests look at the same."""
    ConfigStore.instance().store("schema", Schema)
    typed = hydra_overrides([*overrides, "name=test"], groups=GROUPS, keys=KEYS, aliases=ALIASES)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return OmegaConf.to_container(compose("train", typed), resolve=True)


def configuration(*overrides: str):
    return check(composed(*overrides), GROUPS)


def test_options_are_found_in_the_clone():
    assert conf_folder() == CONF


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: path.stem)
def test_option_file_says_when_to_choose_it_and_little_else(path):
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# ")
    assert lines[0].endswith((".", "..."))
    assert len(lines) <= (30 if path.stem == "train" else 20)


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_option_builds(option):
    group = str(option.parent)
    node = configuration(f"{group}={option.name}", *NEEDED.get(str(option), []))[group]
    built = build(node, group)
    if group == "trainer":
        built = built(logger=False)
        assert (built.max_epochs, built.num_devices, built.log_every_n_steps) == (30, 1, 1)
    else:
        assert type(built).__name__ == node["_target_"].rpartition(".")[2]


def test_every_place_is_offered_what_the_options_name():
    named = set()
    for option in OPTIONS:
        group = str(option.parent)
        node = configuration(f"{group}={option.name}", *NEEDED.get(str(option), []))[group]
        calls = {group: node} | {f"{group}.{key}": value for key, value in node.items() if isinstance(value, dict)}
        named |= {(path, call["_target_"]) for path, call in calls.items() if "_target_" in call}
    offered = {(path, target) for path, place in PLACES.items() for target in place.targets}
    named |= {(place, target) for place, words in WORDS.items() for target in words.values()}
    assert named <= offered
    libraries = {target for _, target in offered - named}
    assert all(target.startswith(("torch.optim.", "pytorch_lightning.Trainer")) for target in libraries)


@pytest.mark.parametrize("name", PLACES["model.optimizer"].targets)
def test_every_optimizer_that_is_offered_exists(name):
    made = build({"_target_": name, "_partial_": True, "lr": 0.5})([torch.nn.Parameter(torch.zeros(2, 2))])
    assert made.defaults["lr"] == 0.5


@pytest.mark.parametrize("option", NETWORKS)
@pytest.mark.parametrize("num_outputs", [1, 3])
def test_network_of_every_model_option_gives_its_logits(option, num_outputs):
    model = make_parts(composed(f"model={option}")).model
    with torch.device("meta"), torch.inference_mode():  # shapes alone: nothing is drawn or computed
        network = model.network((64, 64, 64), num_outputs).eval()
        assert network(torch.zeros(2, 1, 64, 64, 64)).shape == (2, num_outputs)


def test_resolved_configuration_names_the_defaults():
    resolved = configuration("resolution=33")
    assert resolved["resolution"] == 33
    assert resolved["model"]["batch_size"] == 8
    assert resolved["model"]["network"]["channels"] == [32, 64, 128, 64]
    assert resolved["model"]["optimizer"]["lr"] == 3e-3
    assert resolved["model"]["augmentation"]["flip"] is False
    assert resolved["trainer"]["max_epochs"] == 30
    assert resolved["evaluation"]["test"] == 0.2
    assert resolved["task"] == "classification"


def test_words_stand_for_augmentations_whose_values_are_written_out():
    strong = make_parts(composed("model.augmentation=strong"))
    written = dict(strong.configuration["model"]["augmentation"])
    assert strong.model.augmentation == StrongAugmentation()
    assert written.pop("_target_") == "mri3d.volumes.augmentation.StrongAugmentation"
    assert written == asdict(StrongAugmentation())
    assert check(strong.configuration, GROUPS) == strong.configuration  # as a run that is resumed reads it
    assert configuration("model.augmentation=default") == configuration()
    assert make_parts(composed("model.augmentation=null")).model.augmentation is None
    target = "model.augmentation._target_=mri3d.volumes.augmentation.StrongAugmentation"
    single = make_parts(composed(target, "model.augmentation.gamma=0.3")).model.augmentation
    assert single == StrongAugmentation(gamma=0.3)
    choices = "is not an instance of Augmentation or one of default, strong or null."
    for typed, value in (
        (["model.augmentation=stong"], "'stong'"),
        (["model.augmentation=strong", "model.augmentation.noise=0.1"], "{'noise': 0.1}"),
    ):
        with pytest.raises(UserError, match=re.escape(f"model.augmentation={value} {choices}")):
            make_parts(composed(*typed))


def test_each_value_stands_in_one_place_and_reaches_what_needs_it():
    for typed in (
        ["resolution=33", "trainer.max_epochs=3"],
        ["preprocess.resolution=33", "model.trainer.max_epochs=3"],
    ):
        parts = make_parts(composed(*typed))
        assert parts.configuration["resolution"] == 33
        assert "resolution" not in parts.configuration["preprocess"]
        assert parts.study.recipe == Recipe(33)
        assert parts.configuration["trainer"]["max_epochs"] == parts.model.trainer.keywords["max_epochs"] == 3
        assert "trainer" not in parts.configuration["model"]
    assert make_parts(composed("model=ridge", "trainer.max_epochs=3")).model.name == "ridge"


@pytest.mark.parametrize("model", sorted(path.stem for path in (CONF / "model").glob("*.yaml")))
@pytest.mark.parametrize("typed", ["++trainer.max_epochs=3", "+trainer.devices=2", "~trainer.max_epochs"])
def test_options_of_a_trainer_that_the_model_has_not_are_refused_where_they_were_typed(model, typed):
    configuration = composed(f"model={model}")
    others = [f"model={model}", "seed=3", "name=trainer.x", "trainer=default"]
    check_trainer_is_used(configuration, others, swept=[])
    check_trainer_is_used(configuration, [*others, typed], swept=["model", "seed"])
    if model in NETWORKS:
        check_trainer_is_used(configuration, [*others, typed], swept=[])
        return
    for swept in ([], ["seed"]):
        with pytest.raises(UserError, match=rf"^{typed.lstrip('+~')} does nothing for \w+, which is fitted without a"):
            check_trainer_is_used(configuration, [*others, typed], swept=swept)


def test_a_model_that_mri3d_does_not_offer_may_take_a_trainer():
    for model in ({"_target_": "my_module.MyModel"}, {}, None):
        check_trainer_is_used({"model": model}, ["++trainer.max_epochs=3"], swept=[])


def test_contradictory_places_of_an_older_run_are_named_and_equal_ones_dropped():
    older = configuration()
    older["preprocess"] = {**older["preprocess"], "resolution": 50}
    older["model"] = {**older["model"], "trainer": dict(older["trainer"])}
    assert check(older, GROUPS) == configuration()
    older["trainer"] = {**older["trainer"], "max_epochs": 60}
    with pytest.raises(
        UserError,
        match=r"^config\.yaml: model\.trainer\.max_epochs=30 and trainer\.max_epochs=60 contradict each other",
    ):
        check(older, GROUPS, source="config.yaml")
    older["trainer"] = dict(older["model"]["trainer"])
    older["resolution"] = 100
    with pytest.raises(UserError, match=r"preprocess\.resolution=50 and resolution=100 contradict each other"):
        check(older, GROUPS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sede": 3}, "there is no key 'sede'. Did you mean 'seed'?"),
        ({"seed": "a"}, "seed='a' is not a whole number"),
        ({"seed": -1}, "seed=-1 is out of range"),
        ({"name": "../x"}, "name=../x leads out of runs/"),
        ({"name": 5}, "name=5 is not text"),
        ({"name": "a\nb"}, r"name='a\nb' holds a line break"),
        ({"model": None}, "model=None is no option of model"),
        ({"evaluation": "kfold"}, "evaluation=kfold is no option of evaluation"),
    ],
)
def test_keys_at_the_top_are_checked_whatever_they_come_from(changes, message):
    with pytest.raises(UserError) as raised:
        make_parts(configuration() | changes)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("overrides", "rates"),
    [
        (["evaluation=kfold"], None),
        (["evaluation=nested"], None),
        (["evaluation=nested", "evaluation.grid={optimizer.lr: [1e-4, 1e-2]}"], [1e-4, 1e-2]),
    ],
)
def test_grid_of_a_nested_evaluation_makes_a_model_for_each_point(overrides, rates):
    parts = make_parts(composed(*overrides))
    tuned = parts.splits.tuned(parts.model)
    assert (rates is None) == (tuned is parts.model)
    assert rates is None or [one.optimizer.keywords["lr"] for one in tuned.variants] == rates


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["evaluation.grid={optimiser.lr: [1e-4]}"], r"model\.optimiser.*Did you mean 'optimizer'"),
        (["model=knn", "evaluation.grid={kk: [1]}"], r"model\.kk is no option of KNN"),
        (["evaluation.grid={batch_size: [many]}"], r"model\.batch_size.*whole number"),
    ],
)
def test_option_of_a_grid_that_does_not_exist_is_named(overrides, message):
    parts = make_parts(composed("evaluation=nested", *overrides))
    with pytest.raises(UserError) as raised:
        parts.splits.tuned(parts.model)
    assert re.search(message, raised.value.on_command_line())
