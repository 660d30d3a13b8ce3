"""How models of IXI travel: trained on its heads by either preprocessing, and tried on every scan of the shared data.

    python benchmarks/transfer.py                                      # all of them
    python benchmarks/transfer.py "sex linear_svm" --keep folder       # one of them; runs and pages are kept

Each model is trained by the command that users type, in five folds, which tests it on heads of its own scanner. Its
five models together then predict all heads, the brains of another study, one head in 16 axis orders and files that are
no head, with force=true, for the scores of scans that they would not predict by themselves. Seconds a scan are those of
predicting every fifth head of IXI by a command of its own, without heatmaps, and with an empty cache folder.
"""

import argparse
import csv
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from real_scans import ROOT, Data, say
from sklearn.metrics import balanced_accuracy_score, mean_absolute_error, roc_auc_score

from mri3d.parallel import num_cores

OTHERS = "depression-bids"
SETS = {
    "ixi": "ixi/T1/*.nii.gz",
    OTHERS: f"{OTHERS}/sub-*/anat/*.nii.gz",
    "axis-orders": "odd-scans/axis-orders/*.nii.gz",
    "dtypes": "odd-scans/dtypes/*.nii",
    "broken": "odd-scans/broken/*.nii*",
}
STATUSES = ("ok", "unusual", "outside", "failed")
OF_EACH = {"sex": "data.label=sex", "age": "data.label=age task=regression"}
BRAIN = "preprocess=brain"
MODELS = {
    "sex linear_svm": "model=linear_svm",
    "sex sfcn": "model=sfcn",
    "sex linear_svm brain": f"model=linear_svm {BRAIN}",
    "sex linear_svm brain 100": f"model=linear_svm {BRAIN} resolution=100 model.smoothing=0.015",
    "sex sfcn brain": f"model=sfcn {BRAIN}",
    "sex sfcn brain strong": f"model=sfcn {BRAIN} model.augmentation=strong",
    "age ridge": "model=ridge",
    "age sfcn": "model=sfcn",
    "age ridge brain": f"model=ridge {BRAIN}",
    "age sfcn brain": f"model=sfcn {BRAIN}",
    "age sfcn brain strong": f"model=sfcn {BRAIN} model.augmentation=strong",
}


def run(command: Sequence[str], folder: Path, cache: Path, *, statuses: Sequence[int] = (0,)) -> float:
    """Run a script of the project; return the seconds it took."""
    start = time.perf_counter()
    environment = os.environ | {"MRI3D_CACHE": str(cache)}
    done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode not in statuses:
        raise SystemExit(f"{shlex.join(command)} ended with {done.returncode}\n{done.stderr}")
    return time.perf_counter() - start


def sets_of(data: Data) -> dict[Path, str]:
    """Map each scan to the set that it belongs to."""
    return {path: each for each, pattern in SETS.items() for path in sorted(data.folder.glob(pattern))}


def known(data: Data, column: str) -> dict[str, str]:
    """Read what is true of the subjects of the other study."""
    with (data.folder / OTHERS / "participants.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    named = {"sex": "gender", "age": "age"}[column]
    return {row["participant_id"]: row[named].upper() for row in rows}


def scores_of(rows: Sequence[Mapping[str, str]], column: str, truth: Mapping[str, str]) -> str:
    """Score what was predicted of the other study."""
    whose = [row["scan"].removesuffix("_T1w") for row in rows]
    if column == "age":
        ages = [float(truth[subject]) for subject in whose]
        return f"MAE {mean_absolute_error(ages, [float(row['prediction']) for row in rows]):.1f}"
    male = [truth[subject] == "M" for subject in whose]
    auc = roc_auc_score(male, [float(row["p_M"]) for row in rows])
    return f"AUC {auc:.3f}, bacc {balanced_accuracy_score(male, [row['prediction'] == 'M' for row in rows]):.2f}"


def share(counts: Mapping[str, int]) -> str:
    """Write how many scans have each status."""
    return " / ".join(str(counts.get(status, 0)) for status in STATUSES)


def predict(
    name: str, model: Path, scans: Sequence[Path], folder: Path, cache: Path, *options: str
) -> tuple[list[dict[str, str]], float]:
    """Predict scans; return the rows of the table, and the seconds a scan took."""
    listed = ",".join(f"'{scan}'" for scan in scans)
    command = [str(ROOT / "predict.py"), f"model={model}", f"scans=[{listed}]", "heatmap=none", f"out={folder / name}"]
    seconds = run([*command, *options], folder, cache, statuses=(0, 1))
    with (folder / name / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file)), seconds / len(scans)


def tried(name: str, data: Data, folder: Path, cache: Path) -> None:
    """Train a model, try it on all scans, and print its row."""
    sets = {path.name.split(".")[0]: each for path, each in sets_of(data).items()}  # as predictions.csv names them
    column, slug = name.split()[0], name.replace(" ", "-")
    options = [*OF_EACH[column].split(), *MODELS[name].split()]
    model = folder / "runs" / slug
    ixi = [f"data.root={data.folder / 'ixi'}", "data.table=subjects.csv", "data.id=subject"]
    ixi += ["data.scan='T1/{id}_T1.nii.gz'", "evaluation=kfold", f"hydra.run.dir={model}"]
    training = run([str(ROOT / "train.py"), "data=table", *ixi, *options], folder, cache)
    metrics = json.loads((model / "metrics.json").read_text())
    test, scans = metrics["test"], metrics["scans"]
    told = (
        f"MAE {test['mae']['value']:.2f}"
        if column == "age"
        else f"AUC {test['auc']['value']:.3f}, bacc {test['balanced_accuracy']['value']:.3f}"
    )
    with tempfile.TemporaryDirectory() as empty:
        _, seconds = predict(f"{slug}-timed", model, data.ixi(5), folder, Path(empty))
    rows, _ = predict(slug, model, list(sets_of(data)), folder, cache, "force=true")
    by_set = {each: Counter(row["status"] for row in rows if sets[row["scan"]] == each) for each in SETS}
    others = [row for row in rows if sets[row["scan"]] == OTHERS and row["status"] != "failed"]
    scores = scores_of(others, column, known(data, column)) if others else "none"
    say(f"{name:26}{told:24}{share(scans):>18}   {scores:22}" + "".join(f"{share(by_set[each]):>18}" for each in SETS),
        f"{seconds:6.2f}{training:8.0f}")  # fmt: skip


def main() -> None:
    """Print a row for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="model", help=f"of {', '.join(MODELS)}")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--keep", type=Path, help="a folder for runs, predictions and their pages")
    parser.add_argument("--cache", type=Path, help="a cache folder in which training finds brains of earlier calls")
    arguments = parser.parse_args()
    if unknown := set(arguments.models) - set(MODELS):
        parser.error(f"no model {', '.join(sorted(unknown))}")
    say(f"{num_cores()} cores; statuses are {' / '.join(STATUSES)}")
    say(
        f"{'':26}{'ixi, held out':42}   {OTHERS:22}" + "".join(f"{each:>18}" for each in SETS),
        "   s a scan, s to train",
    )
    data = Data(arguments.data.resolve(), reasons=False)
    with tempfile.TemporaryDirectory() as scratch:
        folder = (arguments.keep or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for name in arguments.models or MODELS:
            tried(name, data, folder, (arguments.cache or folder / "cache").resolve())


if __name__ == "__main__":
    main()
