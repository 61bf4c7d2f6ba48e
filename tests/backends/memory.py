"""A whole backend in a dictionary, which counts what it is asked: for tests of what is wrapped around a backend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from maos_ckpt.backends.base import check_name, check_range
from maos_ckpt.errors import IntegrityError, MissingObjectError


class MemoryBackend:
    """See `Backend`."""

    location = "memory"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.calls: Counter[str] = Counter()

    def create(self, name: str, data: bytes) -> bool:
        self.calls["create"] += 1
        return self.objects.setdefault(check_name(name), data) == data

    def create_file(self, name: str, path: Path, *, sha256: str) -> bool:
        return self.create(name, path.read_bytes())

    def replace(self, name: str, data: bytes) -> None:
        self.objects[check_name(name)] = data

    def read(self, name: str, bytes_max: int) -> bytes:
        self.calls["read"] += 1
        data = self._find(name)
        if len(data) > bytes_max:
            raise IntegrityError(f"The stored object {name} is larger than {bytes_max} bytes.", object=name)
        return data

    def read_range(self, name: str, offset: int, length: int) -> bytes:
        self.calls["read_range"] += 1
        check_range(name, offset, length)
        data = self._find(name)[offset : offset + length]
        if len(data) != length:
            raise IntegrityError(f"The stored object {name} ends before.", object=name)
        return data

    def _find(self, name: str) -> bytes:
        try:
            return self.objects[check_name(name)]
        except KeyError:
            raise MissingObjectError(f"The stored object {name} is missing.", object=name) from None

    def size(self, name: str) -> int | None:
        data = self.objects.get(name)
        return None if data is None else len(data)

    def entries(self, directory: str, start_after: str = "") -> Iterator[tuple[str, int]]:
        for name in sorted(self.objects):
            if name.startswith(directory + "/") and name > start_after:
                yield name, len(self.objects[name])

    def delete(self, *names: str) -> None:
        for name in names:
            self.objects.pop(check_name(name), None)

    def close(self) -> None:
        self.calls["close"] += 1
