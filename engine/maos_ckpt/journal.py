"""The events journal of a repository: one JSON object a line in `journal/events.jsonl`.

Whoever carries out an operation writes its event, engine or command line, so that one file tells what happened,
whichever program did it. A line is one `write`; events that say that something was overwritten or removed are also
synced. The journal is bounded by rotation, and a torn last line (a crash in the middle of a write) costs only itself.
What a file that makes room said in figures is carried over, so that metrics outlive it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from maos_ckpt.events import EVENT_TYPES, Event, event_fields
from maos_ckpt.metrics import carried
from maos_ckpt.metrics.figures import Figures
from maos_ckpt.seams import Seams

_LOG = logging.getLogger(__name__)

DIRECTORY = "journal"
_CURRENT = "events.jsonl"
#: The current file is put aside at this size …
FILE_BYTES_MAX = 4 << 20
#: … and so many of those put aside are kept.
ROTATED_FILES_MAX = 3
#: A longer line is no event of ours.
LINE_BYTES_MAX = 256 << 10
#: Texts inside an event are cut to this length, so that one event is always one small write.
TEXT_CHARACTERS_MAX = 4000
#: Checkpoint ids that one event names at most.
LIST_ITEMS_MAX = 1000
_LOCK_TRIES = 20
_LOCK_PAUSE_S = 0.01
#: So often the figures are read again where a rotation came between.
_LOOKS_MAX = 5
#: Events that a power cut must not make us forget.
_DURABLE = frozenset({"RecoveryCompleted", "RecoveryResumed", "CheckpointsRemoved", "DrillCompleted"})

#: What a reader gets: the event's name and its fields; times are `at_ms`.
Entry = tuple[str, dict[str, object]]


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the journal: which file (by inode) and how many of its bytes are read."""

    inode: int = 0
    offset: int = 0


def _bounded(value: object) -> object:
    if isinstance(value, str) and len(value) > TEXT_CHARACTERS_MAX:
        return value[:TEXT_CHARACTERS_MAX] + "…"
    if isinstance(value, (list, tuple)):
        return [_bounded(one) for one in value[:LIST_ITEMS_MAX]]
    return value


def encode(event: Event) -> bytes:
    """An event as its journal line."""
    fields = {name: _bounded(value) for name, value in event_fields(event).items()}
    line = json.dumps({"event": type(event).__name__, **fields}, ensure_ascii=True, separators=(",", ":"))
    return line.encode("ascii") + b"\n"


def decode(line: bytes) -> Entry | None:
    """The entry in a line; None for a torn, foreign or oversized one."""
    if len(line) > LINE_BYTES_MAX:
        return None
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    name = fields.pop("event", None)
    if not isinstance(name, str) or name not in EVENT_TYPES or not isinstance(fields.get("at_ms"), int):
        return None
    return name, fields


def as_event(entry: Entry) -> Event | None:
    """The typed event behind an entry; None where a newer version wrote fields that this one cannot place."""
    name, fields = entry
    cls = EVENT_TYPES[name]
    known = dataclasses.fields(cls)
    # What has a default is newer than some lines of the journal.
    if not {one.name for one in known if one.default is dataclasses.MISSING} <= fields.keys():
        return None
    given = [one.name for one in known if one.name in fields]
    return cls(**{key: tuple(v) if isinstance(v := fields[key], list) else v for key in given})  # type: ignore[arg-type]


class Journal:
    """Append to and read from one repository's journal. Several processes may use it at the same time."""

    def __init__(self, repository: Path, seams: Seams) -> None:
        self.directory = repository / DIRECTORY
        self.path = self.directory / _CURRENT
        self._seams = seams

    def append(self, event: Event) -> bool:
        """Write one event; False where the storage refuses, which never fails the operation that it tells of.

        A path that is no repository (it has no journal directory) stays untouched.
        """
        if not self.directory.is_dir():
            return False
        try:
            with _Lock(self.directory / "lock", self._seams) as locked:
                if locked:
                    self._rotate_if_full()
                self._write(encode(event), durable=type(event).__name__ in _DURABLE)
        except OSError as error:
            _LOG.warning("the journal cannot be written: %s", error)
            return False
        return True

    def _write(self, line: bytes, *, durable: bool) -> None:
        fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(fd).st_size
            # A line that a crash tore must not swallow this one.
            if size and os.pread(fd, 1, size - 1) != b"\n":
                line = b"\n" + line
            self._seams.fs.write(fd, line)
            if durable:
                self._seams.fs.sync(fd)
        finally:
            os.close(fd)

    def _rotate_if_full(self) -> None:
        try:
            if self.path.stat().st_size < FILE_BYTES_MAX:
                return
        except FileNotFoundError:
            return
        try:
            self._carry_over()
        except OSError as error:
            # What happens now is worth more than the bound, which the next event tries to keep again.
            _LOG.warning("the journal grows on, since its figures cannot be kept: %s", error)
            return
        for number in range(ROTATED_FILES_MAX - 1, 0, -1):
            older = self._rotated(number)
            if older.exists():
                older.replace(self._rotated(number + 1))
        self.path.replace(self._rotated(1))

    def _carry_over(self) -> None:
        """Add the figures of the file that the rotation replaces to those carried."""
        oldest = self._rotated(ROTATED_FILES_MAX)
        if not self._rotated(ROTATED_FILES_MAX - 1).exists() or not oldest.exists():
            return
        data, known = oldest.read_bytes(), carried.load(self.directory)
        digest = carried.digest_of(data)
        # A crash came between this and the rotation.
        if digest != known.digest:
            known.figures.add(_entries(data))
            carried.store(self.directory, carried.Carried(known.figures, digest), self._seams)

    def _rotated(self, number: int) -> Path:
        return self.directory / f"events.{number}.jsonl"

    def _files_newest_first(self) -> list[Path]:
        return [self.path, *(self._rotated(number) for number in range(1, ROTATED_FILES_MAX + 1))]

    def newest_first(self) -> Iterator[Entry]:
        """All kept entries, newest first."""
        for path in self._files_newest_first():
            try:
                data = path.read_bytes()
            except OSError:
                continue
            for line in reversed(data.split(b"\n")):
                entry = decode(line)
                if entry is not None:
                    yield entry

    def since(self, at_ms: int) -> list[Entry]:
        """Entries from `at_ms` on, oldest first. Order is that of writing, whatever the clocks said."""
        return [entry for entry in reversed(list(self.newest_first())) if _at(entry) >= at_ms]

    def end(self) -> Position:
        """The place after the newest entry, from which `read` tells only what is new."""
        for path in self._files_newest_first():
            with contextlib.suppress(OSError):
                stat = path.stat()
                return Position(stat.st_ino, stat.st_size)
        return Position()

    def figures(self) -> tuple[Figures, Position]:
        """What the whole journal says in figures, files that are gone included, and the place up to which it does."""
        for _ in range(_LOOKS_MAX):
            before = self._inodes()
            known, position = carried.load(self.directory), Position()
            figures = known.figures
            with contextlib.ExitStack() as stack:
                files = self._open_files(stack, 0)
                for file in reversed(files):
                    data = file.read()
                    if len(files) <= ROTATED_FILES_MAX or file is not files[-1] or not _is(data, known.digest):
                        figures.add(_entries(data))
                    position = Position(os.fstat(file.fileno()).st_ino, data.rfind(b"\n") + 1)
            if self._inodes() == before:
                break
        return figures, position

    def _inodes(self) -> list[int]:
        """Of the files that are there and of the figures carried: another list after every rotation."""
        found = []
        for path in (*self._files_newest_first(), self.directory / carried.NAME):
            with contextlib.suppress(OSError):
                found.append(path.stat().st_ino)
        return found

    def read(self, position: Position) -> tuple[list[Entry], Position]:
        """Entries written since `position`, oldest first, and the new place; a half-written last line waits."""
        entries: list[Entry] = []
        with contextlib.ExitStack() as stack:
            for file in reversed(self._open_files(stack, position.inode)):
                stat = os.fstat(file.fileno())
                inode = stat.st_ino
                # A shorter file is another one, to which the number of a removed one was given.
                offset = position.offset if inode == position.inode and position.offset <= stat.st_size else 0
                file.seek(offset)
                data = file.read()
                entries += _entries(data)
                position = Position(inode, offset + data.rfind(b"\n") + 1)
        return entries, position

    def _open_files(self, stack: contextlib.ExitStack, inode: int) -> list[IO[bytes]]:
        """The files, newest first, down to and including the one of that inode; all where it is gone already.

        A rotation meanwhile moves files to older names, which come next: each is found, and counts once.
        """
        found: list[IO[bytes]] = []
        seen: set[int] = set()
        for path in self._files_newest_first():
            try:
                file = stack.enter_context(path.open("rb"))
            except OSError:
                continue
            number = os.fstat(file.fileno()).st_ino
            if number not in seen:
                seen.add(number)
                found.append(file)
            if number == inode:
                break
        return found


def _is(data: bytes, digest: str) -> bool:
    return carried.digest_of(data) == digest


def _entries(data: bytes) -> list[Entry]:
    """What whole lines say, oldest first; an unfinished last one is none."""
    whole = data[: data.rfind(b"\n") + 1]
    return [entry for line in whole.split(b"\n") if (entry := decode(line)) is not None]


def _at(entry: Entry) -> int:
    at_ms = entry[1]["at_ms"]
    return at_ms if isinstance(at_ms, int) else 0


class _Lock:
    """Keeps two processes from rotating at once. Not waited for long: appending without it is safe, rotating is not."""

    def __init__(self, path: Path, seams: Seams) -> None:
        self._path = path
        self._seams = seams
        self._fd = -1

    def __enter__(self) -> bool:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for _ in range(_LOCK_TRIES):
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                self._seams.clock.sleep(_LOCK_PAUSE_S)
        return False

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
