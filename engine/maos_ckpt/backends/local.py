"""A repository's objects in a local directory.

Guarantees: those of `Backend`; a name appears only when its bytes are durable; a listing that fails raises and is never
read as "empty". Directories are 0700, files 0600.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from maos_ckpt.backends.base import check_directory, check_file, check_name, check_range, is_name
from maos_ckpt.backends.local_directory import LocalDirectory
from maos_ckpt.errors import IntegrityError, MissingObjectError, StorageError, TransientStorageError
from maos_ckpt.fs import is_unreadable, raise_read_error, raise_storage_error

_COPY_PORTION_BYTES = 1 << 20


class LocalBackend(LocalDirectory):
    """Objects under one directory."""

    @property
    def location(self) -> str:
        """The directory."""
        return str(self.root)

    def close(self) -> None:
        """See `Backend.close`; nothing stays open between calls."""

    def path(self, name: str) -> Path:
        """Where an object lies."""
        return self.root / check_name(name)

    def create(self, name: str, data: bytes, *, replace: bool = False) -> bool:
        """See `Backend.create`; with `replace` as `Backend.replace`."""
        check_name(name)
        temporary = self.temporary()
        try:
            try:
                self.write_file(temporary, data)
            except OSError as error:
                raise_storage_error(error, temporary)
            published = self.publish(temporary, name, replace=replace)
        finally:
            self.discard(temporary)
        return published or self.holds(name, hashlib.sha256(data).hexdigest())

    def replace(self, name: str, data: bytes) -> None:
        """See `Backend.replace`."""
        self.create(name, data, replace=True)

    def create_file(self, name: str, path: Path, *, sha256: str) -> bool:
        """See `Backend.create_file`."""
        check_name(name)
        temporary = self.temporary()
        try:
            check_file(name, sha256, self._copy(path, temporary))
            published = self.publish(temporary, name)
        finally:
            self.discard(temporary)
        return published or self.holds(name, sha256)

    def _copy(self, path: Path, temporary: Path) -> str:
        """Copy a file to a synced temporary one; SHA-256 of its bytes in hex."""
        digest, fs = hashlib.sha256(), self.seams.fs
        try:
            file = path.open("rb")
        except OSError as error:
            raise_storage_error(error, path)
        with file:
            try:
                fd = fs.create(temporary)
                try:
                    while portion := file.read(_COPY_PORTION_BYTES):
                        digest.update(portion)
                        fs.write(fd, portion)
                    fs.sync(fd)
                finally:
                    fs.close(fd)
            except OSError as error:
                raise_storage_error(error, temporary)
        return digest.hexdigest()

    def holds(self, name: str, sha256: str) -> bool:
        """Whether an object that is there has this SHA-256 (hex); raises `TransientStorageError` where it is gone."""
        path = self.path(name)
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except FileNotFoundError as error:
            raise TransientStorageError(f"{name} was written by somebody and is gone again.", object=name) from error
        except OSError as error:
            if is_unreadable(error):
                return False
            raise_storage_error(error, path)

    def publish(self, temporary: Path, name: str, *, replace: bool = False) -> bool:
        """Give a synced temporary file its name; False where the name exists already, which is durable then, too."""
        final = self.path(name)
        try:
            if not final.parent.is_dir():
                final.parent.mkdir(mode=0o700, exist_ok=True)
                self.seams.fs.sync_directory(final.parent.parent)
            if self.seams.fs.publish(temporary, final, replace=replace):
                return True
            # Whoever gave that name may have died, or failed, before it was made durable.
            self.seams.fs.sync_directory(final.parent)
            return False
        except OSError as error:
            raise_storage_error(error, final)

    def read(self, name: str, bytes_max: int) -> bytes:
        """See `Backend.read`."""
        path = self.path(name)
        try:
            with path.open("rb") as file:
                data = file.read(bytes_max + 1)
        except FileNotFoundError as error:
            self._raise_missing(name, error)
        except OSError as error:
            raise_read_error(error, path, name)
        if len(data) > bytes_max:
            raise IntegrityError(f"The stored object {name} is larger than {bytes_max} bytes.", object=name)
        return data

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """See `Backend.read_range`."""
        check_range(name, offset, length)
        path = self.path(name)
        try:
            with path.open("rb", buffering=0) as file:
                whole = offset + length <= os.fstat(file.fileno()).st_size
                data = os.pread(file.fileno(), length, offset) if whole else b""
        except FileNotFoundError as error:
            self._raise_missing(name, error)
        except OSError as error:
            raise_read_error(error, path, name)
        if len(data) != length:
            raise IntegrityError(f"The stored object {name} ends before byte {offset + length}.", object=name)
        return data

    def size(self, name: str) -> int | None:
        """See `Backend.size`."""
        path = self.path(name)
        try:
            return path.stat().st_size
        except FileNotFoundError as error:
            self._check_root(error)
            return None
        except OSError as error:
            raise_storage_error(error, path)

    def _raise_missing(self, name: str, error: OSError) -> NoReturn:
        self._check_root(error)
        raise MissingObjectError(f"The stored object {name} is missing.", object=name) from error

    def _check_root(self, error: OSError) -> None:
        """A file that is not there says nothing about a repository that is not there."""
        if not self.is_directory(self.root):
            raise StorageError(
                f"There is no directory at {self.root}.", hint="Check that its disk is mounted.", path=str(self.root)
            ) from error

    def read_header(self, name: str, bytes_max: int) -> bytes | None:
        """The object at the root, cut to `bytes_max`, or None where there is none."""
        try:
            with (self.root / name).open("rb") as file:
                return file.read(bytes_max)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise_read_error(error, self.root / name, name)

    def list(self, directory: str) -> dict[str, int]:
        """Names of all objects below a directory, with their sizes in bytes.

        Raises:
            IntegrityError: the directory is gone.
        """
        return dict(self.entries(directory))

    def entries(self, directory: str, start_after: str = "") -> Iterator[tuple[str, int]]:
        """See `Backend.entries`.

        Raises:
            IntegrityError: the directory is gone.
        """
        check_directory(directory)
        return self._entries(directory, check_name(start_after) if start_after else "")

    def _entries(self, directory: str, start_after: str) -> Iterator[tuple[str, int]]:
        try:
            yield from (one for one in self._walk(self.root / directory, directory) if one[0] > start_after)
        except FileNotFoundError as error:
            raise IntegrityError(
                f"The folder {directory} of the repository at {self.root} is gone.",
                kept="What is left was not touched.",
                hint="Bring it back from a copy, or name another repository with --repo.",
                missing=[directory],
            ) from error
        except OSError as error:
            raise_storage_error(error, self.root / directory)

    def _walk(self, path: Path, prefix: str) -> Iterator[tuple[str, int]]:
        with os.scandir(path) as entries:
            # A directory's names all begin with its own and a slash, which decides its place among the files.
            found = sorted((f"{prefix}/{one.name}{'/' * one.is_dir(follow_symlinks=False)}", one) for one in entries)
        for name, entry in found:
            if name.endswith("/"):
                yield from self._walk(path / entry.name, name[:-1])
            elif is_name(name) and entry.is_file(follow_symlinks=False):
                # One that somebody deleted meanwhile is not listed.
                with contextlib.suppress(FileNotFoundError):
                    yield name, entry.stat(follow_symlinks=False).st_size

    def delete(self, *names: str) -> None:
        """See `Backend.delete`."""
        paths = [self.path(name) for name in names]
        for path in paths:
            try:
                self.seams.fs.unlink(path)
            except OSError as error:
                raise_storage_error(error, path)
        for directory in {path.parent for path in paths}:
            try:
                if directory.is_dir():
                    self.seams.fs.sync_directory(directory)
            except OSError as error:
                raise_storage_error(error, directory)
