"""The image of a database that this process holds for a recovery: the state that the recovery is about to replace."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from maos_ckpt.fs import raise_storage_error
from maos_ckpt.seams import Seams
from maos_ckpt.sources.sqlite import cold, faults, probe
from maos_ckpt.sources.sqlite.copying import copy_range
from maos_ckpt.sources.sqlite.image import Image, capture_image
from maos_ckpt.sources.sqlite.live import Held


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
        fd = probe.live_descriptor(held.path)
        sink = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            copy_range(fd, sink, os.fstat(fd).st_size, held.beat)
        finally:
            os.close(sink)
    except BaseException as error:
        cold.discard(target)
        if isinstance(error, OSError):
            if error.filename in (None, str(target)):
                raise_storage_error(error, target)
            raise faults.os_fault(error, held.path) from error
        raise
    return Image(target, "delete", fingerprint, began_s, seams.clock.monotonic_s() - began_s, ())
