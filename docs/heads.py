"""Draw the README's picture: `python docs/heads.py <run on the demo cohort> docs/heads.png`."""

import csv
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

from mri3d.inference import Ensemble
from mri3d.report.figures import HeadView, heads_picture
from mri3d.scans.scan import read_scan

NUM_HEADS = 3


def main(run: Path, picture: Path) -> None:
    """Take the affected heads that were tested and found with the highest probability."""
    with (run / "predictions.csv").open(newline="") as file:
        tested = [row for row in csv.DictReader(file) if row["label"] == "1"]
    with (run / "cohort.csv").open(newline="") as file:
        scans = {row["subject"]: Path(row["scan"]) for row in csv.DictReader(file)}
    ensemble = Ensemble(run)
    views = []
    for row in sorted(tested, key=lambda row: -float(row["p_1"]))[:NUM_HEADS]:
        path = scans[row["subject"]]
        scan = read_scan(path)
        heat = ensemble.recipe.to_scan(ensemble.explain(ensemble.recipe.volume(scan), 1), scan)
        planted = nib.load(path.parent.parent / "effect_mask" / f"{row['subject']}.nii.gz")
        outline = np.asarray(planted.dataobj) > 0
        title = f"{row['subject']}, p = {float(row['p_1']):.2f}"
        views.append(HeadView(scan.data, scan.affine, heatmap=heat, outline=outline, title=title))
    heads_picture(picture, views)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
