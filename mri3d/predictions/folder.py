"""The folder of predictions: results come one by one, a call that was cut off goes on, and nobody's files are lost.

What mri3d wrote stands on a list, see `mri3d.predictions.written`. Nothing else is replaced or removed.
"""

import fcntl
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from mri3d.errors import UserError, option
from mri3d.files import as_utf8, atomic_path, what_is
from mri3d.model_card import FAILURES
from mri3d.model_folder import check_replaceable
from mri3d.models.scan_prediction import Record
from mri3d.predictions.written import HEATMAP, LIST, MAPS, REPORT, TABLE, Written, append, cannot_go_on
from mri3d.texts import list_text, number_text

log = logging.getLogger(__name__)


def heatmap_path(name: str) -> str:
    """Return where the heatmap of a scan lies in the folder, by the scan's name."""
    return f"{MAPS}/{name}_heatmap.nii.gz"


@contextmanager
def open_folder(
    out: Path, *, model: str, names: Sequence[str], header: str, row: Callable[[Record], str]
) -> "Iterator[PredictionFolder]":
    """Open a folder of predictions, so that no other call writes to it; leave none where nothing was written.

    Args:
        out: Made if need be.
        model: See `PredictionFolder`, as are the others.
        names: Of the scans.
        header: Of the table.
        row: Of the table.

    Raises:
        UserError: It holds a run or a model, its list is no file, or another process is at work on it.
    """
    check_replaceable(out)
    missing = [one for one in (out, *out.parents) if not one.exists()]
    out.mkdir(parents=True, exist_ok=True)
    path = out / LIST
    if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
        raise UserError(f"{path} is no file of mri3d's. Remove it, or set another {option('out')}.")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        _lock(descriptor, out)
        yield PredictionFolder(Written(out, descriptor), model=model, names=names, header=header, row=row)
    finally:
        if not os.fstat(descriptor).st_size:
            path.unlink(missing_ok=True)
        os.close(descriptor)
        for made in missing:
            with suppress(OSError):
                made.rmdir()


def _lock(descriptor: int, out: Path) -> None:
    """Keep other processes out; the lock falls with this one, however it ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        told = f"another process is at work on {out}. Wait for it, or set another {option('out')}."
        raise UserError(told) from None
    except OSError as error:  # a file system without locks
        log.debug("%s is not locked: %s", out, error)


class PredictionFolder:
    """A folder of predictions that this process alone writes to, see `open_folder`.

    Args:
        written: The list of what mri3d wrote there.
        model: What identifies the model and the kind of heatmaps: results of another one are replaced.
        names: Of the scans of this call, in order.
        header: The first line of the table.
        row: Writes a line of the table.

    Attributes:
        records: What is known of the scans of this call, by name.
    """

    def __init__(
        self,
        written: Written,
        *,
        model: str,
        names: Sequence[str],
        header: str,
        row: Callable[[Record], str],
    ) -> None:
        self.out, self.names, self._written = written.out, names, written
        self._model, self._header, self._row = model, header, row
        wanted = frozenset(names)
        known = written.records.items()
        self.records = {name: record for name, (by, record) in known if by == model and name in wanted}
        self._begun = False

    def check(self, *, heatmaps: bool) -> None:
        """Refuse to write where something lies that is not as mri3d left it; nothing is changed.

        Args:
            heatmaps: Whether they are to be written.

        Raises:
            UserError: Files or folders stand where results go.
        """
        folder = self.out / MAPS
        if heatmaps and os.path.lexists(folder) and not folder.is_dir():
            what = "is a file" if folder.is_file() else what_is(folder)
            raise UserError(f"heatmaps go into {folder}, which {what}. Remove it, or set another {option('out')}.")
        wanted = [TABLE, REPORT, *(heatmap_path(name) for name in self.names if heatmaps)]
        there = [path for path in wanted if os.path.lexists(self.out / path)]
        for path in there:
            if (self.out / path).is_dir():
                told = f"{self.out / path} is a folder, where a file of the results goes."
                raise UserError(f"{told} Remove it, or set another out.")
        if foreign := [str(self.out / path) for path in there if not self._written.is_ours(path)]:
            verb, it, them = ("stands", "is", "it") if len(foreign) == 1 else ("stand", "are", "them")
            raise UserError(
                f"{list_text(foreign, ', ')} {verb} where results go, and {it} not what mri3d wrote there: of somebody "
                f"else, of an earlier version, or changed since. Move {them} away, or set another {option('out')}."
            )

    def keep(self, digest_of: Callable[[str], str], *, heatmaps: bool) -> None:
        """Keep of the earlier results those of scans that are the same still; the others are to be predicted again.

        Args:
            digest_of: Reads the scan of a name, see `Record`.
            heatmaps: Whether each must have its heatmap.
        """
        for name, record in list(self.records.items()):
            try:
                whole = bool(self._row(record)) and record.status != "failed"
            except FAILURES:  # the list was changed
                whole = False
            whole &= not heatmaps or (record.heatmap and self._written.is_ours(heatmap_path(name)))
            if not whole or digest_of(name) != record.digest:
                del self.records[name]

    def write(self, path: str, make: Callable[[Path], None]) -> None:
        """Write a file of the results, or replace it, in one step.

        Args:
            path: Where it lies in the folder.
            make: Writes it to the path that it is given.

        Raises:
            OSError: It cannot be written.
        """
        with atomic_path(self.out / path) as temporary:
            make(temporary)
            self._written.note_file(path, temporary.read_bytes())

    def add(self, record: Record) -> None:
        """Note a new result, and append its row to the table; the first one replaces what is not kept.

        Raises:
            UserError: Nothing can be written any more.
        """
        self.records[record.scan] = record
        if not self._begun:
            self._written.note_result(record, model=self._model)
            self._begin(num_new=1)
            return
        row = self._row(record)
        self._written.note_result(record, model=self._model, row=row)
        with (self.out / TABLE).open("ab", buffering=0) as file:
            append(file.fileno(), as_utf8(row), self.out / TABLE)

    def finish(self) -> None:
        """Bring the table's rows into the order of the scans; replace what is of none of them.

        Raises:
            UserError: Nothing can be written any more.
        """
        text = self._text()
        try:
            if (self.out / TABLE).read_bytes() == text and not self._others():
                return
        except OSError:  # it is gone
            pass
        if self._begun:
            self._write_table(text)
        else:
            self._begin(num_new=0)

    def _begin(self, *, num_new: int) -> None:
        """Replace the earlier results by those that are kept and the first new one."""
        self._begun = True
        others = self._others()
        if os.path.lexists(self.out / TABLE):
            also = f" and {number_text(len(others), 'heatmap')}" if others else ""
            num_kept = len(self.records) - num_new
            told = f", of which {number_text(num_kept, 'result')} are kept" if num_kept else ""
            log.info("replaced: %s%s of an earlier call%s", self.out / TABLE, also, told)
        if self._written.is_ours(REPORT):
            others.append(REPORT)  # it tells of the earlier results
        for path in others:
            (self.out / path).unlink()
        self._write_table(self._text())

    def _others(self) -> list[str]:
        """List the heatmaps of no result that is kept, where they are as mri3d left them."""
        kept = {heatmap_path(name) for name, record in self.records.items() if record.heatmap}
        others = [path for path in self._written.digests if HEATMAP.fullmatch(path) and path not in kept]
        return [path for path in others if self._written.is_ours(path)]

    def _text(self) -> bytes:
        rows = (self._row(self.records[name]) for name in self.names if name in self.records)
        return as_utf8("".join([self._header, *rows]))

    def _write_table(self, text: bytes) -> None:
        def make(path: Path) -> None:
            path.write_bytes(text)

        try:
            self.write(TABLE, make)
        except OSError as error:
            raise cannot_go_on(error, self.out / TABLE) from error
