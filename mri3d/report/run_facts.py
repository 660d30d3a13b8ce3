"""What a paper says of a run: its settings and its results, as the sections on methods read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mri3d.outcome import Outcome
from mri3d.texts import as_list, parameter_text


@dataclass(frozen=True, eq=False)
class RunFacts:
    """Settings and results of a run.

    Attributes:
        configuration: Every setting, as it stands in `config.yaml`; empty where nothing is known of them.
        metrics: The content of metrics.json.
        outcome: What is predicted.
        taking_part: Rows that describe the targets of all who take part, see `Words.cohort_rows`.
        shape: Sides [3] of the volumes that the model saw.
        recipe: Arguments of the preprocessing, see `AnyRecipe.arguments`; None of volumes that were taken as they came.
    """

    configuration: Mapping[str, Any]
    metrics: Mapping[str, Any]
    outcome: Outcome
    taking_part: Sequence[tuple[str, str]] = ()
    shape: tuple[int, ...] = ()
    recipe: Mapping[str, Any] | None = None

    def group(self, name: str) -> Mapping[str, Any]:
        """Return the settings of a config group or of a part of one, as `model.network`; empty where there are none."""
        found: Any = self.configuration
        for key in name.split("."):
            found = found.get(key) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    def kind(self, name: str) -> str:
        """Return the class or function that a group calls, without its module; empty where that is not known."""
        return str(self.group(name).get("_target_", "")).rpartition(".")[2]

    def columns(self, group: str, name: str) -> list[str]:
        """Return the columns, or the one, that a setting names."""
        return [str(each) for each in as_list(self.group(group).get(name) or ())]

    @property
    def folds(self) -> Sequence[Mapping[str, Any]]:
        """What metrics.json says of each fold."""
        found: Sequence[Mapping[str, Any]] = self.metrics.get("folds") or ()
        return found

    @property
    def is_network(self) -> bool:
        """Whether the model is a network."""
        return bool(self.group("model.network"))

    @property
    def was_tested(self) -> bool:
        """Whether anybody was tested."""
        return bool(self.metrics.get("test"))


def and_text(items: Sequence[str]) -> str:
    """Join items as a sentence does.

    >>> and_text(["a", "b", "c"]), and_text(["a"]), and_text([])
    ('a, b and c', 'a', '')
    """
    *others, last = items or [""]
    return f"{', '.join(others)} and {last}" if others else last


def by_text(sides: Sequence[int]) -> str:
    """Write the sides of a volume.

    >>> by_text([50, 50, 40])
    '50 x 50 x 40'
    """
    return " x ".join(map(str, sides))


def setting_text(value: object) -> str:
    """Write a setting, or several to choose from.

    >>> setting_text([0.1, 1.0, None]), setting_text(True), setting_text("batch")
    ('0.1, 1, null', 'yes', 'batch')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(setting_text, value)) if isinstance(value, list | tuple) else parameter_text(value)


def range_text(numbers: Sequence[int]) -> str:
    """Write a number of things that may differ between folds.

    >>> range_text([27, 26, 26]), range_text([20])
    ('26 to 27', '20')
    """
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"
