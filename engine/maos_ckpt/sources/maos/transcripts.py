"""Transcripts: files of JSON lines that agents only ever append to, one record a line.

The cut of such a file is its size at one instant; what is appended afterwards is not read. A line keeps its newline, so
that the lines of a file, put together, are the file byte for byte.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from maos_ckpt.codec.values import encode_key, raw_text
from maos_ckpt.errors import SourceError
from maos_ckpt.model import Row
from maos_ckpt.sources.base import KeyRange
from maos_ckpt.sources.maos.files import FRESH_NS, FileEntry, list_files, open_file
from maos_ckpt.sources.maos.layout import TRANSCRIPT_SUFFIX, Layout
from maos_ckpt.sources.memo import FileMark
from maos_ckpt.sources.sqlite import faults

#: A longer line is cut into several records; put together they are still the file.
LINE_BYTES_MAX: Final = 16 << 20
BATCH_ROWS_MAX: Final = 256
BATCH_BYTES_MAX: Final = 4 << 20
#: Changes larger than this are read again in full instead of being held in memory.
RANGES_BYTES_MAX: Final = 64 << 20
#: Folders below a project's: sub-agents have their own.
DEPTH: Final = 3
_HASH_BYTES = 1 << 20


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

    @property
    def total_bytes(self) -> int:
        """All of them together."""
        return sum(one.size for one in self.entries)

    @property
    def marks(self) -> list[FileMark] | None:
        """How far each file was read, for the memo; None unless every one was."""
        marks = [self._marks.get(one.path) for one in self.entries]
        return [one for one in marks if one is not None] if None not in marks else None

    def rows(self) -> Iterator[list[Row]]:
        """All lines as (path, line number from 1, text), in batches.

        Raises:
            SourceError: a file is shorter than at the cut's instant, or another one.
        """
        batch: list[Row] = []
        size = 0
        for entry in self.entries:
            name = entry.name
            for number, line in _Reading(self, entry).lines():
                batch.append((name, number, raw_text(line)))
                size += len(line)
                if len(batch) >= BATCH_ROWS_MAX or size >= BATCH_BYTES_MAX:
                    yield batch
                    batch, size = [], 0
        if batch:
            yield batch

    def file_rows(self) -> list[Row]:
        """(path, permission bits) of each file: says that an empty one is there."""
        return [(one.name, one.mode) for one in self.entries]

    def changed_ranges(self, marks: list[FileMark] | None) -> list[KeyRange] | None:
        """What to replace in the lines as they were when `marks` were made; None where that cannot be told.

        Raises:
            SourceError: see `rows`.
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
            lines: list[Row] = [(entry.name, number, raw_text(line)) for number, line in reading.lines()]
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
        self._entry = entry
        self._mark = mark
        #: Lines before the first one that `lines` gives, and whether those are the mark's; known when it has ended.
        self.skipped = 0
        self.continued = False

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """(number, line) of each line from where the reading starts, newline included.

        When all have been given, the owner's mark is set behind the last whole line.
        """
        entry = self._entry
        with open_file(self._owner.root, entry.path) as fd, self._file(fd) as file:
            found, number, at = self._start(file)
            self.skipped = number
            # Behind the last newline, where what follows is not a whole line.
            torn: tuple[int, int, bytes] | None = None
            while at < entry.size:
                line = file.readline(min(LINE_BYTES_MAX, entry.size - at))
                if not line:
                    raise _changed(entry)
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
        if mark is None or mark.offset > self._entry.size:
            return found, 0, 0
        left = mark.offset
        while left:
            data = file.read(min(left, _HASH_BYTES))
            if not data:
                raise _changed(self._entry)
            found.update(data)
            left -= len(data)
        if found.digest() == mark.digest:
            self.continued = True
            return found, mark.lines, mark.offset
        file.seek(0)
        return hashlib.sha256(), 0, 0

    def _file(self, fd: int | None) -> IO[bytes]:
        if fd is None:
            raise _changed(self._entry)
        found = os.fstat(fd)
        same = (found.st_dev, found.st_ino) == (self._entry.device, self._entry.inode)
        if not same or found.st_size < self._entry.size:
            raise _changed(self._entry)
        return open(fd, "rb", closefd=False)


def _untouched(mark: FileMark, entry: FileEntry) -> bool:
    return mark.mtime_ns != 0 and (mark.inode, mark.size, mark.mtime_ns) == (entry.inode, entry.size, entry.mtime_ns)


def _range(path: bytes, first_line: int, rows: list[Row]) -> KeyRange:
    name = raw_text(path)
    # No line number sorts behind a text.
    return KeyRange(encode_key((name, first_line)), encode_key((name, "")), tuple(rows))


def _changed(entry: FileEntry) -> SourceError:
    name = os.fsdecode(entry.path)
    return SourceError(
        f"The transcript {name} was cut or replaced while it was read.",
        kept=faults.KEPT,
        hint="Try again.",
        path=name,
    )
