"""Transcripts: files of JSON lines that agents only ever append to, one record a line.

The cut of such a file is its size at one instant; what is appended afterwards is not read. A line keeps its newline, so
that the lines of a file, put together, are the file byte for byte.

A file that cannot be read, or that is cut or replaced under the reader, costs its own lines and no others: behind those
that are known stands a record `UNREAD_LINE` without a text. It says that the file went on, or may have, so that a
recovery never takes lines away that were only not seen.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from maos_ckpt.codec.values import display_value, encode_key, raw_text
from maos_ckpt.model import Row
from maos_ckpt.sources.base import KeyRange
from maos_ckpt.sources.maos.files import FRESH_NS, FileEntry, list_files, open_file
from maos_ckpt.sources.maos.layout import TRANSCRIPT_SUFFIX, Layout
from maos_ckpt.sources.memo import FileMark

#: A longer line is cut into several records; put together they are still the file.
LINE_BYTES_MAX: Final = 16 << 20
BATCH_ROWS_MAX: Final = 256
BATCH_BYTES_MAX: Final = 4 << 20
#: Changes larger than this are read again in full instead of being held in memory.
RANGES_BYTES_MAX: Final = 64 << 20
#: Folders below a project's: sub-agents have their own.
DEPTH: Final = 3
#: The number of the record that says that a file could not be read to its end; no file has as many lines.
UNREAD_LINE: Final = (1 << 53) - 1
_HASH_BYTES = 1 << 20
#: Files that could not be read and are named one by one.
_NOTES_MAX = 20


class _UnreadableError(Exception):
    """A transcript cannot be read to its end; the text says why, for people."""


def list_transcripts(layout: Layout) -> list[FileEntry]:
    """The transcripts of a MAOS as they are now, in the order of their paths below `Layout.projects`.

    Raises:
        SourceError, OSError: see `list_files`.
    """
    found = [one for slug in layout.slugs for one in list_files(layout.projects, slug, TRANSCRIPT_SUFFIX, DEPTH)]
    return sorted(found, key=lambda one: one.path)


@dataclass(slots=True)
class Transcripts:
    """The transcripts of one cut: `entries` are their sizes at its instant, `now_ns` the wall clock then."""

    root: Path
    entries: list[FileEntry]
    now_ns: int
    _marks: dict[bytes, FileMark] = field(default_factory=dict)
    _unread: dict[bytes, str] = field(default_factory=dict)

    @property
    def total_bytes(self) -> int:
        """All of them together."""
        return sum(one.size for one in self.entries)

    @property
    def marks(self) -> list[FileMark] | None:
        """How far each file was read, for the memo; None unless every one was."""
        marks = [self._marks.get(one.path) for one in self.entries]
        return [one for one in marks if one is not None] if None not in marks else None

    @property
    def notes(self) -> tuple[str, ...]:
        """Which files could not be read, as far as they have been looked at."""
        named = [f"{display_value(raw_text(path))}: {why}" for path, why in sorted(self._unread.items())]
        more = [f"{len(named) - _NOTES_MAX} more transcripts could not be read."] if len(named) > _NOTES_MAX else []
        return (*named[:_NOTES_MAX], *more)

    def rows(self) -> Iterator[list[Row]]:
        """All lines as (path, line number from 1, text), in batches; see `UNREAD_LINE` for files that resist."""
        batch: list[Row] = []
        size = 0
        for entry in self.entries:
            for number, line in self._lines(_Reading(self, entry)):
                batch.append((entry.name, number, None if line is None else raw_text(line)))
                size += len(line or b"")
                if len(batch) >= BATCH_ROWS_MAX or size >= BATCH_BYTES_MAX:
                    yield batch
                    batch, size = [], 0
        if batch:
            yield batch

    def _lines(self, reading: _Reading) -> Iterator[tuple[int, bytes | None]]:
        """(number, line) of a file's lines, with `UNREAD_LINE` behind them where there may be more."""
        try:
            yield from reading.lines()
        except _UnreadableError as error:
            self._leave_out(reading.entry, None, f"{error}; what could not be read of it is not in the checkpoint.")
            yield UNREAD_LINE, None

    def _leave_out(self, entry: FileEntry, mark: FileMark | None, note: str) -> None:
        """Note that a file was not read to its end, and have the next cut go on from `mark`, or read all of it."""
        self._unread[entry.path] = note
        lines, offset, digest = (mark.lines, mark.offset, mark.digest) if mark else (0, 0, hashlib.sha256().digest())
        # As if a line without its end followed, so that this does not count as read.
        self._marks[entry.path] = FileMark(entry.path, entry.inode, offset + 1, 0, lines, offset, digest)

    def file_rows(self) -> list[Row]:
        """(path, permission bits) of each file: says that an empty one is there."""
        return [(one.name, one.mode) for one in self.entries]

    def changed_ranges(self, marks: list[FileMark] | None) -> list[KeyRange] | None:
        """What to replace in the lines as they were when `marks` were made; None where that cannot be told.

        A file that cannot be read keeps the lines that it had.
        """
        if marks is None:
            return None
        known = {one.path: one for one in marks}
        ranges = [_range(path, 1, []) for path in known.keys() - {one.path for one in self.entries}]
        size = 0
        for entry in self.entries:
            mark = known.get(entry.path)
            if mark is not None and _untouched(mark, entry):
                self._marks[entry.path] = mark
                continue
            size += entry.size - (mark.offset if mark else 0)
            if size > RANGES_BYTES_MAX:
                return None
            reading = _Reading(self, entry, mark)
            try:
                lines: list[Row] = [(entry.name, number, raw_text(line)) for number, line in reading.lines()]
            except _UnreadableError as error:
                self._leave_out(entry, mark, f"{error}; the lines that were known before are kept.")
                unread = (entry.name, UNREAD_LINE, None)
                ranges.append(_range(entry.path, (mark.lines if mark else 0) + 1, [unread]))
                continue
            if mark is not None and reading.continued and not lines and mark.size == mark.offset:
                continue
            ranges.append(_range(entry.path, reading.skipped + 1, lines))
        return sorted(ranges, key=lambda one: one.low)

    def grown_bytes(self, marks: list[FileMark] | None) -> int | None:
        """How much longer the files are than their marks say, new ones as a whole; None without marks."""
        if marks is None:
            return None
        known = {one.path: one.offset for one in marks}
        return sum(max(0, one.size - known.get(one.path, 0)) for one in self.entries)

    def mark(self, entry: FileEntry, lines: int, offset: int, digest: bytes) -> None:
        """Remember how far a file was read."""
        fresh = self.now_ns - entry.mtime_ns < FRESH_NS
        mtime_ns = 0 if fresh else entry.mtime_ns
        self._marks[entry.path] = FileMark(entry.path, entry.inode, entry.size, mtime_ns, lines, offset, digest)


class _Reading:
    """One file, read up to the size it had at the cut's instant, from a mark where it still begins as the mark says."""

    def __init__(self, owner: Transcripts, entry: FileEntry, mark: FileMark | None = None) -> None:
        self._owner = owner
        self.entry = entry
        self._mark = mark
        #: Lines before the first one that `lines` gives, and whether those are the mark's; known when it has ended.
        self.skipped = 0
        self.continued = False

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """(number, line) of each line from where the reading starts, newline included.

        When all have been given, the owner's mark is set behind the last whole line. `_UnreadableError` where there
        were more.
        """
        entry = self.entry
        with _readable(), open_file(self._owner.root, entry.path) as fd, self._file(fd) as file:
            found, number, at = self._start(file)
            self.skipped = number
            # Behind the last newline, where what follows is not a whole line.
            torn: tuple[int, int, bytes] | None = None
            while at < entry.size:
                line = file.readline(min(LINE_BYTES_MAX, entry.size - at))
                if not line:
                    raise _changed()
                if line.endswith(b"\n"):
                    torn = None
                elif torn is None:
                    torn = number, at, found.digest()
                found.update(line)
                number += 1
                at += len(line)
                yield number, line
            self._owner.mark(entry, *(torn or (number, at, found.digest())))

    def _start(self, file: IO[bytes]) -> tuple[hashlib._Hash, int, int]:
        """(hash so far, lines, offset): those of the mark where the file begins with what it stands for."""
        found = hashlib.sha256()
        mark = self._mark
        if mark is None or mark.offset > self.entry.size:
            return found, 0, 0
        left = mark.offset
        while left:
            data = file.read(min(left, _HASH_BYTES))
            if not data:
                raise _changed()
            found.update(data)
            left -= len(data)
        if found.digest() == mark.digest:
            self.continued = True
            return found, mark.lines, mark.offset
        file.seek(0)
        return hashlib.sha256(), 0, 0

    def _file(self, fd: int | None) -> IO[bytes]:
        if fd is None:
            raise _changed()
        found = os.fstat(fd)
        same = (found.st_dev, found.st_ino) == (self.entry.device, self.entry.inode)
        if not same or found.st_size < self.entry.size:
            raise _changed()
        return open(fd, "rb", closefd=False)


def _untouched(mark: FileMark, entry: FileEntry) -> bool:
    return mark.mtime_ns != 0 and (mark.inode, mark.size, mark.mtime_ns) == (entry.inode, entry.size, entry.mtime_ns)


def _range(path: bytes, first_line: int, rows: list[Row]) -> KeyRange:
    name = raw_text(path)
    # No line number sorts behind a text.
    return KeyRange(encode_key((name, first_line)), encode_key((name, "")), tuple(rows))


def _changed() -> _UnreadableError:
    return _UnreadableError("it was cut, replaced or removed while it was read")


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """What the operating system refuses inside the block leaves it as `_UnreadableError`."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "input/output error"
        raise _UnreadableError(f"it could not be read ({reason})") from error
