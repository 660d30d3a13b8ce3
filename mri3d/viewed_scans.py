"""Scans for the viewer of a page: a head on its own grid, a brain alone and upright, and a heatmap on the same grid."""

from dataclasses import replace

import numpy as np
from scipy import ndimage

from mri3d.report.embedded_volume import MAX_EDGE, EmbeddedVolumes, embed
from mri3d.scans.scan import Scan, ScanError
from mri3d.scans.scan_file import read_file
from mri3d.study import Study
from mri3d.volumes.recipes import AnyRecipe, BrainRecipe


def upright(study: Study, row: int) -> np.ndarray | None:
    """Return what turns a volume to RAS+ [4, 4]; its voxels are cubes.

    Args:
        study: Of the volume.
        row: Of the volume.

    Returns:
        The matrix; None where the axes are those of the file, which is gone or damaged by now.
    """
    if study.recipe is None or study.recipe.orientation == "ras":
        return np.eye(4)
    try:
        return study.recipe.affine(read_file(study.cohort.scans[row]))
    except (ScanError, OSError):
        return None


def scan_of(study: Study, row: int) -> Scan:
    """Read the scan of a session again.

    Raises:
        ScanError: It is gone, or another one than the study was made from.
    """
    scan = read_file(study.cohort.scans[row])
    if scan.digest != study.cohort.digests[row]:
        raise ScanError(f"{scan.path} has changed since the study was made from it")
    return scan


def embedded_scan(
    scan: Scan, recipe: AnyRecipe, heat: np.ndarray | None = None, place: np.ndarray | None = None
) -> EmbeddedVolumes:
    """Embed a scan; where a recipe shows brains alone, so does this, in the space of the template.

    Args:
        scan: The scan.
        recipe: By which a model sees it.
        heat: A heatmap [X, Y, Z] on any grid; None for none.
        place: From the voxels of that grid to the world of the scan, mm [4, 4].

    Raises:
        ScanError: The recipe finds no brain in it.
    """
    image, affine, in_world = np.asarray(scan.data), scan.affine, scan.affine
    if isinstance(recipe, BrainRecipe):
        fine = replace(recipe, resolution=MAX_EDGE)
        image, affine, in_world = fine.volume(scan)[0], fine.shared_affine, fine.affine(scan)
    if heat is None or place is None:
        return embed(image, affine)
    if image.shape != heat.shape or not np.allclose(in_world, place):
        step = np.linalg.inv(place) @ in_world
        heat = ndimage.affine_transform(heat, step[:3, :3], step[:3, 3], output_shape=image.shape, order=1)
    return embed(image, affine, np.where(image != 0, heat, np.float32(0)) if recipe.shows == "brains" else heat)
