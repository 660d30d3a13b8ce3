"""A configuration from a file names what mri3d offers, or what the user trusts by name; no other code runs."""

import copy
import sys

import pytest
import yaml

from mri3d.cli.configuration import trusted_names
from mri3d.cli.places import NETWORKS_GROUP, check_targets, foreign, installed_networks
from mri3d.errors import UserError
from mri3d.nets.networks import GROUP
from tests.cli.test_configs import configuration

EVIL = "evil_module.Thing"
CALL = {"_target_": EVIL}
PLACES = {
    "a group": [("data",), ("preprocess",), ("model",), ("trainer",), ("evaluation",)],
    "a call within": [("data", "demo"), ("model", "network"), ("model", "optimizer"), ("model", "augmentation")],
    "an argument": [
        *(("data", "skip_bad"), ("data", "demo", "seed"), ("preprocess", "crop"), ("model", "patience")),
        *(("model", "network", "channels"), ("model", "trainer"), ("model", "optimizer", "lr"), ("trainer", "logger")),
        *(("trainer", "profiler"), ("evaluation", "grid"), ("evaluation", "validation")),
    ],
    "a plain key": [("seed",), ("name",), ("task",), ("resolution",), ("resume",), ("trust",), ("debug",)],
}
PATHS = [path for paths in PLACES.values() for path in paths]


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """Put a module where Python finds it that leaves a file when it is imported; give the file."""
    folder, trace = tmp_path / "evil", tmp_path / "trace"
    folder.mkdir()
    (folder / "evil_module.py").write_text(f"import pathlib\npathlib.Path({str(trace)!r}).touch()\nThing = dict\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    yield trace
    sys.modules.pop("evil_module", None)


@pytest.fixture(scope="module")
def whole():
    return configuration()


def put(configuration, path, value):
    """Copy a configuration with another value at a path; a call keeps its other arguments."""
    changed = copy.deepcopy(configuration)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    kept = inner.get(path[-1])
    inner[path[-1]] = kept | value if isinstance(kept, dict) and "_target_" in kept and "_target_" in value else value
    return changed


@pytest.mark.parametrize(
    "value", [CALL, [CALL], [1, {"a": [CALL]}], {"a": {"b": CALL}}], ids=["call", "list", "deep", "tree"]
)
@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_code_of_others_is_refused_in_every_place_before_it_is_imported(whole, evil, path, value):
    with pytest.raises(UserError) as raised:
        check_targets(put(whole, path, value), (), source="runs/x/config.yaml")
    assert str(raised.value).startswith(f"runs/x/config.yaml: {'.'.join(path)}")
    assert f"_target_={EVIL} is not one that mri3d offers" in str(raised.value)
    assert not evil.exists()


@pytest.mark.parametrize(
    "name", ["os.system", "builtins.exec", "mri3d.cli.main.main", "mri3d.nets.sfcn.SFCM", "torch.load"]
)
@pytest.mark.parametrize("path", PLACES["a group"] + PLACES["a call within"], ids=".".join)
def test_only_the_names_of_the_table_are_offered(whole, path, name):
    with pytest.raises(UserError, match=rf"_target_={name} is not one that mri3d offers"):
        check_targets(put(whole, path, {"_target_": name}), ())


def test_what_one_place_is_offered_another_is_not(whole):
    with pytest.raises(UserError, match=r"^model\.optimizer\._target_=mri3d\.nets\.seed\.Seed is not one"):
        check_targets(put(whole, ("model", "optimizer"), {"_target_": "mri3d.nets.seed.Seed"}), ())
    with pytest.raises(UserError, match=r"^data\._target_=mri3d\.volumes\.recipe\.Recipe is not one"):
        check_targets(put(whole, ("data",), {"_target_": "mri3d.volumes.recipe.Recipe"}), ())


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("model", "_args_"), ["os.system"], r"model\._args_=\['os\.system'\] is not allowed"),
        (("data", "_recursive_"), False, r"data\._recursive_=False is not allowed"),
        (("data", "_convert_"), "all", r"data\._convert_='all' is not allowed"),
        (("model", "network", "_partial_"), "yes", r"model\.network\._partial_='yes' is not allowed"),
        (("model", "network", "_partial_"), False, r"model\.network\._partial_ must be true: .* for each fit afresh"),
        (("data", "_partial_"), True, r"data\._partial_ must be false: data is made once"),
        (("model", "_target_"), ["os.system"], r"model\._target_=\['os\.system'\] names nothing"),
        (("model", "_target_"), None, r"model\._target_=None names nothing"),
    ],
)
def test_marks_that_change_how_a_call_is_made_are_refused(whole, path, value, message):
    changed = copy.deepcopy(whole)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(UserError, match=message):
        check_targets(changed, ())


def test_what_the_user_trusts_by_name_is_let_through_and_nothing_else(whole):
    check_targets(put(whole, ("model", "network"), {"_target_": "my_module.MyNet"}), ["my_module.MyNet"])
    with pytest.raises(UserError, match=r"If you know that code and trust it, add trust=my_module\.Other$"):
        check_targets(put(whole, ("model", "network"), {"_target_": "my_module.Other"}), ["my_module.MyNet"])
    assert foreign(["mri3d.nets.seed.Seed", "torch.optim.SGD", "b.B", "a.A"]) == ["a.A", "b.B"]


def test_networks_of_installed_packages_are_offered_without_importing_them(whole, tmp_path, monkeypatch):
    package = tmp_path / "their_nets-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: their-nets\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[mri3d.networks]\nwide = their_nets.wide:Wide\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert installed_networks() == ("their_nets.wide.Wide",)
    node = {"_target_": "their_nets.wide.Wide"}
    check_targets(put(whole, ("model", "network"), node), ())
    assert "their_nets" not in sys.modules
    with pytest.raises(UserError, match=r"model\.optimizer\._target_=their_nets\.wide\.Wide is not one"):
        check_targets(put(whole, ("model", "optimizer"), node), ())


def test_networks_are_offered_from_where_they_are_loaded():
    assert NETWORKS_GROUP == GROUP  # apart, because the command line reads no torch


@pytest.mark.parametrize(
    ("value", "names"),
    [(None, ()), ("a.B", ("a.B",)), (["a.B", "c.d.E"], ("a.B", "c.d.E")), ([], ())],
)
def test_trust_is_a_name_or_several(value, names):
    assert trusted_names(value) == names


@pytest.mark.parametrize("value", ["MyNet", "a b.C", 5, ["a.B", 5], True, {"a": "b.C"}, "", "a."])
def test_trust_that_is_no_name_is_refused(value):
    with pytest.raises(UserError, match="is no dotted name of a class"):
        trusted_names(value)


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_run_that_names_code_of_others_ends_with_status_2(whole, evil, here, tmp_path, path):
    run = tmp_path / "run"
    run.mkdir()
    value = [CALL] if path == ("trainer", "logger") else CALL
    (run / "config.yaml").write_text(yaml.safe_dump(put({**whole, "name": "x"}, path, value)))
    status, said = here("train", f"resume={run}")
    assert status == 2
    assert said.startswith(f"error: {run}/config.yaml: {'.'.join(path)}")
    assert f"_target_={EVIL} " in said
    assert ("contradict each other" if path == ("model", "trainer") else "is not one that mri3d offers") in said
    assert not evil.exists()
    if path[0] in ("data", "preprocess", "resolution", "task"):
        status, said = here("mri3d", "pca", f"run={run}")
        assert status == 2
        assert f"_target_={EVIL} is not one that mri3d offers" in said
        assert not evil.exists()


def test_trusting_one_name_lets_no_other_in(whole, evil, here, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text(yaml.safe_dump({**put(whole, ("model", "network"), CALL), "name": "x"}))
    for trust in ("trust=os.system", "trust=[evil_module.Other]", "trust=evil_module.Thin"):
        assert here("train", f"resume={run}", trust)[0] == 2
        assert not evil.exists()
    _, said = here("train", f"resume={run}", f"trust={EVIL}")
    assert evil.exists(), said
    assert "is not one that mri3d offers" not in said


def test_what_is_typed_is_trusted_by_being_typed(evil, here):
    status, said = here("train", f"model.network._target_={EVIL}", "data.demo.num_subjects=-1")
    assert evil.exists(), said
    assert "is not one that mri3d offers" not in said
    assert status == 2, "there are no such demo cohorts"
