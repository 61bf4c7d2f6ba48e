"""Fifty consoles on one engine; `python -m benchmarks.consoles` measures them."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

from maos_ckpt.events import CheckpointCreated
from tests.engine.support import WAIT_S, Events, wait_until
from tests.remote.conftest import Served, attached

CONSOLES = 50


def test_fifty_consoles_hear_of_every_checkpoint_and_the_engine_is_no_larger_for_it(engine: Served) -> None:
    threads = threading.active_count()
    before = resident_bytes()
    with contextlib.ExitStack() as stack:
        consoles = [stack.enter_context(attached(engine)) for _ in range(CONSOLES)]
        saved = [consoles[number][0].save(str(number)).id for number in (0, 17, 49)]
        for client, events in consoles:
            # The engine's own first one may be told as late as this, too.
            wait_until(lambda events=events: told(events)[-3:] == saved, "the events")  # type: ignore[misc]
            assert client.status().last_success == client.checkpoint("latest")
        # Clients and engine share this process: what both take together is little.
        assert (resident_bytes() - before) / CONSOLES < 1 << 20
        assert engine.doors._consoles is not None
        assert engine.doors._consoles.fanout.streams == CONSOLES
    wait_until(lambda: engine.doors._consoles.fanout.streams == 0, "the streams to end")  # type: ignore[union-attr]
    wait_until(lambda: threading.active_count() <= threads + 20, f"threads to end within {WAIT_S} s")


def told(events: Events) -> list[str]:
    return [one.checkpoint for one in events.of(CheckpointCreated) if isinstance(one, CheckpointCreated)]


def resident_bytes() -> int:
    fields = Path("/proc/self/status").read_text(encoding="ascii").split("VmRSS:")[1]
    return int(fields.split()[0]) * 1024
