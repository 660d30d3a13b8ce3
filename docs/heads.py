"""Draw the README's picture: `python docs/heads.py <run on the demo cohort> docs/heads.png`."""

import csv
import sys
from pathlib import Path

import numpy as np

import mri3d
from mri3d.cohort.demo import effect_mask_path
from mri3d.report.figures import HeadView, heads_picture
from mri3d.scans.scan import read_scan

NUM_HEADS = 3
AFFECTED = "1"


def main(run: Path, picture: Path) -> None:
    """Take the affected heads that were tested and predicted with the highest probability."""
    with (run / "predictions.csv").open(newline="") as file:
        tested = [row for row in csv.DictReader(file) if row["label"] == AFFECTED]
    with (run / "cohort.csv").open(newline="") as file:
        scans = {row["subject"]: Path(row["scan"]) for row in csv.DictReader(file)}
    model = mri3d.load(run)
    views = []
    for row in sorted(tested, key=lambda row: -float(row[f"p_{AFFECTED}"]))[:NUM_HEADS]:
        path = scans[row["subject"]]
        scan, planted = read_scan(path), read_scan(effect_mask_path(path))
        heat = np.asarray(model.explain(path, AFFECTED).dataobj)
        title = f"{row['subject']}, p = {float(row[f'p_{AFFECTED}']):.2f}"
        views.append(HeadView(scan.data, scan.affine, heatmap=heat, outline=planted.data > 0, title=title))
    heads_picture(picture, views)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
