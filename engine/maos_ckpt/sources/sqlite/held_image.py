"""The image of a database that this process holds for a recovery: the state that the recovery is about to replace.

Under the lock the file itself stands still and is whole, so there is no need to copy it: it is read in place. Closing
any descriptor of it would drop this process's locks, so those of an image in place stay open until the hold has ended.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from maos_ckpt.fs import raise_storage_error
from maos_ckpt.seams import Seams
from maos_ckpt.sources.memo import ImageMark
from maos_ckpt.sources.sqlite import cold, faults, kept_image, probe
from maos_ckpt.sources.sqlite.copying import copy_range
from maos_ckpt.sources.sqlite.image import Image, capture_image, open_image
from maos_ckpt.sources.sqlite.live import Held
from maos_ckpt.sources.sqlite.pages import PageFile


@dataclass(frozen=True, slots=True)
class HeldImage(Image):
    """The live file, while it is held and nothing has been written to it."""

    held: Held

    def open(self) -> sqlite3.Connection:
        """See `Image.open`: closing it keeps it for the next one who asks."""
        kept = self.held.readers
        return kept.free.pop() if kept.free else open_image(self.path, factory=kept.connection)

    def pages(self) -> PageFile:
        """See `Image.pages`."""
        return PageFile(self.path, probe.live_descriptor(self.path))

    def keep_in(self, directory: Path, seams: Seams) -> ImageMark | None:
        """See `Image.keep_in`: here it takes a copy."""
        target = directory / f"held-{seams.random.token(8).hex()}.db"
        try:
            _copy(self.path, target, self.held)
            return kept_image.take_over(target, directory, seams)
        except OSError:
            return None
        finally:
            cold.discard(target)

    def close(self) -> None:
        """See `Image.close`: the file stays."""


def look_at_held(held: Held, directory: Path, seams: Seams, while_frozen: Callable[[], None]) -> Image:
    """As `capture_held`, without a copy where the file can be read in place: not in WAL mode.

    Valid until something is written through `Held.connection`, or its transaction ends.
    """
    if held.wal:
        return capture_image(held.path, directory, seams, while_frozen)
    began_s = seams.clock.monotonic_s()
    while_frozen()
    held.forget_readers()
    fingerprint = probe.fingerprint(held.path, frozen=True)
    return HeldImage(held.path, "delete", fingerprint, began_s, seams.clock.monotonic_s() - began_s, (), held)


def capture_held(held: Held, directory: Path, seams: Seams, while_frozen: Callable[[], None]) -> Image:
    """Like `capture_image`, for a database under `live.hold`, before anything has been written to it.

    In rollback-journal mode nobody can read through SQLite beside an exclusive lock, but the file itself is whole and
    stands still: it is copied through the descriptor that is never closed. In WAL mode readers see the committed state.

    Raises:
        SourceError, StorageError: see `capture_image`.
    """
    if held.wal:
        return capture_image(held.path, directory, seams, while_frozen)
    began_s = seams.clock.monotonic_s()
    target = directory / f"image-{seams.random.token(8).hex()}.db"
    try:
        while_frozen()
        fingerprint = probe.fingerprint(held.path, frozen=True)
        _copy(held.path, target, held)
    except BaseException as error:
        cold.discard(target)
        if isinstance(error, OSError):
            if error.filename in (None, str(target)):
                raise_storage_error(error, target)
            raise faults.os_fault(error, held.path) from error
        raise
    return Image(target, "delete", fingerprint, began_s, seams.clock.monotonic_s() - began_s, ())


def _copy(path: Path, target: Path, held: Held) -> None:
    fd = probe.live_descriptor(path)
    sink = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        copy_range(fd, sink, os.fstat(fd).st_size, held.beat)
    finally:
        os.close(sink)
