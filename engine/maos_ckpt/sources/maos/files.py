"""Listing and reading files of a state whose owner is not to be trusted: no link is followed, every size is bounded.

Each component of a path below the root is opened on its own with O_NOFOLLOW, so that a link anywhere cannot lead out.
Only regular files count; a pipe or a device is never opened.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from maos_ckpt.codec.values import raw_text
from maos_ckpt.errors import SourceError
from maos_ckpt.model import Value
from maos_ckpt.seams import Clock

#: Files of one kind that a state may have.
FILES_MAX: Final = 20_000
#: How deep folders below a listed one are looked into.
DEPTH_MAX: Final = 4
#: A file that is read whole may be this large, and all of them together too.
FILE_BYTES_MAX: Final = 32 << 20
FILES_BYTES_MAX: Final = 64 << 20
#: MAOS writes its JSON files in place: a reader looks until two readings agree and parse.
READ_TRIES: Final = 8
READ_PAUSE_S: Final = 0.02
#: File times are only as fine as the kernel's tick: a file younger than this may change again without a trace.
FRESH_NS: Final = 20_000_000

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
#: What opening says where the thing is not there, or is a link.
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A regular file at the moment of a look: path below its root as bytes, size in bytes, permission bits."""

    path: bytes
    device: int
    inode: int
    size: int
    mtime_ns: int
    mode: int

    @property
    def name(self) -> Value:
        """The path as a record's key holds it: text, or raw text where it is not UTF-8."""
        return raw_text(self.path)

    @classmethod
    def of(cls, path: bytes, found: os.stat_result) -> FileEntry:
        """The entry for a file's `stat`."""
        mode = stat.S_IMODE(found.st_mode)
        return cls(path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, mode)


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file that was read whole. `settled` is false where it kept changing, or is JSON that does not parse."""

    entry: FileEntry
    content: bytes
    settled: bool


@contextlib.contextmanager
def open_folder(root: Path, path: str) -> Iterator[int | None]:
    """A descriptor of the folder `path` below `root`; None where there is none, or a link on the way.

    Raises:
        OSError: it is there and cannot be opened.
    """
    fd: int | None = None
    try:
        try:
            fd = os.open(root, _FOLDER_FLAGS)
            for part in path.split("/") if path else ():
                inner = os.open(part, _FOLDER_FLAGS, dir_fd=fd)
                os.close(fd)
                fd = inner
        except OSError as error:
            if error.errno not in _ABSENT:
                raise _named(error, root, path) from error
            yield None
            return
        yield fd
    finally:
        if fd is not None:
            os.close(fd)


def _named(error: OSError, root: Path, path: str) -> OSError:
    """The same error with the whole path: relative to a descriptor the kernel only knows its last part."""
    return OSError(error.errno, error.strerror, str(root / path))


def list_files(root: Path, folder: str, ending: str, depth: int = 0) -> list[FileEntry]:
    """Regular files below `root/folder` whose name has an ending, `depth` folders deep, in the order of their paths.

    Raises:
        SourceError: more than `FILES_MAX`.
        OSError: a folder cannot be read.
    """
    found: list[FileEntry] = []
    with open_folder(root, folder) as fd:
        if fd is not None:
            _walk(fd, os.fsencode(folder), os.fsencode(ending), min(depth, DEPTH_MAX), found)
    return sorted(found, key=lambda one: one.path)


def _walk(fd: int, prefix: bytes, ending: bytes, depth: int, found: list[FileEntry]) -> None:
    with os.scandir(fd) as entries:
        for one in entries:
            name = os.fsencode(one.name)
            path = prefix + b"/" + name
            if one.is_file(follow_symlinks=False) and name.endswith(ending):
                with contextlib.suppress(FileNotFoundError):
                    found.append(FileEntry.of(path, os.stat(one.name, dir_fd=fd, follow_symlinks=False)))
            elif depth and one.is_dir(follow_symlinks=False):
                with _inner_folder(fd, one.name) as inner:
                    if inner is not None:
                        _walk(inner, path, ending, depth - 1, found)
            if len(found) > FILES_MAX:
                raise SourceError(
                    f"There are more than {FILES_MAX} files of state in one folder.",
                    kept="Nothing was changed.",
                    hint="Move files that are no longer needed out of the folder.",
                )


@contextlib.contextmanager
def _inner_folder(fd: int, name: str) -> Iterator[int | None]:
    try:
        inner = os.open(name, _FOLDER_FLAGS, dir_fd=fd)
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
        yield None
        return
    try:
        yield inner
    finally:
        os.close(inner)


@contextlib.contextmanager
def open_file(root: Path, path: bytes) -> Iterator[int | None]:
    """A descriptor of the regular file `path` below `root`; None where there is none, or a link on the way.

    Raises:
        OSError: it is there and cannot be opened.
    """
    folder, _, name = os.fsdecode(path).rpartition("/")
    with open_folder(root, folder) as parent:
        fd: int | None = None
        if parent is not None:
            try:
                fd = os.open(name, _FILE_FLAGS, dir_fd=parent)
            except OSError as error:
                if error.errno not in (*_ABSENT, errno.ENXIO):
                    raise _named(error, root, os.fsdecode(path)) from error
        try:
            yield fd if fd is not None and stat.S_ISREG(os.fstat(fd).st_mode) else None
        finally:
            if fd is not None:
                os.close(fd)


def look_at(root: Path, path: str) -> FileEntry | None:
    """The entry of the regular file `path` below `root`, which need not be readable, or None.

    Raises:
        OSError: its folder cannot be entered.
    """
    folder, _, name = path.rpartition("/")
    with open_folder(root, folder) as parent:
        if parent is None:
            return None
        try:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return FileEntry.of(os.fsencode(path), found) if stat.S_ISREG(found.st_mode) else None


def linked(root: Path, path: str) -> bool:
    """Whether a component of `path` below `root` is a symbolic link, so that what is behind it is not looked at."""
    parts = path.split("/")
    return any(os.path.islink(root.joinpath(*parts[: i + 1])) for i in range(len(parts)))


def read_settled(root: Path, entry: FileEntry, clock: Clock) -> FileContent | None:
    """A whole file, read until two readings agree; None where it is gone, or larger than `FILE_BYTES_MAX`.

    Raises:
        OSError: it cannot be read.
    """
    before: FileContent | None = None
    for attempt in range(READ_TRIES):
        # The second look is at once: it settles nearly every file.
        if attempt > 1:
            clock.sleep(READ_PAUSE_S)
        now = _read(root, entry.path)
        if now is None:
            return None
        if before is not None and (before.entry, before.content) == (now.entry, now.content) and _parses(now):
            return FileContent(now.entry, now.content, settled=True)
        before = now
    return before


def _read(root: Path, path: bytes) -> FileContent | None:
    with open_file(root, path) as fd:
        if fd is None:
            return None
        entry = FileEntry.of(path, os.fstat(fd))
        if entry.size > FILE_BYTES_MAX:
            return None
        with open(fd, "rb", closefd=False) as file:
            content = file.read(FILE_BYTES_MAX + 1)
        return None if len(content) > FILE_BYTES_MAX else FileContent(entry, content, settled=False)


def _parses(file: FileContent) -> bool:
    # Only JSON tells a whole file from a torn one.
    if not file.entry.path.endswith(b".json"):
        return True
    try:
        json.loads(file.content)
    except (ValueError, RecursionError):
        return False
    return True


def digest(parts: Iterator[bytes]) -> bytes:
    """SHA-256 over parts, with their lengths, so that no two lists of parts look the same."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)
    return found.digest()
