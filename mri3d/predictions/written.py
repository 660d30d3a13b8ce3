"""The list of what mri3d wrote into a folder of predictions, by which it knows its own files from those of others.

It has a line of JSON for each step, written before the step is taken: the digest of a file that is about to be put in
its place, or the result of a scan, with the row that is about to be appended to `predictions.csv`. So wherever a call
is cut off, the list is ahead of the files, and what lies there is what one of its lines tells, the last or an earlier
one: of calls that are cut off at the same step again and again, each adds a line and none changes the file. A line
carries the digest of all else in it, so one that was damaged tells nothing.
"""

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mri3d.errors import UserError
from mri3d.files import NO_ROOM, as_utf8, digest, digest_json
from mri3d.model_card import FAILURES
from mri3d.models.scan_prediction import Record

LIST = ".mri3d-predictions.jsonl"
TABLE, REPORT, MAPS = "predictions.csv", "report.html", "heatmaps"
HEATMAP = re.compile(rf"{MAPS}/[^/\0]+_heatmap\.(nii\.gz|json)")
SEAL = "line_sha256"  # digest of all else in a line

_MAX_LINE_BYTES = 1 << 20


def heatmap_path(name: str) -> str:
    """Return where the heatmap of a scan lies in the folder, by the scan's name."""
    return f"{MAPS}/{name}_heatmap.nii.gz"


def sidecar_path(name: str) -> str:
    """Return where that lies which tells what a heatmap shows, by the scan's name."""
    return f"{MAPS}/{name}_heatmap.json"


class Written:
    """The list of a folder, and what follows from it.

    Args:
        out: The folder.
        descriptor: Of the list, open for reading and appending.

    Attributes:
        records: The last result of each scan with what identifies its model, by the scan's name.
        digests: SHA-256 of all that a file was or was about to be, by its path in the folder.
    """

    def __init__(self, out: Path, descriptor: int) -> None:
        self.out, self._descriptor = out, descriptor
        self.records: dict[str, tuple[str, Record]] = {}
        self.digests: dict[str, list[str]] = {}
        self._heatmaps: dict[str, str] = {}  # SHA-256 of the heatmap that a result was noted with, by the scan's name
        self._versions: list[tuple[int, str, bytearray]] = []  # of the table: size, digest, and rows appended since
        self._read()

    def note_file(self, path: str, data: bytes) -> None:
        """Note that a file is about to be put in its place."""
        self._note({"file": path, "size": len(data), "sha256": digest(data)})

    def note_result(self, record: Record, *, model: str, row: str = "") -> None:
        """Note a result, and the row that is about to be appended to the table."""
        self._note({**record.to_json(), "model": model, "row": row})

    def is_ours(self, path: str) -> bool:
        """Find out whether a file is there as mri3d left it; the table may lack rows that are on the list already."""
        if path not in self.digests or (data := self._data(path)) is None:
            return False
        if path != TABLE:
            return digest(data) in self.digests[path]
        return any(
            len(data) >= size and appended.startswith(data[size:]) and digest(data[:size]) == its_digest
            for size, its_digest, appended in self._versions
        )

    def has_heatmap(self, record: Record) -> bool:
        """Find out whether the heatmap of a result is there, and what tells of it: not another model's of the scan."""
        if not record.heatmap or not self.is_ours(sidecar_path(record.scan)):
            return False
        if not record.heatmap or (data := self._data(heatmap_path(record.scan))) is None:
            return False
        return digest(data) == self._heatmaps.get(record.scan)

    def _data(self, path: str) -> bytes | None:
        """Read a file; None where there is none, or a link."""
        place = self.out / path
        if os.path.islink(place) or not os.path.isfile(place):  # noqa: PTH113, PTH114
            return None  # Path's own raise where a name is too long
        return place.read_bytes()

    def _note(self, line: dict[str, Any]) -> None:
        """Put a line on the list, and on the disk, before what it tells of is done."""
        append(self._descriptor, sealed(line), self.out / LIST)
        self._learn(line)

    def _read(self) -> None:
        """Read the list; a line that was cut off, or is none of ours, tells nothing."""
        last = b"\n"
        with (self.out / LIST).open("rb") as file:
            for last in iter(lambda: file.readline(_MAX_LINE_BYTES), b""):
                with suppress(*FAILURES):
                    line = json.loads(last)
                    if line.pop(SEAL) == digest_json(line):
                        self._learn(line)
        if not last.endswith(b"\n"):
            append(self._descriptor, b"\n", self.out / LIST)

    def _learn(self, line: Mapping[str, Any]) -> None:
        """Remember what a line tells."""
        if "file" in line:
            path, size, its_digest = line["file"], int(line["size"]), str(line["sha256"])
            if path not in (TABLE, REPORT) and not HEATMAP.fullmatch(path):
                raise ValueError(f"{path} is no file of the results")
            known = self.digests.setdefault(path, [])
            known[:] = [*(one for one in known if one != its_digest), its_digest]
            if path == TABLE:
                self._versions.append((size, its_digest, bytearray()))
            return
        record = Record.from_json(line)
        if self._versions:
            self._versions[-1][2].extend(as_utf8(line["row"]))
        self.records[record.scan] = (str(line["model"]), record)
        self._heatmaps[record.scan] = self.digests.get(heatmap_path(record.scan), [""])[-1]


def sealed(line: dict[str, Any]) -> bytes:
    """Write a line of the list."""
    return json.dumps({**line, SEAL: digest_json(line)}, allow_nan=False).encode() + b"\n"


def append(descriptor: int, data: bytes, path: Path) -> None:
    """Append to an open file, and to the disk, all or nothing.

    Raises:
        UserError: The disk is full, or nothing can be written any more.
    """
    size = os.fstat(descriptor).st_size
    try:
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)  # a disk of the network says only here that it is full
    except OSError as error:
        with suppress(OSError):
            os.ftruncate(descriptor, size)
        raise cannot_go_on(error, path) from error


def cannot_go_on(error: OSError, path: Path) -> UserError:
    """Tell that nothing more can be written, and what becomes of what was."""
    advice = NO_ROOM.get(error.errno or 0, "mend that")
    return UserError(
        f"{path} cannot be written: {error.strerror}. What was predicted so far is kept: {advice}, and give the same "
        "command again."
    )
