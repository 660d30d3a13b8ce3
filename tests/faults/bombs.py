"""Files that unpack to far more than they are, or claim to."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.freesurfer.mghformat import MGHHeader

SIDES = (1000, 1000, 391)  # 391 MB of bytes from 380 KB, as was found


def zeros(num_bytes: int) -> bytes:
    """Compress so many zeros as hard as gzip can, in members of 64 MiB that are one file to any reader."""
    whole, rest = divmod(num_bytes, 1 << 26)
    return gzip.compress(bytes(1 << 26), 9) * whole + gzip.compress(bytes(rest), 9)


def header(sides: tuple[int, ...], dtype: str = "u1", **fields: object) -> bytes:
    """Return the 352 bytes before the voxels, with both forms."""
    made = nib.Nifti1Header()
    made.set_data_dtype(dtype)
    made["dim"][: len(sides) + 1] = (len(sides), *sides)
    made.set_sform(np.diag([0.3, 0.3, 0.3, 1]), 1)
    made.set_qform(np.diag([0.3, 0.3, 0.3, 1]), 1)
    made["vox_offset"], made["magic"] = 352, b"n+1"
    for name, value in fields.items():
        made[name] = value
    return made.binaryblock + bytes(4)


def mgh(sides: tuple[int, int, int], kind: int) -> bytes:
    """Return the 284 bytes before the voxels of a FreeSurfer volume."""
    made = MGHHeader()
    made["dims"], made["type"] = (*sides, 1), kind
    return bytes(made.binaryblock[:90]) + bytes(284 - 90)


def quick_bombs() -> dict[str, tuple[bytes, str]]:
    """Return three bombs that are made in no time, by their files' names: content, and what their refusal says."""
    wide = nib.Nifti2Header()
    wide.set_data_shape((1 << 20, 1 << 20, 1 << 20))
    wide["vox_offset"], wide["sform_code"] = 544, 1
    wide.set_sform(np.eye(4), 1)
    return {
        "members.nii.gz": (small() + gzip.compress(bytes(1 << 20)) * 2_000, "goes on after the 216,000 bytes"),
        "claims.nii.gz": (gzip.compress(header((32767, 32767, 32767), "f8")), "more than it can hold"),
        "claims-more.nii.gz": (gzip.compress(wide.binaryblock + bytes(4)), "more than it can hold"),
    }


def slow_bombs() -> dict[str, tuple[bytes, str]]:
    """Return seven more, of which one has its header in a file of its own."""
    voxels = gzip.compress(header(SIDES, scl_slope=2) + bytes(391_000_000))
    return {
        "bytes-with-a-slope.nii.gz": (voxels, "would take 2.0 GB of memory"),
        "doubles.nii.gz": (gzip.compress(header((1000, 1000, 475), "f8")) + zeros(3_800_000_000), "would take 5.7 GB"),
        "goes-on.nii.gz": (small() + zeros(2_000_000_000), "goes on after the 216,000 bytes"),
        "extension.nii.gz": (
            gzip.compress(header((60, 60, 60), vox_offset=3e9)) + zeros(3_000_000_000),
            "would begin at byte 3,000,000,000",
        ),
        "volume.mgz": (gzip.compress(mgh((1000, 1000, 391), 4)) + zeros(782_000_000), "and shrinks to a 1,0"),
        "tags.mgz": (gzip.compress(mgh((60, 60, 60), 0)) + zeros(2_000_000_000), "goes on after the 216,000 bytes"),
        "pair.img.gz": (zeros(1_564_000_000), "would take 1.6 GB of memory"),
    }


def small() -> bytes:
    """Compress a scan of 60^3 zeros."""
    return gzip.compress(header((60, 60, 60)) + bytes(60**3))


def write_bombs(folder: Path, bombs: dict[str, tuple[bytes, str]]) -> dict[str, str]:
    """Write bombs; return what the refusal of each says, by the file's name."""
    (folder / "pair.hdr.gz").write_bytes(gzip.compress(header(SIDES, "f4", magic=b"ni1", vox_offset=0)))
    for name, (content, _) in bombs.items():
        (folder / name).write_bytes(content)
    return {name: message for name, (_, message) in bombs.items()}
