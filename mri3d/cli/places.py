"""Which classes and functions a configuration may name, and where: checked before any of them is imported."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from mri3d.errors import UserError, did_you_mean

NETWORKS_GROUP = "mri3d.networks"
"""Entry points by which an installed package offers networks: their values, `package.module:Class`."""


@dataclass(frozen=True)
class Place:
    """What may be called at one place of a configuration.

    Attributes:
        targets: Dotted names.
        partial: Whether the call is made later and afresh for each fit.
        given: The arguments that it is made with then, which are nobody else's to set.
    """

    targets: tuple[str, ...]
    partial: bool = False
    given: tuple[str, ...] = ()


_OPTIMIZERS = ("Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "SGD")  # those with a momentum to cycle
_MODELS = ("Logistic", "LinearSVM", "RBFSVM", "KNN", "Ridge")
_MONAI = ("ResNet18", "ResNet50", "DenseNet121", "EfficientNetB0")

PLACES: Mapping[str, Place] = {
    "data": Place(("mri3d.cohort.table.Table", "mri3d.cohort.bids.Bids", "mri3d.cohort.demo.Demo")),
    "data.demo": Place(("mri3d.cohort.demo.DemoStudy",)),
    "preprocess": Place(("mri3d.volumes.recipe.Recipe", "mri3d.volumes.brain_recipe.BrainRecipe")),
    "model": Place(
        ("mri3d.models.network.cnn.CNN", *(f"mri3d.models.classical.models.{name}" for name in _MODELS)),
    ),
    "model.network": Place(
        (
            *("mri3d.nets.sfcn.SFCN", "mri3d.nets.seed.Seed"),
            *(f"mri3d.nets.monai_nets.{name}" for name in _MONAI),
        ),
        partial=True,
        given=("volume_shape", "num_outputs", "num_channels"),
    ),
    "model.optimizer": Place(
        ("mri3d.models.network.learner.adamw", *(f"torch.optim.{name}" for name in _OPTIMIZERS)),
        partial=True,
        given=("params", "parameters"),
    ),
    "model.augmentation": Place(
        tuple(f"mri3d.volumes.augmentation.{name}" for name in ("Augmentation", "StrongAugmentation"))
    ),
    "trainer": Place(("mri3d.models.network.trainer.default_trainer", "pytorch_lightning.Trainer"), partial=True),
    "evaluation": Place(
        (
            *(f"mri3d.evaluation.splits.{name}" for name in ("Holdout", "KFold", "All")),
            *(f"mri3d.evaluation.given_splits.{name}" for name in ("LeaveSiteOut", "Column")),
            "mri3d.evaluation.nested.Nested",
            "mri3d.evaluation.learning_curve.LearningCurve",
        )
    ),
    "report": Place(("mri3d.report.options.ReportOptions",)),
}

WORDS: Mapping[str, Mapping[str, str]] = {
    "model.augmentation": dict(zip(("default", "strong"), PLACES["model.augmentation"].targets, strict=True)),
}
"""Words that stand for a call, by its place: what is called then, with its defaults."""

MOVED = {
    "mri3d.classifiers.classical.": "mri3d.models.classical.models.",
    "mri3d.classifiers.cnn.": "mri3d.models.network.cnn.",
    "mri3d.classifiers.learner.": "mri3d.models.network.learner.",
}
"""Modules that runs of earlier versions name, to where their classes are now."""


def check_targets(node: Any, trusted: Collection[str], *, where: str = "", source: str = "") -> None:  # noqa: ANN401
    """Refuse a configuration that names a class or function of anybody else's; nothing is imported.

    Args:
        node: The configuration, or what stands at `where` in it.
        trusted: Dotted names that the user trusts, whatever the place.
        where: Path of the node.
        source: What the configuration was read from, for messages.

    Raises:
        UserError: A `_target_` that its place does not offer and the user has not trusted by name, or a mark of Hydra's
            that changes how a call is made.
    """
    if isinstance(node, list):
        for number, item in enumerate(node):
            check_targets(item, trusted, where=f"{where}[{number}]", source=source)
    if not isinstance(node, dict):
        return
    if "_target_" in node:
        _check_call(node, trusted, where, source)
    for key, value in node.items():
        path = f"{where}.{key}" if where else str(key)
        if key in ("_args_", "_recursive_", "_convert_") or (key == "_partial_" and not isinstance(value, bool)):
            raise UserError(f"{_whose(source)}{path}={value!r} is not allowed. Leave it out.")
        check_targets(value, trusted, where=path, source=source)


def moved(node: Any, where: str = "") -> Any:  # noqa: ANN401 (any JSON value)
    """Copy a configuration with the names that its classes have now, and with the calls that words stand for.

    >>> moved("strong", "model.augmentation")
    {'_target_': 'mri3d.volumes.augmentation.StrongAugmentation'}
    """
    if isinstance(node, list):
        return [moved(item, f"{where}[]") for item in node]
    if isinstance(node, str) and node in WORDS.get(where, {}):
        return {"_target_": WORDS[where][node]}
    if not isinstance(node, dict):
        return node
    paths = {key: f"{where}.{key}" if where else str(key) for key in node}
    return {key: _new_name(value) if key == "_target_" else moved(value, paths[key]) for key, value in node.items()}


def installed_networks() -> tuple[str, ...]:
    """Return the dotted names of the networks that installed packages offer; reading them imports nothing."""
    return tuple(sorted({f"{found.module}.{found.attr}" for found in entry_points(group=NETWORKS_GROUP)}))


def foreign(names: Collection[str]) -> list[str]:
    """Return those of the names that mri3d does not offer at any place: only they need to be trusted.

    >>> foreign(["torch.optim.Adam", "my_module.MyNet"])
    ['my_module.MyNet']
    """
    offered = {target for place in PLACES.values() for target in place.targets}
    return sorted({*names} - offered - {*installed_networks()})


def is_dotted(name: str) -> bool:
    """Return whether a text is the dotted name of something in a module.

    >>> is_dotted("my_module.MyNet"), is_dotted("MyNet"), is_dotted("${oc.env:HOME}")
    (True, False, False)
    """
    return "." in name and all(part.isidentifier() for part in name.split("."))


def _check_call(node: dict[str, Any], trusted: Collection[str], where: str, source: str) -> None:
    """Check the name of one call, and whether it is made at once or later."""
    target, place = node["_target_"], PLACES.get(where)
    path = f"{where}._target_" if where else "_target_"
    if not isinstance(target, str):
        raise UserError(f"{_whose(source)}{path}={target!r} names nothing. Name a class or a function.")
    offered = place.targets if place else ()
    if where == "model.network":
        offered = (*offered, *installed_networks())
    if target not in trusted and target not in offered:
        there = f"What may stand there: {', '.join(offered)}." if offered else "Nothing is called there."
        trust = f" If you know that code and trust it, add trust={target}" if is_dotted(target) else ""
        raise UserError(
            f"{_whose(source)}{path}={target} is not one that mri3d offers, and would run that code."
            f"{did_you_mean(target, offered)} {there}{trust}"
        )
    if place and bool(node.get("_partial_", False)) != place.partial:
        raise UserError(
            f"{_whose(source)}{where}._partial_ must be {str(place.partial).lower()}: {where} is made "
            f"{'for each fit afresh' if place.partial else 'once'}."
        )


def _new_name(target: object) -> object:
    if isinstance(target, str):
        for old, new in MOVED.items():
            if target.startswith(old):
                return new + target.removeprefix(old)
    return target


def _whose(source: str) -> str:
    return f"{source}: " if source else ""
