"""A run directory: claimed before any work, and known again when the run is gone on with."""

import csv
import functools
import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from mri3d.cohort.cohort import Cohort
from mri3d.csv_files import csv_cells
from mri3d.errors import UserError
from mri3d.evaluation.folds import Fold, fold_texts
from mri3d.files import as_utf8, write_bytes, write_json, write_text
from mri3d.temporaries import sweep
from mri3d.texts import list_text

_Facts = dict[str, str | bool]
_IDENTITY = ("subject", "participant", "label", "fold", "left_out", "digest", "group", "site")
_MAX_PATH_BYTES = 1 << 14  # with what is said of a scan, and its quotes


def claim(
    folder: Path, cohort: Cohort, folds: Sequence[Fold], configuration: Mapping[str, Any] | None, *, resumed: bool
) -> None:
    """Make the run directory, or make sure that the one to go on with is of the same cohort and folds.

    Scans may lie elsewhere by then: they are known by their digests.

    Args:
        folder: The run directory.
        cohort: Everybody, for `cohort.csv`.
        folds: Who trains and who is tested.
        configuration: For `config.yaml`; without, none is written, and the folder may be there.
        resumed: Whether the directory is there already, of a run that was cut off.

    Raises:
        UserError: The directory is another run's, or training rows of the cut-off part could be test rows by now.
    """
    table = _cohort_table(cohort, folds)
    if resumed:
        if told := _difference(folder / "cohort.csv", table):
            raise UserError(
                f"the cohort is not the one that {folder} began with: its cohort.csv has {told}. Sessions that it has "
                "learnt from could be tested. Start a new run."
            )
        return
    try:
        folder.mkdir(parents=True, exist_ok=configuration is None)
    except FileExistsError:
        raise UserError(f"{folder} is there already. Start again, or give the run a name of its own.") from None
    try:
        if configuration is not None:
            write_text(folder / "config.yaml", as_yaml(configuration))
            _sweep_runs(folder.parent)
        write_bytes(folder / "cohort.csv", table)
    except OSError:
        if configuration is not None:  # the folder was made just now, and without its cohort it is no run
            shutil.rmtree(folder, ignore_errors=True)
        raise


def renew(
    folder: Path, cohort: Cohort, folds: Sequence[Fold], configuration: Mapping[str, Any] | None, *, moved: bool
) -> None:
    """Bring a run that is gone on with up to date: where its scans lie now, and what killed processes left.

    Args:
        folder: The run directory, claimed.
        cohort: As for `claim`.
        folds: As for `claim`.
        configuration: As for `claim`.
        moved: Whether the configuration says of places what that of the run did not.
    """
    sweep(folder, beneath=True)
    if moved and configuration is not None:
        write_text(folder / "config.yaml", as_yaml(configuration))
    table, path = _cohort_table(cohort, folds), folder / "cohort.csv"
    if path.read_bytes() != table:
        write_bytes(path, table)


@functools.cache
def _sweep_runs(folder: Path) -> None:
    """Remove what killed processes left in the runs of a folder, once."""
    for cohort in folder.glob("*/cohort.csv"):
        if (cohort.parent / "config.yaml").exists():
            sweep(cohort.parent, beneath=True)


def _cohort_table(cohort: Cohort, folds: Sequence[Fold]) -> bytes:
    """Write `cohort.csv`."""
    return as_utf8(cohort.to_csv(dict(zip(cohort.ids, fold_texts(folds, len(cohort.ids)), strict=True))))


def _difference(path: Path, table: bytes) -> str:
    """Describe what a `cohort.csv` has that this one has not; empty where they are the same.

    Where scans lie is no difference, nor how what is wrong with one is worded, nor their figures.
    """
    expected, found = _facts(table), list[_Facts]()
    with suppress(OSError, ValueError, csv.Error):
        longest = len(table) + _MAX_PATH_BYTES * len(expected)
        if path.is_file() and path.stat().st_size <= longest:
            found = _facts(path.read_bytes())
    if found == expected:
        return ""
    sessions, others = ([row | {"fold": ""} for row in rows] for rows in (expected, found))
    if sessions != others and sorted(sessions, key=str) == sorted(others, key=str):
        return (
            "the same sessions in another order, as that of a run may have which an earlier version began: since "
            "mri3d 0.3 they are taken in order of their ids, and the folds depend on it"
        )
    undigested = [[row | {"digest": ""} for row in rows] for rows in (expected, found)]
    if undigested[0] == undigested[1]:
        names = [str(now["subject"]) for now, then in zip(expected, found, strict=True) if now != then]
        return f"other digests of scans, which have changed since: {list_text(names, ', ')}"
    return "other scans, labels or folds"


def _facts(table: bytes) -> list[_Facts]:
    """Read of a `cohort.csv` all by which a run is known, which earlier versions wrote too."""
    facts: list[_Facts] = []
    for row in csv_cells(table.decode()):
        facts.append({name: cell for name, cell in row.items() if name in _IDENTITY or name.startswith("covariate_")})
        facts[-1]["left_out"] = bool(row.get("left_out"))
    return facts


def claim_evaluation(folder: Path, settings: Mapping[str, Any], *, resumed: bool) -> None:
    """Note in `evaluation.json` what the library evaluates in a folder, and refuse to go on with something else.

    Args:
        folder: Need not be there.
        settings: What decides the result, JSON values by name.
        resumed: Whether something was evaluated there already.

    Raises:
        UserError: The folder is of something else.
    """
    noted = folder / "evaluation.json"
    if not resumed:
        write_json(noted, dict(settings))
        return
    try:
        found = json.loads(noted.read_bytes())
    except (OSError, ValueError, RecursionError):
        found = {}
    found = found if isinstance(found, dict) else {}
    if other := [name for name, value in settings.items() if found.get(name) != value]:
        recipe = str(found.get("recipe"))
        begun_before = "recipe" in other and recipe.startswith("Recipe(") and "version=" not in recipe
        hint = " One that mri3d up to 0.2 began goes on with version=1 of its recipe." if begun_before else ""
        raise UserError(
            f"{folder} is of an evaluation with another {' and '.join(other)}, whose checkpoints would be taken for "
            f"this one's. Give each evaluation a folder of its own.{hint}"
        )


def as_yaml(configuration: Mapping[str, Any]) -> str:
    """Write a configuration as text, keys in their order."""
    return yaml.safe_dump(dict(configuration), sort_keys=False, allow_unicode=True)
