"""An engine that is away: said at once in every mode, nothing is sent, and it heals by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from maos_ckpt.api.address import unix_address
from maos_ckpt.api.places import find_socket
from maos_ckpt.api.remote import RemoteClient
from maos_ckpt.errors import EngineUnreachableError
from maos_ckpt.events import ConnectionLost, ConnectionRestored
from maos_ckpt_tui.commands import COMMANDS, PLACES, Level, commands_for
from maos_ckpt_tui.console import ConsoleApp
from maos_ckpt_tui.messages import EngineSpoke
from maos_ckpt_tui.modes import MODES
from maos_ckpt_tui.screens.base import ConsoleScreen
from maos_ckpt_tui.widgets.key_bar import keys_in_force
from tests.console.fixtures import NOW_MS
from tests.console.frozen_client import FrozenClient
from tests.console.real import Operator, build_lab, console
from tests.remote.headless import headless


@pytest.mark.parametrize("mode", MODES, ids=lambda one: one.name)
async def test_a_lost_connection_shows_in_every_mode_and_what_changes_something_is_refused(mode: object) -> None:
    app = ConsoleApp(FrozenClient())
    async with app.run_test(size=(100, 30)) as pilot:
        operator = Operator(app, pilot)
        await operator.until(lambda: bool(app.model.checkpoints), "checkpoints")
        await operator.press(mode.key)  # type: ignore[attr-defined]
        await pilot.pause()
        app.post_message(EngineSpoke(ConnectionLost(NOW_MS, "gone")))
        await operator.sees("XX NO CONNECTION")
        screen = app.screen
        assert isinstance(screen, ConsoleScreen)
        risky = [one for one in commands_for(screen.PLACE) if one.level is not Level.READ]
        asked = app.command_log.version
        for one in risky:
            before = len(app.screen_stack)
            # The frozen engine answers the poll, which a slow machine may come to meanwhile.
            app.model.problem = EngineUnreachableError("gone")
            await screen.run_action(one.action)
            await operator.sees("The engine is away: nothing was sent.")
            assert len(app.screen_stack) == before
        assert app.command_log.version == asked
        app.post_message(EngineSpoke(ConnectionRestored(NOW_MS, 0)))
        await operator.until(lambda: not app.model.lost, "the connection")
        assert "NO CONNECTION" not in operator.screen


async def test_a_read_only_console_offers_nothing_that_changes_something_at_any_place(tmp_path: Path) -> None:
    lab = build_lab(tmp_path)
    risky = {one.id for one in COMMANDS if one.level is not Level.READ}
    assert risky
    seen = set()
    async with console(lab.client(), read_only=True) as operator:
        app = operator.app

        async def check() -> None:
            await operator.pilot.pause()
            screen = app.screen
            assert isinstance(screen, ConsoleScreen)
            seen.add(screen.PLACE)
            assert not risky & set(keys_in_force(screen)), screen.PLACE
            await operator.press("question_mark")
            told = await operator.sees("Help:")
            titles = {one.title for one in COMMANDS if one.id in risky and one.place == screen.PLACE}
            assert not any(title in told for title in titles)
            await operator.press("escape", "colon")
            await operator.sees("What do you want to do?")
            assert not risky & {f"{screen.PLACE}.{one.action}" for one in app.screen._entries}  # type: ignore[attr-defined]
            await operator.press("escape")
            assert "READ ONLY" in operator.screen

        for mode in MODES:
            await operator.press(mode.key)
            await check()
        await operator.press("1", "enter")
        await check()
        await operator.press("d")
        await operator.until(lambda: isinstance(app.screen, ConsoleScreen) and app.screen.PLACE == "diff", "diff")
        await check()
    assert seen >= {"overview", "detail", "diff"}
    assert seen <= set(PLACES)


async def test_a_killed_engine_is_seen_at_once_and_found_again_when_it_is_back(tmp_path: Path) -> None:
    with headless(tmp_path) as engine:
        socket = find_socket(engine.repository)
        assert socket is not None
        client = RemoteClient(unix_address(socket))
        app = ConsoleApp(client)
        async with app.run_test(size=(100, 30)) as pilot:
            operator = Operator(app, pilot)
            await operator.until(lambda: bool(app.model.checkpoints), "the first checkpoint")
            engine.kill()
            await operator.sees("XX NO CONNECTION")
            await operator.press("c")
            await operator.sees("The engine is away: nothing was sent.")
            engine.start_again()
            await operator.until(lambda: not app.model.lost, "the connection")
            await operator.sees("The engine answers again.")
            assert "NO CONNECTION" not in operator.screen
        client.close(2.0)
