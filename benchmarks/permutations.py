"""Time 1,000 permutations of nested classical models: mri3d beside a loop over scikit-learn pipelines, in one process.

    python benchmarks/permutations.py                                    # ridge on a simulated cohort of 1113 x 125000
    python benchmarks/permutations.py --root ../shared/data/ixi --model linear_svm           # 131 real heads, sex

Five outer folds, five inner ones, the model's own grid of 6 numbers of components and 4 settings. Splits stay; for each
permutation the inner choice, the calibration and the fits are done again. The loop is measured on one inner fold, piece
by piece: a PCA, and the fits of the grid. The whole is extrapolated, and marked with `~`. Seconds are wall time, and
processor time in brackets, which is what counts where other work shares the machine.
"""

import argparse
import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.svm import SVC

from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.evaluation.permutations import PermutationTest, permutation_test
from mri3d.evaluation.permuted_targets import permuted_targets
from mri3d.evaluation.splits import KFold
from mri3d.models.classical.models import ClassicalModel, LinearSVM, Ridge
from mri3d.study import Study
from mri3d.voxels.gram import gram

SEED = 0
NUM_FOLDS = 5
MODELS: dict[str, ClassicalModel] = {"ridge": Ridge(), "linear_svm": LinearSVM()}

Result = TypeVar("Result")


def timed(function: Callable[[], Result]) -> tuple[Result, float, float]:
    """Call a function; return its result, and the seconds that passed and that processors worked."""
    start, busy = time.perf_counter(), time.process_time()
    result = function()
    return result, time.perf_counter() - start, time.process_time() - busy


def simulated(num_subjects: int, shape: tuple[int, int, int]) -> Study:
    """Make volumes whose spectrum falls like that of real heads, and labels that hang on 200 of the components."""
    random = np.random.default_rng(SEED)
    strengths = random.standard_normal((num_subjects, num_subjects)) * np.arange(1, num_subjects + 1) ** -0.43
    volumes = np.empty((num_subjects, int(np.prod(shape))), dtype=np.float32)
    for start in range(0, volumes.shape[1], 10_000):
        block = volumes[:, start : start + 10_000]
        block[:] = strengths.astype(np.float32) @ random.standard_normal(
            (num_subjects, block.shape[1]), dtype=np.float32
        )
    signal = (strengths / strengths.std(axis=0))[:, :200] @ random.standard_normal(min(200, num_subjects))
    noisy = signal * 200**-0.5 + 3 * random.standard_normal(num_subjects)
    return Study.from_arrays(volumes.reshape(-1, *shape), np.where(noisy > 0, "b", "a").tolist())


def permute(study: Study, model: ClassicalModel, number: int) -> tuple[PermutationTest, float, float]:
    """Evaluate a model, and time the permutations alone; the Gram matrix is there."""
    splits = KFold(folds=NUM_FOLDS, validation=0)
    evaluation = CrossValidation.of(study, model, splits, seed=SEED, folder=Path(tempfile.gettempdir()))
    targets = permuted_targets(study.targets, evaluation.folds, study.groups, number=number, seed=SEED)
    results = evaluation.run(keep_models=False)
    return timed(lambda: permutation_test(evaluation, results, targets, seed=SEED))


def loop_seconds(study: Study, model: ClassicalModel) -> np.ndarray:
    """Measure scikit-learn on the rows of one inner fold: a PCA, and all fits of the grid, in both clocks, [2, 2]."""
    rows = np.random.default_rng(SEED).permutation(len(study.targets))[: len(study.targets) * 16 // 25]
    num_rows = len(rows) * 4 // 5
    learnt, held_out = rows[:num_rows], rows[num_rows:]
    flat = study.volumes.block(range(len(study.volumes)), slice(None))
    pca, *pca_s = timed(lambda: PCA(svd_solver="full").fit(flat[learnt]))
    scores, others = pca.transform(flat[learnt]), pca.transform(flat[held_out])
    unit = np.sqrt((scores.astype(np.float64) ** 2).sum(axis=1).mean())

    def grid() -> list[float]:
        found = []
        for share in model.num_components:  # type: ignore[union-attr]
            explained = pca.explained_variance_ratio_.cumsum()
            count = len(learnt) - 1 if share is None else int((explained < share).sum()) + 1
            mine, theirs = (part[:, :count].astype(np.float64) / unit for part in (scores, others))
            for setting in model._grid().settings:
                peer = SVC(kernel="linear", **setting) if "C" in setting else RidgeClassifier(**setting)
                peer.fit(mine, study.targets[learnt])
                found.append(roc_auc_score(study.targets[held_out], peer.decision_function(theirs)))
        return found

    return np.array([pca_s, timed(grid)[1:]])


def main() -> None:
    """Measure both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=list(MODELS), default="ridge")
    parser.add_argument("--root", type=Path, help="folder of the IXI cohort; simulated without")
    parser.add_argument("--subjects", type=int, default=1113)
    parser.add_argument("--shape", type=int, nargs=3, default=(50, 50, 50))
    parser.add_argument("--permutations", type=int, default=1000)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.root is None:
        study = simulated(options.subjects, tuple(options.shape))
    else:
        study = Study.from_table("subjects.csv", root=options.root, label="sex", scan="T1/{id}*.nii*")
    model = MODELS[options.model]
    _, gram_s, _ = timed(lambda: gram(study.volumes))
    test, seconds, busy = permute(study, model, options.permutations)
    pca_s, grid_s = loop_seconds(study, model)
    num_inner, num_counts = NUM_FOLDS * model.inner_folds, len(model.num_components)  # type: ignore[arg-type]
    loops = {
        "pipeline, PCA for each number of components": num_inner * (num_counts * pca_s + grid_s) + NUM_FOLDS * pca_s,
        "one PCA for each fold and permutation": num_inner * (pca_s + grid_s) + NUM_FOLDS * pca_s,
        "one PCA for each fold, kept for all permutations": num_inner * grid_s,
    }
    size = f"{len(study.targets)} x {np.prod(study.volumes.shape)}"
    print(f"{os.cpu_count()} cores, load at the start {os.getloadavg()[0]:.1f}; {test.to_json()['scores']}\n")
    print(f"| {options.permutations} permutations of nested {model.name}, {size} | seconds | |\n|---|---:|---:|")
    print(f"| Gram matrix, once for the study | {gram_s:.1f} | |")
    print(f"| mri3d | {seconds:.1f} ({busy:.0f}) | 1 |")
    for name, each in loops.items():
        total, worked = each * options.permutations
        told = f"{total / seconds:,.0f} x ({worked / busy:,.0f} x)"
        print(f"| scikit-learn, {name} | ~{total:,.0f} (~{worked:,.0f}) | {told} |")


if __name__ == "__main__":
    main()
