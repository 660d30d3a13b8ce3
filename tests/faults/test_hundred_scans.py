"""A hundred scans with twelve kinds of damage among them: the others are predicted, and each reason is told."""

import bz2
import csv
import gzip

import nibabel as nib
import numpy as np
import pytest

from mri3d.inference import predict_scans
from tests.scans.phantom import oblique_affine
from tests.test_inference import write_network
from tests.volumes.test_recipe_background import brain, in_air

BRAIN = brain()
AFFINE = oblique_affine(np.array([5.0, 4.0, 6.0]))


def packed(data, change=None, **fields):
    """Return a compressed NIfTI file, with fields of its header changed."""
    image = nib.Nifti1Image(data, AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(AFFINE, 1)
    if change is not None:
        change(image)
    raw = bytearray(image.to_bytes())
    header = np.frombuffer(raw[:348], nib.nifti1.header_dtype)[0].copy()
    for name, value in fields.items():
        header[name] = value
    raw[:348] = header.tobytes()
    return gzip.compress(bytes(raw), 1, mtime=0)


def unset(image):
    image.set_sform(AFFINE, 0)
    image.set_qform(AFFINE, 0)


GOOD = packed(BRAIN)
NAN = f"has {np.count_nonzero(BRAIN > 100):,} voxels that are NaN or infinite. "
DAMAGED = {
    "cut": (GOOD[: len(GOOD) // 2], "is truncated: "),
    "flipped": (GOOD[:-5] + bytes([GOOD[-5] ^ 4]) + GOOD[-4:], "is damaged: CRC check failed"),
    "empty": (b"", "is empty. "),
    "text": (b"subject,sex\n" * 90, "is not a NIfTI file. "),
    "nan": (packed(np.where(BRAIN > 100, np.nan, BRAIN).astype(np.float32)), NAN),
    "constant": (packed(np.full(BRAIN.shape, 7, np.int16)), "is constant: every voxel is 7. "),
    "mask": (packed((BRAIN > 0).astype(np.uint8)), "is a mask, not a scan of a head"),
    "frames": (packed(np.stack([BRAIN, BRAIN], axis=-1)), "holds 2 frames ((40, 62, 33, 2)), not one. "),
    "unset": (packed(BRAIN, unset), "does not say which way its axes point"),
    "complex": (packed(BRAIN.astype(np.complex64)), "holds complex numbers"),
    "negative": (packed(BRAIN.astype(np.int16), scl_slope=-1.0, scl_inter=0.0), "has the scl_slope -1, "),
    "bz2": (bz2.compress(gzip.decompress(GOOD)), "is compressed with bzip2. "),
}


def test_the_others_are_predicted_and_twelve_reasons_are_told(tmp_path):
    random = np.random.default_rng(0)
    places = dict(zip(random.choice(100, 12, replace=False).tolist(), DAMAGED, strict=True))
    (tmp_path / "scans").mkdir()
    for number in range(100):
        kind = places.get(number)
        content = DAMAGED[kind][0] if kind else packed(in_air(BRAIN * (0.8 + 0.004 * number)))
        (tmp_path / f"scans/sub-{number:03d}_T1w.nii.gz").write_bytes(content)
    status = predict_scans(write_network(tmp_path / "model"), str(tmp_path / "scans"), tmp_path / "out", heatmap="none")
    assert status == 1
    with (tmp_path / "out/predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["scan"] for row in rows] == [f"sub-{number:03d}_T1w" for number in range(100)]
    for number, row in enumerate(rows):
        if number not in places:
            assert row["status"] in ("ok", "unusual"), row
            assert float(row["p_a"]) + float(row["p_b"]) == pytest.approx(1)
            continue
        kind = places[number]
        status = "outside" if kind == "mask" else "failed"
        assert (row["status"], row["p_a"], row["prediction"]) == (status, "", ""), kind
        assert f"sub-{number:03d}_T1w.nii.gz {DAMAGED[kind][1]}" in row["warnings"], (kind, row["warnings"])
