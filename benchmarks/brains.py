"""How well brains are extracted, aligned and brought back, on real scans.

    python benchmarks/brains.py                             # all of it: an hour on one core, less where brains are kept
    python benchmarks/brains.py masks inverse               # parts of it
    python benchmarks/brains.py --data ../shared/data       # with folders ixi, depression-bids and odd-scans

Brains that were found are kept in the cache folder (MRI3D_CACHE), those of changed scans too. Each part prints a table;
what it should reach stands beside what it reached.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
from real_scans import ROOT, Data, held, run, say
from scipy import ndimage

sys.path.insert(0, str(ROOT))  # the same heads and damages as in the tests

from mri3d import BrainRecipe
from mri3d.brain.brain import DOUBTFUL_MISFIT, MOST_MISFIT
from mri3d.brain.given_mask import misfit
from mri3d.brain.kept import brain_of, found_in
from mri3d.brain.locating import locate_brain
from mri3d.brain.template import mni_template
from mri3d.cohort.audit import audit
from mri3d.cohort.cohort import Cohort, Session
from mri3d.parallel import num_cores
from mri3d.scans.scan import Scan, canonical, read_scan, write_image
from tests.brain.heads import (
    MARKERS_MM,
    brain_centre_mm,
    inside_brain,
    marker,
    moving,
    resampled,
    sealed,
    tilted_axes,
    under_header,
)
from tests.brain.test_locating import defaced, dice, in_air, without_neck

MOVES = {
    "15 deg, 30 mm, +10 %": ((15, 15, 15), (30, -30, 30), 1.1),
    "15 deg, 30 mm, -10 %": ((-15, 15, -15), (-30, 30, -30), 0.9),
}


def masks(data: Data) -> None:
    """Masks of whole heads beside their label maps, and aligned beside the template's brain."""
    template, every = mni_template(), 2
    goal = template.mask[::every, ::every, ::every]
    agreed, aligned = {}, {}
    for path in data.ixi():
        scan = read_scan(path)
        brain = found_in(scan)
        agreed[path.name] = dice(brain.mask, data.is_brain(path))
        to_voxels = np.linalg.inv(canonical(scan)[1]) @ brain.to_scan @ template.affine @ np.diag([every] * 3 + [1])
        values = brain.mask.astype(np.float32)
        seen = ndimage.affine_transform(
            values, to_voxels[:3, :3], to_voxels[:3, 3], output_shape=goal.shape, order=1
        )  # fmt: skip
        aligned[path.name] = dice(seen > 0.5, goal)
        assert abs(aligned[path.name] - brain.overlap) < 0.01, "two ways to measure the same"
    say(f"{len(agreed)} heads of IXI")
    one, other = np.array(list(agreed.values())), np.array(list(aligned.values()))
    held("least Dice with DLMUSE", one.min(), ">= 0.95", one.min() >= 0.95)
    held("median", float(np.median(one)), ">= 0.975", np.median(one) >= 0.975)
    held("mean Dice of aligned masks and the template's brain", other.mean(), ">= 0.95", other.mean() >= 0.95)
    say(f"  quantiles of the first 0, 5, 25 %: {np.quantile(one, [0, 0.05, 0.25]).round(4)}")
    say(f"  of the second: {np.quantile(other, [0, 0.05, 0.25]).round(4)}")
    say(f"  lowest three: {sorted((round(float(v), 4), k) for k, v in agreed.items())[:3]}")


def alike(one: np.ndarray, other: np.ndarray, inside: np.ndarray) -> tuple[float, float]:
    """Return correlation and mean absolute difference of two volumes inside the brain."""
    pair = one[0][inside], other[0][inside]
    return float(np.corrcoef(*pair)[0, 1]), float(np.abs(pair[0] - pair[1]).mean())


def poses(data: Data) -> None:
    """The same head in all axis orders, moved by its header and by resampling."""
    orders, smaller = data.orders(), "15 deg, 30 mm, -10 %"
    say("volumes beside that of the head as it is; their standard deviation inside the brain is about 1")
    say(f"  {'':52}{'correlation':>24}{'mean |difference|':>20}")
    # Larger, the brain of this head would have 2.7 litres, and be refused.
    _moved("one head, 16 orders", orders, {"as it is": lambda scan, _: scan}, one_head=True)
    _moved("one head, 16 orders", orders, {smaller: under_header}, one_head=True)
    _moved("one head, 16 orders, resampled", orders, {smaller: resampled}, one_head=True)
    for name in MOVES:
        _moved("3 of IXI", data.ixi(45), {name: under_header})
        _moved("3 of IXI, resampled", data.ixi(45), {name: resampled})


def _moved(
    heads: str, paths: Sequence[Path], move: dict[str, Callable[[Scan, np.ndarray], Scan]], *, one_head: bool = False
) -> None:
    """Print how alike the volumes of moved heads are to those of the heads as they are."""
    (how, change_of), recipes = *move.items(), [BrainRecipe(side, size=0) for side in (50, 96)]
    found: dict[int | str, list[tuple[float, float]]] = {recipe.resolution: [] for recipe in recipes}
    for path in paths:
        scan, first = read_scan(path), read_scan(paths[0] if one_head else path)
        about_mm = brain_centre_mm(first, brain_of(first))
        moved = change_of(scan, moving(*MOVES.get(how, ()), about_mm=about_mm))
        for recipe in recipes:
            found[recipe.resolution].append(alike(recipe.volume(moved), recipe.volume(first), inside_brain(recipe)))
    for side, pairs in found.items():
        alikeness, off = np.array(pairs).T
        row = f"{alikeness.min():14.4f} to {alikeness.max():.4f}{off.min():12.4f} to {off.max():.4f}"
        say(f"  {f'{heads}: {how}':52}{f'{side}^3':>6}{row}")


def oblique(scan: Scan, folder: Path) -> Path:
    """Write a head on a tilted grid of 1.2 x 2.5 x 3.5 mm."""
    seen = resampled(scan, axes=tilted_axes())
    path = folder / f"{scan.path.name.partition('.')[0]}_oblique.nii.gz"
    write_image(path, seen.data, seen.affine, code=1)
    return path


def markers(data: Data) -> None:
    """Markers put into MNI space, and the voxels of scans that they come back to."""
    say("markers in MNI152 brought back, largest distance along an axis in voxels of the scan")
    say(f"  {'':30}{'peak':>10}{'by centre':>12}{'by the alignment of the original':>36}")
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        cases: list[tuple[str, Path, Path | None]] = [
            (f"{path.name[:15]} oblique", oblique(read_scan(path), Path(folder)), path) for path in data.ixi(27)
        ]
        cases += [(path.parent.parent.name, path, None) for path in data.depression()[::4]]
        for name, path, original in cases:
            peaks, centres, across = zip(*(_marker_off(path, at, original) for at in MARKERS_MM), strict=True)
            worst = max(worst, max(peaks), *(max(across) for _ in [0] if original))
            told = f"{max(across):36.2f}" if original else ""
            say(f"  {name:30}{max(peaks):10.2f}{max(centres):12.2f}{told}")
    held("worst", worst, "<= 1", worst <= 1)


def _marker_off(path: Path, at_mm: Sequence[float], original: Path | None) -> tuple[float, float, float]:
    """Return by how many voxels a marker misses.

    Returns:
        Its peak, whole voxels; its centre of mass; and this where the alignment of the original, on another grid, says
        where it should be.
    """
    scan, recipe = read_scan(path), BrainRecipe("native")
    carried = recipe.to_scan(marker(recipe, np.array(at_mm)), scan)
    to_voxels = np.linalg.inv(nib.load(path).affine)
    true = (to_voxels @ brain_of(scan).to_scan @ [*at_mm, 1])[:3]
    centre = ndimage.center_of_mass(carried)
    peak = np.unravel_index(carried.argmax(), carried.shape)
    other = true if original is None else (to_voxels @ brain_of(read_scan(original)).to_scan @ [*at_mm, 1])[:3]
    return tuple(float(np.abs(np.array(place) - aim).max()) for place, aim in (
        (peak, np.round(true)), (centre, true), (centre, other)
    ))  # fmt: skip


def inverse(data: Data) -> None:
    """From MNI152 to voxels of the file and back, with what lies in the cache."""
    points = np.random.default_rng(0).uniform(-90, 90, (4, 1000))
    points[3] = 1
    off, again, number = 0.0, 0.0, 0
    for path in [*data.ixi(), *data.depression()]:
        scan = read_scan(path)
        kept = brain_of(replace(scan)).to_scan  # another object, so that it is read from the cache
        voxels = np.linalg.inv(scan.affine) @ brain_of(scan).to_scan @ points
        back = np.linalg.inv(kept) @ nib.load(path).affine @ voxels
        off, number = max(off, float(np.linalg.norm((back - points)[:3], axis=0).max())), number + 1
    for path in data.ixi(45):
        scan = read_scan(path)
        apart = (locate_brain(scan).to_scan - brain_of(replace(scan)).to_scan) @ points
        again = max(again, float(np.abs(apart[:3]).max()))
    say(f"{number} scans, 1,000 points each")
    held("farthest from where it began, mm", off, "<= 0.1", off <= 0.1)
    held("kept in the cache and found again, mm", again, "0", again == 0)


def surroundings(data: Data) -> None:
    """The same head with air around it, without its face, and without its neck."""
    recipe = BrainRecipe(size=0)
    ways = {
        "60 voxels of air around": in_air,
        "60 voxels of noisy air": partial(in_air, noise=0.02),
        "defaced": defaced,
        "neck cut": without_neck,
    }
    paths = data.ixi(27)
    say(f"{len(paths)} heads of IXI, correlation of volumes inside the brain")
    for name, change in ways.items():
        found = {}
        for path in paths:
            scan = read_scan(path)
            changed = recipe.volume(sealed(change(scan, data.is_brain(path))))
            found[path.name], _ = alike(changed, recipe.volume(scan), inside_brain(recipe))
        least = min(found, key=lambda one: found[one])
        held(f"{name}, least ({least[:15]})", found[least], ">= 0.98", found[least] >= 0.98)
        say(f"    median {np.median(list(found.values())):.4f}")


def figures(data: Data) -> None:
    """What `mri3d.brain.brain` holds brains against, of all scans."""
    for name, paths in (("IXI", data.ixi()), ("ds002748", data.depression())):
        brains = [found_in(read_scan(path)) for path in paths]
        say(f"{len(brains)} scans of {name}{'lowest':>22}{'second':>12}{'highest':>12}")
        rows = {"brain, ml": [brain.volume_ml for brain in brains], "overlap": [brain.overlap for brain in brains]}
        rows |= {"similarity": [brain.similarity for brain in brains]}
        rows |= {"turned, degrees": [brain.turned_deg for brain in brains]}
        rows |= {"shape, SD": [brain.deviation_of_shape for brain in brains]}
        rows |= {"logarithm of size": [float(np.log(np.linalg.det(brain.to_scan[:3, :3]))) for brain in brains]}
        for title, values in rows.items():
            low, second, *_, high = sorted(values)
            say(f"  {title:28}{low:12.3f}{second:12.3f}{high:12.3f}")


def given(data: Data) -> None:
    """How masks of one's own fit: label maps of the same head, changed, and of other heads."""
    scans = {path: read_scan(path) for path in data.ixi()}
    found = {path: found_in(scan).mask for path, scan in scans.items()}
    labels = {path: data.is_brain(path) for path in scans}
    spacing_mm = np.array([2.0, 2.0, 2.0])
    ways: dict[str, Callable[[Path], np.ndarray]] = {
        "as they are": lambda path: labels[path],
        "wider by 4 mm": lambda path: ndimage.binary_dilation(labels[path], iterations=2),
        "narrower by 4 mm": lambda path: ndimage.binary_erosion(labels[path], iterations=2),
        "without the lowest 24 mm": lambda path: _without_bottom(labels[path]),
        "without the darkest 30 %": lambda path: _bright(canonical(scans[path])[0], labels[path]),
    }
    say(f"  {'share of the surface that is more than 5 mm off':52}{'lowest':>9}{'median':>9}{'highest':>9}")
    for name, change in ways.items():
        paths = list(scans) if name == "as they are" else list(scans)[::9]
        shares = [misfit(change(path), found[path], spacing_mm) for path in paths]
        say(f"  {name:52}{min(shares):9.3f}{np.median(shares):9.3f}{max(shares):9.3f}")
    random, paths = np.random.default_rng(1), list(scans)
    pairs = [(at, (at + random.integers(1, len(paths))) % len(paths)) for at in range(len(paths)) for _ in range(2)]
    shares = [misfit(labels[paths[other]], found[paths[at]], spacing_mm) for at, other in pairs]
    say(f"  {f'of another head, {len(shares)} pairs':52}{min(shares):9.3f}{np.median(shares):9.3f}{max(shares):9.3f}")
    for limit in (DOUBTFUL_MISFIT, MOST_MISFIT):
        say(f"    more than {limit:.0%}: {np.mean(np.array(shares) > limit):.1%} of these")


def _without_bottom(mask: np.ndarray) -> np.ndarray:
    """Take the lowest 12 planes of a brain off, most of the cerebellum."""
    left = mask.copy()
    left[:, :, : np.flatnonzero(mask.any(axis=(0, 1)))[0] + 12] = False
    return left


def _bright(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Leave out the darkest 30 % of a brain: sulci and ventricles."""
    smooth = ndimage.gaussian_filter(values.astype(np.float32), 0.5)
    return mask & (smooth > np.percentile(values[mask], 30))


def seconds(data: Data) -> None:
    """Time of the audit that finds brains, and of volumes from brains that are kept."""
    say(f"load of the machine {os.getloadavg()[0]:.1f}, {num_cores()} cores")
    say(f"  {'':52}{'wall s':>10}{'CPU s':>10}   for a scan")
    before, cores = os.environ.get("MRI3D_CACHE"), os.sched_getaffinity(0)
    brain_of(read_scan(data.ixi()[0]))
    locate_brain(read_scan(data.ixi()[0]))  # loads the networks and the template
    cases = {
        "ixi, 2 mm, one after the other": (data.ixi()[:10], {min(cores)}),
        f"ixi, 2 mm, on {len(cores)} cores": (data.ixi()[:10], cores),
        "ds002748, 288 x 288 x 181, one after the other": (data.depression()[:3], {min(cores)}),
    }
    for name, (paths, used) in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            os.environ["MRI3D_CACHE"] = folder
            os.sched_setaffinity(0, used)
            sessions = tuple(Session(path.name, path, None) for path in paths)
            wall, worked = time.perf_counter(), time.process_time()
            audit(Cohort(sessions), BrainRecipe(), skip_bad=False)
            row = (time.perf_counter() - wall) / len(paths), (time.process_time() - worked) / len(paths)
            say(f"  {'extraction and alignment, ' + name:52}{row[0]:10.2f}{row[1]:10.2f}")
            scans = [read_scan(path) for path in paths]
            for side in (50, 96):
                wall, worked = time.perf_counter(), time.process_time()
                for scan in scans:
                    BrainRecipe(side).volume(replace(scan))
                row = (time.perf_counter() - wall) / len(paths), (time.process_time() - worked) / len(paths)
                say(f"  {f'volume of {side}^3 of a brain that is kept':52}{row[0]:10.2f}{row[1]:10.2f}")
            os.sched_setaffinity(0, cores)
    if before is None:
        del os.environ["MRI3D_CACHE"]
    else:
        os.environ["MRI3D_CACHE"] = before


if __name__ == "__main__":
    assert __doc__ is not None
    run(
        {
            "masks": masks,
            "poses": poses,
            "markers": markers,
            "inverse": inverse,
            "surroundings": surroundings,
            "figures": figures,
            "given": given,
            "seconds": seconds,
        },
        __doc__,
    )
