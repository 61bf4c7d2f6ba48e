"""A scratch repository with one checkpoint of the real one: read once, through descriptors that cannot write."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from maos_ckpt.client import ProgressSink
from maos_ckpt.errors import ConflictError, IntegrityError
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.model import LOCAL_TIER, Checkpoint, Progress, TierRead
from maos_ckpt.repository import header as headers
from maos_ckpt.repository.creation import create_home
from maos_ckpt.repository.keyring import DIRECTORY as KEYS
from maos_ckpt.repository.manifests import manifest_name
from maos_ckpt.repository.needed import needed_chunks, needed_places
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams

#: How much of a pack is fetched at a time.
_PORTION_BYTES = 8 << 20
#: What tells one version of a file from another: inode, size in bytes, time of change.
_Mark = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied of a repository.

    `complete`: every object that the checkpoint needs was there. `files` are the originals as they were when they were
    read.
    """

    complete: bool
    read: TierRead
    files: dict[Path, _Mark]

    def changed(self) -> list[str]:
        """Originals that are no longer what was read. One that retention removed meanwhile is not among them."""
        found = []
        for path, mark in self.files.items():
            try:
                if _mark(path) != mark:
                    found.append(str(path))
            except FileNotFoundError:
                continue
        return found


def needed_packs(repository: Repository, checkpoint: Checkpoint) -> tuple[set[str], bool]:
    """The packs there are that a checkpoint needs, and whether all of it is there."""
    damage: list[IntegrityError] = []
    needed: set[bytes] = set()
    needed_chunks(repository, checkpoint, needed, damage.append)
    return set(needed_places(repository, needed, damage.append).values()), not damage


def copy_repository(
    live: Repository, checkpoint: Checkpoint, target: Path, progress: ProgressSink, seams: Seams
) -> Copied:
    """Make a repository at `target` that holds this checkpoint and no other; `live` was opened read-only.

    Raises:
        ConflictError: an object went while it was copied.
        StorageError, PermissionRefusedError: an original cannot be read, or the copy not be written.
    """
    packs, complete = needed_packs(live, checkpoint)
    backend = live.backend
    keys = sorted(backend.list(KEYS)) if (live.path / KEYS).is_dir() else []
    header = live.path / headers.NAME
    files = {header: _mark(header)}
    create_home(target, header.read_bytes(), {one: (live.path / one).read_bytes() for one in keys}, seams)
    names = [manifest_name(checkpoint.seq), *sorted(packs)]
    copied = 0
    for number, name in enumerate(names):
        progress(Progress("drill", "copy", number, len(names), copied))
        source = backend.path(name)
        try:
            files[source] = _mark(source)
            to = target / name
            to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copyfile(source, to)
        except FileNotFoundError as error:
            raise ConflictError(
                f"{name} was removed or rewritten while it was being copied.",
                kept="Nothing was changed; that is retention or compaction at work, and no damage.",
                hint="Hold the drill again.",
                object=name,
            ) from error
        except OSError as error:
            raise_storage_error(error, source)
        copied += files[source][1]
    files |= {live.path / one: _mark(live.path / one) for one in keys}
    return Copied(complete, TierRead(LOCAL_TIER, len(files), copied), files)


def fetch_packs(repository: Repository, names: Iterable[str], progress: ProgressSink) -> None:
    """Bring packs of the bucket into a scratch repository.

    Raises:
        IntegrityError: one is missing, or not what its name says.
        UnavailableError, PermissionRefusedError: the bucket cannot be read.
    """
    sizes = repository.packs()
    for name in names:
        digest, size = hashlib.sha256(), sizes[name]
        path = repository.backend.path(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("xb") as file:
            for start in range(0, size, _PORTION_BYTES):
                progress(Progress("drill", "fetch", 0, 0, start))
                data = repository.remote_copy.uncached.read_range(name, start, min(_PORTION_BYTES, size - start))
                digest.update(data)
                file.write(data)
        if digest.hexdigest() != path.name:
            path.unlink()
            raise IntegrityError(f"The pack {name} in the remote copy is damaged.", object=name)


def _mark(path: Path) -> _Mark:
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns
