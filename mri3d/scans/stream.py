"""A scan's file as a stream of bytes: checked to its end, and never read further than it is asked to."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from isal import igzip, isal_zlib

from mri3d.scans.errors import ScanError
from mri3d.scans.foreign import refuse_no_file

MAX_COMPRESSION = 1032  # deflate cannot do better, so a header that asks for more than this lies
_BLOCK = 1 << 22


@dataclass(frozen=True, eq=False)
class Stream:
    """An open file, unpacked as it is read.

    Attributes:
        path: The file.
        num_bytes: Its size on disk.
        zipped: Whether it is compressed with gzip.
    """

    path: Path
    num_bytes: int
    zipped: bool
    file: BinaryIO

    @property
    def max_bytes(self) -> int:
        """How many bytes it can hold at most once unpacked."""
        return self.num_bytes * MAX_COMPRESSION if self.zipped else self.num_bytes

    def read(self, num_bytes: int) -> bytes:
        """Read so many bytes, or up to the end."""
        return self.file.read(num_bytes)

    def read_array(self, num_bytes: int) -> np.ndarray:
        """Read so many bytes, or up to the end, into memory that is taken as it is filled: uint8 [bytes]."""
        values = np.empty(num_bytes, np.uint8)
        target, filled = values.data, 0
        while filled < num_bytes:
            got = self.file.readinto(target[filled : filled + _BLOCK])  # type: ignore[attr-defined]
            if not got:
                break
            filled += got
        return values[:filled]


@contextmanager
def open_stream(path: Path) -> Iterator[Stream]:
    """Open a file for reading; whatever goes wrong until it is closed is told with its name.

    gzip is known by its content, and goes through `isal`, which is fast and, unlike `nibabel.load`, always reaches the
    checksum at the end.

    Raises:
        ScanError: It is missing, damaged or cannot be read.
    """
    try:
        if not path.is_file():  # reading a pipe would wait for ever
            refuse_no_file(path)
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            if file.peek(2)[:2] == b"\x1f\x8b":
                with igzip.IGzipFile(fileobj=file) as unpacked:
                    yield Stream(path, size, True, unpacked)
            else:
                yield Stream(path, size, False, file)
    except EOFError as error:
        raise ScanError(f"{path} is truncated: {error}. Copy it again from its source.") from error
    except (igzip.BadGzipFile, isal_zlib.error) as error:  # type: ignore[misc] # isal's stub says "instance"
        raise ScanError(f"{path} is damaged: {error}. Copy it again from its source.") from error
    except OSError as error:
        raise ScanError(f"{path} cannot be read: {error.strerror or error}. Mend that or leave it out.") from error
