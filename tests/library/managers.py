"""Managers whose states belong together, and programs that disturb them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from maos_ckpt.config import Config
from maos_ckpt.operations.barrier import provider_host
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.provider.in_process import ProviderHost
from maos_ckpt.sources.provider.providers import Provider, provider_of


class Manager:
    """State that is captured and put back as it is."""

    def __init__(self, **state: Any) -> None:
        self.state: dict[Any, Any] = state
        self.restored = 0

    def capture(self) -> dict[Any, Any]:
        return self.state

    def restore(self, items: dict[Any, Any]) -> None:
        self.restored += 1
        self.state = items


class AsyncManager(Manager):
    """The same with coroutines; remembers on which loop they ran."""

    def __init__(self, **state: Any) -> None:
        super().__init__(**state)
        self.loops: list[asyncio.AbstractEventLoop] = []

    async def capture(self) -> AsyncIterator[tuple[Any, Any]]:  # type: ignore[override]
        self.loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return self._items()

    async def _items(self) -> AsyncIterator[tuple[Any, Any]]:
        for item in list(self.state.items()):
            await asyncio.sleep(0)
            yield item

    async def restore(self, items: dict[Any, Any]) -> None:  # type: ignore[override]
        self.loops.append(asyncio.get_running_loop())
        super().restore(items)


class Raising(Manager):
    def capture(self) -> dict[Any, Any]:
        raise ConnectionError("no\x1b[31m agents today\nsecond line")


class Hanging(Manager):
    def __init__(self, **state: Any) -> None:
        super().__init__(**state)
        self.go_on = threading.Event()
        self.captures = 0

    def capture(self) -> dict[Any, Any]:
        self.captures += 1
        self.go_on.wait(60)
        return self.state


class Endless(Manager):
    def capture(self) -> Iterator[tuple[int, str]]:  # type: ignore[override]
        number = 0
        while True:
            number += 1
            yield number, "x" * 1000


class Restless(Manager):
    """Changes each time it is read, `moves` times."""

    def __init__(self, moves: int, **state: Any) -> None:
        super().__init__(**state)
        self.moves = moves
        self.version = 0

    def capture(self) -> Iterator[tuple[Any, Any]]:  # type: ignore[override]
        for item in list(self.state.items()):
            if self.moves:
                self.moves -= 1
                self.version += 1
            yield item


class Growing(Manager):
    """Gets an item while it is iterated, as another thread of its program would give it one; `moves` times."""

    def __init__(self, moves: int, **state: Any) -> None:
        super().__init__(**state)
        self.moves = moves

    def capture(self) -> Iterator[tuple[Any, Any]]:  # type: ignore[override]
        for item in self.state.items():
            if self.moves:
                self.moves -= 1
                self.state[f"new {self.moves}"] = time.time()
            yield item


def providers(**managers: Any) -> list[Provider]:
    return [provider_of(component, "test", one) for component, one in managers.items()]


def host(config: Config | None = None, *, quiesce: Any = None, resume: Any = None, **managers: Any) -> ProviderHost:
    from pathlib import Path

    given = config or Config()
    return provider_host(given, providers(**managers), Path("/"), SYSTEM, quiesce=quiesce, resume=resume)
