"""Reading the leaves of an edit before it comes to them, in a thread beside."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final, Self

from maos_ckpt.tree.cursor import ChunkSource

#: Chunks that wait to be asked for; together at most so many of a leaf's largest size.
AHEAD_MAX: Final = 16


class ReadAhead:
    """A `ChunkSource` that is told which chunks will be asked for, in that order. Leave it to end its thread.

    Reading a chunk is reading, decompressing and hashing, all in C with the interpreter lock given up. Chunks that were
    not foretold are read when they are asked for; foretold ones that are passed over are dropped.
    """

    def __init__(self, source: ChunkSource, expected: Iterator[bytes]) -> None:
        self._source = source
        self._expected = expected
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._waiting: deque[tuple[bytes, Future[bytes]]] = deque()

    def __enter__(self) -> Self:
        self._fill()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def get(self, chunk: bytes) -> bytes:
        """See `ChunkSource.get`."""
        if all(chunk != one for one, _ in self._waiting):
            return self._source.get(chunk)
        while True:
            name, plain = self._waiting.popleft()
            self._fill()
            if name == chunk:
                return plain.result()

    def _fill(self) -> None:
        for chunk in islice(self._expected, AHEAD_MAX - len(self._waiting)):
            self._waiting.append((chunk, self._thread.submit(self._source.get, chunk)))
