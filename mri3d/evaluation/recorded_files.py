"""The files of a finished run, read as what somebody else may have written there, and what is no run told apart."""

import csv
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from mri3d.csv_files import csv_cells
from mri3d.errors import UserError, option
from mri3d.files import what_is
from mri3d.model_folder import CARD
from mri3d.texts import list_text

METRICS, PREDICTIONS, COHORT = "metrics.json", "predictions.csv", "cohort.csv"

MAX_BYTES = 1 << 28
"""Of each file; a million tests take no more."""

_FAILURES = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, csv.Error)


def check_run(folder: Path) -> None:
    """Refuse what is no finished run, and say what it is.

    Raises:
        UserError: It is none.
    """
    example = "Give a finished run, such as runs/demo-sfcn-50/<timestamp>."
    if not folder.is_dir():
        of_run = folder.is_file() and (folder.parent / METRICS).is_file()
        raise UserError(f"{folder} {what_is(folder)}. {f'Give its run: {folder.parent}' if of_run else example}")
    if (folder / METRICS).exists():
        if lacking := [name for name in (PREDICTIONS, COHORT) if not (folder / name).exists()]:
            raise UserError(
                f"{folder} has no {' and no '.join(lacking)}, of which its tests are read. Copy the run whole."
            )
        return
    if (folder / CARD).exists() or any(folder.glob(f"fold_*/{CARD}")):
        above = [run for run in (folder / "..", folder / "../..") if (run / METRICS).exists()]
        way_out = f"Give the run that it lies in: {os.path.normpath(above[0])}" if above else example
        raise UserError(f"{folder} is a model, which does not say how its tests came out. {way_out}")
    if (folder / "config.yaml").exists() and (folder / COHORT).exists():
        raise UserError(
            f"{folder} has no {METRICS}: the run was cut off, or is at work still. Wait for it, or train on with "
            f"{option('resume', str(folder))}"
        )
    if (folder / "evaluation.json").exists():
        raise UserError(
            f"{folder} is of mri3d.evaluate, which keeps no tests. Compare its results: mri3d.compare(...)."
        )
    raise UserError(f"{folder} is no run: it has no {METRICS}. {_runs_beneath(folder) or example}")


def _runs_beneath(folder: Path) -> str:
    """Name in a sentence the newest runs in a folder of runs, or those of a sweep; empty where there are none."""
    found = [*folder.glob(f"*/{METRICS}"), *folder.glob(f"*/*/{METRICS}")]
    newest = [str(path.parent) for path in sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)]
    if newest:
        whose = (
            f"{len(newest)} folders in it are runs, the newest first" if len(newest) > 1 else "A folder in it is one"
        )
        return f"{whose}: {list_text(newest, ', ', most=3)}"
    with suppress(OSError, ValueError, csv.Error):
        rows = csv_cells((folder / "models.csv").read_text(encoding="utf-8"))
        if runs := [row["run"] for row in rows if row.get("run")]:
            return f"It has the scores of a sweep, whose runs are, the best first: {list_text(runs, ', ', most=3)}"
    return ""


def read_metrics(path: Path) -> dict[str, Any]:
    """Read metrics.json."""
    with described(path):
        found = json.loads(_text(path), parse_constant=_refuse_constant)
        if not isinstance(found, dict):
            raise ValueError("it holds no names with values")
        return found


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read a table of a run, which must have some columns."""
    text = _text(path)
    if not text.endswith("\n"):
        raise ValueError("its last line is cut off")
    rows = list(csv_cells(text))
    if not rows:
        raise ValueError("it has no rows")
    if missing := [column for column in columns if column not in rows[0]]:
        raise ValueError(f"it has no column {', '.join(missing)}")
    return rows


@contextmanager
def described(path: Path) -> Iterator[None]:
    """Turn what fails in the block into a message that names the file.

    Raises:
        UserError: Something failed.
    """
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}. Mend that, or copy the run.") from error
    except _FAILURES as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise UserError(f"{path} is damaged: {reason}. Copy the run again, whole.") from error


def _text(path: Path) -> str:
    """Read a file of a run if it is one, and of bearable size."""
    if not path.is_file():  # reading a pipe would wait for ever
        raise ValueError(f"it {what_is(path)}")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES >> 20} MiB")
    return path.read_bytes().decode()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it has {name}, which JSON has not")
