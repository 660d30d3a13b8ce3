"""Draw the README's picture: `python docs/heads.py <run on the demo cohort> docs/heads.png`."""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import mri3d
from mri3d.cohort.demo import effect_mask_path
from mri3d.files import write_bytes
from mri3d.report.figures import CanonicalHead, HeadView, draw_scale, scale_width
from mri3d.report.picture import TEXT, add_axes, black_figure, render
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


def heads_picture(path: Path, heads: Sequence[HeadView], *, width: int = 1600) -> None:
    """Write a wide PNG of several heads side by side, axial above coronal.

    Args:
        path: The file.
        heads: From left to right. Each heatmap is scaled to its own strongest value.
        width: Of the image in pixels.
    """
    views = [CanonicalHead.of(head) for head in heads]
    planes = (2, 1)
    signed = any(view.signed for view in views)
    words = next((view.words for view in views if view.signed), views[0].words)
    gap, top = 16, 48
    bar = scale_width(words, size=12) if any(head.heatmap is not None for head in heads) else 0
    column = (width - bar - gap * (len(heads) + 1)) / len(heads)
    scale = column / max(view.size_mm[0] for view in views)
    rows = [max(view.plane_mm(axis)[1] for view in views) * scale for axis in planes]
    height = top + sum(rows) + gap * len(rows)
    figure = black_figure(width, height)
    for number, view in enumerate(views):
        left, bottom = gap + number * (column + gap), height - top
        figure.text((left + column / 2) / width, 1 - top / 2 / height, view.title, size=14, **TEXT)
        for axis, row in zip(planes, rows, strict=True):
            bottom -= row
            across, tall = np.array(view.plane_mm(axis)) * scale
            view.draw(add_axes(figure, left + (column - across) / 2, bottom + (row - tall) / 2, across, tall), axis)
            bottom -= gap
    if bar:
        draw_scale(add_axes(figure, width - bar + 8, 0.3 * height, 12, 0.4 * height), words, signed=signed, size=12)
    write_bytes(path, render(figure, "png"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
