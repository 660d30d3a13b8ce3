"""How well brains are extracted, aligned and brought back, and what a contract keeps away, on real scans.

    python benchmarks/brains.py                             # all of it: an hour on one core, less where brains are kept
    python benchmarks/brains.py masks inverse               # parts of it
    python benchmarks/brains.py --data ../shared/data       # with folders ixi, depression-bids and odd-scans

Brains that were found are kept in the cache folder (MRI3D_CACHE), those of changed scans too. Each part prints a table;
what it should reach stands beside what it reached.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, cached_property, partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from scipy import ndimage
from sklearn.model_selection import StratifiedKFold

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the same heads and damages as in the tests

from mri3d import BrainRecipe, Recipe  # noqa: E402
from mri3d.brain.kept import brain_of, found_in  # noqa: E402
from mri3d.brain.locating import locate_brain  # noqa: E402
from mri3d.brain.template import mni_template  # noqa: E402
from mri3d.cohort.audit import audit  # noqa: E402
from mri3d.cohort.cohort import Cohort, Session  # noqa: E402
from mri3d.contract.contract import Contract, Judgement  # noqa: E402
from mri3d.parallel import num_cores  # noqa: E402
from mri3d.scans.scan import Scan, ScanError, canonical, read_scan, write_image  # noqa: E402
from mri3d.scans.traits import Traits, traits_of  # noqa: E402
from mri3d.volumes.sequence import InMemory  # noqa: E402
from tests import damages  # noqa: E402
from tests.brain.heads import (  # noqa: E402
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
from tests.brain.test_locating import defaced, dice, in_air, neck, without_neck  # noqa: E402
from tests.scans.heads import made_head  # noqa: E402

MOVES = {
    "15 deg, 30 mm, +10 %": ((15, 15, 15), (30, -30, 30), 1.1),
    "15 deg, 30 mm, -10 %": ((-15, 15, -15), (-30, 30, -30), 0.9),
}


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
    say(f"{len(paths)} heads of IXI, correlation of volumes")
    for name, change in ways.items():
        found = {}
        for path in paths:
            scan = read_scan(path)
            changed = recipe.volume(sealed(change(scan, data.is_brain(path))))
            found[path.name] = float(np.corrcoef(changed.ravel(), recipe.volume(scan).ravel())[0, 1])
        least = min(found, key=lambda one: found[one])
        held(f"{name}, least ({least[:15]})", found[least], ">= 0.98", found[least] >= 0.98)
        say(f"    median {np.median(list(found.values())):.4f}")


def looked_at(scan: Scan, recipe: Recipe | BrainRecipe) -> tuple[Traits, np.ndarray | None, str]:
    """Return what a contract judges, and why there is no volume."""
    traits = traits_of(scan)
    try:
        recipe.check(scan)
        return traits, recipe.volume(scan), ""
    except ScanError as error:
        return traits, None, str(error)


def judged(trained: Contract, scan: Scan, recipe: Recipe | BrainRecipe) -> tuple[str, str]:
    """Return the status of a scan by the contract, or that it is refused; and why."""
    traits, volume, refused = looked_at(scan, recipe)
    if refused:
        return "refused", refused
    judgement = trained.judge(traits, volume)
    return judgement.status, "; ".join(judgement.reasons)


@cache
def cohort(data: Data, kind: str) -> tuple[list[Path], list[Traits], InMemory]:
    """Make the volumes of all heads whose sex is known."""
    recipe = recipe_for(kind)
    paths = [path for path in data.ixi() if path.name in data.sexes]
    looked = [looked_at(read_scan(path), recipe) for path in paths]
    assert not [refused for _, _, refused in looked if refused]
    volumes = InMemory(np.stack([volume for _, volume, _ in looked if volume is not None]))
    volumes.recipe = recipe
    return paths, [traits for traits, _, _ in looked], volumes


def recipe_for(kind: str) -> Recipe | BrainRecipe:
    """Build a recipe with its defaults."""
    return Recipe() if kind == "default" else BrainRecipe()


def contract(data: Data, *, kind: str, num_heads: int) -> None:
    """What contracts of IXI say of its own heads, of damaged ones, and of another study's brains."""
    recipe = recipe_for(kind)
    paths, traits, volumes = cohort(data, kind)
    sexes = [data.sexes[path.name] for path in paths]
    folds = list(StratifiedKFold(5, shuffle=True, random_state=0).split(sexes, sexes))
    own: list[tuple[Path, Judgement]] = []
    found: dict[str, Counter[str]] = {}
    why: dict[str, str] = {}
    others: Counter[str] = Counter()
    for number, (train, test) in enumerate(folds):
        trained = Contract.fit(traits, volumes, train)
        own += [(paths[row], trained.judge(traits[row], volumes[row])) for row in test]
        for path in data.depression() if number == 0 else ():
            status, reason = judged(trained, read_scan(path), recipe)
            others[status] += 1
            why[f"ds002748 {status}"] = reason
        for row in test[: 1 if number < num_heads else 0]:
            scan = damages.ras(read_scan(paths[row]))
            for way, damage in damages.damages_of(scan, np.random.default_rng(0)).items():
                status, reason = judged(trained, sealed(damage()), recipe)
                found.setdefault(way, Counter())[status] += 1
                why[f"{way} {status}"] = reason
    counts = Counter(judgement.status for _, judgement in own)
    say(f"preprocess={kind}: 5 folds of {len(paths)} heads with a sex, {num_heads} of them damaged in all ways")
    held("held-out heads that are ok", counts["ok"] / len(own), ">= 0.95", counts["ok"] >= 0.95 * len(own))
    held("held-out heads that are outside", counts["outside"], "0", not counts["outside"])
    held("scans of ds002748 that are ok", others["ok"], "0", not others["ok"])
    missed = {way: statuses["ok"] for way, statuses in found.items() if statuses["ok"]}
    held("damaged heads that are ok", sum(missed.values()), "0", not missed)
    for path, judgement in own:
        if judgement.status == "outside":
            say(f"    {path.name}: {'; '.join(judgement.reasons)}")
    for way, statuses in found.items():
        say(f"    {way:24}{_counts(statuses)}")
    say(f"    {'ds002748':24}{_counts(others)}")
    for name, reason in why.items() if data.reasons else ():
        say(f"    {name}: {reason[:300]}")


def _counts(statuses: Counter[str]) -> str:
    """Write how many scans are of each status."""
    return "".join(f"{statuses[status]:4d} {status}" for status in ("refused", "outside", "unusual", "ok"))


def slab(scan: Scan, num_slices: int) -> Scan:
    """Keep a few planes from the middle of the head, from bottom to top."""
    data, affine = canonical(scan)
    first = (data.shape[2] - num_slices) // 2
    moved = affine.copy()
    moved[:3, 3] += affine[:3, 2] * first
    return replace(scan, data=np.ascontiguousarray(data[:, :, first : first + num_slices]), affine=moved)


def of_size(scan: Scan, scale: float, *, prone: bool = False) -> Scan:
    """Make a head smaller, by its header; prone as animals lie, or not."""
    turn = moving((-90 if prone else 0, 0, 0), (0, 0, 0), scale)
    return replace(scan, affine=turn @ scan.affine)


def bad_cases(scan: Scan, brain: np.ndarray) -> Iterator[tuple[str, Scan]]:
    """Yield scans in which no brain of a human lies as it should."""
    plain = damages.ras(scan)
    yield "neck and jaw only", neck(scan, brain)
    yield "brain taken out", replace(plain, data=np.where(ndimage.binary_dilation(brain), 0, plain.data))
    for axis, name in enumerate(("right", "front", "top")):
        yield f"half a head, {name} missing", damages.half(plain, axis, False, zeroed=False)
        voxels = np.argwhere(brain)[:, axis]
        middle = int((voxels.min() + voxels.max()) // 2)
        cut = np.arange(plain.data.shape[axis]).reshape([-1 if other == axis else 1 for other in range(3)]) > middle
        yield f"half a brain, {name} half set to 0", replace(plain, data=np.where(cut & brain, 0, plain.data))
        yield f"half a stripped brain, {name}", replace(plain, data=np.where(cut & brain, plain.data, 0))
    for number in (2, 5, 10, 20, 30):
        yield f"slab of {number} slices of 2 mm", slab(scan, number)
    for scale in (0.7, 0.65, 0.6):
        yield f"infant: {scale:.0%} of the size", of_size(scan, scale)
    for scale in (0.1, 0.3):
        yield f"animal: {scale:.0%} of the size", of_size(scan, scale)
        yield f"animal, prone: {scale:.0%} of the size", of_size(scan, scale, prone=True)


def bad_inputs() -> Iterator[tuple[str, Scan]]:
    """Yield scans without any brain."""
    random = np.random.default_rng(0)
    grid, path = np.diag([2.0, 2.0, 2.0, 1.0]), Path("made.nii")
    noise = random.normal(100, 20, (100, 110, 90)).astype(np.float32)
    ball = np.linalg.norm(np.indices(noise.shape).T - np.array(noise.shape) / 2, axis=-1).T < 40
    yield "noise", Scan(path, noise, grid, 1, (), "")
    yield "a ball with noise", Scan(path, np.where(ball, noise, 0).astype(np.float32), grid, 1, (), "")
    yield "a made-up head", Scan(path, made_head(), np.diag([4.0, 4.0, 4.0, 1.0]), 1, (), "")


def odd(data: Data) -> None:
    """Scans that show no brain, a part of one, or one of an infant or an animal."""
    trained = {}
    for kind in ("default", "brain"):
        _, traits, volumes = cohort(data, kind)
        trained[kind] = Contract.fit(traits, volumes, np.arange(len(traits)))
    found: dict[str, dict[str, Counter[str]]] = {}
    why: dict[str, str] = {}
    cases = [*bad_inputs()]
    for path in data.ixi(53):
        cases += bad_cases(read_scan(path), data.is_brain(path))
    for name, case in cases:
        for kind, contract in trained.items():
            status, reason = judged(contract, sealed(case), recipe_for(kind))
            found.setdefault(name, {}).setdefault(kind, Counter())[status] += 1
            why[f"{name}, {kind}, {status}"] = reason
    say(f"contracts of all heads; each case made of {len(data.ixi(53))}")
    for name, kinds in found.items():
        say(f"  {name:36}" + "".join(f"{kind}:{_counts(statuses)}   " for kind, statuses in kinds.items()))
    good = {"refused", "outside"}
    for kind in trained:
        missed = {n: dict(k[kind]) for n, k in found.items() if set(k[kind]) - good}
        held(f"kinds of cases that are not refused or outside, {kind}", len(missed), "0", not missed)
    for name, reason in why.items():
        if data.reasons or not name.endswith(("refused", "outside")):
            say(f"    {name}: {reason[:300]}")


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


PARTS: dict[str, Callable[[Data], None]] = {
    "masks": masks,
    "poses": poses,
    "markers": markers,
    "inverse": inverse,
    "surroundings": surroundings,
    "contract": partial(contract, kind="default", num_heads=5),
    "contract-of-brains": partial(contract, kind="brain", num_heads=2),
    "odd": odd,
    "seconds": seconds,
}


def main() -> None:
    """Print a table for each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--reasons", action="store_true", help="tell why each scan is judged as it is")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}")
    data = Data(arguments.data, reasons=arguments.reasons)
    for name in arguments.parts or PARTS:
        start = time.perf_counter()
        say(f"\n{name}")
        PARTS[name](data)
        say(f"  ({time.perf_counter() - start:.0f} s)")


if __name__ == "__main__":
    main()
