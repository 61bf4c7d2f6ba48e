"""Connections that break: calls are carried out once all the same, events all arrive, and it is told."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maos_ckpt.api import asking, fanout
from maos_ckpt.api.address import parse_address, unix_address
from maos_ckpt.api.remote import RemoteClient
from maos_ckpt.errors import (
    CkptError,
    EngineRestartedError,
    EngineUnreachableError,
    InterruptedByUserError,
    PermissionRefusedError,
)
from maos_ckpt.events import CheckpointCreated, CheckpointMarked, ConnectionLost, ConnectionRestored
from maos_ckpt.model import Checkpoint
from maos_ckpt.operations import audit as auditing
from maos_ckpt.seams import SYSTEM
from tests.engine.support import WAIT_S, Events, wait_until
from tests.remote.conftest import Served, make_workspace, served
from tests.remote.forwarder import Forwarder


@contextlib.contextmanager
def through(forwarder: Forwarder, at: Path) -> Iterator[tuple[RemoteClient, Events]]:
    client, events = RemoteClient(unix_address(at)), Events()
    client.subscribe(events)
    try:
        client.start()
        yield client, events
    finally:
        client.close(WAIT_S)


@pytest.fixture
def way(engine: Served, tmp_path: Path) -> Iterator[Forwarder]:
    """A way to the engine that the test can break; nothing of another test runs there any more."""
    wait_until(lambda: not saving(engine), "what ran before to end")
    with Forwarder(engine.socket, tmp_path / "way.sock") as forwarder:
        yield forwarder


def in_thread(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    came: list[object] = []

    def run() -> None:
        try:
            came.append(work())
        except CkptError as error:
            came.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, came


def saving(engine: Served) -> bool:
    """Whether the engine has a call to save under way, beside its schedule."""
    assert engine.doors._consoles is not None
    return engine.doors._consoles.ongoing.running > 0


def test_a_save_whose_connection_breaks_is_carried_out_once_and_answered(
    engine: Served, way: Forwarder, tmp_path: Path
) -> None:
    before = len(engine.local.checkpoints())
    with through(way, tmp_path / "way.sock") as (client, events):
        thread, came = in_thread(lambda: client.save("cut off"))
        wait_until(lambda: saving(engine), "the save to begin")
        way.cut()
        events.wait_for(ConnectionLost)
        wait_until(lambda: not saving(engine), "the save to end")
        way.open()
        restored = events.wait_for(ConnectionRestored)[0]
        assert restored == ConnectionRestored(restored.at_ms, missed=False)
        thread.join(WAIT_S)
        (saved,) = came
        assert isinstance(saved, Checkpoint)
        assert saved.description == "cut off"
        # What was told while nobody listened came afterwards, once.
        wait_until(
            lambda: [one for one in events.of(CheckpointCreated) if getattr(one, "checkpoint", "") == saved.id] != [],
            "the event",
        )
        assert len(engine.local.checkpoints()) == before + 1


def test_every_event_arrives_once_and_in_order_however_often_the_connection_breaks(
    engine: Served, way: Forwarder, tmp_path: Path
) -> None:
    with through(way, tmp_path / "way.sock") as (_, events):
        before = len(events.of(CheckpointMarked))
        wanted = []
        for number in range(12):
            one = engine.local.set_pinned("latest", number % 2 == 0)
            wanted.append(one.pinned)
            if number % 3 == 0:
                way.drop()
        told = events.wait_for(CheckpointMarked, before + len(wanted))[before:]
        SYSTEM.clock.sleep(0.3)
        assert [one.pinned for one in told if isinstance(one, CheckpointMarked)] == wanted
        assert len(events.of(CheckpointMarked)) == before + len(wanted)
        restored = events.of(ConnectionRestored)
        assert restored
        assert not any(one.missed for one in restored if isinstance(one, ConnectionRestored))


def test_who_was_away_for_more_events_than_are_kept_is_told_so(
    engine: Served, way: Forwarder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with through(way, tmp_path / "way.sock") as (_, events):
        way.cut()
        events.wait_for(ConnectionLost)
        consoles = engine.doors._consoles
        assert consoles is not None
        for number in range(fanout.EVENTS_KEPT_MAX + 1):
            consoles.fanout._hear(CheckpointMarked(number, "cp_x", True, ()))
        way.open()
        restored = events.wait_for(ConnectionRestored)[0]
        assert isinstance(restored, ConnectionRestored)
        assert restored.missed
        assert not events.of(CheckpointMarked)
        # From there on nothing is missed.
        engine.local.set_pinned("latest", False)
        events.wait_for(CheckpointMarked)


def test_a_call_that_never_reached_an_engine_fails_at_once_and_says_so(engine: Served, tmp_path: Path) -> None:
    with Forwarder(engine.socket, tmp_path / "way.sock") as way, through(way, tmp_path / "way.sock") as (client, _):
        client.status()
        way.cut()
        before = len(engine.local.checkpoints())
        began_s = SYSTEM.clock.monotonic_s()
        for call in (client.status, lambda: client.checkpoint("latest")):
            with pytest.raises(EngineUnreachableError) as caught:
                call()
            assert caught.value.hint
        assert SYSTEM.clock.monotonic_s() - began_s < 5
        assert len(engine.local.checkpoints()) == before


def test_an_engine_that_stays_away_during_a_call_ends_it_with_what_is_known(
    engine: Served, way: Forwarder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "HEAL_S", 0.5)
    with through(way, tmp_path / "way.sock") as (client, _):
        thread, came = in_thread(lambda: client.save("nobody waits"))
        wait_until(lambda: saving(engine), "the save to begin")
        way.cut()
        thread.join(WAIT_S)
        (error,) = came
        assert isinstance(error, EngineUnreachableError)
        assert "finishes" in error.kept
        wait_until(lambda: engine.local.checkpoints()[0].description == "nobody waits", "the save to end")


def test_closing_ends_a_call_at_once_and_the_engine_finishes_it(engine: Served) -> None:
    wait_until(lambda: not saving(engine), "what ran before to end")
    client = engine.client()
    client.start()
    thread, came = in_thread(lambda: client.save("left behind"))
    wait_until(lambda: saving(engine), "the save to begin")
    began_s = SYSTEM.clock.monotonic_s()
    assert client.close(WAIT_S)
    thread.join(WAIT_S)
    assert SYSTEM.clock.monotonic_s() - began_s < 2
    assert isinstance(came[0], InterruptedByUserError)
    wait_until(lambda: engine.local.checkpoints()[0].description == "left behind", "the save to end")
    with pytest.raises(InterruptedByUserError):
        client.status()
    assert client.close(WAIT_S)


def test_an_engine_that_was_started_anew_does_not_do_a_call_again(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    at = tmp_path / "way.sock"
    with served(workspace) as first, Forwarder(first.socket, at) as way, through(way, at) as (client, events):
        events.wait_for(CheckpointCreated) if not client.checkpoints() else None
        thread, came = in_thread(lambda: client.save("half-way"))
        wait_until(lambda: saving(first), "the save to begin")
        way.cut()
        first.doors.close()
        assert first.local.close(WAIT_S)
        with served(workspace) as second:
            way.open()
            thread.join(WAIT_S)
            assert isinstance(came[0], EngineRestartedError), came
            restored = events.wait_for(ConnectionRestored)[0]
            assert isinstance(restored, ConnectionRestored)
            assert restored.missed
            assert [one.description for one in second.local.checkpoints()].count("half-way") == 1
            # What is asked from now on is asked of the new one.
            assert client.save("anew").description == "anew"


def test_a_forwarded_port_does_as_well_as_the_socket(engine: Served) -> None:
    """As `ssh -L 8443:/path/engine.sock`, which carries bytes from a loopback port to the socket."""
    with Forwarder(engine.socket) as way:
        client, events = RemoteClient(parse_address(way.url, Path("/"))), Events()
        client.subscribe(events)
        client.start()
        saved = client.save("from afar")
        assert client.checkpoints(1) == [saved]
        events.wait_for(CheckpointCreated)
        assert client.close(WAIT_S)


def test_clients_that_nobody_waits_for_end_all_the_same(engine: Served, tmp_path: Path) -> None:
    before = threading.active_count()
    for number in range(20):
        client = RemoteClient(unix_address(engine.socket if number % 2 else tmp_path / "none"))
        with contextlib.suppress(EngineUnreachableError):
            client.start()
        assert client.close(0.0)
    wait_until(lambda: threading.active_count() <= before, "the threads to end")


def test_the_audit_log_names_who_asked(engine: Served) -> None:
    client = engine.client()
    client.start()
    gone = client.delete(client.save("to go").id)
    entry = auditing.recent(engine.workspace, 1)[0]
    assert (entry.verb, entry.about, entry.who.via) == ("delete", [gone], f"uid {os.geteuid()}")
    assert client.close(WAIT_S)


def test_a_read_only_client_asks_for_nothing_that_changes_something(engine: Served) -> None:
    client = RemoteClient(unix_address(engine.socket), read_only=True)
    client.start()
    before = engine.local.checkpoints()
    for call in (client.save, lambda: client.delete("latest"), client.cancel_recovery, lambda: client.stop_engine(1.0)):
        with pytest.raises(PermissionRefusedError):
            call()
    assert client.checkpoints() == before
    assert not engine.stopped
    assert client.close(WAIT_S)
