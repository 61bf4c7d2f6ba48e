"""Recoveries and their undoing, from key to database: a real console over a real engine on a real MAOS state."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.console.real import Lab, build_lab, console
from tests.engine.support import locked
from tests.lab.build import BuiltState
from tests.lab.mutate import mutate
from tests.lab.writers import LiveMaos


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return build_lab(tmp_path)


async def test_a_whole_recovery_and_its_undo_restore_every_byte(lab: Lab) -> None:
    first = lab.dump()
    async with console(lab.client()) as operator:
        short = await operator.save("good")
        changed = mutate(lab.state.directory, 0.2, seed=3)
        second = lab.dump()
        assert first != second
        await operator.press("r")
        await operator.sees("plans everything", "Recommended")
        await operator.press("enter")
        await operator.sees("What is written", "a apply")
        await operator.press("a")
        await operator.confirm(short, reason="tasks were overwritten")
        await operator.sees("Recovered and verified", "u takes this back")
        assert lab.dump() == first
        await operator.press("u")
        await operator.sees("Plan to undo", "a apply")
        word = operator.app.screen.plan.checkpoint[-6:]  # type: ignore[attr-defined]
        await operator.press("a")
        await operator.confirm(word)
        await operator.sees("Taken back and verified")
        assert lab.dump() == second
        await operator.press("escape")
        await operator.sees("Timeline", "safety")
    assert any(changed.values())


async def test_a_partial_recovery_leaves_the_rest_alone(lab: Lab) -> None:
    async with console(lab.client()) as operator:
        short = await operator.save("good")
        first = lab.dump()
        mutate(lab.state.directory, 0.3, seed=4)
        second = lab.dump()
        await operator.press("r")
        await operator.sees("What to recover")
        components = operator.app.model.checkpoints[0].components
        await operator.press("a", "a", "down", *["down"] * components.index("tasks"), "space")
        await operator.sees("Marked: 1 component", "[-] ▾ Everything", "what came since is kept")
        await operator.press("enter")
        await operator.sees("tasks (adds and changes, cuts transcripts back)", "a apply")
        await operator.press("a")
        await operator.confirm(short)
        await operator.sees("Recovered and verified")
    now = lab.dump()
    assert now["tasks"] == first["tasks"] != second["tasks"]
    assert now["messages"] == second["messages"]


async def test_a_plan_that_moved_can_be_left_looked_at_or_applied_as_it_is_by_now(lab: Lab) -> None:
    async with console(lab.client()) as operator:
        short = await operator.save("good")
        first = lab.dump()
        task = lab.one("SELECT id FROM tasks LIMIT 1")
        lab.execute("UPDATE tasks SET description = 'one' WHERE id = ?", task)
        await operator.press("r", "enter")
        await operator.sees("a apply")
        lab.execute("UPDATE tasks SET description = 'two' WHERE id = ?", task)
        await operator.press("a")
        await operator.confirm(short, reason="it went mad")
        await operator.sees("MAOS moved on since you looked", "Look at the fresh plan")
        await operator.press("escape")
        await operator.sees("[3 plan]", "one", "a apply")
        await operator.press("a")
        await operator.sees("it went mad")
        await operator.type(short)
        await operator.press("enter")
        await operator.sees("MAOS moved on since you looked")
        await operator.press("enter")
        await operator.sees("[3 plan]", "two", "a apply")
        lab.execute("UPDATE tasks SET description = 'three' WHERE id = ?", task)
        lab.execute("UPDATE agents SET status = 'mad' WHERE id = (SELECT id FROM agents LIMIT 1)")
        await operator.press("a")
        await operator.type(short)
        await operator.press("enter")
        await operator.sees("MAOS moved on since you looked")
        assert lab.dump() != first
        await operator.press("a")
        await operator.sees("Recovered and verified")
    assert lab.dump() == first


async def test_an_undo_says_which_recovery_it_takes_back_and_which_it_brings_back(lab: Lab) -> None:
    async with console(lab.client()) as operator:
        short = await operator.save("good")
        first = lab.dump()
        mutate(lab.state.directory, 0.1, seed=5)
        second = lab.dump()
        await operator.press("r", "enter")
        await operator.sees("a apply")
        await operator.press("a")
        await operator.confirm(short, reason="tasks went mad")
        words = [("take back the recovery of", second), ("undo the undo of", first), ("undo the undo of", second)]
        for number, (told, state) in enumerate(words):
            await operator.sees("and verified", "takes this back")
            await operator.press("u")
            screen = " ".join((await operator.sees("Plan to undo", "a apply", told)).split())
            assert f"to {short} (tasks went mad)" in screen
            assert ("brings back the recovery" in screen, "takes back again" in screen) == (number == 1, number == 2)
            word = operator.app.screen.plan.checkpoint[-6:]  # type: ignore[attr-defined]
            await operator.press("a")
            await operator.confirm(word)
            await operator.sees("Taken back and verified")
            assert lab.dump() == state


async def test_recovering_beside_a_running_maos(tmp_path: Path) -> None:
    """MAOS writes on while an operator recovers; it gets no error, and the console says that it was held still."""
    directory, home = tmp_path / "maos", tmp_path / "claude"
    with LiveMaos(directory, home, rate_per_s=20, agents=4) as maos:
        lab = Lab(BuiltState(directory, maos.database, home, "0.9", 1, 0, 0, (), {}, 0.0), tmp_path / "repository")
        async with console(lab.client()) as operator:
            short = await operator.save("good")
            await operator.press("r")
            await operator.sees("plans everything")
            await operator.press("enter")
            screen = await operator.sees("a apply", "running")
            assert str(maos.pid) in screen
            await operator.press("a")
            await operator.confirm(short)
            await operator.until(lambda: "moved on" in operator.screen or "Recovered" in operator.screen, "an outcome")
            if "moved on" in operator.screen:
                await operator.press("a")
            await operator.sees("Recovered", "held still for", "safety")
        report = maos.stop()
    assert report["errors"] == {} or report["errors"] == 0 or report["errors"] == []


async def test_a_running_recovery_can_be_cancelled(lab: Lab) -> None:
    async with console(lab.client()) as operator:
        short = await operator.save("good")
        mutate(lab.state.directory, 0.2, seed=6)
        before = lab.dump()
        await operator.press("r", "enter")
        await operator.sees("a apply")
        with locked(lab.state.database):
            await operator.press("a")
            await operator.confirm(short)
            await operator.sees("[5 recover]", "x cancel", "writers")
            await operator.press("x")
            await operator.sees("Not done")
        assert lab.dump() == before
        assert "x cancel" not in operator.screen


async def test_a_part_of_a_recovery_and_of_its_undo_is_planned_alone(lab: Lab) -> None:
    async with console(lab.client()) as operator:
        short = await operator.save("good")
        good = lab.dump()
        one, other = lab.one("SELECT min(id) FROM tasks"), lab.one("SELECT max(id) FROM tasks")
        lab.execute("UPDATE tasks SET description = 'mad' WHERE id IN (?, ?)", one, other)
        lab.execute("UPDATE agents SET status = 'mad'")
        bad = lab.dump()
        await operator.press("r", "enter")
        await operator.sees("a apply", "p a part")
        await operator.press("p")
        await operator.sees("Plan a part of it", "tasks, 2 records")
        await operator.press("down", "enter")
        await operator.sees("2 records", "tasks (exactly as it was)", "a apply")
        await operator.press("a")
        await operator.confirm(short)
        await operator.sees("Recovered and verified")
        assert (lab.dump()["tasks"], lab.dump()["agents"]) == (good["tasks"], bad["agents"])
        await operator.press("u")
        await operator.sees("Plan to undo", "a apply")
        await operator.press("down", "down", "p")
        await operator.sees(f"this record, {one}")
        await operator.press("enter")
        await operator.sees("1 record", "of it only", "a apply")
        word = operator.app.screen.plan.checkpoint[-6:]  # type: ignore[attr-defined]
        await operator.press("a")
        await operator.confirm(word)
        await operator.sees("Taken back and verified")
        assert lab.one("SELECT group_concat(id) FROM tasks WHERE description = 'mad'") == one
        await operator.press("u")
        await operator.sees("brings back a part of the recovery of", "1 record")


async def test_an_agent_is_continued_from_the_console(lab: Lab) -> None:
    async with console(lab.client()) as operator:
        await operator.save("good")
        transcripts = list(lab.state.claude_home.glob("projects/*/*.jsonl"))
        names = ", ".join(f"'{path.stem}'" for path in transcripts)
        agent = lab.one(f"SELECT id FROM agents WHERE session_id IN ({names})")

        async def go_on(agent: str) -> None:
            await operator.until(lambda: len(operator.app.screen_stack) == 1, "the overview")
            await operator.press("a")
            await operator.sees("Continue which agent?")
            await operator.type(agent)
            await operator.press("enter")

        await go_on(agent[:-2])
        await operator.sees("is not in", "Did you mean", agent)
        await operator.press("enter")
        await go_on(agent)
        await operator.sees("is in place; to continue it", "claude")
        await operator.press("escape")
        for path in transcripts:
            path.unlink()
        await go_on(agent)
        await operator.sees("Plan to continue an agent", "a apply")
        word = operator.app.screen.plan.checkpoint[-6:]  # type: ignore[attr-defined]
        await operator.press("a")
        await operator.confirm(word)
        await operator.sees("Recovered and verified", "To resume the agents", "claude")
        assert sum(path.exists() for path in transcripts) == 1
