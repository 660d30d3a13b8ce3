"""Random edits of the headers of three files, and what becomes of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from mri3d.scans.scan import Scan, ScanError, read_scan
from mri3d.volumes.recipe import Recipe

NUM_HEADER_BYTES = 352
MAX_CHANGE = 0.1  # of the network's input, in standard deviations
FIELDS = nib.Nifti1Header.template_dtype.fields
RECIPE = Recipe(resolution=50)
KINDS = ("both", "sform", "qform")


@dataclass(frozen=True)
class Edit:
    """One edit of a header.

    Attributes:
        fields: Names of the fields that it touches.
        header: The header's bytes afterwards [352].
    """

    fields: tuple[str, ...]
    header: bytes


@dataclass(frozen=True)
class Outcome:
    """What became of a file with an edit.

    Attributes:
        edit: What was done to it.
        answer: "refused", "warned", "same" (the input changed by at most 0.1 SD) or "silent".
        message: Refusal or warnings.
        change: Of the network's input, root mean square in standard deviations.
    """

    edit: Edit
    answer: str
    message: str = ""
    change: float = 0.0


def written(path: Path, data: np.ndarray, affine: np.ndarray, kind: str) -> bytes:
    """Write a file with both forms, the sform or the qform alone, the fields of the other left empty; return it."""
    image = nib.Nifti1Image(data, None)
    image.header.set_xyzt_units("mm")
    image.header["pixdim"][1:4] = np.linalg.norm(affine[:3, :3], axis=0)
    if kind != "qform":
        image.header.set_sform(affine, 1)
    if kind != "sform":
        image.header.set_qform(affine, 1)
    image.to_filename(path)
    return path.read_bytes()


def edits(header: bytes, count: int, seed: int) -> Iterator[Edit]:
    """Yield random edits: a bit, a byte, up to four bytes, or a field set to a random or an extreme value."""
    rng = np.random.default_rng(seed)
    while count:
        raw = bytearray(header)
        kind = rng.integers(4)
        if kind == 0:
            raw[rng.integers(NUM_HEADER_BYTES)] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            raw[rng.integers(NUM_HEADER_BYTES)] = rng.integers(256)
        elif kind == 2:
            for at in rng.integers(NUM_HEADER_BYTES, size=rng.integers(2, 5)):
                raw[at] = rng.integers(256)
        else:
            _set_field(raw, rng)
        if bytes(raw) != header:
            count -= 1
            yield Edit(_touched(header, raw), bytes(raw))


def tried(path: Path, content: bytes, edit: Edit, good: Scan, volume: np.ndarray) -> Outcome:
    """Read a file with an edit, and compare the network's input with what it was.

    Args:
        path: Where to write it.
        content: The good file.
        edit: What to do to it.
        good: The good file as it is read.
        volume: Its volume [C, X, Y, Z].
    """
    path.write_bytes(edit.header + content[NUM_HEADER_BYTES:])
    change = 0.0
    try:
        scan = read_scan(path)
        same = scan.oriented and np.array_equal(scan.affine, good.affine) and np.array_equal(scan.data, good.data)
        if not same:  # else the volume is: a function of these
            change = float(np.sqrt(np.mean((RECIPE.volume(scan) - volume) ** 2)) / volume.std())
    except ScanError as error:
        return Outcome(edit, "refused", str(error))
    if told := "; ".join(warning for warning in scan.warnings if warning not in good.warnings):
        return Outcome(edit, "warned", told, change)
    return Outcome(edit, "same" if change <= MAX_CHANGE else "silent", "", change)


def contradicted_part(kind: str, edit: Edit, before: bytes) -> Edit:
    """Take back what nothing contradicts, and leave what another field or the size of the file does.

    Nothing holds a type of as many bits against the voxels. In a file with the sform alone, the lengths of its columns
    stand in another place and their directions do not; in one with the qform alone, neither do.
    """
    old, new = (nib.Nifti1Header(raw[:348], check=False) for raw in (before, edit.header))
    free = set()
    if new["bitpix"] == old["bitpix"]:
        free.add("datatype")
    if kind == "qform":
        free |= {"quatern_b", "quatern_c", "quatern_d", "pixdim"}
    if kind == "sform" and np.allclose(
        *(np.linalg.norm(one.get_sform()[:3, :3], axis=0) for one in (old, new)), rtol=1e-3
    ):
        free |= {"srow_x", "srow_y", "srow_z"}
    raw = bytearray(edit.header)
    for dtype, at in (FIELDS[name][:2] for name in free):
        raw[at : at + dtype.itemsize] = before[at : at + dtype.itemsize]
    return Edit(_touched(before, raw), bytes(raw))


USED = {
    "sizeof_hdr", "dim", "datatype", "bitpix", "pixdim", "vox_offset", "scl_slope", "scl_inter", "xyzt_units", "magic",
    "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z", "srow_x",
    "srow_y", "srow_z",
}  # fmt: skip


def _touched(before: bytes, after: bytes) -> tuple[str, ...]:
    """Name the fields in which two headers differ."""
    return tuple(
        name
        for name, (dtype, at) in FIELDS.items()
        if before[at : at + dtype.itemsize] != after[at : at + dtype.itemsize]
    ) or ("extension",)


def _set_field(raw: bytearray, rng: np.random.Generator) -> None:
    """Set one number of a field that is used to something random or extreme."""
    dtype, at = FIELDS[rng.choice(sorted(USED))]
    base = dtype.base if dtype.shape else dtype
    at += base.itemsize * int(rng.integers(int(np.prod(dtype.shape)) if dtype.shape else 1))
    old = np.frombuffer(bytes(raw[at : at + base.itemsize]), base)[0] if base.kind in "iuf" else 0
    if base.kind == "f":
        choices = [0, 1, -1, 2, -2, np.nan, np.inf, -np.inf, 1e-45, 1e30, -old, 2 * old, old / 2, 1.1 * old, 0.9 * old]
        new = np.float32(rng.choice([*choices, rng.normal(), 100 * rng.normal()]))
    elif base.kind in "iu":
        low, high = np.iinfo(base).min, np.iinfo(base).max
        new = rng.choice(
            [0, 1, 2, 3, 4, 8, 16, 64, 256, 512, 768, low, high, old + 1, old - 1, rng.integers(low, high)]
        )
        new = np.int64(new).astype(base)
    else:
        new = np.frombuffer(rng.bytes(base.itemsize), base)[0]
    raw[at : at + base.itemsize] = np.asarray(new, base).tobytes()
