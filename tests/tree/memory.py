"""Chunks in a dictionary, for tests of the tree alone: the one thing the tree asks of a repository."""

from __future__ import annotations

from maos_ckpt.tree.nodes import chunk_id
from maos_ckpt.tree.sink import Done


class MemoryChunks:
    """Stores by name and counts what is read."""

    def __init__(self) -> None:
        self.chunks: dict[bytes, bytes] = {}
        self.reads = 0

    def put(self, plain: bytes, label: str, predecessor: bytes | None = None) -> Done:
        name = chunk_id(plain)
        self.chunks[name] = plain
        return Done(name)

    def get(self, chunk: bytes) -> bytes:
        self.reads += 1
        return self.chunks[chunk]
