"""A console over a real engine on a real MAOS state, for flow tests."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
from textual.events import Key
from textual.pilot import Pilot

from maos_ckpt.config import Config
from maos_ckpt.local import LocalClient
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
from maos_ckpt_tui.console import ConsoleApp
from tests.lab.build import BuiltState, build_state
from tests.lab.values import Row, dump_exact

#: No scheduled save comes between the steps of a test.
NEVER_S = 3600.0
TIMEOUT_S = 20.0
_DATABASE_BYTES = 300_000
_TRANSCRIPT_BYTES = 60_000


@dataclass(frozen=True)
class Lab:
    """A MAOS state on disk, and where its checkpoints go."""

    state: BuiltState
    repository: Path

    def client(self, interval_s: float = NEVER_S) -> LocalClient:
        config = msgspec.structs.replace(Config(), interval_seconds=interval_s, max_checkpoints=0)
        source = f"maos:{self.state.directory}"
        return LocalClient(Workspace(self.repository, source, self.state.claude_home, config, SYSTEM))

    def dump(self) -> dict[str, list[Row]]:
        return dump_exact(self.state.database)

    def execute(self, statement: str, *values: object) -> int:
        """Change the live state as another process would; returns the number of rows."""
        with closing(sqlite3.connect(self.state.database)) as connection, connection:
            return connection.execute(statement, values).rowcount

    def one(self, query: str) -> str:
        with closing(sqlite3.connect(self.state.database)) as connection:
            return str(connection.execute(query).fetchone()[0])


def build_lab(directory: Path) -> Lab:
    state = build_state(
        directory / "maos", directory / "claude", _DATABASE_BYTES, seed=7, transcript_bytes=_TRANSCRIPT_BYTES
    )
    return Lab(state, directory / "repository")


class Operator:
    """Presses keys, reads the screen, and waits until it says what it should."""

    def __init__(self, app: ConsoleApp, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def screen(self) -> str:
        """What the terminal shows."""
        lines = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in line) for line in lines)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Type faster than Pilot does, which waits after every key."""
        for one in text:
            self.app.post_message(Key("space" if one == " " else one, one))
        await self.pilot.pause()

    async def sees(self, *texts: str) -> str:
        """Wait until all of `texts` are on the screen; returns the screen."""
        return await self.until(lambda: all(one in self.screen for one in texts), " and ".join(map(repr, texts)))

    async def until(self, condition: Callable[[], bool], wanted: str) -> str:
        end_s = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < end_s, f"{wanted} never came; the screen says:\n{self.screen}"
            assert self.app.crash is None
            await asyncio.sleep(0.02)
        await self.pilot.pause()
        return self.screen

    async def save(self, description: str) -> str:
        """A checkpoint by key; returns its short id once it is listed."""
        before = len(self.app.model.checkpoints)
        await self.press("c")
        await self.sees("Checkpoint now")
        await self.type(description)
        await self.press("enter")
        await self.until(lambda: len(self.app.model.checkpoints) == before + 1, "the new checkpoint")
        return self.app.model.checkpoints[0].id[-6:]

    async def confirm(self, word: str, reason: str = "test") -> None:
        """Fill in the confirmation; the id typed last leads to the button, and enter presses it."""
        await self.sees(f"Type {word} to confirm")
        await self.type(reason)
        await self.press("enter")
        await self.type(word)
        await self.sees("press enter")
        await self.press("enter")


@asynccontextmanager
async def console(
    client: LocalClient, *, size: tuple[int, int] = (100, 30), read_only: bool = False
) -> AsyncIterator[Operator]:
    """The console over `client`; the engine is closed at the end."""
    app = ConsoleApp(client, read_only=read_only)
    try:
        async with app.run_test(size=size) as pilot:
            operator = Operator(app, pilot)
            # An engine saves as soon as it starts.
            await operator.until(lambda: bool(app.model.checkpoints), "the first checkpoint")
            yield operator
    finally:
        assert client.close(TIMEOUT_S)
