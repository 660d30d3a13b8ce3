"""The header of a FreeSurfer volume: .mgh, and .mgz where it is compressed."""

from math import prod
from pathlib import Path

import numpy as np
from nibabel.freesurfer.mghformat import MGHHeader

from mri3d.scans.errors import ScanError
from mri3d.scans.geometry import affine_warnings, check_affine
from mri3d.scans.layout import Layout, three_sides

MGH_START = (1).to_bytes(4, "big")  # the version, which also says how the file begins
NUM_HEADER_BYTES = 284
NUM_FILLED_BYTES = 90
MAX_TAG_BYTES = 1 << 22  # what FreeSurfer did to the volume stands behind it, with color tables
MAX_LENGTH_ERROR = 1e-3


def mgh_layout(path: Path, start: bytes) -> Layout:
    """Read a header.

    Args:
        path: The file, for messages.
        start: Its first 284 bytes.

    Raises:
        ScanError: The header is impossible or not of one 3D image.
    """
    if len(start) < NUM_HEADER_BYTES:
        raise ScanError(f"{path} is truncated: it ends inside its header. Copy it again from its source.")
    header = MGHHeader(start[:NUM_FILLED_BYTES], check=False)
    told = np.frombuffer(start, ">i2", 1, 28)[0]  # nibabel fills in axes where none are told, and forgets that
    sides, warnings = three_sides(path, tuple(int(n) for n in header["dims"]))
    try:
        dtype = np.dtype(header.get_data_dtype()).newbyteorder(">")
    except KeyError as error:
        raise ScanError(
            f"{path} has an impossible header: type {error} is none of FreeSurfer's. Convert it again from its source."
        ) from error
    delta, lengths = header["delta"].astype(float), np.linalg.norm(header["Mdc"].astype(float), axis=1)
    if told and not ((np.abs(lengths - 1) < MAX_LENGTH_ERROR).all() and (delta > 0).all()):  # NaN comes here too
        raise ScanError(
            f"{path} has an impossible header: directions of length {', '.join(f'{n:.4g}' for n in lengths)} instead "
            f"of 1, or voxels of {', '.join(f'{n:.4g}' for n in delta)} mm. Convert it again from its source."
        )
    affine = np.asarray(header.get_affine(), np.float64)
    check_affine(path, affine)
    if told:
        warnings += affine_warnings(affine, sides)
    else:
        warnings += ("its header does not say which way its axes point: left and right are unknown",)
    return Layout(
        dtype,
        sides,
        NUM_HEADER_BYTES,
        affine,
        int(bool(told)),
        warnings,
        usual_spare_bytes=prod(sides) // max(sides) * dtype.itemsize,
        max_spare_bytes=MAX_TAG_BYTES,
    )
