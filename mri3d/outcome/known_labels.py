"""Labels of people whom a model never saw, held against what the model predicts."""

from collections import Counter
from collections.abc import Mapping, Sequence

from mri3d.cohort.missing import missing_codes
from mri3d.errors import UserError, did_you_mean, option
from mri3d.texts import list_text, number_text, parse_number


def check_known_classes(labels: Mapping[str, str], names: Sequence[str], source: str) -> None:
    """Refuse labels that are no classes of a model.

    Args:
        labels: Id of each labelled session to its cell.
        names: Of the model's classes.
        source: Where the cells stand, to begin a message: "column 'sex' of subjects.csv".

    Raises:
        UserError: There are some; each is named and counted.
    """
    counts = Counter(label for label in labels.values() if label not in names)
    if not counts:
        return
    told = [f"{name!r} ({number_text(number, 'session')})" for name, number in sorted(counts.items())]
    verb = "is no class" if len(counts) == 1 else "are no classes"
    if len(counts) < len(set(labels.values())):
        way_out = f"name them in {option('data.unlabelled')}, and their sessions are left out"
    else:
        way_out = f"set {option('data.label')} to the column that has them"
    raise UserError(
        f"the model predicts {_and(names)}, and {source} has {list_text(told, ', ')}, which {verb} of it."
        f"{did_you_mean(next(iter(sorted(counts))), names)} Write the classes as the model does, or {way_out}."
    )


def check_known_measure(labels: Mapping[str, str], name: str, source: str) -> None:
    """Refuse labels that are no values of a measure.

    Args:
        labels: Id of each labelled session to its cell.
        name: Of the measure.
        source: As for classes.

    Raises:
        UserError: Cells are no numbers, or look like codes for missing values.
    """
    numbers = {row: parse_number(cell) for row, cell in labels.items()}
    if wrong := [f"{row} has {labels[row]!r}" for row, number in numbers.items() if number is None]:
        raise UserError(
            f"the model predicts a number, {name}, and {source} holds "
            f"{number_text(len(wrong), 'cell', 'that is none', 'that are none')}: {list_text(wrong)}. Set "
            f"{option('data.label')} to the column that has it, or name what means that nothing is known in "
            f"{option('data.unlabelled')}."
        )
    if codes := missing_codes([number for number in numbers.values() if number is not None]):
        shown = list_text([f"{code:g}" for code in sorted(codes)], ", ")
        raise UserError(
            f"{source} holds {shown}, far from all other values, as studies write where a value is missing. Leave such "
            f"sessions out with {option('data.unlabelled', sorted(codes))}, or empty the cells."
        )


def _and(names: Sequence[str]) -> str:
    """Join names: "F and M"."""
    *others, last = names
    return f"{list_text(others, ', ', most=20)} and {last}"
