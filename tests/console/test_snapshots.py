"""What the screens look like at the sizes they are designed for, from frozen values and a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from textual.events import Key
from textual.pilot import Pilot

from maos_ckpt.client import EngineClient
from maos_ckpt.errors import CkptError, PlanMovedError, SourceError
from maos_ckpt.model import EngineStatus, Progress, RecoveryResult, RunningOperation, Selection
from maos_ckpt.model.alerts import RUNBOOKS, Alert, AlertName, AlertState
from maos_ckpt_tui import themes
from maos_ckpt_tui.console import ConsoleApp
from tests.console.fixtures import AWAY, NOW_MS, FixedClock, make_tiers
from tests.console.frozen_client import FrozenClient

SIZES = [(60, 20), (80, 24), (120, 40)]
Compare = Callable[..., bool]


def app(client: FrozenClient | None = None, **options: Any) -> ConsoleApp:
    return ConsoleApp(client or FrozenClient(), clock=FixedClock(), **options)


def keys(*pressed: str) -> Callable[[Pilot[Any]], Any]:
    """Wait until all is loaded, press, wait again; `type:…` types a text."""

    async def run(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        for one in pressed:
            if one.startswith("type:"):
                for character in one.removeprefix("type:"):
                    pilot.app.post_message(Key("space" if character == " " else character, character))
            else:
                await pilot.press(one)
            await settle(pilot)

    return run


async def settle(pilot: Pilot[Any]) -> None:
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()
    await pilot.app.workers.wait_for_complete()
    await pilot.pause(0.02)


TO_CONFIRM = ("r", "enter", "a")
TO_RESULT = (*TO_CONFIRM, "type:bad run", "enter", "type:k8pg9c", "enter", "enter")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize(
    "pressed",
    [(), ("enter",), ("d",), ("r",), ("r", "enter"), TO_CONFIRM, TO_RESULT, ("question_mark",)],
    ids=["overview", "detail", "diff", "choose", "plan", "confirm", "result", "help"],
)
def test_screen(snap_compare: Compare, pressed: tuple[str, ...], size: tuple[int, int]) -> None:
    """Every main screen at every size."""
    assert snap_compare(app(), terminal_size=size, run_before=keys(*pressed))


def test_drills(snap_compare: Compare) -> None:
    """The scenarios with their last results, and the evidence of the one under the cursor."""
    assert snap_compare(app(), terminal_size=(80, 24), run_before=keys("7"))


def test_large_overview(snap_compare: Compare) -> None:
    """A large terminal shows more of everything."""
    assert snap_compare(app(), terminal_size=(200, 60), run_before=keys("down", "down"))


@pytest.mark.parametrize("theme", [themes.LIGHT, themes.ANSI])
def test_theme(snap_compare: Compare, theme: str) -> None:
    """The light theme, and the terminal's own colours."""
    assert snap_compare(app(theme=theme), terminal_size=(80, 24), run_before=keys("down"))


def test_no_color(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without colour, cursor and states are still told apart."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(app(theme=themes.ANSI), terminal_size=(80, 24), run_before=keys("down"))


def test_empty(snap_compare: Compare) -> None:
    """An empty list says why it is empty and what to do."""
    assert snap_compare(app(FrozenClient(0)), terminal_size=(80, 24), run_before=keys())


def test_read_only(snap_compare: Compare) -> None:
    """A read-only console offers nothing that changes anything."""
    assert snap_compare(app(read_only=True), terminal_size=(80, 24), run_before=keys())


def test_failing(snap_compare: Compare) -> None:
    """A failing engine is the first thing one reads."""
    client = FrozenClient(error=SourceError("maos.db is locked by another process."))
    assert snap_compare(app(client), terminal_size=(80, 24), run_before=keys())


def test_running(snap_compare: Compare) -> None:
    """A running save shows phase, bar and amount."""
    progress = Progress("save", "reading memory", 8_200, 18_000, 7_340_032)
    client = FrozenClient(running=RunningOperation("save", NOW_MS - 2000, progress))
    assert snap_compare(app(client), terminal_size=(80, 24), run_before=keys())


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_s3_away(snap_compare: Compare, size: tuple[int, int]) -> None:
    """A remote copy that does not answer has a line of its own: since when, what waits, why."""
    client = FrozenClient()
    client.tiers = make_tiers(**AWAY)
    assert snap_compare(app(client), terminal_size=size, run_before=keys())


def test_s3_in_step(snap_compare: Compare) -> None:
    """A remote copy that has everything is told in two words."""
    client = FrozenClient()
    client.tiers = make_tiers()
    assert snap_compare(app(client), terminal_size=(120, 40), run_before=keys())


def test_unanswered(snap_compare: Compare) -> None:
    """An engine that does not answer: what is wrong, what is safe, what happens next."""

    class Silent(FrozenClient):
        def status(self) -> EngineStatus:
            raise SourceError(
                "The engine's socket does not answer.",
                kept="Committed checkpoints are on disk, untouched.",
                hint="Look whether the engine still runs: maos-ckpt status.",
            )

    assert snap_compare(app(Silent()), terminal_size=(80, 24), run_before=keys())


def test_error(snap_compare: Compare) -> None:
    """An error says what happened, what was not lost and what to do."""

    class Refusing(FrozenClient):
        def diff(self, before: str, after: str, limit: int = 1000) -> Any:
            raise SourceError(
                "maos.db stayed locked for 10 s.",
                kept="Nothing was changed.",
                hint="Wait until the import has ended, then press d again.",
                pid=4127,
            )

    assert snap_compare(app(Refusing()), terminal_size=(80, 24), run_before=keys("d"))


def test_plan_moved(snap_compare: Compare) -> None:
    """A plan that is out of date gives a choice, the careful one first."""

    class Moving(FrozenClient):
        def recover(self, name: str, selection: Selection, **_: Any) -> RecoveryResult:
            counts = {"added": 2, "modified": 11, "removed": 1}
            raise PlanMovedError("The plan moved.", kept="Nothing was written.", changes=14, summary=counts)

    assert snap_compare(app(Moving()), terminal_size=(80, 24), run_before=keys(*TO_RESULT))


def test_not_verified(snap_compare: Compare) -> None:
    """A recovery that does not verify says so in red and in words."""

    class Doubtful(FrozenClient):
        def recover(self, name: str, selection: Selection, **options: Any) -> RecoveryResult:
            done = super().recover(name, selection, **options)
            return replace(done, verified=False, notes=("2 records were written again by MAOS",))

    assert snap_compare(app(Doubtful()), terminal_size=(80, 24), run_before=keys(*TO_RESULT))


@pytest.mark.parametrize(
    "pressed",
    [("colon", "type:ver"), ("v",), ("v", "enter"), ("x",), ("c",), ("slash", "type:manual", "enter"), ("u",), ("b",)],
    ids=["palette", "verify", "verified", "delete", "save", "filter", "undo", "sizes"],
)
def test_dialog(snap_compare: Compare, pressed: tuple[str, ...]) -> None:
    """The smaller dialogs and modes."""
    assert snap_compare(app(), terminal_size=(80, 24), run_before=keys(*pressed))


def test_full_value(snap_compare: Compare) -> None:
    """A field's value in full, escapes made visible."""
    pressed = ("d", *["down"] * 11, "enter")
    assert snap_compare(app(), terminal_size=(80, 24), run_before=keys(*pressed))


def test_start_failure(snap_compare: Compare) -> None:
    """An engine that cannot start."""

    class Unstartable(FrozenClient):
        def start(self) -> None:
            raise CkptError("Another process holds the repository.", hint="maos-ckpt status tells which one.")

    assert snap_compare(app(Unstartable()), terminal_size=(80, 24), run_before=keys())


def test_an_alert_on_the_overview(snap_compare: Compare) -> None:
    """An alert with what to do, above the list."""
    client = FrozenClient()
    runbook = RUNBOOKS[AlertName.DISK_SPACE]
    message = "300 MiB are free on the repository's disk; 1,024 MiB should be."
    client.standing = (
        Alert("disk-space", "critical", AlertState.FIRING, message, NOW_MS - 90_000, "disk-space-1", runbook),
        Alert("drill", "warning", AlertState.FIRING, "Overdue.", NOW_MS - 90_000, "drill-1", "Hold one."),
    )
    assert snap_compare(app(client), terminal_size=(100, 30), run_before=keys())


def test_the_frozen_client_answers_whatever_an_engine_is_asked() -> None:
    asked = {name for name in vars(EngineClient) if not name.startswith("_")}
    assert asked <= set(dir(FrozenClient))
