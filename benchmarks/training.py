"""Training on real heads: mri3d's default model beside a plain Lightning and MONAI script, in one run.

    python benchmarks/training.py --root ../shared/data/ixi             # two trainings, a few minutes on 2 cores
    python benchmarks/training.py --root ../shared/data/ixi --kfold     # and five more of ours

The folder holds the labels and T1-weighted scans of IXI: `subjects.csv` (subject, sex) and `T1/<subject>_T1.nii.gz`.
The peer is what somebody who knows both libraries writes first; it learns from, stops by and is tested on the same
subjects. Each is a process of its own, with nothing cached; peak memory is what the system counted for that process.
"""

import argparse
import csv
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# torch, Lightning and MONAI are imported where the peer runs: the system counts the memory of the process that starts
# another towards the other's peak.

TRAIN = Path(__file__).parent.parent / "train.py"
RESOLUTION, PEER_BATCH_SIZE, PEER_EPOCHS = 50, 8, 25


def run_process(command: Sequence[str | Path], folder: Path) -> tuple[str, float, float]:
    """Run a command; give its standard output, the seconds it took, and the most memory it held in MiB."""
    start = time.perf_counter()
    with (folder / "stdout.txt").open("w+") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdout=output, env=os.environ | {"MRI3D_CACHE": str(folder / "cache")}
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        if process.returncode:
            raise SystemExit(f"{' '.join(map(str, command))} ended with exit status {process.returncode}")
        output.seek(0)
        return output.read(), seconds, usage.ru_maxrss / 2 ** (20 if sys.platform == "darwin" else 10)


def cut_table(root: Path, num_subjects: int | None, path: Path) -> None:
    """Write the table of the first subjects of either sex in turn, all by default."""
    with (root / "subjects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    sexes = [[row for row in rows if row["sex"] == sex] for sex in ("F", "M")]
    turns = [row for pair in itertools.zip_longest(*sexes) for row in pair if row]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(turns[:num_subjects])


def run_ours(root: Path, table: Path, folder: Path, *options: str) -> dict[str, Any]:
    """Train by the command that users type; give what its run tells, and where the run lies."""
    data = [f"data.root={root}", f"data.table={table}", "data.id=subject", "data.label=sex"]
    scans = "data.scan=T1/{id}_T1.nii.gz"
    command: list[str | Path] = [
        sys.executable,
        TRAIN,
        "data=table",
        *data,
        scans,
        f"resolution={RESOLUTION}",
        *options,
    ]
    output, seconds, peak_mib = run_process(command, folder)
    run = folder / next(line.split(maxsplit=1)[1] for line in output.splitlines() if line.startswith("run "))
    metrics = json.loads((run / "metrics.json").read_text())
    fold = metrics["folds"][0]
    return {
        "run": run,
        "prepare_s": metrics["seconds"]["volumes"],
        "fit_s": fold["seconds"],
        "volume_s": fold["seconds"] / fold["epochs"] / fold["num_train"],
        "command_s": seconds,
        "peak_mib": peak_mib,
        "fold_auc": [fold["scores"]["auc"] for fold in metrics["folds"]],
        "auc": metrics["test"]["auc"]["value"],
        "balanced_accuracy": metrics["test"]["balanced_accuracy"]["value"],
    }


def run_peer(cohort: Path, epochs: int) -> dict[str, float]:
    """Train and test a small network of MONAI's parts with its transforms, in this process."""
    import pytorch_lightning as pl
    import torch
    from monai.data import CacheDataset, DataLoader
    from monai.networks.blocks import Convolution
    from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, NormalizeIntensityd, Orientationd, Resized
    from pytorch_lightning.callbacks import ModelCheckpoint
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score
    from torch import nn

    class Peer(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = nn.Sequential()
            for num_in, num_out in itertools.pairwise((1, 16, 32, 64, 128)):
                self.network.append(Convolution(3, num_in, num_out, act="relu", norm="batch"))
                self.network.append(nn.MaxPool3d(2))
            self.network.extend([nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(128, 1)])

        def loss(self, batch: dict[str, Any]) -> Any:  # noqa: ANN401
            logits = self.network(batch["image"])[:, 0]
            return nn.functional.binary_cross_entropy_with_logits(logits, batch["label"].float())

        def training_step(self, batch: dict[str, Any], index: int) -> Any:  # noqa: ANN401
            return self.loss(batch)

        def validation_step(self, batch: dict[str, Any], index: int) -> None:
            self.log("val_loss", self.loss(batch), batch_size=len(batch["label"]))

        def predict_step(self, batch: dict[str, Any], index: int) -> Any:  # noqa: ANN401
            return self.network(batch["image"])[:, 0].sigmoid()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=1e-3, weight_decay=1e-2)

    pl.seed_everything(0)
    transform = Compose(
        [
            LoadImaged("image"),
            EnsureChannelFirstd("image"),
            Orientationd("image", axcodes="RAS"),
            Resized("image", (RESOLUTION,) * 3),
            NormalizeIntensityd("image"),
        ]
    )
    with cohort.open(newline="") as file:
        rows = list(csv.DictReader(file))
    start, loaders = time.perf_counter(), {}
    for side in ("train", "validation", "test"):
        items = [{"image": row["scan"], "label": int(row["label"] == "M")} for row in rows if row["fold"] == side]
        dataset = CacheDataset(items, transform, num_workers=os.cpu_count(), progress=False)
        loaders[side] = DataLoader(dataset, batch_size=PEER_BATCH_SIZE, shuffle=side == "train")
    prepared = time.perf_counter()
    best = ModelCheckpoint("checkpoints", monitor="val_loss")
    trainer = pl.Trainer(max_epochs=epochs, callbacks=[best], logger=False, enable_progress_bar=False)
    model = Peer()
    trainer.fit(model, loaders["train"], loaders["validation"])
    fit_s = time.perf_counter() - prepared
    batches: Any = trainer.predict(model, loaders["test"], ckpt_path=best.best_model_path, weights_only=False)
    proba = torch.cat(batches)
    labels = [item["label"] for item in loaders["test"].dataset.data]
    return {
        "prepare_s": prepared - start,
        "fit_s": fit_s,
        "volume_s": fit_s / epochs / len(loaders["train"].dataset),
        "auc": roc_auc_score(labels, proba),
        "balanced_accuracy": balanced_accuracy_score(labels, proba > 0.5),
    }


def print_table(ours: dict[str, Any], peer: dict[str, Any]) -> None:
    """Print both side by side."""
    print("| | mri3d | Lightning and MONAI | ratio |\n|---|---|---|---|")
    for name, what, digits in (
        ("prepare_s", "read and resize the scans, s", 1),
        ("fit_s", "fit, s", 1),
        ("volume_s", "fit, s a training volume and epoch", 4),
        ("command_s", "the whole command, s", 1),
        ("peak_mib", "peak memory, MiB", 0),
        ("auc", "test AUC", 3),
        ("balanced_accuracy", "test balanced accuracy at 0.5", 3),
    ):
        print(f"| {what} | {ours[name]:.{digits}f} | {peer[name]:.{digits}f} | {peer[name] / ours[name]:.2f} |")


def main() -> None:
    """Train both in fresh processes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("../shared/data/ixi"), help="folder of the real cohort")
    parser.add_argument("--epochs", type=int, help=f"of both; by default ours has its own and the peer {PEER_EPOCHS}")
    parser.add_argument("--subjects", type=int, help="take only so many")
    parser.add_argument("--kfold", action="store_true", help="5-fold cross-validation of ours too")
    parser.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        print(json.dumps(run_peer(arguments.peer, arguments.epochs)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder, root = Path(name), arguments.root.resolve()
        table = folder / "subjects.csv"
        cut_table(root, arguments.subjects, table)
        help_s = min(run_process([sys.executable, TRAIN, "--help"], folder)[1] for _ in range(3))
        options = [f"trainer.max_epochs={arguments.epochs}"] if arguments.epochs else []
        ours = run_ours(root, table, folder, *options)
        again = [sys.executable, Path(__file__).resolve(), "--peer", ours["run"] / "cohort.csv"]
        output, seconds, peak_mib = run_process([*again, "--epochs", str(arguments.epochs or PEER_EPOCHS)], folder)
        peer = json.loads(output.splitlines()[-1]) | {"command_s": seconds, "peak_mib": peak_mib}
        print_table(ours, peer)
        print(f"\ntrain.py --help: {help_s:.2f} s")
        if arguments.kfold:
            auc = run_ours(root, table, folder, "evaluation=kfold", *options)["fold_auc"]
            print(f"AUC of the folds: {', '.join(f'{value:.3f}' for value in auc)}; mean {sum(auc) / len(auc):.3f}")


if __name__ == "__main__":
    main()
