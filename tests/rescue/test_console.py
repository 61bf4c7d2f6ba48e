"""The same rescue in the console: plan with reasons, confirmation, result, undo; and who runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from maos_ckpt_tui.screens.plan import PlanScreen
from tests.console.real import build_lab, console
from tests.lab.puppet import PuppetMaos


def test_what_a_crash_left_is_mended_and_taken_back_by_keys(tmp_path: Path) -> None:
    lab = build_lab(tmp_path)
    agent = lab.one("SELECT id FROM agents ORDER BY id LIMIT 1")
    lab.execute("UPDATE agents SET status = 'inactive', process_id = NULL, session_id = NULL")
    lab.execute("UPDATE tasks SET status = 'completed'")
    lab.execute("UPDATE orchestrations SET status = 'completed'")
    lab.execute("UPDATE messages SET acknowledged = 1")
    lab.execute("UPDATE agents SET status = 'active' WHERE id = ?", agent)
    before = lab.dump()

    async def flow() -> None:
        async with console(lab.client()) as operator:
            await operator.press("m")
            await operator.sees(
                "Plan to rescue", "because no process of it runs", "mend what a crash of MAOS left behind"
            )
            await operator.press("a")
            await operator.sees("Rescue? Step 4 of 6")
            await operator.confirm("rescue")
            await operator.sees("Recovered and verified")
            assert lab.one(f"SELECT status FROM agents WHERE id = '{agent}'") != "active"
            await operator.press("escape")
            await operator.sees("Mended what a crash left behind, verified")
            await operator.press("u")
            await operator.sees("take back the rescue of")
            screen = operator.app.screen
            assert isinstance(screen, PlanScreen)
            assert screen.plan is not None
            await operator.press("a")
            await operator.confirm(screen.plan.checkpoint[-6:])
            await operator.sees("Taken back and verified")
            assert lab.dump() == before

    asyncio.run(flow())


def test_who_runs_is_one_key_away(tmp_path: Path) -> None:
    lab = build_lab(tmp_path)

    async def flow() -> None:
        with PuppetMaos(lab.state.directory, lab.state.claude_home) as maos:
            async with console(lab.client(), size=(200, 50)) as operator:
                await operator.press("w")
                await operator.sees("Who runs", f"pid {maos.pid}", "database")
                await operator.press("enter")

    asyncio.run(flow())
