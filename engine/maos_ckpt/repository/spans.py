"""Ranges of remote packs read before they are asked for: neighbours in one request, several requests at once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass

from maos_ckpt.errors import CkptError

#: Requests under way at once.
REQUESTS_MAX = 8
#: One request reads at most so much …
SPAN_BYTES_MAX = 4 << 20
#: … and of it at most this share that nobody asked for, since it lies between what was.
GAP_SHARE_MAX = 0.05
#: What was read ahead and not asked for yet; beyond this the oldest is dropped.
WAITING_BYTES_MAX = 32 << 20

Range = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Span:
    """One request: `length` bytes at `offset` of an object, and the ranges in it that are wanted."""

    name: str
    offset: int
    length: int
    ranges: tuple[Range, ...]


def coalesce(ranges: Iterable[Range]) -> list[Span]:
    """Requests that read all of these (object, offset, length), few and with little besides."""
    spans: list[Span] = []
    part: list[Range] = []
    end = wanted = 0

    def close() -> None:
        if part:
            spans.append(Span(part[0][0], part[0][1], end - part[0][1], tuple(part)))

    for one in sorted(set(ranges)):
        name, offset, length = one
        if part:
            whole = max(end, offset + length) - part[0][1]
            fits = part[0][0] == name and whole <= SPAN_BYTES_MAX
            if fits and whole - (wanted + length) <= GAP_SHARE_MAX * whole:
                part.append(one)
                end, wanted = max(end, offset + length), wanted + length
                continue
            close()
        part, end, wanted = [one], offset + length, length
    close()
    return spans


class SpanReader:
    """Reads ahead by `read`. Thread-safe."""

    def __init__(self, read: Callable[[Span], bytes]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: OrderedDict[Range, tuple[Future[bytes], int]] = OrderedDict()
        self._waiting_bytes = 0

    def ahead(self, ranges: Iterable[Range]) -> None:
        """Begin to read these; what is being read already is left out."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(REQUESTS_MAX, thread_name_prefix="read-ahead")
            for span in coalesce(one for one in ranges if one not in self._waiting):
                future = self._pool.submit(self._read, span)
                for one in span.ranges:
                    self._waiting[one] = (future, span.offset)
                    self._waiting_bytes += one[2]
            while self._waiting_bytes > WAITING_BYTES_MAX:
                dropped, (future, _) = self._waiting.popitem(last=False)
                self._waiting_bytes -= dropped[2]
                future.cancel()

    def take(self, name: str, offset: int, length: int) -> bytes | None:
        """A range that was read ahead, once; None where it was not, or that failed."""
        with self._lock:
            found = self._waiting.pop((name, offset, length), None)
            if found is None:
                return None
            self._waiting_bytes -= length
        future, start = found
        try:
            data = future.result()
        except (CkptError, CancelledError):
            # Whoever needs it reads it again, and is told what is wrong. A request goes with the oldest of its ranges.
            return None
        return data[offset - start : offset - start + length]

    def close(self) -> None:
        """Drop what was read ahead, and end."""
        with self._lock:
            self._waiting.clear()
            self._waiting_bytes = 0
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)
                self._pool = None
