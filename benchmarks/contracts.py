"""What contracts keep away: damaged heads, other contrasts and studies, and scans without a brain, on real scans.

    python benchmarks/contracts.py                          # for the default recipe and for brains
    python benchmarks/contracts.py default --reasons        # one of them, with what is told of each kind of scan

Brains are kept in the cache folder (MRI3D_CACHE), those of changed scans too; to find one takes seconds.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from real_scans import ROOT, Data, held, run, say
from scipy import ndimage
from sklearn.model_selection import StratifiedKFold

sys.path.insert(0, str(ROOT))  # the same heads and damages as in the tests

from mri3d import BrainRecipe, Recipe
from mri3d.contract.contract import Contract, Judgement
from mri3d.scans.scan import Scan, ScanError, canonical, read_scan
from mri3d.scans.traits import Traits, traits_of
from mri3d.volumes.sequence import InMemory
from tests import damages
from tests.brain.heads import moving, sealed
from tests.brain.test_locating import neck
from tests.scans.heads import made_head


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
    # How a header turns a head is taken away where brains are aligned.
    harmless = ("header_",) if kind == "brain" else ()
    missed = {way: each["ok"] for way, each in found.items() if each["ok"] and not way.startswith(harmless)}
    but = ", but for turns of the header" if harmless else ""
    held(f"damaged heads that are ok{but}", sum(missed.values()), "0", not missed)
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


if __name__ == "__main__":
    assert __doc__ is not None
    run(
        {
            "default": partial(contract, kind="default", num_heads=5),
            "brain": partial(contract, kind="brain", num_heads=2),
            "odd": odd,
        },
        __doc__,
    )
