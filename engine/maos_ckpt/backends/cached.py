"""A read cache in front of remote objects that never change.

Packs, manifests and index objects are written once under names that are never given twice, so what was read of them
stays true. Marks, leases and keys change and are always read at the source; so are sizes and listings.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from maos_ckpt.backends.base import Backend
from maos_ckpt.backends.read_cache import ReadCache

_IMMUTABLE = ("packs/", "manifests/", "index/")


class CachedBackend:
    """A `Backend` that keeps what it read from another one.

    Args:
        inner: where the objects are; `inner` past the cache is what a verification reads.
        cache: may be shared with other repositories.
        repository: the repository's id; a repository made anew at the same place has another.
    """

    def __init__(self, inner: Backend, cache: ReadCache, repository: str) -> None:
        self.inner = inner
        self.cache = cache
        self._repository = repository

    @property
    def location(self) -> str:
        """See `Backend.location`."""
        return self.inner.location

    def create(self, name: str, data: bytes) -> bool:
        """See `Backend.create`."""
        return self.inner.create(name, data)

    def create_file(self, name: str, path: Path, *, sha256: str) -> bool:
        """See `Backend.create_file`."""
        return self.inner.create_file(name, path, sha256=sha256)

    def replace(self, name: str, data: bytes) -> None:
        """See `Backend.replace`; a repair replaces what must never change, so what was read of it goes."""
        try:
            self.inner.replace(name, data)
        finally:
            # Also after an error: it may have been carried out all the same.
            self.forget(name)

    def read(self, name: str, bytes_max: int) -> bytes:
        """See `Backend.read`."""
        if not name.startswith(_IMMUTABLE):
            return self.inner.read(name, bytes_max)
        key = self._owner(name)
        data = self.cache.get(key)
        if data is None or len(data) > bytes_max:
            data = self.inner.read(name, bytes_max)
            self.cache.put(key, key, data)
        return data

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        """See `Backend.read_range`."""
        if not name.startswith(_IMMUTABLE):
            return self.inner.read_range(name, offset, length)
        data = self.known_range(name, offset, length)
        if data is None:
            data = self.inner.read_range(name, offset, length)
            self.keep_range(name, offset, data)
        return data

    def known_range(self, name: str, offset: int, length: int) -> bytes | None:
        """A range of an object that never changes, if it is in the cache."""
        data = self.cache.get(f"{self._owner(name)}:{offset}+{length}")
        return data if data is not None and len(data) == length else None

    def keep_range(self, name: str, offset: int, data: bytes) -> None:
        """Keep a range of an object that never changes."""
        owner = self._owner(name)
        self.cache.put(f"{owner}:{offset}+{len(data)}", owner, data)

    def size(self, name: str) -> int | None:
        """See `Backend.size`."""
        return self.inner.size(name)

    def entries(self, directory: str, start_after: str = "") -> Iterator[tuple[str, int]]:
        """See `Backend.entries`."""
        return self.inner.entries(directory, start_after)

    def delete(self, *names: str) -> None:
        """See `Backend.delete`; the cache forgets first, so that it never outlives what it speaks of."""
        for name in names:
            self.forget(name)
        self.inner.delete(*names)

    def forget(self, name: str) -> None:
        """Drop what was read of an object, for a caller that found it damaged and will read it again."""
        if name.startswith(_IMMUTABLE):
            self.cache.forget(self._owner(name))

    def close(self) -> None:
        """See `Backend.close`."""
        self.cache.close()
        self.inner.close()

    def _owner(self, name: str) -> str:
        return f"{self._repository}/{name}"
