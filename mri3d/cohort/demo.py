"""The demo cohort: generated heads in two classes that differ by one known local effect and nothing else."""

import dataclasses
import json
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mri3d.arguments import check_fields
from mri3d.cohort import anatomy
from mri3d.cohort.anatomy import MAX_STRENGTH, Effect, SyntheticHead, VoxelGrid, load_template
from mri3d.cohort.cohort import Cohort
from mri3d.cohort.table import Table
from mri3d.csv_files import write_csv
from mri3d.errors import UserError, option
from mri3d.files import cache_folder, digest, digest_json, temporary_folder, write_bytes
from mri3d.parallel import map_threads
from mri3d.scans.scan import scan_name, write_image

log = logging.getLogger(__name__)

CLASSES = ("-1", "1")  # as in the seed study; the second has the effect

_GRIDS = {
    "small": VoxelGrid((84, 90, 104), 2.0, (1.0, -1.0, -14.0)),
    "seed": VoxelGrid((256, 256, 256), 1.0, (0.5, -0.5, 0.5)),
}


@dataclass(frozen=True)
class DemoStudy:
    """What is generated: a folder in the layout of the seed study, with the effect's mask beside each scan.

    `subjects.csv` (Subject, class), `brain_nii/<Subject>.nii` (.nii.gz on the small grid) and
    `effect_mask/<Subject>.nii.gz`: 1 where the effect acts in that head, or would if it had it.

    Attributes:
        num_subjects: Heads; half of them in each class.
        effect: Share by which grey matter around the effect's centre is darkened; the tissue there is shrunk by half
            that share along each axis. Below 0 it is brightened and swells. From -0.8 to 0.8; 0 makes the classes
            exchangeable.
        effect_center_mm: Centre of the effect in MNI152 space, R, A, S; the default is the left hippocampus.
        effect_radius_mm: Distance at which the effect has faded to nothing.
        grid: "small" (2 mm, 84 x 90 x 104) or "seed" (1 mm, 256 x 256 x 256); both uint8, stored LIA.
        seed: Another seed, other heads.
    """

    num_subjects: int = 96
    effect: float = 0.5
    effect_center_mm: Sequence[float] = (-27.0, -16.0, -18.0)
    effect_radius_mm: float = 26.0
    grid: str = "small"
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self, "data.demo")

    def build(self) -> Path:
        """Return the folder of the study; generate it unless that was done before.

        It is built in a folder of its own and renamed when complete, so that killed or simultaneous builds never
        leave half a study.

        Raises:
            UserError: An argument is out of range, or the cache folder cannot be written to.
        """
        self._check()
        folder = cache_folder() / "demo" / digest_json([_generator_digest(), self._arguments()])[:16]
        if not self._is_complete(folder):
            try:
                with temporary_folder(folder) as building:
                    self._build_in(building)
                    self._put(building, folder)
            except OSError as error:
                raise UserError(
                    f"cannot write the demo cohort to {folder.parent}: {error.strerror}. Make room, or choose another "
                    "folder by MRI3D_CACHE."
                ) from error
        return folder

    def _arguments(self) -> dict[str, object]:
        return dataclasses.asdict(self) | {"effect_center_mm": [float(x) for x in self.effect_center_mm]}

    def _check(self) -> None:
        """Refuse arguments that no head can be grown with."""
        if self.num_subjects < 2:
            raise UserError(f"{option('data.demo.num_subjects', self.num_subjects)} is too few: give 2 or more.")
        if not abs(self.effect) <= MAX_STRENGTH:
            raise UserError(
                f"{option('data.demo.effect', self.effect)} is out of range: give a share from {-MAX_STRENGTH} to "
                f"{MAX_STRENGTH}."
            )
        if len(self.effect_center_mm) != 3 or not np.isfinite(self.effect_center_mm).all():
            raise UserError(
                f"{option('data.demo.effect_center_mm', self.effect_center_mm)} is no place: give three numbers in mm."
            )
        if not 0 < self.effect_radius_mm <= 100:
            raise UserError(
                f"{option('data.demo.effect_radius_mm', self.effect_radius_mm)} is out of range: give 1 to 100."
            )
        if self.grid not in _GRIDS:
            raise UserError(f"{option('data.demo.grid', self.grid)} is unknown: give one of {', '.join(_GRIDS)}.")
        if self.seed < 0:
            raise UserError(f"{option('data.demo.seed', self.seed)} is negative: give 0 or more.")

    def _ids(self) -> list[str]:
        return [f"demo{index + 1:03d}" for index in range(self.num_subjects)]

    def _is_complete(self, folder: Path) -> bool:
        """Return whether every file is there: some systems clean caches file by file."""
        scans, masks = ({scan_name(p) for p in (folder / name).glob("*.nii*")} for name in ("brain_nii", "effect_mask"))
        return (folder / "subjects.csv").is_file() and scans == masks == set(self._ids())

    def _build_in(self, folder: Path) -> None:
        """Generate the study in a new folder."""
        began = time.monotonic()
        load_template()  # once, before the threads ask for it all at once
        ids = self._ids()
        map_threads(lambda index: self._write_head(folder, index), range(len(ids)), what="growing demo heads")
        rows = [{"Subject": id, "class": CLASSES[self._is_affected(index)]} for index, id in enumerate(ids)]
        write_csv(folder / "subjects.csv", rows)
        write_bytes(folder / "demo.json", json.dumps(self._arguments(), indent=2).encode())
        log.info("demo cohort: %d heads grown in %.0f s (once)", self.num_subjects, time.monotonic() - began)

    def _put(self, building: Path, folder: Path) -> None:
        """Rename a complete folder to its place, where there may be another's by now, or one that has lost files."""
        try:
            building.rename(folder)
        except OSError:
            if not self._is_complete(folder):
                broken = folder.rename(building.with_name(f"{building.name}-old"))
                building.rename(folder)
                shutil.rmtree(broken, ignore_errors=True)

    def _is_affected(self, index: int) -> bool:
        """Draw who of each pair of subjects has the effect, so that the classes are balanced and their order random."""
        first = bool(np.random.default_rng([self.seed, 1, index // 2]).integers(2))
        return first ^ bool(index % 2)

    def _write_head(self, folder: Path, index: int) -> None:
        """Grow and write one subject: a pure function of the arguments and the subject's index."""
        grid = _GRIDS[self.grid]
        right, anterior, superior = (float(x) for x in self.effect_center_mm)
        effect = Effect(self.effect, (right, anterior, superior), self.effect_radius_mm)
        head = SyntheticHead(np.random.default_rng([self.seed, 0, index]))
        scan, mask = head.sample(grid, effect, affected=self._is_affected(index))
        scan_path = folder / "brain_nii" / f"{self._ids()[index]}{'.nii' if self.grid == 'seed' else '.nii.gz'}"
        for path, values in ((scan_path, scan), (effect_mask_path(scan_path), mask)):
            write_image(path, values, grid.affine, code=1)


@dataclass(frozen=True)
class Demo:
    """The demo cohort, generated when it is first read.

    Attributes:
        demo: What to generate.
        skip_bad: Leave out scans that cannot be used instead of ending the run.
    """

    demo: DemoStudy = field(default_factory=DemoStudy)
    skip_bad: bool = False

    @property
    def label(self) -> str:
        """Name of the label column."""
        return "class"

    @property
    def classes(self) -> bool:
        """Whether numbers are insisted on as classes: there are but two of them."""
        return False

    @property
    def suffix(self) -> None:
        """Kind of scan, which is none: names are not chosen by it."""
        return None

    def read(self) -> Cohort:
        """Generate the heads unless they lie in the cache, and read their table.

        Raises:
            UserError: An argument of the study is out of range.
        """
        return Table(
            str(self.demo.build()), "subjects.csv", id="Subject", label=self.label, scan="brain_nii/{id}.nii*"
        ).read()


def effect_mask_path(scan: Path) -> Path:
    """Return the file that shows where the effect acts, on the grid of a scan of the demo cohort.

    >>> effect_mask_path(Path("study/brain_nii/demo001.nii")).as_posix()
    'study/effect_mask/demo001.nii.gz'
    """
    return scan.parents[1] / "effect_mask" / f"{scan_name(scan)}.nii.gz"


def _generator_digest() -> str:
    """Identify the generator by its source, so that no head of an older one is served."""
    return digest(Path(__file__).read_bytes(), Path(anatomy.__file__).read_bytes())
