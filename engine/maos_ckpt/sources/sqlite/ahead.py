"""Copying a live file ahead of its lock, and putting the copy right under it.

A kernel that has much to write lets whoever writes more wait, for seconds where the disk is busy. So the bulk of a copy
is written while everybody may go on. Under the lock the copy is compared with the file, which is mere reading, and only
pages that differ are written; where the file did not move meanwhile, not even that.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from maos_ckpt.seams import Seams
from maos_ckpt.sources.sqlite import probe
from maos_ckpt.sources.sqlite.copying import copy_range
from maos_ckpt.sources.sqlite.pages import PageFile, UnusualPagesError, compare, write_pages

#: A file that was written to so lately may have been written to again without showing it: its time moves in ticks.
SETTLED_S: Final = 0.1


class CopyAhead:
    """One copy of the database at `path` as the new private file `target`."""

    def __init__(self, path: Path, target: Path, seams: Seams) -> None:
        self._path = path
        self._target = target
        self._seams = seams
        #: What the file's fingerprint was, where it says enough.
        self._copied = b""

    def begin(self) -> None:
        """Copy what stands there now, without a lock; a file that moves meanwhile, or a full disk, is left to `finish`.

        Raises:
            OSError: the file cannot be opened.
        """
        fd = probe.live_descriptor(self._path)
        with contextlib.suppress(OSError):
            found = os.fstat(fd)
            settled = self._seams.clock.now_ms() / 1e3 - found.st_mtime_ns / 1e9 > SETTLED_S
            before = probe.fingerprint(self._path) if settled else b""
            self._copy(fd, found.st_size, lambda: None)
            self._copied = before

    def finish(self, fd: int, length: int, fingerprint: bytes, check: Callable[[], None]) -> None:
        """Make it what the file is, which is locked now; `check` is called between pieces and may raise.

        Args:
            fd, length, fingerprint: of the file.

        Raises:
            OSError: reading or writing failed.
        """
        if self._copied and self._copied == fingerprint:
            return
        with contextlib.suppress(UnusualPagesError, FileNotFoundError):
            self._put_right(fd, length, check)
            return
        self._copy(fd, length, check)

    def _put_right(self, fd: int, length: int, check: Callable[[], None]) -> None:
        with contextlib.closing(PageFile(self._target)) as copy, contextlib.closing(PageFile(self._path, fd)) as live:
            changed = compare(copy, live, check)
            sink = os.open(self._target, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                write_pages(sink, changed, live)
                os.ftruncate(sink, length)
            finally:
                os.close(sink)

    def _copy(self, fd: int, length: int, check: Callable[[], None]) -> None:
        sink = os.open(self._target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            copy_range(fd, sink, length, check)
        finally:
            os.close(sink)
