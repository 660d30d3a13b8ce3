"""Whether heatmaps point to what a network learnt, where that is known.

    python benchmarks/known_sources.py                                   # all sources, all ways to explain
    python benchmarks/known_sources.py "ventricles darker" --network resnet18 --methods integrated_gradients

Sources are effects planted in generated heads at several places, effects made inside one structure of real heads (IXI,
with the labels of DLMUSE) whose labels are random, and, as a softer case, the true volume of a structure: what goes
with it elsewhere in the anatomy is no error of a map.

A network learns from some heads. Of others, which it never saw, the evidence for what they are is mapped on the scan's
own grid. Of each way to explain there is a line, with heads that have the effect (or a larger structure) before those
that have it not: the share of maps whose peak lies inside the structure or within 8 mm of it, the median distance of
peaks in mm, the share of the evidence inside over the structure's share of the brain, and the average precision of the
evidence as a detector of the structure in the brain, over chance.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from changed_heads import STRUCTURES, Change, Head
from real_scans import ROOT, Data, say
from scipy import stats
from scipy.ndimage import distance_transform_edt
from sklearn.metrics import average_precision_score, roc_auc_score

import mri3d
from mri3d.cohort.demo import DemoStudy, effect_mask_path
from mri3d.models.trained import TrainedModel
from mri3d.nets.networks import find_network
from mri3d.parallel import num_cores
from mri3d.scans.scan import write_image

CLOSE_MM = 8.0
WITH, WITHOUT = "with", "without"

DEMO_PLACES = {
    "hippocampus": (-27.0, -16.0, -18.0),
    "cerebellum": (24.0, -62.0, -34.0),
    "frontal": (-32.0, 38.0, 20.0),
}
DEMO_KINDS = {"darker and smaller": 0.5, "brighter and larger": -0.5}
KINDS = ("darker", "brighter", "smaller")


@dataclass(frozen=True, eq=False)
class Known:
    """A head that no network learnt from.

    Attributes:
        scan: The file.
        label: Class, or value.
        inside: Where the source lies, bool [X, Y, Z] on the grid of the scan.
        brain: Likewise.
    """

    scan: Path
    label: str | float
    inside: np.ndarray
    brain: np.ndarray

    @cached_property
    def away_mm(self) -> np.ndarray:
        """Distance from the source [X, Y, Z], 0 inside."""
        spacing_mm = nib.affines.voxel_sizes(nib.load(self.scan).affine)
        return np.asarray(distance_transform_edt(~self.inside, sampling=spacing_mm))


@dataclass(frozen=True, eq=False)
class Source:
    """What is to be learnt, and heads in which it is known where that lies.

    Attributes:
        table: Heads to learn from: columns id, scan and label.
        known: Other heads.
        task: Of `mri3d.Study`.
    """

    table: pd.DataFrame
    known: Sequence[Known]
    task: str = "classification"


def demo(strength: float, place: Sequence[float], _: Path, __: Path) -> Source:
    """Generate heads with an effect at a place, and without."""
    learnt, unseen = (
        DemoStudy(num_subjects=number, effect=strength, effect_center_mm=place, seed=seed).build()
        for number, seed in ((96, 0), (40, 77))
    )
    tables = [pd.read_csv(folder / "subjects.csv", dtype=str) for folder in (learnt, unseen)]
    for folder, table in zip((learnt, unseen), tables, strict=True):
        table["scan"] = [str(folder / "brain_nii" / f"{subject}.nii.gz") for subject in table["Subject"]]
        table["label"] = [{"1": WITH, "-1": WITHOUT}[each] for each in table["class"]]
        table["id"] = table["Subject"]
    known = []
    for path, label in zip(tables[1]["scan"], tables[1]["label"], strict=True):
        mask = nib.load(effect_mask_path(Path(path))).get_fdata() > 0
        known.append(Known(Path(path), label, mask, nib.load(path).get_fdata() > 0))
    return Source(tables[0][["id", "scan", "label"]], known)


def changed(change: Change, data: Path, scratch: Path) -> Source:
    """Change a structure in every second of real heads, drawn at random."""
    rows, known = [], []
    for scan, unseen, affected in _drawn(data):
        head = Head.read(scan)
        path = scratch / scan.name.replace("_T1", "")
        write_image(path, head.changed(change) if affected else head.values, head.affine, code=1)
        label = WITH if affected else WITHOUT
        if unseen:
            known.append(Known(path, label, head.inside(change.structure), head.labels > 0))
        else:
            rows.append({"id": path.name, "scan": str(path), "label": label})
    return Source(pd.DataFrame(rows), known)


def volume_of(structure: str, data: Path, _: Path) -> Source:
    """Measure a structure in real heads, in ml."""
    rows, known = [], []
    for scan, unseen, _affected in _drawn(data):
        head = Head.read(scan)
        inside = head.inside(structure)
        volume = float(inside.sum() * head.spacing_mm.prod() / 1000)
        if unseen:
            known.append(Known(scan, volume, inside, head.labels > 0))
        else:
            rows.append({"id": scan.name, "scan": str(scan), "label": f"{volume:.3f}"})
    return Source(pd.DataFrame(rows), known, task="regression")


def _drawn(data: Path) -> Iterator[tuple[Path, bool, bool]]:
    """Draw of each real head whether it is kept from the network, and whether it is changed."""
    scans = Data(data, reasons=False).ixi()
    order = np.random.default_rng(0).permutation(len(scans))
    for number, index in enumerate(order):
        yield scans[index], number < 40, number % 2 == 0


SOURCES: Mapping[str, Callable[[Path, Path], Source]] = {
    **{
        f"demo {place} {kind}": partial(demo, strength, mm)
        for place, mm in DEMO_PLACES.items()
        for kind, strength in DEMO_KINDS.items()
    },
    **{f"{each} {kind}": partial(changed, Change(each, kind)) for each in STRUCTURES for kind in KINDS},
    **{f"{each} volume": partial(volume_of, each) for each in STRUCTURES},
}


@dataclass(frozen=True)
class Pointing:
    """How well the map of one head points to the source.

    Attributes:
        distance_mm: From the peak to the source, 0 inside.
        energy: Share of the positive evidence inside, over the share of the brain.
        precision: Average precision over chance.
    """

    distance_mm: float
    energy: float
    precision: float

    @classmethod
    def of(cls, evidence: np.ndarray, known: Known) -> "Pointing":
        """Hold evidence [X, Y, Z] against where the source lies."""
        positive, chance = evidence.clip(min=0), known.inside.sum() / known.brain.sum()
        found = average_precision_score(known.inside[known.brain], evidence[known.brain])
        return cls(
            float(known.away_mm.flat[evidence.argmax()]),
            float(positive[known.inside].sum() / max(positive.sum(), 1e-12) / chance),
            float(found / known.inside[known.brain].mean()),
        )


def fitted(source: Source, network: str, scratch: Path) -> TrainedModel:
    """Train a network on the heads of a source."""
    source.table.to_csv(table := scratch / "learnt.csv", index=False)
    study = mri3d.Study.from_table(str(table), id="id", label="label", scan="{scan}", task=source.task)
    return mri3d.fit(study, mri3d.models.CNN(network=find_network(network)), seed=0)


def learnt(model: TrainedModel, source: Source) -> str:
    """Score what a model predicts of the heads that it did not learn from."""
    truth = [each.label for each in source.known]
    table = model.predict([str(each.scan) for each in source.known])
    if source.task == "regression":
        return f"r {stats.pearsonr(truth, table['prediction'].astype(float)).statistic:.2f}"
    positive = [label == WITH for label in truth]
    return f"AUC {roc_auc_score(positive, table[f'p_{WITH}']):.2f}"


def pointings(model: TrainedModel, source: Source, methods: Sequence[str]) -> dict[tuple[str, str], list[Pointing]]:
    """Map the evidence for what each head is, and hold it against the source: by method and kind of head."""
    middle = np.median([each.label for each in source.known]) if source.task == "regression" else None
    found: dict[tuple[str, str], list[Pointing]] = {(way, kind): [] for way in methods for kind in (WITH, WITHOUT)}
    for known in source.known:
        predicted = model.predict_scan(known.scan.name, known.scan, strict=True, force=True)
        kind = str(known.label) if middle is None else WITH if float(known.label) > middle else WITHOUT
        target, sign = (kind, 1) if middle is None else (None, 1 if kind == WITH else -1)
        for way in methods:
            heat = model.heatmap(predicted, target, method=model.method(way)).values
            found[way, kind].append(Pointing.of(sign * heat, known))
    return found


def from_average(model: TrainedModel) -> TrainedModel:
    """Return a model whose evidence starts from the average of what it learnt from, as before mri3d 0.4."""
    (member,) = model.members
    reference = replace(member.card.reference, variations=None)
    return replace(model, members=(replace(member, card=replace(member.card, reference=reference)),))


def told(found: Sequence[Pointing]) -> str:
    """Sum up how well maps point."""
    distances = np.array([each.distance_mm for each in found])
    medians = (np.median([getattr(each, name) for each in found]) for name in ("energy", "precision"))
    return f"{(distances <= CLOSE_MM).mean():6.2f}{np.median(distances):6.0f}" + "".join(f"{x:7.1f}" for x in medians)


def main() -> None:
    """Print a table for each source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*", metavar="source", help=f"of {', '.join(SOURCES)}")
    parser.add_argument("--network", default="sfcn")
    parser.add_argument("--methods", nargs="+", help="ways to explain; all that the network has unless given")
    parser.add_argument("--average", action="store_true", help="integrated gradients from the average head too")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--keep", type=Path, help="a folder for models; those of an earlier call are taken from it")
    arguments = parser.parse_args()
    if unknown := set(arguments.sources) - set(SOURCES):
        parser.error(f"no source {', '.join(sorted(unknown))}")
    say(f"{arguments.network}, {num_cores()} cores; pointing, distance in mm, energy and precision over chance")
    for name in arguments.sources or SOURCES:
        with tempfile.TemporaryDirectory() as scratch:
            source = SOURCES[name](arguments.data, Path(scratch))
            kept = None if arguments.keep is None else arguments.keep / arguments.network / name.replace(" ", "-")
            if kept is not None and kept.exists():
                model = mri3d.load(kept)
            else:
                model = fitted(source, arguments.network, Path(scratch))
                if kept is not None:
                    model.save(kept)
            say(f"\n{name}: {learnt(model, source)} of {len(source.known)} unseen heads")
            methods = arguments.methods or [way for way in model.heatmaps if way != "region_occlusion"]
            found = pointings(model, source, methods)
            for way in methods:
                say(f"  {way:22}{told(found[way, WITH])}    {told(found[way, WITHOUT])}")
            if arguments.average:
                found = pointings(from_average(model), source, ["integrated_gradients"])
                say(f"  {'from the average':22}" + "    ".join(map(told, found.values())))


if __name__ == "__main__":
    main()
