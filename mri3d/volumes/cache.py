"""The volumes of a cohort: made from the scans once, then read from the cache folder, checked at every read.

A cached volume is a `.npy` file with a CRC-32 as four more bytes. Its name is the hash of the scan (header and voxels),
of the recipe, of the smoothing and of the format of the file, so it is never stale. The CRC is that of the name and the
file's bytes, so that a volume under another's name is found out as damage is. It is written whole or not at all, and
made again should it be damaged.
"""

import errno
import io
import logging
import os
import random
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from isal import isal_zlib
from threadpoolctl import threadpool_limits

from mri3d import files
from mri3d.cohort.variables import Variables
from mri3d.errors import UserError
from mri3d.parallel import map_threads, num_cores
from mri3d.scans.scan_file import ScanFile, read_file
from mri3d.volumes.recipes import AnyRecipe
from mri3d.volumes.smoothing import VERSION, smooth

log = logging.getLogger(__name__)

CRC_BYTES = 4
FLOAT = np.dtype("<f4")  # on disk, whatever the machine
FORMAT = "CRC of name and volume"  # part of each name: versions that write files otherwise do not take each other's
_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)


class Volumes:
    """The preprocessed volumes of a cohort, one per row; picklable, and safe in several processes at once.

    Args:
        scans: File of each subject's scan.
        digests: Digest of each scan as the audit read it.
        recipe: How a scan becomes a volume; a native one must know its shape.
        ids: Name of each subject, for messages; without, the files alone are named.
        folder: Where the volumes are kept; in the cache folder unless told.
    """

    on_disk = True
    covariates: Variables | None = None
    making = "preprocessing"

    def __init__(
        self,
        scans: Sequence[ScanFile],
        digests: Sequence[str],
        recipe: AnyRecipe,
        *,
        ids: Sequence[str] = (),
        folder: Path | None = None,
    ) -> None:
        self.scans = tuple(scans)
        self.digests = tuple(digests)
        self.recipe = recipe
        self.ids = tuple(ids)
        self.folder = folder or files.cache_folder() / "volumes"
        self._checked_rows: set[int] = set()
        self._unkept_rows: set[int] = set()

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of every volume, [C, X, Y, Z]."""
        return (1, *self.recipe.volume_shape)

    def __len__(self) -> int:
        return len(self.scans)

    def __getitem__(self, row: int) -> np.ndarray:
        """Return one volume, made if need be.

        Args:
            row: Which one.

        Returns:
            Intensities [C, X, Y, Z], float32, writable.

        Raises:
            UserError: The scan cannot be used, or is no longer the one that the audit read; subject and file are named.
        """
        volume = self._read(row)
        return self._make(row) if volume is None else volume

    def fill(self, num_workers: int | None = None) -> None:
        """Make all volumes that are not there yet.

        Args:
            num_workers: Threads; one per processor core, but no more than 8, unless told.

        Raises:
            UserError: As for one volume.
        """
        missing = list({self._path(row): row for row in range(len(self)) if not self._path(row).exists()}.values())
        if not missing:
            return
        log.info("%s %d of %d scans into %s", self.making, len(missing), len(self), self.folder)
        random.Random(os.getpid()).shuffle(missing)  # processes that fill at the same time share the work
        num_threads = num_workers or min(8, num_cores())  # each holds a scan or two in memory
        with threadpool_limits(1):  # else every thread's matrix products would ask for all cores
            map_threads(self._make_if_missing, missing, what=self.making, num_threads=num_threads)

    def smoothed(self, share: float) -> "Volumes":
        """Return the same volumes smoothed, as a cohort of volumes of their own; themselves for 0."""
        return SmoothedVolumes(self, share) if share else self

    def block(self, rows: Sequence[int] | np.ndarray, voxels: slice) -> np.ndarray:
        """Return the same voxels of many volumes without holding the volumes.

        Args:
            rows: Which volumes, [N].
            voxels: Which voxels of the flattened volume, without a step.

        Returns:
            Intensities [N, V], float32. The checksum of a volume is compared when its first block is read.
        """
        first, end, step = voxels.indices(int(np.prod(self.shape)))
        assert step == 1, f"{voxels} has a step"
        block = np.empty((len(rows), max(0, end - first)), FLOAT)
        for values, row in zip(block, map(int, rows), strict=True):
            if row not in self._checked_rows or not self._read_part(row, first, values):
                values[:] = self[row].reshape(-1)[first:end]
                if row not in self._unkept_rows:
                    self._checked_rows.add(row)
        return block

    @cached_property
    def _header(self) -> bytes:
        """The bytes before the voxels, the same in every file."""
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, {"descr": FLOAT.str, "fortran_order": False, "shape": self.shape})
        return buffer.getvalue()

    def _path(self, row: int) -> Path:
        return self.folder / f"{files.digest_json([self.digests[row], self.recipe.digest(), FORMAT])}.npy"

    def _read(self, row: int) -> np.ndarray | None:
        """Read a volume from the cache: None where there is none, or only a damaged one."""
        path = self._path(row)
        try:
            data = np.fromfile(path, np.uint8)
        except FileNotFoundError:
            return None
        except OSError:
            data = np.empty(0, np.uint8)  # as good as damaged
        start, num_bytes = len(self._header), int(np.prod(self.shape)) * FLOAT.itemsize
        whole = len(data) == start + num_bytes + CRC_BYTES and data[:start].tobytes() == self._header
        if whole and _crc(path, data[:-CRC_BYTES].data) == data[-CRC_BYTES:].tobytes():
            return data[start:-CRC_BYTES].view(FLOAT).reshape(self.shape)
        if row not in self._unkept_rows:
            log.warning("%s is damaged; it is made again from %s", path, self.scans[row])
        return None

    def _read_part(self, row: int, first: int, values: np.ndarray) -> bool:
        """Read some voxels of a volume known to be whole; False where that fails."""
        try:
            with self._path(row).open("rb", buffering=0) as file:
                file.seek(len(self._header) + first * FLOAT.itemsize)
                return file.readinto(values.data.cast("B")) == values.nbytes
        except OSError:
            return False

    def _make_if_missing(self, row: int) -> None:
        if not self._path(row).exists():
            self._make(row)

    def _make(self, row: int) -> np.ndarray:
        """Make a volume and keep it."""
        volume, path = self._made(row), self._path(row)
        data = self._header + volume.astype(FLOAT).tobytes()
        try:
            files.write_bytes(path, data + _crc(path, data))
            self._unkept_rows.discard(row)
        except OSError as error:
            no_right = error.errno in _NO_RIGHT
            if not (no_right and path.exists()):
                mend = "Choose" if no_right else "Make room, or choose"
                raise UserError(
                    f"cannot write to {self.folder}: {error.strerror}. {mend} another folder by MRI3D_CACHE."
                ) from error
            if row not in self._unkept_rows:  # somebody else's, damaged: what is read is right all the same
                log.warning("%s cannot be replaced: %s. It is made again whenever it is read", path, error.strerror)
            self._unkept_rows.add(row)
        return volume

    def _made(self, row: int) -> np.ndarray:
        """Make a volume from its scan."""
        who = f"subject {self.ids[row]}: " if self.ids else ""
        try:
            scan = read_file(self.scans[row])
            if scan.digest != self.digests[row]:
                which = f"{scan.path} or its mask {scan.mask_path}" if scan.mask_path else str(scan.path)
                raise UserError(f"{which} has changed since the cohort was read. Start again.")
            volume = self.recipe.volume(scan)
        except UserError as error:
            raise UserError(f"{who}{error.text}") from error
        for warning in self.recipe.cohort_warnings(scan):
            log.warning("%s%s: %s", who, scan.path, warning)
        assert volume.shape == self.shape, f"{scan.path} gives {volume.shape}, not {self.shape}"
        return volume


class SmoothedVolumes(Volumes):
    """Volumes of a cohort smoothed, made from those in the cache folder and kept beside them.

    Args:
        source: The volumes as the recipe makes them.
        share: How much, see `mri3d.volumes.smoothing.smooth`.
    """

    making = "smoothing the volumes of"

    def __init__(self, source: Volumes, share: float) -> None:
        digests = [files.digest_json([digest, "smoothed", VERSION, share]) for digest in source.digests]
        super().__init__(source.scans, digests, source.recipe, ids=source.ids, folder=source.folder)
        self.source, self.share = source, share

    def _made(self, row: int) -> np.ndarray:
        return smooth(self.source[row], self.share)


def _crc(path: Path, data: bytes | memoryview) -> bytes:
    return isal_zlib.crc32(data, isal_zlib.crc32(path.name.encode())).to_bytes(CRC_BYTES, "little")
