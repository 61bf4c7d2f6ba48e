"""Where damaged objects go when they are replaced: `quarantine/` in the home; nothing ever deletes them from there."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from maos_ckpt.errors import CkptError, StorageError
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.integrity.tiers import Fault, Tier
from maos_ckpt.model import LOCAL_TIER
from maos_ckpt.repository.repository import Repository

DIRECTORY = "quarantine"
#: What lies there at most; when it is full nothing is replaced until somebody has looked and made room.
FILES_MAX = 1000
BYTES_MAX = 4 << 30
_PORTION_BYTES = 8 << 20


class Quarantine:
    """The quarantine of one home; its holder holds the home's lease."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._path = repository.path / DIRECTORY

    def keep(self, fault: Fault, tier: Tier) -> str:
        """Keep the bytes of a damaged object; the file they are in, relative to the home. The object stays for now.

        Raises:
            StorageError: the quarantine is full, or the disk is.
        """
        size = tier.backend.size(fault.name) or 0
        self._make_room(size)
        stamp = self._repository.seams.clock.now_ms()
        base = f"{fault.tier}-{fault.name.replace('/', '-')}-{stamp}"
        target = self._path / f"{base}-{self._repository.seams.random.token(4).hex()}"
        if fault.tier == LOCAL_TIER:
            # A second name costs nothing, and lasts when the first one is given to the good bytes.
            source = self._repository.path / fault.name
            try:
                os.link(source, target)
            except OSError as error:
                raise_storage_error(error, target)
        else:
            self._copy(tier, fault.name, size, target)
        try:
            self._repository.seams.fs.sync_directory(self._path)
        except OSError as error:
            raise_storage_error(error, self._path)
        return f"{DIRECTORY}/{target.name}"

    def _make_room(self, size: int) -> None:
        self._repository.backend.make_directories([DIRECTORY])
        try:
            with os.scandir(self._path) as entries:
                sizes = [one.stat(follow_symlinks=False).st_size for one in entries]
        except OSError as error:
            raise_storage_error(error, self._path)
        if len(sizes) >= FILES_MAX or sum(sizes) + size > BYTES_MAX:
            raise StorageError(
                f"The quarantine holds {len(sizes)} files of {sum(sizes)} bytes, and takes no more.",
                kept="The damaged object was left where it is.",
                hint=f"Look at {self._path}, move away what is there, then repair again.",
                path=str(self._path),
            )

    def _copy(self, tier: Tier, name: str, size: int, target: Path) -> None:
        fs = self._repository.seams.fs
        try:
            fd = fs.create(target)
            try:
                for offset in range(0, size, _PORTION_BYTES):
                    fs.write(fd, tier.backend.read_range(name, offset, min(_PORTION_BYTES, size - offset)))
                fs.sync(fd)
            finally:
                fs.close(fd)
        except (OSError, CkptError) as error:
            with contextlib.suppress(OSError):
                fs.unlink(target)
            if isinstance(error, OSError):
                raise_storage_error(error, target)
            raise
