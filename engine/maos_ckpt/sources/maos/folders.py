"""Changing files below a root whose owner is not to be trusted: no link is followed, nothing is ever half-written.

Each component of a path is opened on its own with O_NOFOLLOW, and every change is made relative to the last folder's
descriptor, so that a link put in the way at any moment cannot lead out. A file changes by a temporary file beside it:
write, fsync, rename, fsync of the folder.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

#: Longest name of a file that common file systems take, in bytes.
NAME_BYTES_MAX: Final = 255
#: Folders on the way to a file.
PATH_PARTS_MAX: Final = 16
#: Bits of a mode that are put back; never setuid, setgid or sticky.
MODE_MASK: Final = 0o777
_NEW_FILE_MODE: Final = 0o600
_NAME_DIGITS: Final = 18
_NEW_FOLDER_MODE: Final = 0o700

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class UnsafePathError(Exception):
    """The path cannot be used; the text says why, for people."""


def parts_of(path: bytes) -> list[bytes]:
    """The components of a stored path.

    Raises:
        UnsafePathError: it could lead out of its root, or no file system takes it.
    """
    parts = path.split(b"/")
    if not path or path.startswith(b"/") or b"\0" in path or any(one in (b"", b".", b"..") for one in parts):
        raise UnsafePathError("its path could lead out of its folder")
    if len(parts) > PATH_PARTS_MAX or max(map(len, parts)) > NAME_BYTES_MAX:
        raise UnsafePathError("its path is too long")
    return parts


@dataclass(frozen=True, slots=True)
class Place:
    """A file's name in an open folder. `fd` is the folder's descriptor."""

    fd: int
    name: bytes

    def look(self) -> os.stat_result | None:
        """The regular file there, or None.

        Raises:
            UnsafePathError: something else is there.
        """
        try:
            found = os.stat(self.name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode):
            raise UnsafePathError("a link, folder or device is in its place")
        return found

    @contextlib.contextmanager
    def open(self) -> Iterator[IO[bytes] | None]:
        """The file for reading, or None where there is none; UnsafePathError as in `look`."""
        if self.look() is None:
            yield None
            return
        with open(os.open(self.name, _READ_FLAGS, dir_fd=self.fd), "rb") as file:
            yield file

    @contextlib.contextmanager
    def replacing(self, mode: int | None) -> Iterator[Replacement]:
        """A new file that takes this place where the block ends well and `Replacement.keep` is still set.

        `mode` None keeps the mode of the file that is replaced.
        """
        old = self.look()
        # The same name each time: what a kill left of it goes when this file is put back again.
        temporary = b".ckpt-%b" % hashlib.sha256(self.name).hexdigest()[:_NAME_DIGITS].encode()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=self.fd)
        file = open(os.open(temporary, _WRITE_FLAGS, _NEW_FILE_MODE, dir_fd=self.fd), "wb")  # noqa: SIM115
        replacement = Replacement(file)
        done = False
        try:
            yield replacement
            if replacement.keep:
                file.flush()
                _own_like(file.fileno(), old or os.fstat(self.fd))
                wanted = mode if mode is not None else old.st_mode if old is not None else _NEW_FILE_MODE
                os.fchmod(file.fileno(), wanted & MODE_MASK)
                os.fsync(file.fileno())
                os.rename(temporary, self.name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
                done = True
                os.fsync(self.fd)
        finally:
            # A full disk may say so only here; the file is abandoned then.
            with contextlib.suppress(OSError):
                file.close()
            if not done:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=self.fd)

    def set_mode(self, mode: int) -> None:
        """Give the file its permission bits."""
        fd = os.open(self.name, _READ_FLAGS, dir_fd=self.fd)
        try:
            os.fchmod(fd, mode & MODE_MASK)
            os.fsync(fd)
        finally:
            os.close(fd)

    def remove(self) -> None:
        """Remove the file for good."""
        os.unlink(self.name, dir_fd=self.fd)
        os.fsync(self.fd)


@dataclass(slots=True)
class Replacement:
    """A file being written; clear `keep` to leave the old one in place."""

    file: IO[bytes]
    keep: bool = True


@contextlib.contextmanager
def open_place(root: Path, path: bytes, *, create: bool) -> Iterator[Place | None]:
    """The place of `path` below `root`; None where a folder on the way is missing and not to be made.

    Raises:
        UnsafePathError: the path is unsafe, or a component on the way is a link or no folder.
        OSError: a folder cannot be opened or made.
    """
    *folders, name = parts_of(path)
    if create:
        os.makedirs(root, mode=_NEW_FOLDER_MODE, exist_ok=True)
    fd = -1
    try:
        try:
            fd = os.open(root, _FOLDER_FLAGS)
            for part in folders:
                inner = _open_folder(fd, part, create=create)
                os.close(fd)
                fd = inner
        except FileNotFoundError:
            if create:
                raise
            yield None
            return
        yield Place(fd, name)
    finally:
        if fd >= 0:
            os.close(fd)


def _open_folder(fd: int, part: bytes, *, create: bool) -> int:
    if create:
        with contextlib.suppress(FileExistsError):
            os.mkdir(part, _NEW_FOLDER_MODE, dir_fd=fd)
            made = os.open(part, _FOLDER_FLAGS, dir_fd=fd)
            try:
                _own_like(made, os.fstat(fd))
                os.fsync(fd)
            finally:
                os.close(made)
    try:
        return os.open(part, _FOLDER_FLAGS, dir_fd=fd)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise UnsafePathError("it is reached through a symbolic link") from error
        raise


def _own_like(fd: int, model: os.stat_result) -> None:
    # What root puts back must still belong to the user whose state it is.
    if os.geteuid() == 0:
        os.fchown(fd, model.st_uid, model.st_gid)
