"""The file of a checkpoint: written whole or not at all, sealed by a digest, read without running code."""

import hashlib
import io
import logging
import pickle
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mri3d.errors import UserError
from mri3d.files import atomic_path, digest
from mri3d.shortage import is_out_of_memory

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

log = logging.getLogger(__name__)

SEAL = b"\nmri3d checkpoint sha256 "
"""Stands behind torch's bytes, before their digest; torch reads over both."""

FIT = "fit"
"""Key of a checkpoint under which stands whose it is; those of earlier versions have none, and no seal."""

PARTS = {"state_dict": dict, "callbacks": dict, "loops": dict, "optimizer_states": list, "lr_schedulers": list}
"""What every checkpoint has of Lightning's, which would pass over some of it if it were missing."""


def write_checkpoint(path: Path, checkpoint: dict[str, Any]) -> None:
    """Write a checkpoint, sealed, atomically; it has the key `FIT`."""
    with atomic_path(path) as temporary, _Hashed(temporary) as file:
        torch.save(checkpoint, file)
        file.write(_seal(file.digest()))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint into memory, tensors and plain types only, once its digest was found to be right.

    Those of earlier versions have none: of them the checksums of their parts are checked, and they are warned of.

    Raises:
        UserError: It is damaged or missing.
    """
    try:
        data = path.read_bytes()
        sealed = _is_sealed(data)
        _check_container(data, checksums=not sealed)
        # Not `mmap`: what was checked is what is loaded. `weights_only` as an argument outdoes torch's variables.
        checkpoint: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        _check_content(checkpoint, sealed=sealed)
    except pickle.UnpicklingError as error:  # torch advises to run what it holds
        reason = ValueError("Weights only load failed: it holds more than tensors and plain types")
        raise unusable(path, "cannot be read as a checkpoint", reason) from error
    except Exception as error:  # damaged bytes lead torch to errors of any kind
        if is_out_of_memory(error):
            raise
        raise unusable(path, "cannot be read as a checkpoint", error) from error
    if not sealed:
        log.warning(
            "%s is of an earlier version, whose checkpoints have no digest: that its bytes are those that were written "
            "is known by their checksums only, and whether it belongs to this fold of this run is not known.",
            path,
        )
    return checkpoint


def _seal(hexadecimal: str) -> bytes:
    return SEAL + hexadecimal.encode() + b"\n"


class _Hashed(io.BufferedWriter):
    """A file that hashes what is written to it before a disk has it."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path, "wb"))
        self._state = hashlib.sha256()

    def write(self, data: "ReadableBuffer") -> int:
        """Hash and write."""
        self._state.update(data)
        return super().write(data)

    def digest(self) -> str:
        """Return the SHA-256 of all that was written."""
        return self._state.hexdigest()


def _is_sealed(data: bytes) -> bool:
    """Return whether a checkpoint has a seal, as those of earlier versions have not.

    Raises:
        ValueError: The seal is not that of the bytes before it.
    """
    length = len(_seal("0" * 64))
    body, tail = memoryview(data)[:-length], data[-length:]
    if tail.startswith(SEAL) and tail != _seal(digest(body)):
        raise ValueError("its bytes are not those that were written: the digest is another")
    return tail.startswith(SEAL)


def _check_container(data: bytes, *, checksums: bool) -> None:
    """Refuse what would need more memory than the file is large, and, without a seal, other bytes than were written.

    Raises:
        ValueError: A part is compressed, larger than the file, or has another checksum.
        zipfile.BadZipFile: It is no container of torch's.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as container:
        parts = container.infolist()
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
            raise ValueError("its parts are compressed, as torch's never are")
        if sum(part.file_size for part in parts) > len(data):
            raise ValueError("its parts are larger than the file")
        if checksums and (name := container.testzip()) is not None:
            raise ValueError(f"the checksum of its part {name!r} is another")


def _check_content(checkpoint: object, *, sealed: bool) -> None:
    """Refuse what is no checkpoint, or one of this version's that has lost its seal or its owner.

    Raises:
        ValueError: It is none.
    """
    if not (isinstance(checkpoint, dict) and all(isinstance(checkpoint.get(name), of) for name, of in PARTS.items())):
        raise ValueError("it holds something else")
    if sealed != (FIT in checkpoint):
        raise ValueError("its digest is missing")
    if sealed and not (isinstance(mark := checkpoint[FIT], dict) and {"of", "token"} <= mark.keys()):
        raise ValueError("it does not say whose it is")


def unusable(path: Path, told: str, error: Exception) -> UserError:
    """Return a user's error that names a checkpoint, why it is of no use, and what to do."""
    reason = str(error).partition("\n")[0] or type(error).__name__
    return UserError(
        f"{path} {told} ({reason.rstrip('.')}). Copy it again, or delete the folder {path.parent} and resume: what it "
        "was trained by then begins afresh."
    )
