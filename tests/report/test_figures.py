"""Pictures of heads: left is left whatever the stored order, sides keep their length, colours mean what they say."""

import io
import runpy
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from PIL import Image

from mri3d.report.figures import HeadView, slices

SHAPE, SPACING_MM = (36, 44, 40), (2.0, 1.5, 1.0)  # 72 x 66 x 40 mm


def ball(center, radius):
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    return (np.linalg.norm((grid - center) * SPACING_MM, axis=-1) < radius).astype(np.float32)


def ellipsoid():
    """A gray head that fills the grid but for two voxels at each side."""
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    middle = (np.array(SHAPE) - 1) / 2
    return 100.0 * (np.linalg.norm((grid - middle) / (middle - 1), axis=-1) < 1).astype(np.float32)


def ras_affine():
    """Slightly oblique."""
    tilt = nib.eulerangles.euler2mat(0.1, -0.05, 0.08)
    return nib.affines.from_matvec(tilt @ np.diag(SPACING_MM), [-30, -40, -20])


def stored_as(codes, volumes):
    """The same head in another axis order, with the affine that says so."""
    image = nib.Nifti1Image(volumes[0], ras_affine())
    change = ornt_transform(io_orientation(image.affine), axcodes2ornt(codes))
    turned = [nib.Nifti1Image(volume, image.affine).as_reoriented(change) for volume in volumes]
    return [np.asarray(other.dataobj) for other in turned], turned[0].affine


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture.data)).convert("RGB")).astype(float)  # [row, column, 3]


def panels(image):
    """Left and right edge of each plane: columns that are not black apart."""
    bright = (image.max(axis=2) > 40).sum(axis=0) > 12
    edges = np.flatnonzero(np.diff(np.concatenate([[False], bright, [False]]).astype(int)))
    return edges.reshape(-1, 2)


@pytest.mark.parametrize("codes", ["RAS", "LIA", "PSR", "AIL"])
def test_every_stored_order_gives_the_same_picture(codes):
    head, heat = ellipsoid(), ball((8, 30, 25), 8)
    (volume, heatmap), affine = stored_as(codes, [head, heat])
    assert nib.aff2axcodes(affine) == tuple(codes)
    expected = slices(HeadView(head, ras_affine(), heat), alt="")
    assert slices(HeadView(volume, affine, heatmap), alt="").data == expected.data


def test_left_is_at_the_left_and_the_letters_say_so():
    # Heat at low x (left), high y (front), high z (top), so that the planes meet there.
    image = pixels(slices(HeadView(ellipsoid(), ras_affine(), ball((10, 30, 26), 7)), alt=""))
    hot = image[..., 0] - image[..., 2] > 60
    rows, columns = image.shape[0], []
    for left, right in panels(image)[:3]:
        where = np.argwhere(hot[:, left:right])
        columns.append((where[:, 1].mean() / (right - left), where[:, 0].mean() / rows))
    sagittal, coronal, axial = columns
    assert sagittal[0] > 0.5  # front is at the right of the sagittal plane
    assert coronal[0] < 0.5
    assert axial[0] < 0.5
    assert max(row for _, row in (sagittal, coronal, axial)) < 0.5  # up, up, and front upwards


def test_the_planes_keep_the_proportions_of_the_head_in_mm():
    image = pixels(slices(HeadView(ellipsoid(), ras_affine()), alt="", height=400))
    widths = [right - left for left, right in panels(image)]
    expected = np.array([44 * 1.5, 36 * 2.0, 36 * 2.0])  # sagittal shows Y; coronal and axial show X
    assert len(widths) == 3
    assert np.allclose(widths / np.mean(widths), expected / expected.mean(), atol=0.06)


def test_evidence_against_is_blue_and_for_is_orange():
    heat = ball((10, 22, 20), 7) - ball((26, 22, 20), 7)
    image = pixels(slices(HeadView(ellipsoid(), ras_affine(), heat), alt=""))
    left, right = panels(image)[1]
    middle = (left + right) // 2
    warmth = image[..., 0] - image[..., 2]
    assert warmth[:, left:middle].max() > 60
    assert warmth[:, middle:right].min() < -60
    assert warmth[:, middle:right].max() < 30


def test_the_scale_says_what_its_ends_mean():
    """The words are drawn, so what is looked at is how wide they are and that they change the picture."""
    both, positive = ball((10, 22, 20), 7) - ball((26, 22, 20), 7), ball((10, 22, 20), 7)

    def width(heatmap, **words):
        return pixels(slices(HeadView(ellipsoid(), ras_affine(), heatmap, **words), alt="")).shape[1]

    assert width(both) == width(both, high="raises", low="against")
    assert width(both, high="raises age", low="lowers age") > width(both, high="raises", low="lowers")
    assert width(positive, low="a word that is not there") == width(positive)  # none of it is negative
    assert width(both, high="x" * 18) == width(both, high="x" * 300)  # cut
    raises = slices(HeadView(ellipsoid(), ras_affine(), both, high="raises", low="lowers"), alt="")
    assert raises.data != slices(HeadView(ellipsoid(), ras_affine(), both, high="raised", low="lowers"), alt="").data
    shown = pixels(raises)
    assert shown[:, -4:].max() < 40  # the words end before the picture does


def test_a_spike_voxel_does_not_darken_the_head():
    spiked = ellipsoid()
    spiked[18, 22, 20] = 65535.0
    plain = pixels(slices(HeadView(ellipsoid(), ras_affine()), alt=""))
    assert np.abs(pixels(slices(HeadView(spiked, ras_affine()), alt="")) - plain).mean() < 2


def test_a_heatmap_of_zeros_and_an_empty_outline_are_drawn():
    nothing = np.zeros(SHAPE, dtype=np.float32)
    picture = slices(
        HeadView(ellipsoid(), ras_affine(), nothing, nothing, title="no $evidence"), alt="none", caption="c"
    )
    warmth = pixels(picture)[..., 0] - pixels(picture)[..., 2]
    left, right = panels(pixels(picture))[0]
    assert np.abs(warmth[:, left:right]).max() < 20
    assert (picture.alt, picture.caption, picture.media_type) == ("none", "c", "image/jpeg")


def test_heads_of_the_readme_are_side_by_side_and_outline_the_region(tmp_path):
    heads_picture = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "heads.py"))["heads_picture"]
    region = ball((12, 28, 24), 9)
    heads = [HeadView(ellipsoid(), ras_affine(), region * heat, region, f"head {heat}") for heat in (0.5, 1.0, 2.0)]
    heads_picture(tmp_path / "heads.png", heads, width=900)
    image = np.asarray(Image.open(tmp_path / "heads.png").convert("RGB")).astype(int)
    assert image.shape[1] == 900
    turquoise = (image[..., 1] - image[..., 0] > 80) & (image[..., 2] - image[..., 0] > 60)
    columns = np.flatnonzero(turquoise.any(axis=0))
    assert np.count_nonzero(np.diff(columns) > 50) == 2  # three heads, an outline in each
