"""Finding networks by name: ours, an installed package's, and one of the user's own."""

import importlib
import logging
import sys

import pytest

from mri3d.errors import UserError
from mri3d.nets.networks import NETWORKS, find_network, network_name
from mri3d.nets.sfcn import SFCN

CODE = """
import torch

class MyNet(torch.nn.Module):
    def __init__(self, volume_shape, num_outputs):
        super().__init__()

    class Inner(torch.nn.Module):
        pass

class Plain:
    pass
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder on `sys.path`; what is imported from it is forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def install(folder, package, entries, *, code=CODE):
    """Put a package with its entry points where pip would."""
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text(f"from {package}.networks import MyNet\n")
    (folder / package / "networks.py").write_text(code)
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(["[mri3d.networks]", *entries, ""]))
    importlib.invalidate_caches()


@pytest.mark.parametrize("name", NETWORKS)
def test_ours_have_a_name_and_are_found_by_it(name):
    assert network_name(NETWORKS[name]) == name
    assert find_network(name) is NETWORKS[name]


def test_an_installed_network_is_found_by_the_name_of_its_entry_point(folder):
    install(folder, "brainnets", ["my-net = brainnets.networks:MyNet"])
    found = find_network("my-net")
    assert (found.__module__, found.__qualname__) == ("brainnets.networks", "MyNet")
    assert network_name(found) == "my-net"


def test_an_installed_network_keeps_its_name_where_the_package_passes_it_on(folder):
    install(folder, "brainnets", ["my-net = brainnets:MyNet"])
    networks = importlib.import_module("brainnets.networks")
    assert network_name(networks.MyNet) == "my-net"
    assert network_name(networks.MyNet.Inner) == "brainnets.networks.MyNet.Inner"


def test_naming_a_network_imports_no_other_package(folder):
    install(folder, "brainnets", ["my-net = brainnets:MyNet"], code="raise SystemError('imported')")
    assert network_name(SFCN) == "sfcn"
    assert find_network("sfcn") is SFCN
    assert "brainnets" not in sys.modules


def test_ours_win_over_an_installed_network_of_the_same_name(folder, caplog):
    install(folder, "brainnets", ["sfcn = brainnets:MyNet"])
    with caplog.at_level(logging.WARNING):
        assert find_network("sfcn") is SFCN
    assert "the network 'sfcn' of the package brainnets is hidden by mri3d's own of that name" in caplog.text
    other = importlib.import_module("brainnets").MyNet
    assert network_name(other) == "brainnets.networks.MyNet"  # by the entry point's name it would not be found


def test_the_first_of_two_installed_networks_of_one_name_wins(folder, caplog):
    install(folder, "brainnets", ["my-net = brainnets:MyNet"])
    install(folder, "othernets", ["my-net = othernets:MyNet"])
    with caplog.at_level(logging.WARNING):
        found = find_network("my-net")
    hidden = {"brainnets": "othernets", "othernets": "brainnets"}[found.__module__.partition(".")[0]]
    assert f"of the package {hidden} is hidden by that of the package" in caplog.text
    assert network_name(importlib.import_module(hidden).MyNet) == f"{hidden}.networks.MyNet"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("my-net = brainnets:Missing", "'my-net' of the package brainnets cannot be loaded from 'brainnets:Missing'"),
        ("my-net = brainnets.none:MyNet", "cannot be loaded from 'brainnets.none:MyNet': No module named"),
        ("my-net = brainnets.networks:Plain", "my-net is not a network: a subclass of torch.nn.Module is needed"),
    ],
)
def test_an_installed_network_that_is_broken_is_told_by_package(folder, entry, message):
    install(folder, "brainnets", [entry])
    with pytest.raises(UserError, match=message):
        find_network("my-net")
    kind = importlib.import_module("brainnets").MyNet
    assert network_name(kind) == "brainnets.networks.MyNet"


def test_an_unknown_name_lists_what_is_known(folder):
    install(folder, "brainnets", ["my-net = brainnets:MyNet"])
    with pytest.raises(
        UserError, match=r"no network is called 'my_net' \(known: seed, .*, my-net\)\. Did you mean 'my-n"
    ):
        find_network("my_net")


def test_a_network_of_ones_own_is_imported_only_if_it_is_trusted(folder):
    (folder / "my_module.py").write_text(CODE)
    for trust in ([], ["my_module.MyNetwork"], "my_module.MyNetwork", ["other.MyNet"]):
        with pytest.raises(UserError, match=r"'my_module.MyNet' is code of its own") as caught:
            find_network("my_module.MyNet", trust=trust)
        assert "my_module" not in sys.modules
    assert "Give trust='my_module.MyNet' if you trust it." in str(caught.value)
    assert "Give trust=my_module.MyNet if you trust it." in caught.value.on_command_line()
    found = find_network("my_module.MyNet", trust=["other.Net", "my_module.MyNet"])
    assert found is sys.modules["my_module"].MyNet
    assert network_name(found) == "my_module.MyNet"
    assert find_network("my_module.MyNet", trust="my_module.MyNet") is found
    assert find_network("my_module.MyNet.Inner", trust=["my_module.MyNet.Inner"]) is found.Inner


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such.MyNet", "'no_such.MyNet' cannot be imported: No module named 'no_such'.*PYTHONPATH"),
        ("my_module.Other", "the module 'my_module' has no 'Other'"),
        ("my_module.Plain", "my_module.Plain is not a network"),
        ("needs_more.MyNet", "'needs_more.MyNet' cannot be imported: No module named 'no_such_package'"),
    ],
)
def test_a_trusted_network_that_cannot_be_imported_is_told(folder, name, message):
    (folder / "my_module.py").write_text(CODE)
    (folder / "needs_more.py").write_text("import no_such_package\n")
    with pytest.raises(UserError, match=message):
        find_network(name, trust=[name])


def test_a_class_that_could_not_be_loaded_again_has_no_name():
    class Local(SFCN):
        pass

    with pytest.raises(UserError, match=r"the network .*Local cannot be found as .* Define it at the top of a module"):
        network_name(Local)
    with pytest.raises(UserError, match=r"is not a network: a subclass of torch\.nn\.Module is needed"):
        network_name(lambda volume_shape, num_outputs: SFCN(volume_shape, num_outputs))
