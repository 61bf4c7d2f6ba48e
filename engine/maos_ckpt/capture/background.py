"""Storing chunks in a thread beside the one that edits trees.

Where only changed rows are read, most work is done in C with the interpreter lock given up: hashing, decompressing old
leaves, compressing new ones against them. A thread then serves better than a process: it starts at once, and finds the
old leaves, which the editing thread has just read, in the same cache.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from maos_ckpt.codec.policy import Measures
from maos_ckpt.repository.chunks import ChunkWriter
from maos_ckpt.tree.sink import Pending

#: Chunks that wait to be stored: few, so that what they are compressed against is still in the cache.
AHEAD_MAX: Final = 16


class BackgroundWriter:
    """A `ChunkWriter` that hands its work to another one, which only its thread touches, in order."""

    def __init__(self, writer: ChunkWriter) -> None:
        self._writer = writer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chunks")
        self._slots = threading.Semaphore(AHEAD_MAX)

    def put(self, plain: bytes, label: str, predecessor: bytes | None = None) -> Pending:
        """See `ChunkSink.put`."""
        self._slots.acquire()
        future = self._thread.submit(self._put, plain, label, predecessor)
        future.add_done_callback(self._free)
        return future

    def _put(self, plain: bytes, label: str, predecessor: bytes | None) -> bytes:
        return self._writer.put(plain, label, predecessor).result()

    def _free(self, future: Future[bytes]) -> None:
        self._slots.release()

    def seal(self) -> int:
        """See `ChunkWriter.seal`."""
        return self._thread.submit(self._writer.seal).result()

    def measures(self) -> Measures:
        """See `ChunkWriter.measures`."""
        return self._thread.submit(self._writer.measures).result()

    def close(self) -> None:
        """See `ChunkWriter.close`; what is waiting is not stored any more."""
        self._thread.shutdown(cancel_futures=True)
        self._writer.close()
