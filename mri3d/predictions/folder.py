"""The folder of predictions: results come one by one, a call that was cut off goes on, and nobody's files are lost.

What mri3d wrote stands on a list, see `mri3d.predictions.written`. Nothing else is replaced or removed.
"""

import fcntl
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from mri3d.errors import UserError, option
from mri3d.files import as_utf8, atomic_path, provisional_folder, what_is
from mri3d.model_card import FAILURES
from mri3d.model_places import check_replaceable
from mri3d.models.scan_prediction import Record
from mri3d.predictions.written import (
    HEATMAP,
    LIST,
    MAPS,
    REPORT,
    TABLE,
    Written,
    append,
    cannot_go_on,
    heatmap_path,
    sidecar_path,
)
from mri3d.scans.errors import ScanError
from mri3d.texts import list_text, number_text

log = logging.getLogger(__name__)


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
        UserError: It holds a run or a model, its list is no file, nothing can be written, or another process is at
            work on it.
    """
    check_replaceable(out)
    path = out / LIST
    with ExitStack() as stack:
        try:
            stack.enter_context(provisional_folder(out))
            descriptor = stack.enter_context(_locked(path))
            written = Written(out, descriptor)
        except OSError as error:
            told = f"{error.filename or path} cannot be written: {error.strerror}. Set another {option('out')}."
            raise UserError(told) from error
        yield PredictionFolder(written, model=model, names=names, header=header, row=row)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Open the list for this process alone; one in which nothing stands is removed when the block ends.

    Raises:
        UserError: It is no file, or another process is at work.
        OSError: It cannot be opened.
    """
    while True:
        if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
            raise UserError(f"{path} is no file of mri3d's. Remove it, or set another {option('out')}.")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            _lock(descriptor, path.parent)
            if not _lies_at(path, descriptor):  # another call has just ended, and removed it
                continue
            try:
                yield descriptor
            finally:
                if not os.fstat(descriptor).st_size and _lies_at(path, descriptor):
                    path.unlink()
            return
        finally:
            os.close(descriptor)


def _lies_at(path: Path, descriptor: int) -> bool:
    """Return whether an open file is the one at a path still."""
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


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
        maps = [path for name in self.names for path in (heatmap_path(name), sidecar_path(name))]
        wanted = [TABLE, REPORT, *(maps if heatmaps else [])]
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

    def keep(self, digest_of: Callable[[str], str], *, heatmaps: bool) -> list[str]:
        """Keep of the earlier results those of scans that are the same still; the others are to be predicted again.

        Where a scan cannot be read now, as on a disk that is away, its result stands with a warning: predicting it
        again would replace it by a failure.

        Args:
            digest_of: Reads the scan of a name, see `Record`; raises ScanError or MemoryError where it cannot be read.
            heatmaps: Whether each must have its heatmap.

        Returns:
            The names of the scans that cannot be read now, whose results are kept.
        """
        unread = []
        for name, record in list(self.records.items()):
            drawn = self._written.has_heatmap(record)
            try:
                same = self._is_good(record) and digest_of(name) == record.digest
            except (ScanError, MemoryError) as error:
                reason = " ".join(str(error).split()) or "there is not enough memory."
                told = f"kept from an earlier call, as the scan cannot be read now: {reason}"
                self.records[name] = replace(record, heatmap=drawn, warnings=(*record.warnings, told))
                unread.append(name)
                continue
            if not same or (heatmaps and not drawn):
                del self.records[name]
        return unread

    def _is_good(self, record: Record) -> bool:
        """Return whether a record of the list is a prediction that has a row."""
        try:
            return bool(self._row(record)) and record.status != "failed"
        except FAILURES:  # the list was changed
            return False

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
        try:
            with (self.out / TABLE).open("ab", buffering=0) as file:
                append(file.fileno(), as_utf8(row), self.out / TABLE)
        except OSError as error:
            raise cannot_go_on(error, self.out / TABLE) from error

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
            num_maps = sum(not path.endswith(".json") for path in others)
            also = f" and {number_text(num_maps, 'heatmap')}" if num_maps else ""
            num_kept = len(self.records) - num_new
            verb = "is" if num_kept == 1 else "are"
            told = f", of which {number_text(num_kept, 'result')} {verb} kept" if num_kept else ""
            log.info("replaced: %s%s of an earlier call%s", self.out / TABLE, also, told)
        if self._written.is_ours(REPORT):
            others.append(REPORT)  # it tells of the earlier results
        for path in others:
            try:
                (self.out / path).unlink()
            except OSError as error:
                raise cannot_go_on(error, self.out / path) from error
        self._write_table(self._text())

    def _others(self) -> list[str]:
        """List the heatmaps of no result that is kept, where they are as mri3d left them."""
        drawn = [name for name, record in self.records.items() if record.heatmap]
        kept = {path for name in drawn for path in (heatmap_path(name), sidecar_path(name))}
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
