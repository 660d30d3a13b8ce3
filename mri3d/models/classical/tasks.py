"""Which outcomes a classical model predicts, and which models do where it does not."""

from collections.abc import Sequence

from mri3d.errors import UserError, option
from mri3d.outcome import TASKS, Outcome


def check_task(name: str, tasks: Sequence[str], outcome: Outcome) -> None:
    """Refuse an outcome that a model does not predict, and name the models that do.

    Args:
        name: Of the model.
        tasks: Those that it is for.
        outcome: What is to be predicted.

    Raises:
        UserError: It is of another task.
    """
    if outcome.task in tasks:
        return
    from mri3d.models.classical.models import CLASSICAL  # here: they ask this file

    nouns = " and ".join(TASKS[task].outcome.noun for task in tasks)
    others = "".join(f"{model.name}, " for model in CLASSICAL if outcome.task in model.tasks)
    raise UserError(
        f"{option('model', name)} predicts {nouns} only, and {option('task', outcome.task)} asks for {outcome.noun}. "
        f"Use {others}{'or ' if others else ''}a network."
    )
