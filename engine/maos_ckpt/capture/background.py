"""Storing chunks in threads beside the one that edits trees.

Where only changed rows are read, most work is done in C with the interpreter lock given up: hashing, decompressing old
leaves, compressing new ones against them. Threads then serve better than a process: they start at once, find the old
leaves, which the edit has just read, in the same cache, and use every core that is free.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from maos_ckpt.codec.policy import Measures
from maos_ckpt.repository.chunks import ChunkWriter
from maos_ckpt.repository.packs import SealedPack
from maos_ckpt.tree.sink import Pending

#: Compressing takes twice as long as everything that the edit itself does to a leaf.
THREADS: Final = 2
#: Chunks that wait to be stored: few, so that what they are compressed against is still in the cache.
AHEAD_MAX: Final = 32


class BackgroundWriter:
    """A `ChunkWriter` that hands chunks to another one, which takes them from several threads.

    Neighbours may change places in the pack, which costs a reader nothing.
    """

    def __init__(self, writer: ChunkWriter) -> None:
        self._writer = writer
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="chunks")
        self._waiting: deque[Future[bytes]] = deque()

    def put(self, plain: bytes, label: str, predecessor: bytes | None = None) -> Pending:
        """See `ChunkSink.put`."""
        if len(self._waiting) >= AHEAD_MAX:
            # Whatever storing it raised is raised where its name is asked for.
            self._waiting.popleft().exception()
        future = self._threads.submit(self._put, plain, label, predecessor)
        self._waiting.append(future)
        return future

    def _put(self, plain: bytes, label: str, predecessor: bytes | None) -> bytes:
        return self._writer.put(plain, label, predecessor).result()

    def seal(self) -> SealedPack:
        """See `ChunkWriter.seal`; the last call but `measures` and `close`."""
        self._threads.shutdown()
        return self._writer.seal()

    def measures(self) -> Measures:
        """See `ChunkWriter.measures`."""
        return self._writer.measures()

    def close(self) -> None:
        """See `ChunkWriter.close`; what is waiting is not stored any more."""
        self._threads.shutdown(cancel_futures=True)
        self._writer.close()
