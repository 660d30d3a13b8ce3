"""Nested cross-validation of PCA and classical models: mri3d beside a scikit-learn pipeline, in one run.

    python benchmarks/nested_cv.py                                  # 1113 x 125000: the whole table, 6 minutes
    python benchmarks/nested_cv.py --shape 155 165 20 --gram-only   # a slab of native volumes: time and memory
    OPENBLAS_NUM_THREADS=1 taskset -c 0 python benchmarks/nested_cv.py --processor-seconds   # one core, if busy

The cohort is simulated: a mean, a spectrum that falls like that of real heads, labels that hang on 200 components. What
the pipeline takes is measured piece by piece on one inner and one outer fold; the whole is extrapolated, and marked.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import nibabel
import numpy as np
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC

from mri3d.models.classical.decisions import LinearDecision
from mri3d.models.classical.models import KNN, RBFSVM, LinearSVM, Logistic, Ridge
from mri3d.models.classical.search import inner_folds
from mri3d.models.model import TrainingSet
from mri3d.outcome import Classes
from mri3d.scans.scan import read_scan
from mri3d.volumes.cache import Volumes
from mri3d.volumes.recipe import Recipe
from mri3d.voxels.gram import gram
from mri3d.voxels.pca import GramPCA

C = (0.1, 1.0, 10.0, 100.0)
NUM_COMPONENTS = (10, 25, 50, 100, 250, 500)
SEED = 0
OUTCOME = Classes(("a", "b"))
NATIVE_VOXELS = 155 * 165 * 195
PROCESSOR_SECONDS = "--processor-seconds"

Result = TypeVar("Result")


def timed(function: Callable[[], Result]) -> tuple[Result, float]:
    """Call a function; return its result and the seconds it took."""
    clock = time.process_time if PROCESSOR_SECONDS in sys.argv else time.perf_counter
    start = clock()
    result = function()
    return result, clock() - start


def make_cohort(folder: Path, num_subjects: int, shape: tuple[int, int, int]) -> None:
    """Write scans and labels."""
    rng = np.random.default_rng(SEED)
    strengths = rng.standard_normal((num_subjects, num_subjects)) * np.arange(1, num_subjects + 1) ** -0.43
    volumes = np.empty((num_subjects, np.prod(shape)), dtype=np.float32)
    for start in range(0, volumes.shape[1], 10_000):
        block = volumes[:, start : start + 10_000]
        patterns = rng.standard_normal((num_subjects, block.shape[1]), dtype=np.float32)
        block[:] = strengths.astype(np.float32) @ patterns + 5 * rng.standard_normal(block.shape[1], dtype=np.float32)
    digests = []
    for number, volume in enumerate(volumes):
        nibabel.save(nibabel.Nifti1Image(volume.reshape(shape), np.eye(4)), folder / f"{number}.nii")
        digests.append(read_scan(folder / f"{number}.nii").digest)
    signal = (strengths / strengths.std(axis=0))[:, :200] @ rng.standard_normal(200) * 200**-0.5
    targets = (signal + 0.5 * rng.standard_normal(num_subjects) > 0).astype(int)
    facts = {"shape": shape, "targets": targets.tolist(), "digests": digests}
    (folder / "cohort.json").write_text(json.dumps(facts))


def read_cohort(folder: Path) -> tuple[Volumes, np.ndarray]:
    """Give the volumes, made of the scans unchanged, and the targets."""
    facts = json.loads((folder / "cohort.json").read_text())
    targets = np.array(facts["targets"])
    recipe = Recipe("native", orientation="stored", crop="none", intensity="none", shape=tuple(facts["shape"]))
    scans = [folder / f"{number}.nii" for number in range(len(targets))]
    return Volumes(scans, facts["digests"], recipe, folder=folder / "volumes"), targets


@contextmanager
def peak_memory() -> Iterator[Callable[[], float]]:
    """Watch this process's own memory, not the files that the system caches; give GiB above the start."""
    levels, stop = [_anonymous_kib()], threading.Event()

    def watch() -> None:
        while not stop.wait(0.01):
            levels.append(_anonymous_kib())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: (max(levels) - levels[0]) / 2**20
    finally:
        stop.set()
        thread.join()


def _anonymous_kib() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0])


def outer_folds(targets: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut the cohort into five."""
    return list(StratifiedKFold(5, shuffle=True, random_state=SEED).split(targets, targets))


def training_set(volumes: Volumes, targets: np.ndarray, rows: np.ndarray) -> TrainingSet:
    """Describe a fit on some rows."""
    nobody = np.array([], dtype=np.int64)
    return TrainingSet(volumes, OUTCOME, targets, np.arange(len(targets)), rows, nobody, SEED, Path())


def run_gram(folder: Path) -> dict[str, Any]:
    """Measure the Gram matrix alone."""
    volumes, _ = read_cohort(folder)
    with peak_memory() as peak:
        _, seconds = timed(lambda: gram(volumes))
        return {"gram_s": seconds, "gram_gib": peak()}


def run_ours(folder: Path) -> dict[str, Any]:
    """Measure everything of ours in a process of its own."""
    facts = run_gram(folder)
    volumes, targets = read_cohort(folder)
    folds, products = outer_folds(targets), gram(volumes).products
    train, test = folds[0]

    def fold_pca() -> np.ndarray:
        return GramPCA.fit(products[np.ix_(train, train)]).scores(products[np.ix_(test, train)])

    facts["fold_pca_s"] = timed(fold_pca)[1]
    with peak_memory() as peak:
        model = LinearSVM(C=C, num_components=NUM_COMPONENTS)
        facts["linear_svm, 4 x 6 values"] = nested(model, volumes, targets)
        facts["nested_gib"] = peak()
    model.fit(training_set(volumes, targets, train))
    assert isinstance(model.decision_, LinearDecision)
    facts["chosen"] = model.chosen_
    facts["inner_auc"] = model.search_.validation_scores[:, 0].tolist()
    facts["decisions"] = (model.projection_.scores(volumes, test)[0] + model.decision_.intercepts)[:, 0].tolist()
    for other in (Logistic(), LinearSVM(), RBFSVM(), KNN(), Ridge()):
        facts[f"{other.name}, its own grid"] = nested(other, volumes, targets)
    return facts


def nested(model: Any, volumes: Volumes, targets: np.ndarray) -> dict[str, float]:  # noqa: ANN401 (any of ours)
    """Tune, fit and test a model on five outer folds."""
    proba = np.empty(len(targets))

    def run() -> None:
        for train, test in outer_folds(targets):
            model.fit(training_set(volumes, targets, train))
            proba[test] = model.predict(volumes, test)[:, 1]

    _, seconds = timed(run)
    return {"seconds": seconds, "auc": roc_auc_score(targets, proba), "accuracy": ((proba > 0.5) == targets).mean()}


def run_peer(folder: Path, chosen: dict[str, Any]) -> dict[str, Any]:
    """Measure scikit-learn on one inner and one outer fold, in float64 as ours, and its PCA in float32 as well."""
    volumes, targets = read_cohort(folder)
    train, test = outer_folds(targets)[0]
    whole = volumes.block(range(len(volumes)), slice(None)).astype(np.float64)
    learn, held_out = inner_folds(OUTCOME, targets[train], train, num_folds=5, seed=SEED)[0]
    learn, held_out = train[learn], train[held_out]
    pca, inner_s = timed(lambda: PCA(max(NUM_COMPONENTS), svd_solver="full").fit(whole[learn]))
    single = whole[learn].astype(np.float32)
    _, inner_single_s = timed(lambda: PCA(max(NUM_COMPONENTS), svd_solver="full").fit(single))
    scores, transform_s = timed(lambda: (pca.transform(whole[learn]), pca.transform(whole[held_out])))
    unit = unit_of(whole[learn])

    def grid() -> list[float]:
        return [
            roc_auc_score(
                targets[held_out],
                SVC(C=value, kernel="linear")
                .fit(scores[0][:, :count] / unit, targets[learn])
                .decision_function(scores[1][:, :count] / unit),
            )
            for count in NUM_COMPONENTS
            for value in C
        ]

    inner_auc, grid_s = timed(grid)
    pca, outer_s = timed(lambda: PCA(max(NUM_COMPONENTS), svd_solver="full").fit(whole[train]))
    count, unit = chosen["num_components"], unit_of(whole[train])
    svm = SVC(C=chosen["C"], kernel="linear").fit(pca.transform(whole[train])[:, :count] / unit, targets[train])
    return {
        "inner_pca_s": inner_s,
        "inner_single_s": inner_single_s,
        "outer_pca_s": outer_s,
        "transform_s": transform_s,
        "grid_s": grid_s,
        "inner_auc": inner_auc,
        "decisions": svm.decision_function(pca.transform(whole[test])[:, :count] / unit).tolist(),
    }


def unit_of(rows: np.ndarray) -> np.ndarray:
    """Give the root mean square distance of rows from their mean, in which C of ours counts."""
    return np.sqrt(((rows - rows.mean(axis=0, dtype=np.float64)) ** 2).sum(axis=1).mean())


def main() -> None:
    """Make the cohort, measure ours in a fresh process and the peer here, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=1113)
    parser.add_argument("--shape", type=int, nargs=3, default=(50, 50, 50))
    parser.add_argument("--gram-only", action="store_true")
    parser.add_argument(PROCESSOR_SECONDS, action="store_true", help="for a busy machine; say OPENBLAS_NUM_THREADS=1")
    parser.add_argument("--measure", choices=["gram", "ours"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps((run_gram if arguments.measure == "gram" else run_ours)(arguments.folder)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_cohort(folder, arguments.subjects, tuple(arguments.shape))
        read_cohort(folder)[0].fill()
        size = f"{arguments.subjects} x {np.prod(arguments.shape)}"
        ours = measure_apart(folder, "gram" if arguments.gram_only else "ours")
        native = ours["gram_s"] * NATIVE_VOXELS / np.prod(arguments.shape)
        made = f"{size}, simulated" + (", processor seconds" if arguments.processor_seconds else "")
        print(f"| {made} | mri3d | scikit-learn |\n|---|---|---|")
        print(f"| Gram matrix, once for the study | {ours['gram_s']:.1f} s, {ours['gram_gib']:.2f} GiB | |")
        print(f"| the same for {NATIVE_VOXELS:,} voxels, extrapolated | {native:.0f} s | |")
        if not arguments.gram_only:
            print_comparison(ours, run_peer(folder, ours["chosen"]))


def measure_apart(folder: Path, what: str) -> dict[str, Any]:
    """Measure ours in a fresh process, with a cache folder of its own."""
    busy = [PROCESSOR_SECONDS] if PROCESSOR_SECONDS in sys.argv else []
    command = [sys.executable, __file__, "--measure", what, "--folder", str(folder), *busy]
    environment = {**os.environ, "MRI3D_CACHE": str(folder / "cache")}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def print_comparison(ours: dict[str, Any], peer: dict[str, Any]) -> None:
    """Print the rest of the table."""
    svm = ours["linear_svm, 4 x 6 values"]
    total = svm["seconds"] + ours["gram_s"]
    shared = 5 * peer["outer_pca_s"] + 25 * (peer["grid_s"] + peer["transform_s"])
    fits = 25 * len(NUM_COMPONENTS)
    extrapolated = {
        "pipeline, PCA cached": shared + fits * peer["inner_pca_s"],
        "the same with PCA in float32": shared + fits * peer["inner_single_s"],
        "one PCA for each fold, truncated by hand": shared + 25 * peer["inner_pca_s"],
    }
    agree = np.mean(np.sign(ours["decisions"]) == np.sign(peer["decisions"]))
    apart = np.abs(np.subtract(ours["inner_auc"], peer["inner_auc"])).max()
    print(f"| PCA of one outer fold, with test scores | {ours['fold_pca_s']:.2f} s | {peer['outer_pca_s']:.1f} s |")
    print(f"| PCA of one inner fold | | {peer['inner_pca_s']:.1f} s, {peer['inner_single_s']:.1f} s in float32 |")
    print(f"| 24 linear SVMs of one inner fold | | {peer['grid_s']:.1f} s |")
    print(
        f"| nested 5 x 5, linear SVM, 4 x 6 values, Gram matrix included | {total:.1f} s, {ours['nested_gib']:.2f} GiB "
        f"beyond the data | |"
    )
    for what, seconds in extrapolated.items():
        print(f"| | | {seconds:.0f} s extrapolated ({what}): {seconds / total:.0f} x |")
    print(f"| same class for the test rows of outer fold 0 | {agree:.1%} | |")
    print(f"| largest difference of the 24 AUCs of inner fold 0 | {apart:.1e} | |")
    for name, facts in ours.items():
        if isinstance(facts, dict) and "auc" in facts:
            told = f"{facts['seconds']:.1f} s, AUC {facts['auc']:.3f}, accuracy {facts['accuracy']:.3f}"
            print(f"| nested {name} | {told} | |")


if __name__ == "__main__":
    main()
