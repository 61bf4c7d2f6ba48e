"""Exploring a real MAOS state: agents, conversations, versions, differences, recoveries and exports of one thing."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt_tui.screens.conversation import ConversationScreen
from maos_ckpt_tui.screens.explore import ExploreScreen
from maos_ckpt_tui.screens.plan import PlanScreen
from maos_ckpt_tui.widgets.conversation_view import ConversationView
from maos_ckpt_tui.widgets.thing_list import ThingList
from tests.console.real import Lab, Operator, build_lab, console


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return build_lab(tmp_path)


def talking_agent(lab: Lab) -> tuple[str, Path]:
    """An agent that has a transcript, and the transcript."""
    files = {one.stem: one for one in lab.state.claude_home.rglob("*.jsonl")}
    with closing(sqlite3.connect(lab.state.database)) as connection:
        for agent, session in connection.execute("SELECT id, session_id FROM agents"):
            if session in files:
                return agent, files[session]
    raise AssertionError("no agent of the lab has a transcript")


async def explore(operator: Operator, *words: str) -> ThingList:
    await operator.press("3")
    await operator.sees("[Agents]", *words)
    return operator.app.screen.query_one(ThingList)


async def pick(operator: Operator, things: ThingList, key: str) -> None:
    """Put the cursor on a record."""
    await operator.until(lambda: any(one.entry.key == key for one in things.rows), key)
    things.move_to(next(at for at, one in enumerate(things.rows) if one.entry.key == key))
    await operator.pilot.pause()


async def test_an_agent_opens_as_its_conversation_and_one_goes_through_time_with_it(lab: Lab) -> None:
    agent, file = talking_agent(lab)
    number = len(file.read_text().splitlines())
    async with console(lab.client()) as operator:
        with file.open("a") as appended:
            said = {"type": "user", "timestamp": "2026-11-23T09:00:00Z", "message": {"content": "And now \x1b[2J?"}}
            appended.write(json.dumps(said) + "\n")
        await operator.save("one turn more")
        things = await explore(operator, "LAST ACTIVE")
        await pick(operator, things, agent)
        await operator.press("enter")
        await operator.sees("And now", "USER", agent)
        view = operator.app.screen.query_one(ConversationView)
        assert view.current is not None
        assert view.current.line == number + 1
        await operator.press("left")
        await operator.until(lambda: bool(view.turns) and view.turns[-1].line == number, "the conversation before")
        await operator.sees("- 1 line")
        await operator.press("right")
        await operator.sees("+ 1 line", "And now")
        await operator.press("o")
        await operator.sees("Record of transcript", "And now")
        await operator.press("left", "escape")
        await operator.until(lambda: bool(view.turns) and view.turns[-1].line == number, "the older conversation")
        await operator.press("right", "right")
        await operator.sees("LIVE", "And now")


async def test_turns_are_searched_folded_and_jumped_to(lab: Lab) -> None:
    agent, file = talking_agent(lab)
    failed = {"type": "user", "message": {"content": [{"type": "tool_result", "is_error": True, "content": "BROKEN"}]}}
    asked = {"type": "user", "message": {"content": "needle in the hay"}}
    rest = [{"type": "assistant", "message": {"content": f"answer {number}"}} for number in range(40)]
    with file.open("a") as appended:
        appended.writelines(json.dumps(one) + "\n" for one in (asked, failed, *rest))
    async with console(lab.client()) as operator:
        things = await explore(operator)
        await pick(operator, things, agent)
        await operator.press("enter")
        await operator.sees("answer 39", "1 error")
        view = operator.app.screen.query_one(ConversationView)
        await operator.press("left_square_bracket")
        await operator.sees("needle in the hay")
        assert view.current is not None
        assert view.current.text == "needle in the hay"
        await operator.press("slash")
        await operator.type("answer 7")
        await operator.press("enter")
        await operator.until(lambda: view.current is not None and view.current.text == "answer 7", "the match")
        await operator.press("exclamation_mark")
        await operator.sees("only what went wrong", "BROKEN")
        assert len(view.turns) == 1
        await operator.press("enter")
        await operator.sees("XX result failed")
        assert not view.folded(0)


async def test_one_agent_alone_is_compared_and_recovered_from_here(lab: Lab) -> None:
    agent, other = (lab.one(f"SELECT id FROM agents ORDER BY id LIMIT 1 OFFSET {number}") for number in (0, 1))
    before = lab.one(f"SELECT status FROM agents WHERE id = '{agent}'")
    async with console(lab.client(), size=(110, 34)) as operator:
        await operator.save("good")
        lab.execute("UPDATE agents SET status = 'broken' WHERE id IN (?, ?)", agent, other)
        things = await explore(operator)
        await pick(operator, things, agent)
        await operator.press("d")
        screen = await operator.sees("live state now", f"{before} → broken")
        assert other not in screen
        await operator.press("escape", "r")
        await operator.sees("step 2 of 4", "status", agent)
        assert isinstance(operator.app.screen, PlanScreen)
        await operator.press("a")
        await operator.confirm(operator.app.model.checkpoints[0].id[-6:])
        await operator.until(
            lambda: lab.one(f"SELECT status FROM agents WHERE id = '{agent}'") == before, "the agent's recovery"
        )
    assert lab.one(f"SELECT status FROM agents WHERE id = '{other}'") == "broken"


async def test_what_differs_is_marked_and_a_record_tells_its_versions(lab: Lab) -> None:
    task = lab.one("SELECT id FROM tasks ORDER BY id LIMIT 1")
    async with console(lab.client(), size=(110, 34)) as operator:
        lab.execute("UPDATE tasks SET description = 'otherwise', status = 'failed' WHERE id = ?", task)
        await operator.save("changed")
        things = await explore(operator)
        await operator.press("tab", "tab")
        await operator.sees("[Tasks]", "XX failed")
        await pick(operator, things, task)
        await operator.press("left")
        await operator.sees("~1")
        assert things.current is not None
        assert things.current.entry.key == task
        await operator.press("H")
        await operator.sees("2 versions", "~ modified", "+ added")
        await operator.press("d")
        await operator.sees("Two versions", "otherwise")
        await operator.press("escape", "enter")
        await operator.sees("Record of task", "otherwise")
        await operator.press("left")
        await operator.sees("~2")
        await operator.press("right", "right")
        await operator.sees("LIVE", "otherwise")


async def test_a_text_is_found_and_opened_where_it_was(lab: Lab) -> None:
    message = lab.one("SELECT id FROM messages ORDER BY id LIMIT 1")
    lab.execute("UPDATE messages SET message = 'where is the walrus' WHERE id = ?", message)
    async with console(lab.client(), size=(110, 34)) as operator:
        await explore(operator)
        await operator.press("F")
        await operator.sees("Find which text?")
        await operator.type("WALRUS")
        await operator.press("enter")
        await operator.sees("1 record", "still there", f"messages/{message}")
        await operator.press("enter")
        await operator.sees("Record of message", "where is the walrus")


async def test_all_records_are_browsed_filtered_and_written_to_a_file(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    task = lab.one("SELECT id FROM tasks ORDER BY id LIMIT 1")
    async with console(lab.client()) as operator:
        things = await explore(operator)
        await operator.press("shift+tab")
        await operator.sees("[Records]", "COLLECTION")
        things.move_to(next(at for at, one in enumerate(things.rows) if one.entry.path.startswith("tasks/tasks")))
        await operator.press("enter")
        await operator.sees("tasks/tasks", "KEY")
        await operator.press("slash")
        await operator.type(task)
        await operator.press("enter")
        await operator.until(lambda: [one.entry.key for one in things.rows] == [task], "the filtered record")
        await operator.press("e")
        await operator.sees("Write to which file?")
        await operator.press("enter")
        await operator.sees("Written:")
        (written,) = tmp_path.glob("tasks-*.json")
        assert json.loads(written.read_text())["values"]["id"] == task
        await operator.press("escape", "escape")
        await operator.sees("[Records]", "COLLECTION")


async def test_what_is_not_there_is_explained(lab: Lab) -> None:
    agent = lab.one("SELECT id FROM agents ORDER BY id LIMIT 1")
    for table in ("messages", "orchestrations"):
        lab.execute(f"DELETE FROM {table}")
    lab.execute("UPDATE agents SET session_id = 'nowhere' WHERE id = ?", agent)
    lab.execute("DELETE FROM sessions WHERE agent_id = ?", agent)
    async with console(lab.client()) as operator:
        things = await explore(operator)
        await pick(operator, things, agent)
        await operator.press("enter")
        await operator.sees("This state holds no transcript of it")
        assert isinstance(operator.app.screen, ConversationScreen)
        await operator.press("left")
        await operator.sees("oldest checkpoint")
        await operator.press("right")
        await operator.sees("LIVE")
        await operator.press("r")
        await operator.sees("Nothing to recover: this is the live state")
        await operator.press("left", "escape")
        await operator.until(lambda: isinstance(operator.app.screen, ExploreScreen), "the views")
        await operator.press("tab")
        await operator.sees("No orchestration here")
        await operator.press("tab", "tab")
        await operator.sees("No message here")


async def test_a_damaged_checkpoint_says_so_and_another_one_can_be_looked_at(lab: Lab) -> None:
    async with console(lab.client()) as operator:
        for pack in [*lab.repository.glob("packs/**/*"), *lab.repository.glob("cache/**/*")]:
            if pack.is_file():
                pack.chmod(0o600)
                pack.write_bytes(b"\0" * pack.stat().st_size)
        await operator.press("3")
        await operator.sees("[Agents]", "XX ")
        await operator.press("tab", "right")
        await operator.sees("LIVE", "REQUEST")


async def test_a_read_only_console_explores_and_recovers_nothing(lab: Lab) -> None:
    async with console(lab.client(), read_only=True) as operator:
        await explore(operator, "AGENT")
        screen = await operator.sees("diff live")
        assert "recover" not in screen.splitlines()[-1]
        await operator.press("r")
        assert isinstance(operator.app.screen, ExploreScreen)
