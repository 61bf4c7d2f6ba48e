"""What every place for objects promises: a local directory, S3, and whatever wraps one of them.

Names are plain and checked at the door, so that no stored byte can lead outside the repository. Sizes are checked
before memory is taken. Every method may be called from several threads, and every one may be called again after it
failed: `create`, too, because it compares contents rather than asking who was first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from maos_ckpt.errors import IntegrityError, StorageError, UsageError

#: The one object that lies at a repository's root.
HEADER_NAME = "maos-ckpt.json"
#: Every other name: two or three plain parts, as in `packs/3f/3f2a…` or `manifests/0000000042`.
_NAME = re.compile(r"[a-z]{1,20}(/[0-9a-z_]{1,80}){1,2}(\.json)?")
_DIRECTORY = re.compile(r"[a-z]{1,20}(/[0-9a-z_]{1,80})?")
#: Longest range that one `read_range` gives, in bytes; a longer one is refused before memory is taken.
RANGE_BYTES_MAX = 256 << 20


class UnsupportedRequestError(StorageError):
    """The store does not know this kind of request."""


def is_name(name: str) -> bool:
    """Whether this repository could have given an object that name."""
    return _NAME.fullmatch(name) is not None or name == HEADER_NAME


def check_name(name: str) -> str:
    """`name`, if it is one that this repository could have given.

    Raises:
        UsageError: anything else, so that no stored byte can lead outside the repository.
    """
    if not is_name(name):
        raise UsageError("That is not the name of a stored object.", name=name[:100])
    return name


def check_directory(directory: str) -> str:
    """`directory`, if objects can lie below it; raises `UsageError` as `check_name` does."""
    if not _DIRECTORY.fullmatch(directory):
        raise UsageError("That is not the name of a directory of stored objects.", name=directory[:100])
    return directory


def check_range(name: str, offset: int, length: int) -> None:
    """Refuse a range that no object of this repository has; raises `UsageError`."""
    if offset < 0 or not 0 <= length <= RANGE_BYTES_MAX:
        raise UsageError(f"{length} bytes at {offset} is no range of a stored object.", object=name)


def check_file(name: str, sha256: str, found: str) -> None:
    """Raise `IntegrityError` unless a local file holds what it should."""
    if found != sha256:
        raise IntegrityError(
            f"The file to store as {name} does not hold what it should.",
            kept="Nothing was stored.",
            object=name,
            expected=sha256,
            found=found,
        )


class Backend(Protocol):
    """Objects by name. Contents never change in place: a reader sees all of one version of an object or none.

    Besides the errors that each method names, all raise:
        UsageError: the name could not have been given by this repository.
        TransientStorageError: no answer, or "later"; the call can be repeated.
        StorageError: the storage refuses or is not usable as it is; repeating does not help.
        PermissionRefusedError: the credentials or rights do not allow it.
    """

    @property
    def location(self) -> str:
        """Where the objects lie, for people; never holds a secret."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Store an object unless the name is taken; whether the name now holds exactly `data`.

        True: it does, durably, and no `create` of other data under this name will be told True. Repeating a call that
        succeeded, or whose answer was lost, is True again. False: the name holds other data, which are untouched. So
        data that nobody else could write (a fresh random token in them) make this a lock, and a lost answer costs
        nothing.
        """
        ...

    def create_file(self, name: str, path: Path, *, sha256: str) -> bool:
        """As `create`, for the bytes of a local file of any size, in bounded memory; the file is left alone.

        `sha256` (hex) is what the file must hold. The guarantee against other writers is weaker than that of
        `create`: meant for names that state their content, under which everybody writes the same bytes.

        Raises:
            IntegrityError: the file holds something else; nothing was stored.
        """
        ...

    def replace(self, name: str, data: bytes) -> None:
        """Store an object durably, whether or not the name is taken; the last writer wins."""
        ...

    def read(self, name: str, bytes_max: int) -> bytes:
        """A whole object of at most `bytes_max`.

        Raises:
            MissingObjectError: there is none.
            IntegrityError: it is larger, or not what was written.
        """
        ...

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """Exactly `length` bytes (at most `RANGE_BYTES_MAX`) from `offset` on.

        Raises:
            MissingObjectError: there is no such object.
            IntegrityError: it ends before.
        """
        ...

    def size(self, name: str) -> int | None:
        """Size in bytes, or None where the storage answers that there is no such object."""
        ...

    def entries(self, directory: str, start_after: str = "") -> Iterator[tuple[str, int]]:
        """Names below `directory` that sort after `start_after`, with sizes in bytes, in byte order of the names.

        An error raises, at the start or in the middle; it never looks like the end. A file system raises for a
        directory that it does not have, which may be a disk that is not mounted; an object store finds nothing there.
        Objects that others put below the directory under names of another form are passed over.
        """
        ...

    def delete(self, *names: str) -> None:
        """Remove objects; those that are not there are no error. All names are checked before the first goes."""
        ...

    def close(self) -> None:
        """Release connections and threads; safe to call twice."""
        ...
