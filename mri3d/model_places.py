"""Where model folders lie in a run, and where they may be written."""

import csv
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mri3d.csv_files import csv_cells
from mri3d.errors import UserError, option
from mri3d.files import what_is
from mri3d.model_folder import CARD
from mri3d.texts import list_text

_FOLD = re.compile("0|[1-9][0-9]*")


def model_folders(path: Path) -> list[Path]:
    """Find the model folders of a run: one after a hold-out, one per fold under k-fold.

    Args:
        path: A run, its `model` folder, or one `fold_<k>` beneath it.

    Raises:
        UserError: There is none.
    """
    if not path.is_dir():
        found = what_is(path)
        told = found if "link" in found else "is no folder"
        raise UserError(f"{path} {told}. Give a run, such as runs/demo-sfcn-50/<timestamp>.")
    for folder in (path, path / "model"):
        if (folder / CARD).is_file():
            return [folder]
        folds = {card.parent.name.removeprefix("fold_"): card.parent for card in folder.glob(f"fold_*/{CARD}")}
        if written := [name for name in folds if _FOLD.fullmatch(name)]:  # a copy may be fold_3_old
            return [folds[name] for name in sorted(written, key=int)]
    told = f"{path} holds no model: no {CARD} in it, in its model folder or in fold_<k> beneath."
    raise UserError(f"{told} {_runs_with_models(path)}".rstrip())


def _runs_with_models(path: Path) -> str:
    """Name in a sentence the newest runs in a folder of runs, or the best of a sweep; empty where there are none."""
    written: dict[Path, int] = {}
    for runs in ("*", "*/*"):
        for depth, end in enumerate((f"model/{CARD}", f"model/fold_*/{CARD}"), start=1):
            cards = path.glob(f"{runs}/{end}")
            written |= {card.parents[depth]: card.stat().st_mtime_ns for card in cards}
    if newest := sorted(written, key=written.__getitem__, reverse=True):
        whose = f"{len(newest)} runs in it do, the newest first" if len(newest) > 1 else "A run in it does"
        return f"{whose}: {list_text([str(run) for run in newest], ', ', most=3)}"
    with suppress(OSError, ValueError, csv.Error):
        rows = csv_cells((path / "models.csv").read_text(encoding="utf-8"))
        if best := [row["run"] for row in rows if row.get("run") and Path(row["run"]).is_dir()]:
            return f"It has the scores of a sweep, whose best run is: {best[0]}"
    return ""


def check_replaceable(out: Path) -> None:
    """Refuse a folder for results that is a run or a model, whose own files they would replace.

    Raises:
        UserError: It is one.
    """
    if (out / "config.yaml").exists() or (out / CARD).exists():
        where = option("out", str(out))
        raise UserError(f"{where} holds a run or a model, whose own files would be replaced. Set another out.")


def check_own(out: Path, mark: str) -> None:
    """Refuse a folder for results that holds anything but what an earlier call of the same command left.

    Args:
        out: The folder; it need not be there.
        mark: The file that tells a folder of that command from others.

    Raises:
        UserError: It does.
    """
    check_replaceable(out)
    if out.is_dir() and any(out.iterdir()) and not (out / mark).is_file():
        raise UserError(
            f"{option('out', str(out))} holds files that are of no earlier call. Set another {option('out')}."
        )


def places_of(folder: Path, folds: Sequence[int]) -> list[Path]:
    """Return where models are written: the folder itself for one, `fold_<number>` beneath it for those of folds.

    Args:
        folder: Need not be there.
        folds: Number of each fold; empty for a single model.

    Raises:
        UserError: A model that is none of these lies there, and would be loaded with them or in their place.
    """
    places = [folder / f"fold_{number}" for number in folds] or [folder]
    for card in (folder / CARD, *sorted(folder.glob(f"fold_*/{CARD}"))):
        if card.exists() and card.parent not in places:
            raise UserError(f"{folder} holds another model ({card}). Remove it, or save to a folder of its own.")
    return places
