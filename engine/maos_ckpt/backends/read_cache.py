"""A bounded cache of bytes on the local disk: least recently used goes first, everything has an end.

It may only ever cost speed. Each value carries a SHA-256 over its key and itself, compared at every read; whatever is
wrong with the files (torn, deleted, read-only, a full disk, foreign rows) the cache is thrown away and made anew, a few
times, and then left alone. The checksum is for faults: somebody who can write to the directory, which is 0700, can
compute it, too, so callers still check what they read against its name.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from maos_ckpt.seams import Seams

if TYPE_CHECKING:
    from maos_ckpt.backends.cache_disk import Cache

#: A smaller cache would hold little more than SQLite's own pages.
BYTES_MIN = 1 << 20
#: No value takes more than this share of the cache; between its limit and its bound there is room for one.
_ENTRY_SHARE = 8
#: So often a broken cache is made anew; then this process goes on without.
REBUILDS_MAX = 3
#: After another process kept the file locked, this long nobody asks again.
_BUSY_PAUSE_S = 5.0
#: stored_at_ms, SHA-256 over key, stored_at_ms and data.
_HEAD = struct.Struct(">Q32s")
_TOKEN_BYTES = 8
_GENERATION = re.compile(r"[0-9a-f]{16}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """`bytes_max` bounds the files on the disk (0 or less than 1 MiB: no cache), `ttl_s` the age of what is given."""

    bytes_max: int
    ttl_s: float


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """What happened since the cache was opened; `bypassed` says why it is not used, or is empty.

    `refused` counts values found wrong (foreign, damaged or under another key), `expired` those found too old;
    both are misses, too. `bytes_now` is what the files take on the disk.
    """

    hits: int = 0
    misses: int = 0
    hit_bytes: int = 0
    refused: int = 0
    expired: int = 0
    busy: int = 0
    rebuilt: int = 0
    bytes_now: int = 0
    bypassed: str = ""

    @property
    def hit_ratio(self) -> float:
        """Hits among all questions, 0.0 where none was asked."""
        return self.hits / (self.hits + self.misses) if self.hits else 0.0


class ReadCache:
    """Values by key, each belonging to an owner that can be forgotten as a whole. Thread-safe; never raises.

    Several processes may share the directory. Each attempt lives in a folder of its own, so that nobody writes into
    files that somebody else is replacing.
    """

    def __init__(self, directory: Path, settings: CacheSettings, seams: Seams) -> None:
        self._directory = directory
        self._settings = settings
        self._seams = seams
        self._lock = threading.RLock()
        self._cache: Cache | None = None
        self._folder: Path | None = None
        self._busy_until_s = 0.0
        self._statistics = CacheStatistics()
        if settings.bytes_max < BYTES_MIN or settings.ttl_s <= 0:
            self._count(bypassed="it is switched off")

    def get(self, key: str) -> bytes | None:
        """The value of `key`, or None."""
        with self._lock:
            data = self._try(lambda cache: self._get(cache, key))
            if data is None:
                self._count(misses=1)
            else:
                self._count(hits=1, hit_bytes=len(data))
            return data

    def _get(self, cache: Cache, key: str) -> bytes | None:
        from maos_ckpt.backends.cache_disk import RefusedRowError

        try:
            stored = cache.get(key)
        except RefusedRowError:
            stored = b""
        if stored is None:
            return None
        data = stored[_HEAD.size :]
        stored_at_ms = int.from_bytes(stored[:8], "big")
        if stored[: _HEAD.size] != self._head(key, stored_at_ms, data):
            self._count(refused=1)
        elif 0 <= self._seams.clock.now_ms() - stored_at_ms < self._settings.ttl_s * 1000:
            return bytes(data)
        else:
            self._count(expired=1)
        cache.delete(key)
        return None

    def put(self, key: str, owner: str, data: bytes) -> None:
        """Keep a value that belongs to `owner`, if it is not too large."""
        if len(data) > self._settings.bytes_max // _ENTRY_SHARE:
            return
        now_ms = self._seams.clock.now_ms()
        with self._lock:
            self._try(lambda cache: self._put(cache, key, owner, self._head(key, now_ms, data) + data))

    def _put(self, cache: Cache, key: str, owner: str, value: bytes) -> None:
        # diskcache drops expired rows first when it makes room; that goes by its own clock, what is given by ours.
        cache.set(key, value, expire=self._settings.ttl_s, tag=owner)
        # Its own limit is approximate: it makes room for ten values at most, before it knows what came.
        if self._bytes_now() > self._settings.bytes_max:
            cache.cull()
            if self._bytes_now() > self._settings.bytes_max:
                raise OSError("the cache does not shrink")

    def forget(self, owner: str) -> None:
        """Drop all values of `owner`; where that cannot be done, drop everything."""

        def evict(cache: Cache) -> bool:
            cache.evict(owner)
            return True

        with self._lock:
            if self._try(evict) is None and self._folder is not None:
                self._rebuild("its values could not be dropped")

    def statistics(self) -> CacheStatistics:
        """The counters, and the bytes on the disk."""
        with self._lock:
            bytes_now = 0
            with contextlib.suppress(OSError):
                bytes_now = self._bytes_now()
            return replace(self._statistics, bytes_now=bytes_now)

    def close(self) -> None:
        """Close the file; the values stay for the next time."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        if self._cache is not None:
            from maos_ckpt.backends.cache_disk import BROKEN

            with contextlib.suppress(*BROKEN):
                self._cache.close()
        self._cache = None

    def _head(self, key: str, stored_at_ms: int, data: bytes) -> bytes:
        text = key.encode()
        digest = hashlib.sha256(len(text).to_bytes(4, "big") + text + stored_at_ms.to_bytes(8, "big"))
        digest.update(data)
        return _HEAD.pack(stored_at_ms, digest.digest())

    def _count(self, *, bypassed: str = "", **more: int) -> None:
        sums = {name: getattr(self._statistics, name) + number for name, number in more.items()}
        self._statistics = replace(self._statistics, **sums, bypassed=bypassed or self._statistics.bypassed)

    def _usable(self) -> bool:
        return not self._statistics.bypassed

    def _try(self, action: Callable[[Cache], T]) -> T | None:
        """The action's result, or None where the cache cannot be used now."""
        if not self._usable() or self._seams.clock.monotonic_s() < self._busy_until_s:
            return None
        # Loaded here: only who reads from a remote storage needs it.
        from maos_ckpt.backends import cache_disk

        try:
            if self._cache is None:
                self._folder = self._generation()
                self._cache = cache_disk.open_cache(self._folder, self._limit_bytes())
            return action(self._cache)
        except cache_disk.BROKEN as error:
            if self._folder is not None and cache_disk.is_busy(error, self._folder):
                # Opened again afterwards: an error at the end of a transaction leaves the connection inside it.
                self._let_go()
                self._busy_until_s = self._seams.clock.monotonic_s() + _BUSY_PAUSE_S
                self._count(busy=1)
            else:
                self._rebuild(f"{type(error).__name__}: {error}")
        return None

    def _limit_bytes(self) -> int:
        return self._settings.bytes_max - self._settings.bytes_max // _ENTRY_SHARE

    def _rebuild(self, why: str) -> None:
        """Throw the files away; the next use makes new ones, if there have not been too many already."""
        self._let_go()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        self._busy_until_s = 0.0
        self._count(rebuilt=1)
        if self._statistics.rebuilt > REBUILDS_MAX:
            self._count(bypassed=f"it broke {REBUILDS_MAX + 1} times; the last time: {why[:200]}")

    def _generation(self) -> Path:
        """The folder of this cache's present files: the one that others use, or a new one.

        Two processes that begin at once may make one each; the first in order wins, and who loses its folder notices
        at its next write.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = self._directory.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise OSError("the cache's directory is not one of this user")
        if status.st_mode & 0o077:
            self._directory.chmod(0o700)
        present = sorted(one for one in os.listdir(self._directory) if _GENERATION.fullmatch(one))
        if not present:
            present = [self._seams.random.token(_TOKEN_BYTES).hex()]
            (self._directory / present[0]).mkdir(mode=0o700)
        for name in present[1:]:
            shutil.rmtree(self._directory / name, ignore_errors=True)
        return self._directory / present[0]

    def _bytes_now(self) -> int:
        if self._folder is None or not self._folder.is_dir():
            return 0
        total = 0
        for entry in list(os.scandir(self._folder)):
            # SQLite's journal comes and goes.
            with contextlib.suppress(FileNotFoundError):
                total += entry.stat(follow_symlinks=False).st_size
        return total
