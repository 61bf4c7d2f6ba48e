"""The alerts that stand: raised once, told at least once, seen, snoozed, cleared; over restarts and beside others."""

from __future__ import annotations

import dataclasses
import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from maos_ckpt.alerts.book import CLEAR_S, NAME, AlertBook
from maos_ckpt.errors import NotFoundError, StorageError
from maos_ckpt.events import AlertCleared, AlertRaised, Event
from maos_ckpt.fs import SystemFilesystem
from maos_ckpt.model.alerts import RUNBOOKS, SEVERITIES, AlertName, AlertState
from maos_ckpt.seams import SYSTEM
from tests.engine.clocks import VirtualClock, seams_with

DISK = {AlertName.DISK_SPACE: "It is nearly full."}
HOUR_S = 3600.0


class Watched:
    """A book with a clock, and what was told."""

    def __init__(self, directory: Path) -> None:
        self.clock = VirtualClock()
        self.directory = directory
        self.book = AlertBook(directory, seams_with(self.clock))

    def restart(self) -> None:
        self.book = AlertBook(self.directory, seams_with(self.clock))

    def look(self, holding: dict[AlertName, str], *, after_s: float = 10.0, crash: bool = False) -> Sequence[Event]:
        self.clock.sleep(after_s)
        events = self.book.update(holding, 4 * HOUR_S)
        if not crash:
            self.book.told(events)
        return events

    @property
    def states(self) -> list[AlertState]:
        return [one.state for one in self.book.alerts()]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_an_alert_is_raised_once_and_cleared_once(watched: Watched) -> None:
    (raised,) = watched.look(DISK)
    assert isinstance(raised, AlertRaised)
    assert (raised.alert, raised.severity, raised.repeated) == ("disk-space", "critical", False)
    assert raised.runbook == RUNBOOKS[AlertName.DISK_SPACE]
    assert watched.look(DISK) == []
    assert watched.look({}) == []
    (cleared,) = watched.look({}, after_s=CLEAR_S)
    assert isinstance(cleared, AlertCleared)
    assert cleared.key == raised.key
    assert cleared.lasted_s == pytest.approx(CLEAR_S + 20)
    assert watched.look({}) == []
    assert watched.book.alerts() == ()


def test_a_condition_that_comes_and_goes_is_one_incident(watched: Watched) -> None:
    watched.look(DISK)
    for number in range(20):
        assert watched.look(DISK if number % 3 == 0 else {}) == []
    assert watched.states == [AlertState.FIRING]


def test_the_next_incident_has_another_key(watched: Watched) -> None:
    (first,) = watched.look(DISK)
    watched.look({})
    watched.look({}, after_s=CLEAR_S)
    (second,) = watched.look(DISK)
    assert isinstance(first, AlertRaised)
    assert isinstance(second, AlertRaised)
    assert first.key != second.key


def test_what_nobody_acknowledges_is_told_again_under_the_same_key(watched: Watched) -> None:
    (first,) = watched.look(DISK)
    (again,) = watched.look({AlertName.DISK_SPACE: "Even fuller."}, after_s=4 * HOUR_S)
    assert isinstance(first, AlertRaised)
    assert isinstance(again, AlertRaised)
    assert (again.key, again.repeated, again.message) == (first.key, True, "Even fuller.")


def test_an_acknowledged_one_is_not_told_again_until_it_clears(watched: Watched) -> None:
    watched.look(DISK)
    seen = watched.book.acknowledge("disk-space", "me@host")
    assert (seen.state, seen.by) == (AlertState.ACKNOWLEDGED, "me@host")
    assert watched.look(DISK, after_s=100 * HOUR_S) == []
    watched.look({})
    assert [type(one) for one in watched.look({}, after_s=CLEAR_S)] == [AlertCleared]


def test_a_snoozed_one_is_told_again_when_its_time_is_over(watched: Watched) -> None:
    (first,) = watched.look(DISK)
    assert isinstance(first, AlertRaised)
    seen = watched.book.acknowledge(first.key, "me@host", HOUR_S)
    assert seen.until_ms == watched.clock.now_ms() + 3_600_000
    assert watched.look(DISK, after_s=HOUR_S - 60) == []
    assert watched.states == [AlertState.SNOOZED]
    (again,) = watched.look(DISK, after_s=120)
    assert isinstance(again, AlertRaised)
    assert again.repeated
    assert watched.states == [AlertState.FIRING]
    assert watched.look(DISK) == []


def test_states_survive_a_restart_and_nothing_is_told_twice(watched: Watched) -> None:
    watched.look(DISK | {AlertName.DRILL: "Overdue."})
    watched.book.acknowledge("drill", "me@host")
    watched.restart()
    assert [(one.name, one.state.value) for one in watched.book.alerts()] == [
        ("disk-space", "firing"),
        ("drill", "acknowledged"),
    ]
    assert watched.look(DISK | {AlertName.DRILL: "Overdue."}) == []
    watched.restart()
    # What cleared while nobody looked is told when the new engine has seen it for long enough.
    assert watched.look({}) == []
    assert len(watched.look({}, after_s=CLEAR_S)) == 2


def test_a_crash_before_the_event_was_written_tells_it_again_under_the_same_key(watched: Watched) -> None:
    (first,) = watched.look(DISK, crash=True)
    watched.restart()
    (again,) = watched.look(DISK)
    assert isinstance(first, AlertRaised)
    assert isinstance(again, AlertRaised)
    assert (again.key, again.repeated) == (first.key, False)
    watched.look({})
    (cleared,) = watched.look({}, after_s=CLEAR_S, crash=True)
    watched.restart()
    watched.look({})
    assert [one.key for one in watched.look({}, after_s=CLEAR_S) if isinstance(one, AlertCleared)] == [first.key]
    assert isinstance(cleared, AlertCleared)


def test_an_alert_that_does_not_stand_is_not_found(watched: Watched) -> None:
    watched.look(DISK)
    with pytest.raises(NotFoundError, match="no alert 'disk'") as caught:
        watched.book.acknowledge("disk", "me")
    assert "disk-space" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"{", b'[{"name":"unheard"}]', b"[" * 9000, b"\xff", b"3"], ids=range(6))
def test_a_damaged_book_raises_what_holds_anew(watched: Watched, content: bytes) -> None:
    watched.look(DISK)
    (watched.directory / NAME).write_bytes(content)
    assert watched.book.alerts() == ()
    assert len(watched.look(DISK)) == 1
    assert watched.states == [AlertState.FIRING]


def test_a_damaged_book_is_mended_though_nothing_holds(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    (watched.directory / NAME).write_bytes(b"{")
    watched.look({})
    assert "raised anew" in caplog.text
    caplog.clear()
    assert watched.book.alerts() == ()
    assert caplog.text == ""


class FullDisk(SystemFilesystem):
    def create(self, path: Path) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_book_that_cannot_be_written_is_one_clear_error_and_stays_as_it_was(watched: Watched) -> None:
    watched.look(DISK)
    full = AlertBook(watched.directory, dataclasses.replace(SYSTEM, fs=FullDisk()))
    with pytest.raises(StorageError, match="No space left"):
        full.acknowledge("disk-space", "me")
    assert watched.states == [AlertState.FIRING]


def test_acknowledging_beside_an_engine_that_looks_loses_nothing(tmp_path: Path) -> None:
    holding = {name: "It holds." for name in AlertName}
    engine = AlertBook(tmp_path, SYSTEM)
    engine.told(engine.update(holding, 0))
    stop = threading.Event()

    def look() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            engine.told(engine.update({name: f"It holds, {number}." for name in AlertName}, 0))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        other = AlertBook(tmp_path, SYSTEM)
        for name in AlertName:
            other.acknowledge(name.value, "me")
    finally:
        stop.set()
        thread.join()
    assert {one.state for one in engine.alerts()} == {AlertState.ACKNOWLEDGED}


def test_every_alert_has_a_severity_and_a_runbook_that_names_a_command() -> None:
    assert set(SEVERITIES) == set(RUNBOOKS) == set(AlertName)
    assert all("maos-ckpt " in text for text in RUNBOOKS.values())
