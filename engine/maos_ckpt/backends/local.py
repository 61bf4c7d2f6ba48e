"""A repository's objects in a local directory.

Guarantees: those of `Backend`; a name appears only when its bytes are durable; a listing that fails raises and is never
read as "empty". Directories are 0700, files 0600.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from maos_ckpt.backends.base import check_directory, check_file, check_name, check_range, is_name
from maos_ckpt.errors import IntegrityError, MissingObjectError, StorageError, TransientStorageError
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.seams import Seams

#: Where unfinished files live; whatever is left here belongs to no one and is removed by `sweep`.
TEMPORARY = "tmp"
_COPY_PORTION_BYTES = 1 << 20


class LocalBackend:
    """Objects under one directory."""

    def __init__(self, root: Path, seams: Seams) -> None:
        self.root = root
        self._seams = seams

    @property
    def location(self) -> str:
        """The directory."""
        return str(self.root)

    def close(self) -> None:
        """See `Backend.close`; nothing stays open between calls."""

    def make_directories(self, names: list[str]) -> None:
        """Create the root and these directories below it, private to this user, and make them durable."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in names:
                (self.root / name).mkdir(mode=0o700, exist_ok=True)
            self._seams.fs.sync_directory(self.root)
            self._seams.fs.sync_directory(self.root.parent)
        except OSError as error:
            raise_storage_error(error, self.root)

    def missing(self, directories: list[str]) -> list[str]:
        """Those of these directories that are not there.

        Raises:
            StorageError, PermissionRefusedError: that cannot be told.
        """
        return [name for name in directories if not self._is_directory(self.root / name)]

    @staticmethod
    def _is_directory(path: Path) -> bool:
        try:
            return stat.S_ISDIR(path.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise_storage_error(error, path)

    def create_directory(self, directory: str, objects: dict[str, bytes]) -> None:
        """Make a directory that is not there, with these objects (file name → bytes) in it, durably and all at once."""
        fs, unfinished, final = self._seams.fs, self.temporary(), self.root / directory
        try:
            unfinished.mkdir(mode=0o700)
            for name, data in objects.items():
                self._write_file(unfinished / name, data)
            fs.sync_directory(unfinished)
            unfinished.rename(final)
            fs.sync_directory(self.root)
        except OSError as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise_storage_error(error, final)

    def path(self, name: str) -> Path:
        """Where an object lies."""
        return self.root / check_name(name)

    def temporary(self) -> Path:
        """A fresh path for an unfinished file."""
        return self.root / TEMPORARY / self._seams.random.token(8).hex()

    def create(self, name: str, data: bytes, *, replace: bool = False) -> bool:
        """See `Backend.create`; with `replace` as `Backend.replace`."""
        check_name(name)
        temporary = self.temporary()
        try:
            try:
                self._write_file(temporary, data)
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

    def discard(self, temporary: Path) -> None:
        """Remove an unfinished file; one that cannot be removed now is left to `sweep`."""
        with contextlib.suppress(OSError):
            self._seams.fs.unlink(temporary)

    def _copy(self, path: Path, temporary: Path) -> str:
        """Copy a file to a synced temporary one; SHA-256 of its bytes in hex."""
        digest, fs = hashlib.sha256(), self._seams.fs
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
            raise_storage_error(error, path)

    def _write_file(self, path: Path, data: bytes) -> None:
        fs = self._seams.fs
        fd = fs.create(path)
        try:
            fs.write(fd, data)
            fs.sync(fd)
        finally:
            fs.close(fd)

    def publish(self, temporary: Path, name: str, *, replace: bool = False) -> bool:
        """Give a synced temporary file its name; False where the name exists already, which is durable then, too."""
        final = self.path(name)
        try:
            if not final.parent.is_dir():
                final.parent.mkdir(mode=0o700, exist_ok=True)
                self._seams.fs.sync_directory(final.parent.parent)
            if self._seams.fs.publish(temporary, final, replace=replace):
                return True
            # Whoever gave that name may have died, or failed, before it was made durable.
            self._seams.fs.sync_directory(final.parent)
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
            raise_storage_error(error, path)
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
            raise_storage_error(error, path)
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
        if not self._is_directory(self.root):
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
            raise_storage_error(error, self.root / name)

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
                self._seams.fs.unlink(path)
            except OSError as error:
                raise_storage_error(error, path)
        for directory in {path.parent for path in paths}:
            try:
                if directory.is_dir():
                    self._seams.fs.sync_directory(directory)
            except OSError as error:
                raise_storage_error(error, directory)

    def make_cut_directory(self) -> Path:
        """A fresh private directory for a cut's files; its name says which process it belongs to."""
        directory = self.root / TEMPORARY / f"cut-{os.getpid()}-{self._seams.random.token(8).hex()}"
        try:
            directory.mkdir(mode=0o700)
        except OSError as error:
            raise_storage_error(error, directory)
        return directory

    def sweep(self) -> None:
        """Remove what crashed processes left; the caller holds the lease, so no file here is being written.

        Cuts are also opened without the lease (a diff against live is), so theirs stay while their process lives.
        """
        try:
            with os.scandir(self.root / TEMPORARY) as entries:
                for entry in entries:
                    self._sweep_entry(entry)
        except FileNotFoundError:
            self.make_directories([TEMPORARY])
        except OSError as error:
            raise_storage_error(error, self.root / TEMPORARY)

    def _sweep_entry(self, entry: os.DirEntry[str]) -> None:
        if entry.is_dir(follow_symlinks=False):
            owner = entry.name.split("-")[1] if entry.name.count("-") == 2 else ""
            if not (owner.isdecimal() and self._seams.processes.describe(int(owner))):
                shutil.rmtree(entry.path, ignore_errors=True)
        else:
            self._seams.fs.unlink(Path(entry.path))
