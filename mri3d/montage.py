"""The montage: a page with a picture of every scan of a study after preprocessing, bad ones first."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from scipy import ndimage

from mri3d.brain import brain as limits
from mri3d.brain.kept import found_in
from mri3d.cohort.cohort import Session
from mri3d.errors import UserError
from mri3d.progress import progress
from mri3d.report.elements import Html
from mri3d.report.picture import Picture, plane
from mri3d.report.scans_page import FigureText, ScanShown, scans_section, write_scans_page
from mri3d.report.thumbnail import middle_planes, thumbnail
from mri3d.scans.scan import Scan, ScanError, canonical, read_scan
from mri3d.scans.scan_file import path_of, read_file
from mri3d.study import Study
from mri3d.texts import number_text
from mri3d.volumes.recipes import AnyRecipe, BrainRecipe

log = logging.getLogger(__name__)

PAGE = "scans.html"

_FADED = 2  # voxels: as far as this from where it is 0 a volume has what blur leaves of a brain's edge

FIGURES: Mapping[str, FigureText] = MappingProxyType(
    {
        "brain_ml": FigureText(
            "Brain volume",
            "{:,.0f} ml",
            "of what was taken for the brain, with ventricles and sulci, in the scan's own size; from "
            "{:,.0f} to {:,.0f} ml pass.".format(*limits.VOLUME_RANGE_ML),
        ),
        "overlap": FigureText(
            "Overlap",
            "{:.2f}",
            "of the aligned brain with that of the template (Dice coefficient, 1 where they are the same); "
            f"{limits.LEAST_OVERLAP:g} and more passes.",
        ),
        "similarity": FigureText(
            "Similarity",
            "{:.2f}",
            "of the aligned brain to the template (correlation of their intensities); "
            f"{limits.LEAST_SIMILARITY:g} and more passes.",
        ),
        "misfit": FigureText(
            "Misfit of the mask",
            "{:.1%}",
            f"how much of its surface lies more than {limits.MISFIT_MM:g} mm from that of the brain that is found in "
            f"the scan; more than {limits.DOUBTFUL_MISFIT:.0%} gives a warning, at most {limits.MOST_MISFIT:.0%} "
            "passes.",
        ),
    }
)

_FARTHEST = "similarity"  # the least of it lies farthest from the rest
_FINE = 96  # voxels along an edge: finer than a thumbnail
_DIMMED = 0.35  # brightness of what is not brain
_PLANES = "Sagittal, coronal and axial plane through the middle"
_SIDES = "The left side of the head is on the left of the coronal and the axial one"
_REFUSED_BRAINS = (
    "A refused scan is shown whole on the template's planes, with what was taken for the brain brighter than the rest; "
    "one in which no brain was found is shown as it was scanned."
)
_REFUSED = "A refused scan that has no volume is shown as it was scanned."


def write_montage(folder: Path, study: Study) -> list[Html]:
    """Write the page of a study's scans; those without a label, which take no part, are counted only.

    Args:
        folder: Of the run; the page is `PAGE` in it.
        study: Whose scans are shown; one is held in memory at a time.

    Returns:
        The section of the run's report that sums the page up.
    """
    row_of = {name: row for row, name in enumerate(study.ids)}

    def draw(session: Session) -> Picture | None:
        if session.left_out:
            return _refused_picture(session, study.recipe)
        return _volume_picture(study.volumes[row_of[session.id]], study.recipe, session.id)

    cohort = study.cohort_with_outliers
    labelled = [session for session in cohort.sessions if session.label is not None]
    scans = _shown(labelled, draw)
    unlabelled = len(cohort.sessions) - len(labelled)
    note = _note(study.recipe, num_channels=study.volumes.shape[0])
    if unlabelled:
        note += f" {number_text(unlabelled, 'session')} without a label {'is' if unlabelled == 1 else 'are'} not shown."
    write_scans_page(folder / PAGE, scans, FIGURES, facts={"cohort": study.describe(), "run": str(folder)}, note=note)
    return scans_section(scans, FIGURES, page=PAGE)


def write_refused(path: Path, sessions: Sequence[Session], recipe: AnyRecipe) -> None:
    """Write the page of scans that ended a run.

    Args:
        path: The page.
        sessions: Audited; each has a `problem`.
        recipe: By which they were judged.
    """
    scans = _shown(sessions, lambda session: _refused_picture(session, recipe))
    write_scans_page(path, scans, FIGURES, facts={}, note=_note(recipe, num_channels=1))


def _shown(sessions: Iterable[Session], draw: Callable[[Session], Picture | None]) -> list[ScanShown]:
    """Draw scans in the order of the page: refused ones, those with warnings, then the least alike to the template."""
    ordered = sorted(
        sessions, key=lambda one: (not _reason(one), not one.warnings, one.figures.get(_FARTHEST, 1.0))
    )  # stable
    shown = []
    for session in progress(ordered, total=len(ordered), title="picturing scans"):
        try:
            picture = draw(session)
        except (UserError, OSError) as error:  # moved since
            log.warning("%s has no picture on the page of scans: %s", session.id, error)
            picture = None
        shown.append(ScanShown(session.id, picture, session.figures, session.warnings, _reason(session)))
    return shown


def _reason(session: Session) -> str:
    """Return why a session takes no part; empty where it does."""
    return session.left_out or str(UserError(session.problem))


def _volume_picture(volume: np.ndarray, recipe: AnyRecipe | None, name: str) -> Picture:
    """Draw the first channel of a volume [C, X, Y, Z]; the air around a brain, and what blur takes there, in black."""
    planes = middle_planes(volume[0])
    if recipe is not None and recipe.shows == "brains":
        lowest = min(each.min() for each in planes)
        planes = [np.where(ndimage.binary_dilation(each == 0, iterations=_FADED), lowest, each) for each in planes]
    return thumbnail(planes, alt=_alt(name))


def _refused_picture(session: Session, recipe: AnyRecipe | None) -> Picture | None:
    """Draw a scan that cannot be used: as its volume would be, else aligned, else as it was scanned, else not at all.

    No brain is looked for where the audit found none: it takes seconds.
    """
    if session.file is None or recipe is None:
        return None
    try:
        scan = read_file(session.file)
    except ScanError:
        try:
            return _scanned_picture(read_scan(path_of(session.file)), session.id)  # its mask may be what is wrong
        except ScanError:
            return None
    found = bool(session.figures)
    if found or recipe.shows != "brains":
        with suppress(ScanError):
            return _volume_picture(recipe.volume(scan), recipe, session.id)
    if found and isinstance(recipe, BrainRecipe):
        return thumbnail(_aligned_planes(scan, recipe), alt=_alt(session.id))
    return _scanned_picture(scan, session.id)


def _scanned_picture(scan: Scan, name: str) -> Picture:
    """Draw a scan on its own grid, turned to RAS+."""
    data, affine = canonical(scan)
    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    return thumbnail(middle_planes(data), alt=_alt(name), spacing_mm=spacing_mm.tolist())


def _aligned_planes(scan: Scan, recipe: BrainRecipe) -> list[np.ndarray]:
    """Cut a scan on the middle planes of the volume that it would have, what is not brain darker, see `plane`."""
    recipe = replace(recipe, resolution=_FINE)
    brain, (data, affine), (low, high) = found_in(scan), canonical(scan), scan.head.limits
    to_data = np.linalg.inv(affine) @ brain.to_scan @ recipe.shared_affine
    planes = []
    for axis, side in enumerate(recipe.volume_shape):
        sides = [*recipe.volume_shape]
        sides[axis] = 1
        start = to_data[:3, :3] @ (np.arange(3) == axis) * (side // 2) + to_data[:3, 3]
        places = np.tensordot(to_data[:3, :3], np.indices(sides), 1) + start.reshape(3, 1, 1, 1)
        values = ndimage.map_coordinates(data, places, np.float32, order=1, cval=float(low))
        inside = ndimage.map_coordinates(brain.mask.view(np.uint8), places, order=0)
        values = np.clip(values, low, high) - low
        planes.append(plane(np.where(inside, values, _DIMMED * values), axis, 0))
    return planes


def _note(recipe: AnyRecipe | None, *, num_channels: int) -> str:
    """Write what the pictures show, and in which order."""
    if recipe is None:
        told = f"{_PLANES} of each volume, as it was given."
    elif recipe.shows == "brains":
        told = (
            f"{_PLANES} of each scan after preprocessing, in the space of MNI152. {_SIDES}. {_REFUSED_BRAINS} Those "
            "with warnings come first, and then those that are least similar to the template."
        )
    elif recipe.orientation == "ras":
        told = f"{_PLANES} of each scan after preprocessing. {_SIDES}. {_REFUSED}"
    else:
        told = (
            f"Planes through the middle of each scan after preprocessing, with its axes as they are stored. {_REFUSED}"
        )
    return told + (f" The first of {num_channels} channels is shown." if num_channels > 1 else "")


def _alt(name: str) -> str:
    return f"{name} on three planes"
