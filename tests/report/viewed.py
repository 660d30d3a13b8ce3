"""Scans for the viewer, as awkward as they come, and what a page embeds of them, decoded again."""

import base64
import gzip
import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from mri3d.report.elements import write_page
from mri3d.report.embedded_volume import embed
from mri3d.report.viewer import ViewedScan, viewer_section

SHAPE, SPACING_MM = (60, 72, 50), (1.2, 1.5, 3.0)
PEAK, VALLEY = (17, 53, 28), (44, 20, 31)  # voxels of RAS+: left, anterior; right, posterior


def affine():
    """Oblique and anisotropic."""
    tilt = nib.eulerangles.euler2mat(0.2, -0.1, 0.15)
    return nib.affines.from_matvec(tilt @ np.diag(SPACING_MM), [-40.0, -50.0, -60.0])


def ball(center, radius_mm):
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    return np.linalg.norm((grid - np.array(center)) * SPACING_MM, axis=-1) < radius_mm


def head():
    """A ball of tissue in air with noise."""
    values = 100.0 * ball((30, 36, 25), 32) + np.random.default_rng(0).normal(0, 2, SHAPE)
    return values.astype(np.float32)


def evidence():
    """Evidence for, whose peak is one voxel, and evidence against, half as strong."""
    values = 0.02 * ball(PEAK, 7) - 0.02 * ball(VALLEY, 7)
    values[PEAK], values[VALLEY] = 0.04, -0.03
    return values.astype(np.float32)


def stored(codes="RAS"):
    """The same head, affine and evidence in any stored order."""
    images = [nib.Nifti1Image(values, affine()) for values in (head(), evidence())]
    turn = ornt_transform(io_orientation(affine()), axcodes2ornt(codes))
    turned, heatmap = (image.as_reoriented(turn) for image in images)
    return np.asarray(turned.dataobj), turned.affine, np.asarray(heatmap.dataobj)


def scan(codes="RAS", *, name="s1", caption="", heatmap=True, high="for", low="against"):
    """That, to be viewed."""
    volume, place, values = stored(codes)
    return ViewedScan(name, embed(volume, place, values if heatmap else None), high=high, low=low, caption=caption)


def world(voxel):
    """Where a voxel of RAS+ lies, mm [3]."""
    return nib.affines.apply_affine(affine(), voxel)


def decoded(text):
    """The image in a text of a page."""
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))


def write(path: Path, scans, *, shows="brains", faces=False, num_sections=1):
    """Write a page with a viewer and return its text."""
    section = viewer_section(scans, shows=shows, faces=faces)
    write_page(path, title="Viewer", sections=section * num_sections)
    return path.read_text(encoding="utf-8")


def data_of(page: str):
    """What the script of a page reads."""
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)[1])
