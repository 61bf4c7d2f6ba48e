"""Events and alerts by key, on a real engine; and what an entry is told as."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from maos_ckpt.alerts.book import AlertBook
from maos_ckpt.errors import CkptError
from maos_ckpt.journal import Journal
from maos_ckpt.model.alerts import RUNBOOKS, AlertName
from maos_ckpt.seams import SYSTEM
from maos_ckpt_tui import journal_view as view
from maos_ckpt_tui.checkpoint_view import gaps
from maos_ckpt_tui.screens import events as events_screen
from maos_ckpt_tui.screens.events import EventsScreen
from maos_ckpt_tui.widgets.event_list import EventList, entry_lines
from tests.console.fixtures import make_checkpoints
from tests.console.real import Lab, Operator, build_lab, console

HOSTILE = {"at_ms": 1, "message": "[/b]\x1b]0;owned\x07", "operation": "save", "x" * 500: {"a": [1]}}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return build_lab(tmp_path)


@asynccontextmanager
async def at_events(lab: Lab, size: tuple[int, int] = (100, 30)) -> AsyncIterator[Operator]:
    async with console(lab.client(), size=size) as operator:
        await operator.press("9")
        await operator.sees("Engine started", "live")
        yield operator


async def test_the_journal_is_followed_filtered_and_leads_to_a_checkpoint(lab: Lab) -> None:
    async with at_events(lab) as operator:
        client = operator.app.client
        saved = client.save("live").id
        await operator.sees(f"Saved {saved[-6:]}")
        listed = operator.app.screen.query_one(EventList)
        assert listed.selected == listed.shown[0]
        await operator.press("slash")
        await operator.type("engine started")
        await operator.until(lambda: len(listed.shown) == 1, "one entry")
        await operator.press("enter")
        assert saved[-6:] not in operator.screen
        await operator.press("escape")
        await operator.until(lambda: len(listed.shown) >= 3, "all entries")
        await operator.press("g", "enter")
        await operator.sees("One event", saved, f"open {saved[-6:]}")
        await operator.press("enter")
        await operator.sees(f"Checkpoint {saved[-6:]}", "Components")
        await operator.press("escape")
        await operator.sees("Events, ")


async def test_problems_alone_and_one_kind_alone(lab: Lab) -> None:
    async with at_events(lab) as operator:
        await operator.press("exclamation_mark")
        await operator.sees("problems only", "Nothing matches", "esc")
        await operator.press("escape")
        await operator.sees("Engine started")
        operator.app.client.set_pinned("latest", True)
        await operator.sees("pinned")
        await operator.press("f")
        await operator.sees("Which events?", "Upkeep")
        await operator.press("down", "down", "down", "down", "down", "enter")
        await operator.until(lambda: "Engine started" not in operator.screen, "upkeep alone")
        assert "pinned" in await operator.sees("upkeep")


async def test_an_entry_keeps_the_cursor_while_newer_ones_arrive(lab: Lab) -> None:
    async with at_events(lab) as operator:
        await operator.press("down")
        listed = operator.app.screen.query_one(EventList)
        chosen, number = listed.selected, len(listed.shown)
        operator.app.client.save()
        await operator.until(lambda: len(listed.shown) > number, "one more")
        assert listed.selected == chosen
        assert listed.cursor == 2


async def test_older_entries_are_read_when_one_comes_near_the_end(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_screen, "ENTRIES_FIRST", 4)
    monkeypatch.setattr(events_screen, "_NEAR_THE_END", 1)
    async with console(lab.client()) as operator:
        for on in (True, False) * 4:
            operator.app.client.set_pinned("latest", on)
        await operator.press("9")
        await operator.sees("Events, 4, older ones follow")
        await operator.press("G")
        await operator.sees("Engine started")
        assert len(operator.app.screen.query_one(EventList).shown) > 8


async def test_what_was_done_stands_in_the_command_log_beside_the_events(lab: Lab) -> None:
    async with console(lab.client()) as operator:
        await operator.press("p")
        await operator.sees("is pinned")
        await operator.press("9")
        await operator.sees("Events, ")
        await operator.press("tab")
        await operator.sees("command log", "maos-ckpt pin cp_")
        await operator.press("y")
        await operator.sees("Copied, if this terminal allows it: maos-ckpt pin cp_")
        await operator.press("escape")
        await operator.sees("Events, ")
        assert isinstance(operator.app.screen, EventsScreen)


async def test_the_journal_of_an_engine_that_goes_away_stays_on_the_screen(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_events(lab) as operator:

        def refuse(*_: object, **__: object) -> None:
            raise CkptError("It does not answer.")

        monkeypatch.setattr(operator.app.client._client, "recent_events", refuse)  # type: ignore[attr-defined]
        operator.app.refresh_soon()
        await operator.sees("NO ANSWER", "Engine started")


@contextmanager
def standing(lab: Lab) -> Iterator[AlertBook]:
    """A disk that is nearly full, as the engine would note it; it looks itself only after some seconds."""
    journal = Journal(lab.repository, SYSTEM)
    journal.directory.mkdir(parents=True, exist_ok=True)
    book = AlertBook(journal.directory, SYSTEM)
    book.update({AlertName.DISK_SPACE: "5 MiB are free on the repository's disk; 1,024 MiB should be."}, 3600)
    yield book


async def test_an_alert_is_read_snoozed_and_seen(lab: Lab) -> None:
    async with console(lab.client(), size=(80, 24)) as operator:
        await operator.press("A")
        await operator.sees("No alert stands")
        await operator.press("escape")
        await operator.sees("Timeline")
        with standing(lab) as book:
            operator.app.refresh_soon()
            await operator.sees("ALERT disk-space", "A lists it", "To do: Saves fail")
            await operator.press("A")
            await operator.sees("firing", "What to do", "nobody has said", "prune --keep-last N")
            await operator.press("z")
            await operator.sees("Snooze disk-space: for how long?")
            await operator.press("1")
            await operator.sees("snoozed by", "nothing more is sent until 2")
            await operator.press("a")
            await operator.sees("acknowledged by", "until it clears")
            assert [one.state for one in book.alerts()] == ["acknowledged"]
            assert "alerts ack" in operator.app.command_log.entries[0].line


async def test_a_read_only_console_shows_alerts_and_offers_nothing_to_do_with_them(lab: Lab) -> None:
    async with console(lab.client(), read_only=True) as operator:
        with standing(lab) as book:
            operator.app.refresh_soon()
            await operator.press("A")
            await operator.sees("disk-space", "firing")
            assert "snooze" not in operator.screen
            await operator.press("a", "z")
            assert [one.state for one in book.alerts()] == ["firing"]


def test_problems_have_runbooks_and_the_rest_has_none() -> None:
    failed = ("OperationFailed", dict(HOSTILE))
    assert view.is_problem(failed)
    assert view.runbook(*failed) == RUNBOOKS[AlertName.ERROR_RATE]
    assert view.runbook("AlertRaised", {"runbook": "Do this.", "severity": "warning"}) == "Do this."
    verified = {"ok": True, "level": "full"}
    assert view.runbook("VerificationCompleted", verified) == ""
    assert view.runbook("VerificationCompleted", {**verified, "ok": False}) == RUNBOOKS[AlertName.INTEGRITY]
    assert view.kind_of("SomethingNewer") == view.OTHER


def test_every_event_has_one_kind() -> None:
    from maos_ckpt.events import EVENT_TYPES

    listed = [name for _, names in view.KINDS.values() for name in names]
    assert sorted(listed) == sorted(EVENT_TYPES)


@pytest.mark.parametrize("width", [20, 60, 200])
def test_a_hostile_entry_is_told_in_full_within_the_width(width: int) -> None:
    lines = entry_lines(("OperationFailed", dict(HOSTILE)), width)
    text = "".join(part for line in lines for part, _ in line)
    assert "\x1b" not in "".join(part for line in lines[2:] for part, _ in line)
    assert "owned" in text
    assert view.matches(("OperationFailed", dict(HOSTILE)), "OWNED save")


@pytest.mark.parametrize("number", [10**400, -(10**30), float("inf"), float("nan")])
def test_numbers_that_cannot_be_cost_nothing(number: float) -> None:
    fields: dict[str, object] = {"at_ms": number, "duration_s": number, "stored_bytes": number, "records": number}
    listed = EventList()
    listed.show([("CheckpointCreated", fields)], 1_000, whole=True, why=[])
    assert listed.row(0, 80)
    assert entry_lines(("CheckpointCreated", fields), 60)
    assert view.matches(("CheckpointCreated", fields), "saved")


def test_an_entry_leads_to_its_checkpoint_where_it_has_one() -> None:
    assert view.checkpoint_of({"checkpoint": "cp_1"}) == "cp_1"
    assert view.checkpoint_of({"checkpoints": ["cp_2"]}) == "cp_2"
    assert view.checkpoint_of({"checkpoints": ["cp_2", "cp_3"]}) == view.checkpoint_of({"checkpoint": "rescue"}) == ""


def test_a_gap_is_measured_against_its_neighbours() -> None:
    listed = make_checkpoints(20)
    assert gaps(listed) == {}
    slept = [
        one if at < 7 else replace(one, created_at_ms=one.created_at_ms - 600_000) for at, one in enumerate(listed)
    ]
    assert gaps(slept) == {6: 630.0}
    thinned = [replace(one, created_at_ms=listed[0].created_at_ms - 1000 * 2**at) for at, one in enumerate(listed)]
    assert len(gaps(thinned)) < len(thinned) / 4
