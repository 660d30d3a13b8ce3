"""Names of options, checked by the source of what takes them: importing torch and Lightning would take seconds."""

from collections.abc import Collection
from typing import Any

from mri3d.cli.places import PLACES
from mri3d.cli.signatures import read_signature
from mri3d.plan import check_names


def check_offered_names(node: Any, where: str = "", *, elsewhere: Collection[str] = ()) -> None:  # noqa: ANN401
    """Refuse misspelt and missing options of whatever mri3d offers, before it is imported.

    Classes of anybody else's are left to `mri3d.plan.complete`: their source may not show all that they take.

    Args:
        node: The configuration, or what stands at `where` in it.
        where: Path of the node.
        elsewhere: Paths of arguments whose values stand in another place, or are given later.

    Raises:
        UserError: As `mri3d.plan.check_names`.
    """
    if not isinstance(node, dict):
        return
    signature = read_signature(node["_target_"]) if node.get("_target_") in _offered(where) else None
    if signature:
        arguments = {each.name: each for each in signature.arguments if f"{where}.{each.name}" not in elsewhere}
        needed = [] if node.get("_partial_") else [name for name, each in arguments.items() if each.default is None]
        check_names(node, where, list(arguments), needed=needed)
    for key, value in node.items():
        check_offered_names(value, f"{where}.{key}" if where else str(key), elsewhere=elsewhere)


def _offered(where: str) -> Collection[str]:
    return PLACES[where].targets if where in PLACES else ()
