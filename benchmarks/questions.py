"""What the questions beside an evaluation cost: confounds, validation on other people, and what else differs.

    python benchmarks/questions.py                                  # five minutes, on the heads in ../shared/data/ixi

Two commands at a time run in turns: nested linear_svm of sex without and with `evaluation.confounds`; and `predict` and
`validate` of 50 heads by a model of the others. Shown are the median of each, and that of the ratios of neighbours.
Associations are tested on made-up sessions with nine columns of numbers and three of categories, of which one has too
many for the usual approximation.
"""

import argparse
import csv
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from mri3d.cohort.variables import Variable
from mri3d.evaluation.associations import associations
from mri3d.outcome import Classes
from mri3d.parallel import num_cores

ROOT = Path(__file__).resolve().parent.parent
NUM_NEW = 50
NUM_SESSIONS = 1113


def run(cache: Path, script: Sequence[object], *arguments: object) -> float:
    """Run a command of mri3d; return how many seconds it took."""
    environment = os.environ | {"MRI3D_CACHE": str(cache)}
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, *map(str, script), *map(str, arguments)],
        check=True,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - start


def in_turns(first: Callable[[], float], second: Callable[[], float], repeats: int) -> tuple[float, float, float]:
    """Return the median of each, and that of the ratios second to first; either starts as often as the other."""
    pairs = []
    for number in range(repeats):
        if number % 2:
            later = second()
            pairs.append((first(), later))
        else:
            pairs.append((first(), second()))
    return median(one for one, _ in pairs), median(other for _, other in pairs), median(b / a for a, b in pairs)


def seconds_of_associations() -> float:
    """Return how long 12 made-up columns are held against two classes."""
    random = np.random.default_rng(0)
    targets = random.integers(2, size=NUM_SESSIONS)
    numbers = [Variable(f"number{n}", random.standard_normal(NUM_SESSIONS)) for n in range(9)]
    categories = [Variable(f"category{n}", random.choice(list("abcdef"), NUM_SESSIONS)) for n in range(2)]
    categories += [Variable("rare", random.integers(400, size=NUM_SESSIONS).astype(np.str_))]  # tested by permutations
    outcome, people = Classes(("control", "patient"), name="group"), np.arange(NUM_SESSIONS)
    start = time.perf_counter()
    associations(outcome, targets, people, numbers + categories)
    return time.perf_counter() - start


def measure(root: Path, folder: Path, repeats: int) -> dict[str, tuple[float, float, float]]:
    """Run the pairs of commands.

    Args:
        root: Folder of IXI.
        folder: For tables, runs and caches.
        repeats: How often each pair.

    Returns:
        Name of a pair, to the median seconds of the first and of the second, and the median ratio.
    """
    with (root / "subjects.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["sex"]]
    scans = [f"data.root={root.resolve()}", "data.id=subject", "data.scan='T1/{id}_T1.nii.gz'", "data.label=sex"]
    people = {}
    for name, part in (("all", rows), ("old", rows[NUM_NEW:]), ("new", rows[:NUM_NEW])):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(part)
        people[name] = ["data=table", *scans, f"data.table={folder / name}.csv"]
    new = folder / "new"
    new.mkdir()
    for row in rows[:NUM_NEW]:
        name = f"{row['subject']}_T1.nii.gz"
        (new / name).symlink_to(root.resolve() / "T1" / name)
    cache, train = folder / "cache", [ROOT / "train.py"]
    nested = [*people["all"], "model=linear_svm", "evaluation=nested"]
    model = folder / "model"
    run(cache, train, *people["old"], "model=linear_svm", f"hydra.run.dir={model}")
    run(cache, train, *nested, f"hydra.run.dir={folder / 'first'}")  # the others find its cache
    outs = (folder / str(number) for number in itertools.count())

    def plain() -> float:
        return run(cache, train, *nested, f"hydra.run.dir={next(outs)}")

    def confounds() -> float:
        return run(cache, train, *nested, "evaluation.confounds=[age,icv_mm3]", f"hydra.run.dir={next(outs)}")

    def predict() -> float:
        script, out = [ROOT / "predict.py"], next(outs)
        return run(cache, script, f"model={model}", f"scans='{new}/*.nii.gz'", "heatmap=none", f"out={out}")

    def validate() -> float:
        out = next(outs)
        fresh = out.with_name(f"{out.name}-cache")
        return run(fresh, ["-m", "mri3d", "validate"], f"model={model}", *people["new"], f"out={out}")

    return {
        "evaluation.confounds=[age,icv_mm3] against none": in_turns(plain, confounds, repeats),
        f"validate {NUM_NEW} scans against predict": in_turns(predict, validate, repeats),
    }


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=ROOT.parent / "shared" / "data" / "ixi", help="folder of IXI")
    parser.add_argument("--repeats", type=int, default=6)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(arguments.root, Path(folder), arguments.repeats)
    print(f"{num_cores()} cores, medians of {arguments.repeats} pairs of commands, seconds from start to end")
    for name, (first, second, ratio) in found.items():
        print(f"{name:50}{first:8.1f}{second:8.1f}{ratio:8.2f} x")
    seconds = [seconds_of_associations() for _ in range(arguments.repeats)]
    print(f"{f'12 columns of {NUM_SESSIONS} sessions held against classes':50}{median(seconds):8.2f}")
    print(f"load of the machine {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
