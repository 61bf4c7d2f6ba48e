"""A repository's objects in a local directory.

Guarantees: a name appears only when its bytes are durable; `create` of an existing name changes nothing and says so; a
listing that fails raises and is never read as "empty". Directories are 0700, files 0600.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from maos_ckpt.errors import IntegrityError, UsageError
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.seams import Seams

#: Object names: two or three plain parts, as in `packs/3f/3f2a…` or `manifests/0000000042`.
_NAME = re.compile(r"[a-z]{1,20}(/[0-9a-z_]{1,80}){1,2}(\.json)?")
#: Where unfinished files live; whatever is left here belongs to no one and is removed by `sweep`.
TEMPORARY = "tmp"


def check_name(name: str) -> str:
    """`name`, if it is one that this repository could have given.

    Raises:
        UsageError: anything else, so that no stored byte can lead outside the repository.
    """
    if not _NAME.fullmatch(name):
        raise UsageError("That is not the name of a stored object.", name=name[:100])
    return name


class LocalBackend:
    """Objects under one directory."""

    def __init__(self, root: Path, seams: Seams) -> None:
        self.root = root
        self._seams = seams

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

    def path(self, name: str) -> Path:
        """Where an object lies."""
        return self.root / check_name(name)

    def temporary(self) -> Path:
        """A fresh path for an unfinished file."""
        return self.root / TEMPORARY / self._seams.random.token(8).hex()

    def create(self, name: str, data: bytes, *, replace: bool = False) -> bool:
        """Store an object durably; False where it exists already and `replace` is not asked for."""
        temporary = self._write_temporary(data)
        try:
            return self.publish(temporary, name, replace=replace)
        finally:
            self._seams.fs.unlink(temporary)

    def _write_temporary(self, data: bytes) -> Path:
        temporary = self.temporary()
        fs = self._seams.fs
        try:
            fd = fs.create(temporary)
            try:
                fs.write(fd, data)
                fs.sync(fd)
            finally:
                fs.close(fd)
        except OSError as error:
            with contextlib.suppress(OSError):
                fs.unlink(temporary)
            raise_storage_error(error, temporary)
        return temporary

    def publish(self, temporary: Path, name: str, *, replace: bool = False) -> bool:
        """Give a synced temporary file its name; False where the name exists already."""
        final = self.path(name)
        try:
            if not final.parent.is_dir():
                final.parent.mkdir(mode=0o700)
                self._seams.fs.sync_directory(final.parent.parent)
            return self._seams.fs.publish(temporary, final, replace=replace)
        except OSError as error:
            raise_storage_error(error, final)

    def read(self, name: str, bytes_max: int) -> bytes:
        """A whole object of at most `bytes_max`.

        Raises:
            IntegrityError: it is missing, or larger.
        """
        path = self.path(name)
        try:
            with path.open("rb") as file:
                data = file.read(bytes_max + 1)
        except FileNotFoundError as error:
            raise IntegrityError(f"The stored object {name} is missing.", object=name) from error
        except OSError as error:
            raise_storage_error(error, path)
        if len(data) > bytes_max:
            raise IntegrityError(f"The stored object {name} is larger than {bytes_max} bytes.", object=name)
        return data

    def create_header(self, name: str, data: bytes) -> bool:
        """As `create`, for the one object that lies at the root."""
        temporary = self._write_temporary(data)
        try:
            return self._seams.fs.publish(temporary, self.root / name, replace=False)
        except OSError as error:
            raise_storage_error(error, self.root / name)
        finally:
            self._seams.fs.unlink(temporary)

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
        """Names of all objects below a directory, with their sizes in bytes."""
        try:
            return dict(self._walk(self.root / directory, directory))
        except OSError as error:
            raise_storage_error(error, self.root / directory)

    def _walk(self, path: Path, prefix: str) -> Iterator[tuple[str, int]]:
        with os.scandir(path) as entries:
            for entry in entries:
                name = f"{prefix}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    yield from self._walk(path / entry.name, name)
                elif _NAME.fullmatch(name) and entry.is_file(follow_symlinks=False):
                    yield name, entry.stat(follow_symlinks=False).st_size

    def delete(self, name: str) -> None:
        """Remove an object; one that is not there is no error."""
        path = self.path(name)
        try:
            self._seams.fs.unlink(path)
            if path.parent.is_dir():
                self._seams.fs.sync_directory(path.parent)
        except OSError as error:
            raise_storage_error(error, path)

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
