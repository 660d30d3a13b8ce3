"""`mri3d compare`: finished runs beside each other, where they were tested on the same."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from mri3d.cli.overrides import hydra_overrides
from mri3d.cli.run_settings import read_configuration
from mri3d.cli.status import exit_status, invocation
from mri3d.cli.sweep import aligned
from mri3d.errors import UserError, option
from mri3d.files import check_folder

KEYS = ("out", "debug")
TABLE, REPORT = "comparison.csv", "report.html"


def main(arguments: list[str]) -> int:
    """Run the command line; return its exit status."""
    return exit_status(lambda: _run(arguments), debug="debug=true" in arguments)


def compare(folders: Sequence[Path], out: Path) -> list[str]:
    """Compare runs; write `comparison.csv` and `report.html`.

    Args:
        folders: Of two or more runs.
        out: Where to write; it may be there, but holds neither file.

    Returns:
        Lines for the user: a table, what it comes to, and where the files lie.

    Raises:
        UserError: They are no finished runs of the same tests, or `out` cannot be used.
    """
    if len(folders) < 2:
        given = "one run is" if folders else "no run is"
        raise UserError(f"{given} given. Give two or more: {invocation('compare')} runs/a runs/b")
    if twice := [folder for number, folder in enumerate(folders) if _is_among(folder, folders[:number])]:
        raise UserError(f"{twice[0]} is given twice. Give each run once.")
    check_folder(out, "out")
    from mri3d.cli.compared_runs import compare_runs, comparison_rows  # here: they import much
    from mri3d.csv_files import write_csv
    from mri3d.evaluation.recorded_tests import RecordedTests
    from mri3d.model_places import check_replaceable
    from mri3d.report.comparison_page import write_comparison_page

    check_replaceable(out)
    _check_nothing_there(out)
    recorded = [RecordedTests.read(folder) for folder in folders]
    compared = compare_runs(dict(zip(run_names(folders), recorded, strict=True)))
    write_csv(out / TABLE, comparison_rows(compared))
    write_comparison_page(out / REPORT, compared)
    table = [line.rstrip() for line in aligned(*compared.table(compared.shown))]
    return [*table, "", *compared.conclusions(), "", f"table  {out / TABLE}", f"report {out / REPORT}"]


def run_names(folders: Sequence[Path]) -> list[str]:
    """Name runs as short as tells them apart: by their models, or by where their paths part, or by their paths."""
    parts = [folder.absolute().parts for folder in folders]
    alike = 0
    while len({each[: alike + 1] for each in parts}) == 1:
        alike += 1
    ways: list[Callable[[int], str]] = [
        lambda number: _model_name(folders[number]),
        lambda number: parts[number][alike] if alike < len(parts[number]) else "",
        lambda number: str(folders[number]),
    ]
    for way in ways:
        names = [way(number) for number in range(len(folders))]
        if all(names) and max(Counter(names).values()) == 1:
            return names
    raise AssertionError("each run is given once")


def _run(arguments: Sequence[str]) -> int:
    """Read the command line, compare, and print what that gives."""
    options = [argument for argument in arguments if argument.startswith("-") or _is_option(argument)]
    if marked := [argument for argument in options if argument.startswith("-")]:
        raise UserError(f"{marked[0]!r} is neither a run nor of the form key=value (keys: {', '.join(KEYS)}).")
    hydra_overrides(options, groups=[], keys=KEYS)  # refuses other keys
    given = {key: value for key, _, value in (each.partition("=") for each in options)}
    out = given.get("out", f"runs/{datetime.now():%Y-%m-%d_%H-%M-%S-%f}-comparison")
    if not out.strip():
        raise UserError(f"{option('out')} is empty. Give the folder for the results.")
    folders = [Path(argument) for argument in arguments if argument not in options]
    print(*compare(folders, Path(out)), sep="\n", flush=True)
    return 0


def _is_option(argument: str) -> bool:
    """Return whether an argument is `key=value` and no folder that is called so."""
    key, equals, _ = argument.partition("=")
    return bool(equals) and (key in KEYS or (bool(re.fullmatch(r"[\w.]+", key)) and not Path(argument).exists()))


def _is_among(folder: Path, others: Sequence[Path]) -> bool:
    return folder.resolve() in [other.resolve() for other in others]


def _model_name(folder: Path) -> str:
    """Return the class of a run's network, or of its model where it has none; nothing where that is not known."""
    try:
        model = read_configuration(folder)["model"]
        return str(model.get("network", model)["_target_"]).rpartition(".")[2]
    except (UserError, LookupError, AttributeError, TypeError):
        return ""


def _check_nothing_there(out: Path) -> None:
    """Refuse a folder that holds what would be replaced.

    Raises:
        UserError: It does.
    """
    if there := [str(out / name) for name in (TABLE, REPORT) if (out / name).exists() or (out / name).is_symlink()]:
        verb, them = ("is", "it") if len(there) == 1 else ("are", "them")
        raise UserError(
            f"{' and '.join(there)} {verb} there already, and would be replaced. Remove {them}, or set another "
            f"{option('out')}."
        )
