"""A backend that is only read from, and counts what is read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from maos_ckpt.backends.base import Backend
from maos_ckpt.errors import PermissionRefusedError


class ReadOnlyBackend:
    """A `Backend` that hands reads on and refuses everything else before it reaches the inner one. Thread-safe.

    `bytes_read` and `objects_read` count contents, not listings; an object read in several ranges counts once.
    """

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.bytes_read = 0
        self._names: set[str] = set()
        self._lock = threading.Lock()

    @property
    def location(self) -> str:
        """See `Backend.location`."""
        return self.inner.location

    @property
    def objects_read(self) -> int:
        """How many objects were read from."""
        return len(self._names)

    def create(self, name: str, data: bytes) -> bool:
        """Refused."""
        self._refuse(name)

    def create_file(self, name: str, path: Path, *, sha256: str) -> bool:
        """Refused."""
        self._refuse(name)

    def replace(self, name: str, data: bytes) -> None:
        """Refused."""
        self._refuse(name)

    def delete(self, *names: str) -> None:
        """Refused."""
        self._refuse(*names)

    def read(self, name: str, bytes_max: int) -> bytes:
        """See `Backend.read`."""
        return self._counted(name, self.inner.read(name, bytes_max))

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """See `Backend.read_range`."""
        return self._counted(name, self.inner.read_range(name, offset, length))

    def size(self, name: str) -> int | None:
        """See `Backend.size`."""
        return self.inner.size(name)

    def entries(self, directory: str, start_after: str = "") -> Iterator[tuple[str, int]]:
        """See `Backend.entries`."""
        return self.inner.entries(directory, start_after)

    def close(self) -> None:
        """See `Backend.close`."""
        self.inner.close()

    def _counted(self, name: str, data: bytes) -> bytes:
        with self._lock:
            self._names.add(name)
            self.bytes_read += len(data)
        return data

    def _refuse(self, *names: str) -> NoReturn:
        raise PermissionRefusedError(
            f"{self.location} is only read from here, so nothing in it is changed.",
            kept="Nothing was changed there.",
            object=names[0] if names else "",
        )
