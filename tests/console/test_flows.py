"""What an operator does, from key to database: a real console over a real engine on a real MAOS state."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from maos_ckpt_tui.widgets.checkpoint_list import CheckpointList
from tests.console.real import Lab, build_lab, console


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return build_lab(tmp_path)


async def test_checkpoints_appear_by_themselves(lab: Lab) -> None:
    """The list, the timeline, the health line and the journal follow the schedule without a key."""
    # While a save runs, which on a busy machine is most of a shorter interval, no next one is told.
    async with console(lab.client(interval_s=1.5)) as operator:
        await operator.until(lambda: len(operator.app.model.checkpoints) >= 3, "three scheduled checkpoints")
        await operator.sees("next in")
        screen = await operator.sees("OK SAFE", "schedule", "same")
        newest = operator.app.model.checkpoints[0].id[-6:]
        assert newest in screen
        assert "Saved" in screen


async def test_the_selection_keeps_to_its_checkpoint_while_newer_ones_arrive(lab: Lab) -> None:
    async with console(lab.client(interval_s=0.4)) as operator:
        await operator.until(lambda: len(operator.app.model.checkpoints) >= 2, "two checkpoints")
        await operator.press("down")
        listed = operator.app.screen.query_one(CheckpointList)
        chosen, number = listed.selected, len(operator.app.model.checkpoints)
        await operator.until(lambda: len(operator.app.model.checkpoints) >= number + 2, "two more")
        assert chosen is not None
        assert listed.selected == operator.app.model.find(chosen.id)
        await operator.press("g")
        number = len(operator.app.model.checkpoints)
        await operator.until(lambda: len(operator.app.model.checkpoints) > number, "one more")
        assert listed.cursor == 0


async def test_a_checkpoint_by_key_with_its_description(lab: Lab) -> None:
    async with console(lab.client()) as operator:
        short = await operator.save("before the test")
        screen = await operator.sees(short, "manual", "before the test")
        assert "OK SAFE" in screen


async def test_the_detail_shows_what_the_database_holds(lab: Lab) -> None:
    async with console(lab.client(), size=(100, 40)) as operator:
        short = await operator.save("one")
        await operator.press("enter")
        screen = await operator.sees(f"Checkpoint {short}", "Components", "sha-512")
        for component, query in (("agents", "SELECT count(*) FROM agents"), ("tasks", "SELECT count(*) FROM tasks")):
            line = next(one for one in screen.splitlines() if one.strip("▌ ").startswith(component))
            assert lab.one(query) in line
        await operator.press("escape")
        await operator.sees("Timeline")


async def test_the_diff_shows_the_very_field_that_changed(lab: Lab) -> None:
    async with console(lab.client()) as operator:
        await operator.save("before")
        task = lab.one("SELECT id FROM tasks LIMIT 1")
        lab.execute("UPDATE tasks SET description = 'rewritten by the test' WHERE id = ?", task)
        await operator.press("d")
        screen = await operator.sees("1 change ", "tasks ~1", task[:20], "description", "rewritten by the test")
        assert "live state" in screen
        await operator.press("end", "enter")
        await operator.sees("Before", "After", "rewritten by the test")
        await operator.press("escape", "slash")
        await operator.type("nothing like it")
        await operator.until(lambda: "description" not in operator.screen, "an empty filter result")


async def test_records_that_came_or_went_open_to_their_values(lab: Lab) -> None:
    async with console(lab.client()) as operator:
        await operator.save("before")
        gone = lab.one("SELECT id FROM tasks LIMIT 1")
        status = lab.one(f"SELECT status FROM tasks WHERE id = '{gone}'")
        lab.execute("DELETE FROM tasks WHERE id = ?", gone)
        lab.execute("INSERT INTO tasks (id, description, status) VALUES ('zz-new', 'do what was said', 'pending')")
        await operator.press("d")
        await operator.sees("2 changes ", gone[:20], "removed", "zz-new", "added")
        await operator.press("down", "down", "enter")
        await operator.sees(f" - {status}")
        await operator.press("enter", "end", "enter")
        await operator.sees(" + do what was said", " + pending")
        await operator.press("escape", "r", "enter")
        await operator.sees("What is written", "tasks +1 -1", gone[:20], "zz-new")
        await operator.press("down", "down", "enter")
        await operator.sees(f" + {status}")


async def test_pin_verify_and_the_refused_deletion_of_a_pinned_one(lab: Lab) -> None:
    async with console(lab.client()) as operator:
        short = await operator.save("keep me")
        await operator.press("p")
        await operator.sees("manual *")
        await operator.press("v", "down", "down", "enter")
        await operator.sees("OK Verified", "every chunk decoded", "object")
        await operator.press("enter", "x")
        await operator.sees(f"Delete checkpoint {short}?")
        await operator.type(short)
        await operator.press("enter", "enter")
        await operator.sees("pinned", "close")
        await operator.press("enter", "p")
        await operator.until(lambda: not operator.app.model.checkpoints[0].pinned, "the unpinned checkpoint")
        await operator.press("x")
        await operator.sees(f"Delete checkpoint {short}?")
        await operator.type(short)
        await operator.press("enter", "enter")
        await operator.until(lambda: len(operator.app.model.checkpoints) == 1, "the shorter list")


async def test_enter_alone_never_confirms_before_the_button_has_the_focus(lab: Lab) -> None:
    async with console(lab.client()) as operator:
        short = await operator.save("one")
        await operator.press("x")
        await operator.sees("Type")
        await operator.press("enter", "enter")
        await operator.type("wrong1")
        await operator.sees("That is another id")
        await operator.press("enter", "enter", "tab", "enter")
        await operator.sees("Timeline", short)
        await operator.press("x")
        await operator.type(short)
        await operator.press("enter")
        await operator.sees("Delete: press enter")
        await operator.press("tab", "enter")
        await operator.until(lambda: "Delete checkpoint" not in operator.screen, "the closed dialog")
        assert len(operator.app.model.checkpoints) == 2


async def test_a_source_that_cannot_be_read_is_an_error_and_no_crash(lab: Lab) -> None:
    async with console(lab.client()) as operator:
        await operator.save("one")
        aside = shutil.copy(lab.state.database, lab.state.directory / "aside")
        lab.state.database.write_bytes(b"this is no database" * 500)
        await operator.press("d")
        await operator.sees("XX", "close")
        await operator.press("enter", "escape")
        await operator.sees("Timeline")
        shutil.copy(aside, lab.state.database)
        await operator.press("d")
        await operator.sees("OK the two are equal")


async def test_undo_without_a_recovery_is_an_error_in_words(lab: Lab) -> None:
    async with console(lab.client()) as operator:
        await operator.save("one")
        await operator.press("u")
        await operator.sees("XX", "close")


async def test_a_read_only_console_offers_and_does_nothing_that_changes(lab: Lab) -> None:
    client = lab.client()
    async with console(client, read_only=True) as operator:
        await operator.sees("schedule")
        assert "recover" not in operator.screen.splitlines()[-1]
        for key in ("c", "r", "u", "x", "p"):
            await operator.press(key)
            assert "Timeline" in operator.screen
        await operator.press("question_mark")
        screen = await operator.sees("Help: Overview")
        assert "diff" in screen
        assert "Recover the selected" not in screen
        await operator.press("escape", "colon")
        await operator.sees("What do you want to do?")
        assert "Take a checkpoint" not in operator.screen
    assert len(client.checkpoints()) == 1


async def test_the_palette_finds_actions_and_checkpoints(lab: Lab) -> None:
    async with console(lab.client()) as operator:
        short = await operator.save("find me by this")
        await operator.press("ctrl+p")
        await operator.type("verify")
        await operator.press("enter")
        await operator.sees("how deep?")
        await operator.press("escape", "colon")
        await operator.type("find me by")
        await operator.press("enter")
        await operator.sees(f"Checkpoint {short}", "Components")


async def test_keys_can_be_changed_by_their_id(lab: Lab) -> None:
    async with console(lab.client()) as operator:
        await operator.save("one")
        operator.app.set_keymap({"overview.recover": "f5"})
        await operator.sees("f5 recover")
        await operator.press("r")
        assert "Timeline" in operator.screen
        await operator.press("f5")
        await operator.sees("What to recover")


@pytest.mark.parametrize("keys", [("q",), ("c", "ctrl+q"), ("d", "q"), ("question_mark", "ctrl+q")])
async def test_quitting_closes_the_engine_from_everywhere(lab: Lab, keys: tuple[str, ...]) -> None:
    client = lab.client(interval_s=0.5)
    async with console(client) as operator:
        await operator.sees("OK SAFE")
        for key in keys:
            await operator.press(key)
        await operator.until(lambda: operator.app.closed, "the closed engine")
    number = len(client.checkpoints())
    time.sleep(0.8)
    assert len(client.checkpoints()) == number


@pytest.mark.parametrize("size", [(36, 20), (60, 10), (12, 4), (3, 2)])
async def test_a_terminal_that_is_too_small_says_so_and_breaks_nothing(lab: Lab, size: tuple[int, int]) -> None:
    async with console(lab.client(), size=size) as operator:
        if size[0] > 10:
            assert "Enlarge" in operator.screen
        await operator.press("d", "escape", "r", "enter", "escape", "escape", "question_mark")
        await operator.pilot.resize_terminal(100, 30)
        await operator.sees("Help")
        await operator.press("escape")
        await operator.sees("Timeline", "OK SAFE")
