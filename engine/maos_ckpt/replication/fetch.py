"""Many small objects read side by side, in order, a bounded number at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

#: Requests under way at once.
AT_ONCE = 8

R = TypeVar("R")


def each(names: Sequence[str], read: Callable[[str], R]) -> Iterator[tuple[str, R]]:
    """(name, result of `read`) in the order of the names; the first failure ends it."""
    if not names:
        return
    waiting: deque[tuple[str, Future[R]]] = deque()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch") as pool:
        try:
            for name in names:
                waiting.append((name, pool.submit(read, name)))
                if len(waiting) >= 2 * AT_ONCE:
                    first, result = waiting.popleft()
                    yield first, result.result()
            while waiting:
                first, result = waiting.popleft()
                yield first, result.result()
        finally:
            for _, result in waiting:
                result.cancel()
