"""Networks by name: ours, those of installed packages, and those of the user's own that the user trusts.

A model folder names its network, and loading one must run no foreign code. So a name is looked up in the table of ours,
then among the entry points of installed packages; only a name that the user repeats as `trust` is imported.
"""

import functools
import importlib
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

from torch import nn

from mri3d.errors import UserError, did_you_mean, option
from mri3d.nets.monai_nets import DenseNet121, EfficientNetB0, ResNet18, ResNet50
from mri3d.nets.seed import Seed
from mri3d.nets.sfcn import SFCN

log = logging.getLogger(__name__)

NETWORKS: dict[str, type[nn.Module]] = {
    "seed": Seed,
    "sfcn": SFCN,
    "resnet18": ResNet18,
    "resnet50": ResNet50,
    "densenet121": DenseNet121,
    "efficientnet-b0": EfficientNetB0,
}

GROUP = "mri3d.networks"
"""Of the entry points by which installed packages offer networks."""


def network_name(kind: type) -> str:
    """Name a network so that `find_network` finds it again.

    Args:
        kind: The network's class.

    Returns:
        Its name in the table or among the entry points; `module.Class` for a network of the user's own.

    Raises:
        UserError: It is no class of a network, or its module does not have it under its name.

    >>> network_name(SFCN)
    'sfcn'
    >>> network_name(nn.Bilinear)
    'torch.nn.modules.linear.Bilinear'
    """
    _check_network_class(kind, str(kind))
    for name, ours in NETWORKS.items():
        if kind is ours:
            return name
    for name, entry in _installed().items():
        if _may_be(entry, kind) and _loaded_or_none(entry) is kind:
            return name
    name = f"{kind.__module__}.{kind.__qualname__}"
    if _attribute(sys.modules.get(kind.__module__), kind.__qualname__) is not kind:
        raise UserError(
            f"the network {kind.__qualname__} cannot be found as {name}, so it could not be loaded again from a "
            "model folder. Define it at the top of a module, and import it from there."
        )
    return name


def find_network(name: str, *, trust: Sequence[str] = ()) -> type[nn.Module]:
    """Find a network's class: in the table, among the entry points of installed packages, or in a trusted module.

    Args:
        name: As `network_name` gives it.
        trust: Names `module.Class` whose code may be imported.

    Raises:
        UserError: There is no such network, or it is code of its own that is not trusted; nothing of it was imported.

    >>> find_network("sfcn")
    <class 'mri3d.nets.sfcn.SFCN'>
    >>> find_network("sfnc")
    Traceback (most recent call last):
    mri3d.errors.UserError: no network is called 'sfnc' (known: seed, sfcn, resnet18, resnet50, ...
    """
    installed = _installed()
    if name in NETWORKS:
        return NETWORKS[name]
    if name in installed:
        return _check_network_class(_load(installed[name]), name)
    if "." not in name:
        known = [*NETWORKS, *installed]
        raise UserError(f"no network is called {name!r} (known: {', '.join(known)}).{did_you_mean(name, known)}")
    if name not in ((trust,) if isinstance(trust, str) else trust):
        raise UserError(
            f"the model's network {name!r} is code of its own, which would be imported and run. "
            f"Give {option('trust', name)} if you trust it."
        )
    return _check_network_class(_import(name), name)


def _installed() -> dict[str, EntryPoint]:
    """List the networks of installed packages by name, and warn of those that another one hides."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        if entry.name in NETWORKS or entry.name in found:
            first = f"that of {_package(found[entry.name])}" if entry.name in found else "mri3d's own"
            log.warning("the network %r of %s is hidden by %s of that name", entry.name, _package(entry), first)
        else:
            found[entry.name] = entry
    return found


def _package(entry: EntryPoint) -> str:
    return f"the package {entry.dist.name}" if entry.dist else f"the module {entry.module}"


def _load(entry: EntryPoint) -> object:
    """Import what an installed package offers."""
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"the network {entry.name!r} of {_package(entry)} cannot be loaded from {entry.value!r}: {error}. "
            "Install that package again, or a newer version of it."
        ) from error


def _may_be(entry: EntryPoint, kind: type) -> bool:
    """Check, without importing anything, whether an entry point can stand for a class that is imported already."""
    return entry.module in sys.modules or entry.module.partition(".")[0] == kind.__module__.partition(".")[0]


def _loaded_or_none(entry: EntryPoint) -> object:
    try:
        return _load(entry)
    except UserError:  # broken, and so it is not the class that was trained
        return None


def _import(name: str) -> object:
    """Import `module.Class`; the class may stand within another one.

    Raises:
        UserError: There is no such module, something that it imports is missing, or it has no such class.
    """
    module = name.rpartition(".")[0]
    while True:
        try:
            found = _attribute(importlib.import_module(module), name.removeprefix(f"{module}."))
            break
        except ModuleNotFoundError as error:
            outer = module.rpartition(".")[0]
            if error.name != module or not outer:
                raise UserError(
                    f"the network {name!r} cannot be imported: {error}. "
                    "Run from the folder of its module, or put that folder on PYTHONPATH."
                ) from error
            module = outer
        except ImportError as error:
            raise UserError(f"the network {name!r} cannot be imported: {error}.") from error
    if found is None:
        raise UserError(f"the module {module!r} has no {name.removeprefix(f'{module}.')!r}.")
    return found


def _attribute(module: object, path: str) -> object:
    """Look up a dotted path in a module; None where it leads nowhere."""
    return functools.reduce(lambda found, part: getattr(found, part, None), path.split("."), module)


def _check_network_class(found: object, name: str) -> type[nn.Module]:
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise UserError(f"{name} is not a network: a subclass of torch.nn.Module is needed.")
    return found
