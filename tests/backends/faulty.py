"""A backend that fails where a test tells it to, by method and call index."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from maos_ckpt.backends.base import Backend
from maos_ckpt.errors import CkptError, TransientStorageError
from maos_ckpt.seams import Clock


class Kind(StrEnum):
    """What happens to a call.

    `BEFORE`: it fails, and nothing was done. `AFTER`: it is done, and fails as if the answer was lost. `TRUNCATE`: half
    of what was read is given. `DELAY`: it takes `Fault.delay_s` on the clock.
    """

    BEFORE = "before"
    AFTER = "after"
    TRUNCATE = "truncate"
    DELAY = "delay"


def lost() -> CkptError:
    return TransientStorageError("The connection was lost, as the test ordered.")


@dataclass(frozen=True)
class Fault:
    """One order: the calls of `method` with index in `calls` (from 0; any container) are hit. For `entries`, an index
    counts names given, over all listings."""

    method: str
    calls: range | set[int]
    kind: Kind = Kind.BEFORE
    error: Callable[[], CkptError] = lost
    delay_s: float = 0.0


class FaultyBackend:
    """Passes calls on to `inner`, except for the faults; `seen` counts the calls of each method."""

    def __init__(self, inner: Backend, clock: Clock, faults: list[Fault]) -> None:
        self.inner = inner
        self.faults = faults
        self.seen: Counter[str] = Counter()
        self._clock = clock
        self._lock = threading.Lock()

    @property
    def location(self) -> str:
        return self.inner.location

    def create(self, name: str, data: bytes) -> bool:
        return bool(self._do("create", lambda: self.inner.create(name, data)))

    def create_file(self, name: str, path: Path, *, sha256: str) -> bool:
        return bool(self._do("create_file", lambda: self.inner.create_file(name, path, sha256=sha256)))

    def replace(self, name: str, data: bytes) -> None:
        self._do("replace", lambda: self.inner.replace(name, data))

    def read(self, name: str, bytes_max: int) -> bytes:
        return bytes(self._do("read", lambda: self.inner.read(name, bytes_max)))

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        return bytes(self._do("read_range", lambda: self.inner.read_range(name, offset, length)))

    def size(self, name: str) -> int | None:
        found = self._do("size", lambda: self.inner.size(name))
        return None if found is None else int(found)

    def delete(self, *names: str) -> None:
        self._do("delete", lambda: self.inner.delete(*names))

    def entries(self, directory: str, start_after: str = "") -> Iterator[tuple[str, int]]:
        listing = self.inner.entries(directory, start_after)
        return self._entries(listing)

    def _entries(self, listing: Iterator[tuple[str, int]]) -> Iterator[tuple[str, int]]:
        while entry := self._do("entries", lambda: next(listing, None)):
            yield entry

    def close(self) -> None:
        self.inner.close()

    def _do(self, method: str, call: Callable[[], Any]) -> Any:
        with self._lock:
            index = self.seen[method]
            self.seen[method] += 1
        due = [fault for fault in self.faults if fault.method == method and index in fault.calls]
        for fault in due:
            if fault.kind is Kind.DELAY:
                self._clock.sleep(fault.delay_s)
            elif fault.kind is Kind.BEFORE:
                raise fault.error()
        result = call()
        for fault in due:
            if fault.kind is Kind.AFTER:
                raise fault.error()
            if fault.kind is Kind.TRUNCATE:
                result = result[: len(result) // 2]
        return result
