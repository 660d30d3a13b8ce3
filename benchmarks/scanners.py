"""What `augmentation="strong"` is worth on scans of other scanners: simulated ones of IXI, one kind left out at a time.

    python benchmarks/scanners.py prepare --root ../shared/data/ixi --out scanners.npz      # once, some minutes
    python benchmarks/scanners.py train scanners.npz --device cuda --seconds 270

`prepare` changes each head on its own grid as a scanner would: contrast, bias field, resolution, noise, or its brain
alone; then `preprocess=brain` makes the volumes. The brain (mask and alignment) is that of the unchanged head, so that
what is compared is the network, not the finding of brains; those found before are in the cache folder. `train` fits the
default network to unchanged heads of four of five folds, with each augmentation, and tests it on those of the fifth,
unchanged and by every simulated scanner; it is trained to the end, without validation rows. Volumes are augmented
beforehand by the package's transform, `--copies` times. On a GPU it takes some minutes, on a CPU hours.
"""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from simulated_scanners import HOME, RECIPE, from_bytes, prepare
from sklearn.metrics import roc_auc_score
from torch.nn import functional

from mri3d.models.network.learner import adamw, one_cycle
from mri3d.nets.sfcn import SFCN
from mri3d.parallel import num_cores
from mri3d.volumes.augmentation import Augmentation, StrongAugmentation, augment
from mri3d.volumes.scanner import scale_of

NUM_FOLDS = 5
SETTINGS: Mapping[str, Augmentation | None] = {
    "none": None,
    "default": Augmentation(),
    "strong": StrongAugmentation(),
    "without affine": StrongAugmentation(rotate_degrees=0.0, scale=0.0, shift_voxels=0.0),
    "without intensity": StrongAugmentation(intensity=0.0),
    "without noise": StrongAugmentation(noise=0.0),
    "without gamma": StrongAugmentation(gamma=0.0),
    "without bias_field": StrongAugmentation(bias_field=0.0),
    "without blur": StrongAugmentation(blur=0.0),
    "without slices": StrongAugmentation(slices=0.0),
}


@dataclass(frozen=True)
class Task:
    """One fit.

    Attributes:
        setting: Name of the augmentation.
        seed: Of the network, the order and the folds.
        fold: Which is tested.
    """

    setting: str
    seed: int
    fold: int


def folds_of(male: np.ndarray, seed: int) -> np.ndarray:
    """Put each subject [N] into a fold; either sex is spread over all of them."""
    random, folds = np.random.default_rng(seed), np.empty(len(male), int)
    for sex in (False, True):
        rows = random.permutation(np.flatnonzero(male == sex))
        folds[rows] = np.arange(len(rows)) % NUM_FOLDS
    return folds


def load(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Read volumes, uint8 [S, N, X, Y, Z], whether subjects are male [N], and the scanners' names [S]."""
    with np.load(path) as found:
        return found["volumes"], found["male"], found["scanners"].tolist()


def begin(path: Path, folder: Path, options: argparse.Namespace) -> None:
    """Set up a process: what all of its tasks need."""
    global DATA, FOLDER, OPTIONS, KEPT
    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = True
    DATA, FOLDER, OPTIONS, KEPT = load(path), folder, options, {}


def make_copies(setting: str, copy: int) -> float:
    """Write one augmented copy of each unchanged volume; return the milliseconds that each took."""
    volumes, augmentation = DATA[0][0], SETTINGS[setting]
    made = np.empty(volumes.shape, np.float16)
    transform = augmentation.transform(volumes.shape[1:], scale_of(RECIPE)) if augmentation else None
    start = time.process_time()
    for row, volume in enumerate(from_bytes(volumes)):
        seed = int(np.random.SeedSequence([copy, row]).generate_state(1)[0])
        made[row] = augment(transform, volume[np.newaxis], seed)[0] if transform else volume
    np.save(FOLDER / f"{setting}-{copy}.npy", made)
    return 1000 * (time.process_time() - start) / len(volumes)


def copies_of(setting: str) -> torch.Tensor:
    """Load the copies of a setting on the device once, float16 [copies, N, X, Y, Z]."""
    if setting not in KEPT:
        if OPTIONS.device == "cpu":
            KEPT.clear()  # of all settings there may be more than memory
        paths = sorted(FOLDER.glob(f"{setting}-*.npy"))
        KEPT[setting] = torch.stack([torch.from_numpy(np.load(path)).to(OPTIONS.device) for path in paths])
    return KEPT[setting]


def fit(task: Task) -> tuple[Task, np.ndarray, np.ndarray]:
    """Fit one network; return the task, the rows that were tested [T], and their logits for male by scanner [S, T]."""
    volumes, male, _ = DATA
    folds, device = folds_of(male, task.seed), OPTIONS.device
    rows, tested = np.flatnonzero(folds != task.fold), np.flatnonzero(folds == task.fold)
    copies, targets = copies_of(task.setting), torch.from_numpy(male.astype(np.float32)).to(device)
    share = float(male[rows].mean())
    weights = torch.where(targets > 0, 0.5 / share, 0.5 / (1 - share))
    torch.manual_seed(NUM_FOLDS * task.seed + task.fold)
    random = np.random.default_rng([task.seed, task.fold])
    network = SFCN(volumes.shape[2:], 1).to(device).train()
    num_batches = max(1, len(rows) // OPTIONS.batch_size)
    optimizer, schedule = one_cycle(adamw, network, num_steps=OPTIONS.epochs * num_batches)
    for _ in range(OPTIONS.epochs):
        order = random.permutation(rows)[: num_batches * OPTIONS.batch_size]
        drawn = random.integers(len(copies), size=len(order))
        batches = (torch.from_numpy(each).to(device).reshape(num_batches, -1) for each in (order, drawn))
        for batch, copy in zip(*batches, strict=True):
            outputs = network(copies[copy, batch][:, None].float())[:, 0]
            loss = functional.binary_cross_entropy_with_logits(outputs, targets[batch], weight=weights[batch])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.inference_mode():
        logits = [
            network(torch.from_numpy(from_bytes(scanner[tested]))[:, None].to(device))[:, 0].cpu()
            for scanner in volumes
        ]
    return task, tested, torch.stack(logits).numpy()


def train(path: Path, options: argparse.Namespace) -> None:
    """Fit all networks, or as many as the time allows, and print tables."""
    start, results = time.perf_counter(), {}
    settings = options.settings or list(SETTINGS)
    male, scanners = load(path)[1:]
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        arguments = (path, Path(folder), options)
        with ProcessPoolExecutor(options.workers or num_cores(), context, begin, arguments) as pool:
            made = {
                setting: [
                    pool.submit(make_copies, setting, copy)
                    for copy in range(options.copies if SETTINGS[setting] else 1)
                ]
                for setting in settings
            }
            for setting, futures in made.items():
                took = np.mean([future.result() for future in futures])
                print(f"{setting}: {took:.1f} ms a volume", flush=True)
        print(f"copies made after {time.perf_counter() - start:.0f} s", flush=True)
        with ProcessPoolExecutor(options.processes, context, begin, arguments) as pool:
            tasks = [
                Task(setting, seed, fold)
                for seed in range(options.seeds)
                for fold in range(NUM_FOLDS)
                for setting in settings
            ]
            waiting: set[Future] = {pool.submit(fit, task) for task in tasks}
            shown = 0
            while waiting and (left := options.seconds - (time.perf_counter() - start)) > 0:
                done, waiting = wait(waiting, timeout=left, return_when="FIRST_COMPLETED")
                for future in done:
                    task, tested, logits = future.result()
                    results[task] = tested, logits
                if len(results) // (NUM_FOLDS * len(settings)) > shown:
                    shown = len(results) // (NUM_FOLDS * len(settings))
                    print(f"\nafter {time.perf_counter() - start:.0f} s", flush=True)
                    show(results, male, scanners, settings)
            pool.shutdown(wait=True, cancel_futures=True)
    print(f"\n{len(results)} of {len(tasks)} fits, {time.perf_counter() - start:.0f} s")
    show(results, male, scanners, settings)
    if options.out:
        keys = [(task.setting, task.seed, task.fold) for task in results]
        arrays = {f"{setting}/{seed}/{fold}": results[Task(setting, seed, fold)][1] for setting, seed, fold in keys}
        np.savez_compressed(options.out, **arrays)


def show(
    results: Mapping[Task, tuple[np.ndarray, np.ndarray]], male: np.ndarray, scanners: list[str], settings: list[str]
) -> None:
    """Print AUC and balanced accuracy by scanner, of the folds that all settings have, and what differs from strong."""
    cells = sorted({(task.seed, task.fold) for task in results})
    cells = [cell for cell in cells if all(Task(setting, *cell) in results for setting in settings)]
    if not cells:
        print("no fold has been fitted with all settings")
        return
    aucs, rates = np.empty((2, len(settings), len(cells), len(scanners)))
    for i, setting in enumerate(settings):
        for j, cell in enumerate(cells):
            tested, logits = results[Task(setting, *cell)]
            truth = male[tested]
            aucs[i, j] = [roc_auc_score(truth, scores) for scores in logits]
            rates[i, j] = ((logits > 0)[:, truth].mean(axis=1) + (logits <= 0)[:, ~truth].mean(axis=1)) / 2
    others = [number for number, name in enumerate(scanners) if name != HOME]
    for title, scores in (("AUC", aucs), ("balanced accuracy", rates)):
        print(f"{title}, mean of {len(cells)} tests (folds x seeds); others: the {len(others)} simulated scanners")
        print(f"{'':20}{'others':>9}" + "".join(f"{name:>13}" for name in scanners))
        for setting, each in zip(settings, scores, strict=True):
            print(f"{setting:20}{each[:, others].mean():9.3f}" + "".join(f"{v:13.3f}" for v in each.mean(axis=0)))
    if "strong" not in settings or len(cells) < 2:
        return
    strong = settings.index("strong")
    print("difference from strong, with its standard error over tests: AUC home, AUC others, balanced accuracy others")
    for i, setting in enumerate(settings):
        pairs = ((aucs, [scanners.index(HOME)]), (aucs, others), (rates, others))
        gaps = [(scores[i] - scores[strong])[:, which].mean(axis=1) for scores, which in pairs]
        told = [f"{gap.mean():+.3f} ({gap.std(ddof=1) / len(gap) ** 0.5:.3f})" for gap in gaps]
        print(f"{setting:20}" + "".join(f"{text:>18}" for text in told), flush=True)


def main() -> None:
    """Run a part."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parts = parser.add_subparsers(dest="part", required=True)
    preparing, training = parts.add_parser("prepare"), parts.add_parser("train")
    preparing.add_argument("--root", type=Path, default=Path("../shared/data/ixi"), help="folder of IXI")
    preparing.add_argument("--out", type=Path, default=Path("scanners.npz"))
    preparing.add_argument("--limit", type=int, help="only so many heads")
    training.add_argument("volumes", type=Path, help="what `prepare` wrote")
    training.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    training.add_argument("--seconds", type=float, default=270.0, help="when to stop with what there is")
    training.add_argument("--seeds", type=int, default=3)
    training.add_argument("--epochs", type=int, default=40)
    training.add_argument("--copies", type=int, default=20, help="augmented copies of each volume")
    training.add_argument("--batch-size", type=int, default=8)
    training.add_argument("--workers", type=int, help="processes that augment; all cores by default")
    training.add_argument("--processes", type=int, default=8, help="networks that are trained at the same time")
    training.add_argument("--settings", type=lambda text: text.split(","), help="only these, such as default,strong")
    training.add_argument("--out", type=Path, help="where to keep the logits")
    options = parser.parse_args()
    if options.part == "prepare":
        prepare(options.root, options.out, options.limit)
    else:
        train(options.volumes, options)


if __name__ == "__main__":
    main()
