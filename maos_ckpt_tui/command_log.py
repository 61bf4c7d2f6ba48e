"""The command log: what an operator had the console ask of the engine, as the `maos-ckpt` lines that do the same.

It is kept centrally: `ConsoleScreen.ask` runs its work inside `CommandLog.recording`, and every call of the client that
is made there is an entry. `quiet` calls, which screens make by themselves, are none.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

from maos_ckpt.client import EngineClient
from maos_ckpt.errors import CkptError
from maos_ckpt.seams import Clock

#: Older entries make room.
ENTRIES_MAX = 500
RUNNING, DONE, FAILED = "running", "done", "failed"


@dataclass(frozen=True, slots=True)
class LoggedCommand:
    """One thing asked. `line` is complete and can be pasted into a shell; it holds untrusted text. `outcome` is
    `running`, `done` or `failed`, `told` the error's sentence, `seconds` how long it took so far as is known."""

    number: int
    at_ms: int
    line: str
    outcome: str = RUNNING
    told: str = ""
    seconds: float = 0.0


class CommandLog:
    """Bounded, and safe to use from any thread.

    Args:
        where: options that say which repository or engine the console is about, put behind every command.
    """

    def __init__(self, clock: Clock, where: Sequence[str] = ()) -> None:
        self.where = tuple(where)
        #: Grows with every change, so that a view knows whether to draw again.
        self.version = 0
        self._clock = clock
        self._entries: OrderedDict[int, tuple[LoggedCommand, float]] = OrderedDict()
        self._lock = threading.Lock()
        self._here = threading.local()
        self._number = 0

    @property
    def entries(self) -> list[LoggedCommand]:
        """Newest first."""
        with self._lock:
            return [one for one, _ in reversed(self._entries.values())]

    def add(self, line: str, *, failed: str = "") -> None:
        """What is done already, without a call of the client; `failed` says why it was not."""
        self.ended(self.began(line), failed)

    def began(self, line: str) -> int:
        """Something was asked; returns its number for `ended`."""
        with self._lock:
            self._number += 1
            self.version += 1
            entry = LoggedCommand(self._number, self._clock.now_ms(), line)
            self._entries[self._number] = (entry, self._clock.monotonic_s())
            if len(self._entries) > ENTRIES_MAX:
                self._entries.popitem(last=False)
            return self._number

    def ended(self, number: int, failed: str = "") -> None:
        """It is over; one that has made room meanwhile stays away."""
        with self._lock:
            if number in self._entries:
                entry, began_s = self._entries[number]
                took_s = self._clock.monotonic_s() - began_s
                over = replace(entry, outcome=FAILED if failed else DONE, told=failed, seconds=took_s)
                self._entries[number] = (over, began_s)
                self.version += 1

    @contextmanager
    def recording(self, on: bool = True) -> Iterator[None]:
        """Calls that this thread makes of a `RecordedClient` inside the block are entries."""
        self._here.on = on
        try:
            yield
        finally:
            self._here.on = False

    @property
    def is_recording(self) -> bool:
        """Whether this thread is inside such a block."""
        return bool(getattr(self._here, "on", False))


class _RecordedClient:
    """An engine's client whose calls are recorded; see `recorded`."""

    def __init__(self, client: EngineClient, log: CommandLog) -> None:
        self._client, self._log = client, log

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        return self._recorded(name, found) if callable(found) and self._log.is_recording else found

    def _recorded(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        from maos_ckpt_tui.equivalents import BESIDE, line_of  # Loaded when first needed.

        def carry_out(*arguments: Any, **named: Any) -> Any:
            line = "" if name in BESIDE else line_of(name, arguments, named, self._log.where)
            if not line:
                return call(*arguments, **named)
            number = self._log.began(line)
            try:
                result = call(*arguments, **named)
            except CkptError as error:
                self._log.ended(number, error.message)
                raise
            except Exception:
                self._log.ended(number, "the console hit an error of its own")
                raise
            self._log.ended(number)
            return result

        return carry_out


def recorded(client: EngineClient, log: CommandLog) -> EngineClient:
    """The same client, whose calls stand in the log where they are made inside `CommandLog.recording`."""
    return cast(EngineClient, _RecordedClient(client, log))
