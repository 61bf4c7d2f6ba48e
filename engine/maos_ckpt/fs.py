"""The file system seam: every byte the repository makes durable goes through one of these calls.

The order *temporary file → write → fsync → rename → fsync of the directory* lives here once. Without the last step a
power cut loses a file whose rename had returned. An fsync that failed is never tried again on the same file: the kernel
may have dropped the dirty pages and report success the second time, so the file is abandoned and the error raised.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn, Protocol

from maos_ckpt.errors import IntegrityError, PermissionRefusedError, StorageError


class Filesystem(Protocol):
    """What the repository asks of a file system."""

    def create(self, path: Path) -> int:
        """Open a new file for writing (mode 0600); it must not exist. Returns the descriptor."""
        ...

    def write(self, fd: int, data: bytes | memoryview) -> None:
        """Write all of `data`."""
        ...

    def sync(self, fd: int) -> None:
        """Make the file's bytes durable."""
        ...

    def close(self, fd: int) -> None:
        """Close the descriptor."""
        ...

    def publish(self, temporary: Path, final: Path, *, replace: bool) -> bool:
        """Give a synced temporary file its name and make the name durable.

        Returns False, leaving `final` untouched, where `replace` is false and `final` exists.
        """
        ...

    def unlink(self, path: Path) -> None:
        """Remove a file; one that is not there is no error."""
        ...

    def sync_directory(self, path: Path) -> None:
        """Make a directory's entries durable."""
        ...


#: What a disk says that has lost what it was given: the bytes are gone, and asking again does not help.
_UNREADABLE = frozenset({errno.EIO, errno.EBADMSG, errno.EUCLEAN})


def is_unreadable(error: OSError) -> bool:
    """Whether a failed read says that these bytes are lost, and not that the storage is away."""
    return error.errno in _UNREADABLE


def raise_read_error(error: OSError, path: Path | str, name: str) -> NoReturn:
    """As `raise_storage_error`, of an object that was read: bytes which the disk has lost are that object's damage,
    so that they are read, and mended, from another tier."""
    if is_unreadable(error):
        reason = os.strerror(error.errno or 0)
        raise IntegrityError(f"The stored object {name} cannot be read: {reason}.", object=name) from error
    raise_storage_error(error, path)


def is_local(error: Exception) -> bool:
    """Whether an error is what the operating system said about the repository's own storage."""
    return type(error) in (StorageError, PermissionRefusedError) and isinstance(error.__cause__, OSError)


def raise_storage_error(error: OSError, path: Path | str) -> NoReturn:
    """Turn an operating system error on the repository's storage into the error an operator can act on."""
    name = Path(path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise StorageError(
            f"No space left to write {name}.",
            kept="Every checkpoint committed before is untouched.",
            hint="Free space. In the repository the folder cache/ may be deleted, which costs speed only; then "
            "`maos-ckpt prune --keep-last N` removes old checkpoints.",
            path=str(name),
        ) from error
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        raise PermissionRefusedError(
            f"The operating system refuses access to {name}: {os.strerror(error.errno)}.",
            kept="Nothing was changed.",
            hint="Give this user the right to read and write the repository, or name another with --repo.",
            path=str(name),
        ) from error
    reason = os.strerror(error.errno) if error.errno else str(error)
    raise StorageError(
        f"The storage failed at {name}: {reason}.",
        kept="Every checkpoint committed before is untouched.",
        hint="Check the disk, then run `maos-ckpt verify --all`.",
        path=str(name),
    ) from error


class SystemFilesystem:
    """The operating system's own calls."""

    def create(self, path: Path) -> int:
        """See `Filesystem.create`."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, fd: int, data: bytes | memoryview) -> None:
        """See `Filesystem.write`; a short write is continued."""
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]

    def sync(self, fd: int) -> None:
        """See `Filesystem.sync`."""
        os.fsync(fd)

    def close(self, fd: int) -> None:
        """See `Filesystem.close`."""
        os.close(fd)

    def publish(self, temporary: Path, final: Path, *, replace: bool) -> bool:
        """See `Filesystem.publish`; create-if-absent is a hard link, which the kernel makes atomic."""
        if replace:
            os.replace(temporary, final)
        else:
            try:
                os.link(temporary, final)
            except FileExistsError:
                return False
            os.unlink(temporary)
        self.sync_directory(final.parent)
        return True

    def unlink(self, path: Path) -> None:
        """See `Filesystem.unlink`."""
        path.unlink(missing_ok=True)

    def sync_directory(self, path: Path) -> None:
        """See `Filesystem.sync_directory`."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
