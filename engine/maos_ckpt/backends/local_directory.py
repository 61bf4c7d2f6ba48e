"""The directory that a repository lies in: its folders, and files in it that have no name of an object yet."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path

from maos_ckpt.fs import raise_storage_error
from maos_ckpt.seams import Seams

#: Where unfinished files live; whatever is left here belongs to no one and is removed by `sweep`.
TEMPORARY = "tmp"


class LocalDirectory:
    """Folders, 0700, and unfinished files, 0600, under `root`."""

    def __init__(self, root: Path, seams: Seams) -> None:
        self.root = root
        self.seams = seams

    def make_directories(self, names: list[str]) -> None:
        """Create the root and these directories below it, private to this user, and make them durable."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in names:
                (self.root / name).mkdir(mode=0o700, exist_ok=True)
            self.seams.fs.sync_directory(self.root)
            self.seams.fs.sync_directory(self.root.parent)
        except OSError as error:
            raise_storage_error(error, self.root)

    def missing(self, directories: list[str]) -> list[str]:
        """Those of these directories that are not there.

        Raises:
            StorageError, PermissionRefusedError: that cannot be told.
        """
        return [name for name in directories if not self.is_directory(self.root / name)]

    @staticmethod
    def is_directory(path: Path) -> bool:
        """Whether there is a directory; raises as `missing` does."""
        try:
            return stat.S_ISDIR(path.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise_storage_error(error, path)

    def create_directory(self, directory: str, objects: dict[str, bytes]) -> None:
        """Make a directory that is not there, with these objects (file name → bytes) in it, durably and all at once."""
        fs, unfinished, final = self.seams.fs, self.temporary(), self.root / directory
        try:
            unfinished.mkdir(mode=0o700)
            for name, data in objects.items():
                self.write_file(unfinished / name, data)
            fs.sync_directory(unfinished)
            unfinished.rename(final)
            fs.sync_directory(self.root)
        except OSError as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise_storage_error(error, final)

    def temporary(self) -> Path:
        """A fresh path for an unfinished file."""
        return self.root / TEMPORARY / self.seams.random.token(8).hex()

    def discard(self, temporary: Path) -> None:
        """Remove an unfinished file; one that cannot be removed now is left to `sweep`."""
        with contextlib.suppress(OSError):
            self.seams.fs.unlink(temporary)

    def make_cut_directory(self) -> Path:
        """A fresh private directory for a cut's files; its name says which process it belongs to."""
        directory = self.root / TEMPORARY / f"cut-{os.getpid()}-{self.seams.random.token(8).hex()}"
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
            if not (owner.isdecimal() and self.seams.processes.describe(int(owner))):
                shutil.rmtree(entry.path, ignore_errors=True)
        else:
            self.seams.fs.unlink(Path(entry.path))

    def write_file(self, path: Path, data: bytes) -> None:
        """A new file with these bytes, synced; its name is not durable yet. Raises `OSError`."""
        fs = self.seams.fs
        fd = fs.create(path)
        try:
            fs.write(fd, data)
            fs.sync(fd)
        finally:
            fs.close(fd)
