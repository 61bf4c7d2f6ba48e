"""The list of all checkpoints: sorted, filtered, marked, and changed many at once, over a real engine."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from maos_ckpt.model import CheckpointState
from maos_ckpt.model.integrity import IntegrityReport, VerificationRun
from maos_ckpt_tui.checkpoint_order import ORDERS, Listing, Verified, is_problem
from maos_ckpt_tui.console import ConsoleApp
from maos_ckpt_tui.screens.checkpoints import CheckpointsScreen
from maos_ckpt_tui.widgets.checkpoint_table import CheckpointTable
from tests.console.fixtures import NOW_MS, FixedClock, make_checkpoints
from tests.console.frozen_client import FrozenClient
from tests.console.real import Lab, Operator, build_lab, console

MANY = 100_000
OPEN_S = 0.3


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return build_lab(tmp_path)


def table(operator: Operator) -> CheckpointTable:
    return operator.app.screen.query_one(CheckpointTable)


async def test_marked_ones_are_tagged_pinned_verified_and_deleted_together(lab: Lab) -> None:
    async with console(lab.client(), size=(100, 30)) as operator:
        for name in ("one", "two", "three"):
            await operator.save(name)
        await operator.press("2")
        await operator.sees("[2 Ckpts]", "Checkpoints, 4", "by age, newest first")
        await operator.press("space", "space", "T")
        await operator.sees("2 marked", "Tag 2 checkpoints")
        await operator.type("keep bad")
        await operator.press("enter")
        await operator.sees("2 checkpoints tagged", "#keep #bad")
        await operator.press("T")
        await operator.sees("Now: bad, keep.")
        await operator.type("-bad")
        await operator.press("enter")
        await operator.until(lambda: "#bad" not in operator.screen, "the tags without one")
        assert [one.tags for one in operator.app.model.checkpoints] == [("keep",), ("keep",), (), ()]
        await operator.press("v", "down", "down", "enter")
        await operator.sees("OK Verified", "2 checkpoints")
        await operator.press("enter")
        await operator.until(lambda: operator.screen.count("full 0s") + operator.screen.count("full 1s") >= 2, "both")
        await operator.press("g", "p")
        await operator.until(lambda: [one.pinned for one in operator.app.model.checkpoints[:2]] == [True] * 2, "pins")
        await operator.press("down", "down", "space", "x")
        await operator.sees("Delete 1 checkpoint?", "2 of those marked are pinned and will stay")
        await operator.type("delete 1")
        await operator.press("enter")
        await operator.sees("Delete: press enter")
        await operator.press("enter")
        await operator.until(lambda: len(operator.app.model.checkpoints) == 3, "the shorter list")
        await operator.sees("2 marked")
        await operator.press("x")
        await operator.sees("All that are marked are pinned")


async def test_two_marked_are_compared_with_each_other(lab: Lab) -> None:
    async with console(lab.client(), size=(100, 30)) as operator:
        older = await operator.save("before")
        lab.execute("UPDATE tasks SET description = 'told otherwise' WHERE id = (SELECT id FROM tasks LIMIT 1)")
        newer = await operator.save("after")
        await operator.press("2")
        await operator.sees("Checkpoints, 3")
        await operator.press("space", "space", "d")
        await operator.sees(f"Differences {older} → {newer}", "1 change ", "tasks ~1", "told otherwise")
        await operator.press("w")
        await operator.sees(f"Differences {newer} → {older}", "told otherwise")
        await operator.press("escape", "space", "d")
        await operator.sees("Mark two to compare them; 3 marked now")
        await operator.press("escape")
        await operator.until(lambda: not table(operator).marked, "no marks")


async def test_what_fails_for_some_is_told_and_the_others_are_done(lab: Lab) -> None:
    async with console(lab.client(), size=(100, 30)) as operator:
        await operator.save("one")
        await operator.press("2", "a", "T")
        await operator.sees("Tag 2 checkpoints")
        gone = operator.app.model.checkpoints[1].id
        operator.app.client.delete(gone)
        await operator.type("late")
        await operator.press("enter")
        await operator.sees("Findings", gone[-6:], "could not be")
        await operator.press("enter")
        await operator.until(lambda: [one.tags for one in operator.app.model.checkpoints] == [("late",)], "one tag")


async def test_the_cursor_and_the_marks_keep_to_their_checkpoint_whatever_is_sorted_or_comes(lab: Lab) -> None:
    async with console(lab.client(), size=(100, 30)) as operator:
        for name in ("one", "two"):
            await operator.save(name)
        await operator.press("2")
        await operator.sees("Checkpoints, 3")
        await operator.press("down", "space", "up")
        chosen = table(operator).selected
        assert chosen is not None
        assert table(operator).marked == {chosen.id}
        await operator.press("s", "down", "enter")
        await operator.sees("by stored, largest first", "STORED↓")
        assert table(operator).selected == chosen
        await operator.press("S")
        await operator.sees("by stored, smallest first", "STORED↑")
        assert table(operator).selected == chosen
        stored = [one.stored_bytes for one in table(operator).listing.shown]
        assert stored == sorted(stored)
        operator.app.client.save("another")
        await operator.sees("Checkpoints, 4")
        assert table(operator).selected is not None
        assert table(operator).selected.id == chosen.id
        assert table(operator).marked == {chosen.id}
        await operator.press("slash")
        await operator.type("another manual")
        await operator.sees("Checkpoints, 1 of 4 match")
        await operator.press("escape", "exclamation_mark")
        await operator.sees("OK No problem")


async def test_the_list_is_exported_as_it_is_shown_and_never_over_a_file(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with console(lab.client(), size=(160, 30)) as operator:
        await operator.save("to export")
        await operator.press("2", "slash")
        await operator.type("export")
        await operator.press("enter", "e")
        await operator.sees("1 checkpoint written: maos-ckpt-checkpoints-")
        (path,) = tmp_path.glob("maos-ckpt-checkpoints-*.json")
        assert [one["description"] for one in json.loads(path.read_text())] == ["to export"]
        assert path.stat().st_mode & 0o777 == 0o600


def many() -> FrozenClient:
    client = FrozenClient(500)
    kinds = client.listed
    client.listed = [
        replace(kinds[at % 500], id=f"cp_{MANY - at:015d}", seq=MANY - at, created_at_ms=NOW_MS - at * 30_000)
        for at in range(MANY)
    ]
    return client


async def test_a_hundred_thousand_open_sort_and_scroll_at_once() -> None:
    app = ConsoleApp(many(), clock=FixedClock())
    async with app.run_test(size=(120, 40)) as pilot:
        operator = Operator(app, pilot)
        await operator.until(lambda: bool(app.model.checkpoints), "the list")
        app.load_all()
        await operator.until(lambda: len(app.model.checkpoints) == MANY, "all of them")
        began_s = time.perf_counter()
        await pilot.press("2")
        assert "Checkpoints, 100,000" in operator.screen
        # Pilot waits for a while after every key; a slow machine is given some room, as everywhere.
        assert time.perf_counter() - began_s < OPEN_S * 5
        await pilot.press("G")
        assert f"{1:06d}" in operator.screen
        shown = app.screen
        assert isinstance(shown, CheckpointsScreen)
        began_s = time.perf_counter()
        for _ in range(50):
            shown.table.action_cursor(-1)
        shown.table.filter("manual")
        shown.table.filter("manual release")
        assert time.perf_counter() - began_s < OPEN_S * 5
        assert 0 < shown.table.row_count < MANY // 10


def test_filters_narrow_widen_and_combine() -> None:
    listing = Listing()
    everything = make_checkpoints(64)
    listing.take(everything)
    listing.filter("man")
    some = len(listing.shown)
    listing.filter("manual rele")
    assert {one.trigger.value for one in listing.shown} == {"manual"}
    assert 0 < len(listing.shown) <= some < 64
    listing.filter("2026-11-23 09:05")
    assert len(listing.shown) == 2
    listing.filter("")
    listing.only_problems(True)
    assert [one.state for one in listing.shown] == [CheckpointState.DAMAGED]
    assert all(is_problem(one) for one in listing.shown)
    listing.only_problems(False)
    for order in ORDERS:
        listing.sort(order, reverse=False)
        keys = [order.key(one) for one in listing.shown]
        assert keys == sorted(keys, reverse=order.down), order.title
        listing.sort(order, reverse=True)
        keys = [order.key(one) for one in listing.shown]
        assert keys == sorted(keys, reverse=not order.down), order.title
        assert len(listing.shown) == 64


def test_the_deepest_look_at_a_checkpoint_counts_and_one_that_found_faults_does_not() -> None:
    newest, older, damaged = *make_checkpoints(2), make_checkpoints(20)[19]
    damaged = replace(damaged, state=CheckpointState.DAMAGED)

    def run(level: str, ago_ms: int, **more: object) -> VerificationRun:
        return VerificationRun(NOW_MS - ago_ms, level, **{"ok": True, "objects": 1, "bytes": 1, "findings": 0} | more)  # type: ignore[arg-type]

    before_newest = NOW_MS - newest.created_at_ms + 1000
    verified = Verified(
        IntegrityReport(
            7,
            (),
            (
                run("quick", 10, everything=True),
                run("full", 20, ok=False, everything=True),
                run("full", 30, scrub=True),
                run("standard", before_newest, everything=True),
                run("full", before_newest + 10, checkpoints=(older.id, damaged.id)),
            ),
        )
    )
    looks = [verified.of(one) for one in (newest, older, damaged)]
    assert [one.level if one else "" for one in looks] == ["quick", "full", ""]
