"""The scans on which brains and contracts are measured, and how the figures are printed."""

import argparse
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent


class Data:
    """Where the scans are, and whether to tell why each is judged as it is."""

    def __init__(self, folder: Path, *, reasons: bool) -> None:
        self.folder, self.reasons = folder, reasons

    def ixi(self, every: int = 1) -> list[Path]:
        """List whole heads."""
        return sorted((self.folder / "ixi/T1").glob("*.nii.gz"))[::every]

    def depression(self) -> list[Path]:
        """List brains without skulls."""
        return sorted((self.folder / "depression-bids").glob("sub-*/anat/*.nii.gz"))

    def orders(self) -> list[Path]:
        """List one head in many axis orders."""
        return sorted((self.folder / "odd-scans/axis-orders").glob("*.nii.gz"))

    def is_brain(self, scan: Path) -> np.ndarray:
        """Read which voxels of a whole head are brain, RAS+."""
        labels = self.folder / "ixi/segmentation" / scan.name.replace("_T1.", "_T1_DLMUSE.")
        return nib.as_closest_canonical(nib.load(labels)).get_fdata() > 0

    @cached_property
    def sexes(self) -> dict[str, str]:
        """Read the sexes of whole heads, where they are known."""
        table = pd.read_csv(self.folder / "ixi/subjects.csv", dtype=str).dropna(subset=["sex"])
        return dict(zip(table["subject"] + "_T1.nii.gz", table["sex"], strict=True))


def say(*texts: object) -> None:
    """Print a line at once: parts take minutes."""
    print(*texts, flush=True)


def held(what: str, number: float, goal: str, reached: bool) -> None:
    """Print a figure beside its goal."""
    say(f"  {what:64}{number:10.4f}   {goal:10}{'ok' if reached else 'MISSED'}")


def run(parts: Mapping[str, Callable[[Data], None]], description: str) -> None:
    """Print a table for each part that the command line names, or for all.

    Args:
        parts: By their names.
        description: What the script is for.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(parts)}")
    parser.add_argument("--reasons", action="store_true", help="tell why each scan is judged as it is")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(parts):
        parser.error(f"no part {', '.join(sorted(unknown))}")
    data = Data(arguments.data, reasons=arguments.reasons)
    for name in arguments.parts or parts:
        start = time.perf_counter()
        say(f"\n{name}")
        parts[name](data)
        say(f"  ({time.perf_counter() - start:.0f} s)")
