"""What other scanners would have shown of the heads of IXI: contrast, bias field, resolution, noise, brains alone."""

import csv
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from mri3d.brain import kept
from mri3d.scans.scan import Scan, canonical, read_scan, stored_order
from mri3d.volumes.brain_recipe import BrainRecipe

RECIPE = BrainRecipe()
STEP = 1 / 32  # of the values that are kept as bytes: volumes lie between -4 and 4
FWHM = float(np.sqrt(8 * np.log(2)))
HOME = "home"


def simulated(values: np.ndarray, brain: np.ndarray, spacing_mm: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Change a head as scanners would.

    Args:
        values: Intensities [X, Y, Z], RAS+, not negative.
        brain: Which voxels are brain.
        spacing_mm: Distance between voxels along each axis [3].
        seed: Of what differs from head to head.

    Returns:
        Name of a scanner to intensities.
    """
    random, top = np.random.default_rng(seed), float(np.quantile(values[brain], 0.999))
    unit = np.clip(values.astype(np.float32) / top, 0, None)
    heights = np.concatenate([[0.0], np.cumsum(np.exp(0.6 * random.standard_normal(6)))])
    remapped = np.interp(unit, np.linspace(0, 1, 7), heights / heights[-1])
    cubic = random.standard_normal((4, 4, 4)) * (np.indices((4, 4, 4)).sum(axis=0) <= 3)
    field = np.polynomial.polynomial.polygrid3d(*(np.linspace(-1, 1, side) for side in values.shape), cubic)
    field = (field - field[brain].mean()) / np.abs(field[brain] - field[brain].mean()).max()
    bright = float(np.quantile(unit[brain], 0.95))
    real, imaginary = (0.1 * bright * random.standard_normal(unit.shape) for _ in range(2))
    axis = int(random.integers(3))
    thick = np.where(np.arange(3) == axis, 6.0, 0.0)
    return {
        HOME: unit,
        "gamma 0.6": unit**0.6,
        "gamma 1.6": unit**1.6,
        "remapped": np.where(unit > 1, unit, remapped),
        "bias field": unit * np.exp(0.4 * field),
        "blur 5 mm": ndimage.gaussian_filter(unit, 5.0 / FWHM / spacing_mm),
        "slices 6 mm": ndimage.gaussian_filter(unit, thick / FWHM / spacing_mm),
        "noise 10 %": np.hypot(unit + real, imaginary),
        "stripped": np.where(brain, unit, 0),
    }


def volumes_of(scan: Scan, seed: int) -> dict[str, np.ndarray]:
    """Make the volume of a scan, and of what each scanner would have made of it, as bytes [X, Y, Z]."""
    brain, (values, affine) = kept.brain_of(scan), canonical(scan)
    made = {}
    for name, changed in simulated(values, brain.mask, np.linalg.norm(affine[:3, :3], axis=0), seed).items():
        other = replace(scan, data=np.ascontiguousarray(stored_order(np.asarray(changed, np.float32), scan)))
        kept._known[other] = brain
        made[name] = as_bytes(RECIPE.volume(other)[0])
    return made


def as_bytes(volume: np.ndarray) -> np.ndarray:
    """Write a volume in steps of `STEP`; 0, which is air, remains what nothing else is."""
    steps = np.clip(np.round(volume / STEP), -127, 127)
    return np.asarray(np.where((volume != 0) & (steps == 0), 1, steps) + 128, np.uint8)


def from_bytes(volumes: np.ndarray) -> np.ndarray:
    """Undo `as_bytes`."""
    return (volumes.astype(np.float32) - 128) * np.float32(STEP)


def prepare(root: Path, out: Path, limit: int | None) -> None:
    """Write the volumes of all heads by all scanners."""
    with (root / "subjects.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["sex"] in ("F", "M")][:limit]
    made, start = [], time.perf_counter()
    for number, row in enumerate(rows):
        made.append(volumes_of(read_scan(root / "T1" / f"{row['subject']}_T1.nii.gz"), number))
        if number % 20 == 0:
            print(f"{number + 1} of {len(rows)} heads, {time.perf_counter() - start:.0f} s", flush=True)
    volumes = np.stack([[each[name] for each in made] for name in made[0]])
    male = np.array([row["sex"] == "M" for row in rows])
    np.savez_compressed(out, volumes=volumes, male=male, scanners=np.array(list(made[0])))
    print(f"{out}: {volumes.shape}, {out.stat().st_size / 2**20:.0f} MiB")
    change = [np.std(from_bytes(each) - from_bytes(volumes[0])) / np.std(from_bytes(volumes[0])) for each in volumes]
    print("change in the volumes' deviations:", ", ".join(f"{n} {c:.2f}" for n, c in zip(made[0], change, strict=True)))
