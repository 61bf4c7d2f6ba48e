"""The console over the frozen client, as a program of its own for tests that need a real terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from maos_ckpt.client import EventSink
from maos_ckpt.config.types import Console
from maos_ckpt.model import ChangeKind, Checkpoint, FieldChange, Recommendation, RecordChange
from maos_ckpt_tui.app import run_console
from maos_ckpt_tui.looks import looks_of
from tests.console.fixtures import NOW_MS
from tests.console.frozen_client import FrozenClient

HOSTILE = (
    "\x1b]0;owned\x07",
    "\x1b]52;c;aGFjaw==\x07",
    "\x9b31mred",
    "[@click=app.quit]press[/]",
    "a[/b]",
    "[/]",
    "\u202egnp.exe",
    "\u200binvisible\u2066",
    "\U000e0041tag",
    "\r\n\x08\x7f",
    "\ud800",
    "日本語" * 40,
    "key\n\x1b[2J" * 12_000,
)


class SlowToClose(FrozenClient):
    """Closing takes a second, as with a save that has to finish; it says so in a file."""

    def __init__(self, mark: str) -> None:
        super().__init__()
        self._mark = mark

    def close(self, timeout_s: float) -> bool:
        time.sleep(1.0)
        with open(self._mark, "w", encoding="ascii") as file:
            file.write("closed")
        return True


class HostileClient(FrozenClient):
    """Every text that the engine passes on tries to get at the terminal."""

    def __init__(self) -> None:
        super().__init__(len(HOSTILE))
        text = " ".join(HOSTILE)
        self.listed = [_replace(one, text, HOSTILE[number % len(HOSTILE)]) for number, one in enumerate(self.listed)]
        self.changes = tuple(
            RecordChange(evil, evil, evil, kind, (FieldChange(evil, evil, evil + "!"), FieldChange(evil, None, evil)))
            for evil in HOSTILE
            for kind in ChangeKind
        )

    def recommend(self, name: str | None = None) -> Recommendation:
        found = super().recommend(name)
        assert found.asked is not None
        evil = replace(found.asked, reasons=HOSTILE, warnings=HOSTILE)
        return replace(found, recommended=evil, asked=evil)

    def recent_events(self, limit: int = 200) -> list[tuple[str, dict[str, object]]]:
        told: list[tuple[str, dict[str, object]]] = [
            ("OperationFailed", {"at_ms": NOW_MS, "operation": evil, "message": evil}) for evil in HOSTILE
        ]
        return told + [(evil, {"at_ms": NOW_MS}) for evil in HOSTILE]


def _replace(one: Checkpoint, text: str, evil: str) -> Checkpoint:
    collections = tuple(replace(part, component=evil + str(at), name=evil) for at, part in enumerate(one.collections))
    capture = replace(one.capture, notes=(evil,))
    return replace(one, description=text, tags=(evil,), source=evil, collections=collections, capture=capture)


class CrashingClient(FrozenClient):
    """Raises what no client may raise, as a fault of the console's own would."""

    def subscribe(self, sink: EventSink) -> Callable[[], None]:
        raise ZeroDivisionError("a fault of the console's own, with \x1b[31m state content")


def main(arguments: Sequence[str]) -> int:
    kind, *rest = arguments
    if kind == "slow":
        return run_console(SlowToClose(rest[0]))
    if kind == "hostile":
        return run_console(HostileClient())
    if kind == "crash":
        return run_console(CrashingClient())
    if kind == "looks":
        client = HostileClient() if "hostile" in rest else FrozenClient(64)
        client.shared = "shared" in rest
        settings = {name: name in rest for name in ("low_bandwidth", "mouse")}
        return run_console(client, looks=looks_of(Console(**settings)))
    return run_console(FrozenClient(int(rest[0]) if rest else 64))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
