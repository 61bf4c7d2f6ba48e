"""What ties the console to its engine: a start that is tried again, a hold on what is in sight, and what is missing."""

from __future__ import annotations

import time
from collections.abc import Callable

from maos_ckpt.client import EventSink
from maos_ckpt.errors import SourceError
from maos_ckpt_tui.console import ConsoleApp
from maos_ckpt_tui.refresher import HOLD_INTERVAL_S
from tests.console.fixtures import FixedClock
from tests.console.frozen_client import FrozenClient
from tests.console.real import Operator


class Waking(FrozenClient):
    """Cannot be started at first."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures
        self.subscribed = 0

    def start(self) -> None:
        if self.failures:
            self.failures -= 1
            raise SourceError("There is no database yet.", hint="Start MAOS.")

    def subscribe(self, sink: EventSink) -> Callable[[], None]:
        self.subscribed += 1
        return super().subscribe(sink)


async def test_a_failed_start_is_tried_again_and_the_console_listens_from_then_on() -> None:
    client = Waking(2)
    app = ConsoleApp(client)
    async with app.run_test(size=(100, 30)) as pilot:
        operator = Operator(app, pilot)
        await operator.sees("There is no database yet.", "Next: Start MAOS.")
        await operator.press("enter")
        began_s = time.monotonic()
        await operator.sees("XX NOT STARTED", "trying again")
        assert client.held == []
        await operator.sees("The engine has started.", "k8pg9c")
        assert time.monotonic() - began_s < 6
        assert "NOT STARTED" not in operator.screen
        assert (client.failures, client.subscribed) == (0, 1)


async def test_what_open_screens_refer_to_is_held_until_they_are_left() -> None:
    client = FrozenClient()
    newest, parent = client.listed[:2]
    app = ConsoleApp(client)
    async with app.run_test(size=(100, 30)) as pilot:
        operator = Operator(app, pilot)
        await operator.sees("k8pg9c")
        steps = [
            ("enter", {newest.id, parent.id}),
            ("d", {newest.id, parent.id}),
            ("r", {newest.id, parent.id}),
            ("escape", {newest.id, parent.id}),
            ("escape", {newest.id, parent.id}),
            ("escape", set()),
            ("r", {newest.id}),
            ("escape", set()),
            ("u", {newest.id}),
        ]
        for key, wanted in steps:
            await operator.press(key)
            await operator.until(lambda ids=wanted: client.held[-1:] == [ids], f"a hold on {wanted}")  # type: ignore[misc]


class Turned(FixedClock):
    """A clock that the test turns."""

    now_s = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s


async def test_a_hold_that_stays_the_same_is_renewed_once_a_minute() -> None:
    client, clock = FrozenClient(), Turned()
    app = ConsoleApp(client, clock=clock)
    async with app.run_test(size=(100, 30)) as pilot:
        operator = Operator(app, pilot)
        await operator.sees("k8pg9c")
        await operator.press("enter")
        await operator.until(lambda: bool(client.held), "a hold")

        async def rounds(number: int) -> int:
            for _ in range(number):
                asked = client.asked
                app.hold_shown()
                await operator.until(lambda asked=asked: client.asked > asked, "another round")  # type: ignore[misc]
            return len(client.held)

        assert await rounds(3) == 1
        clock.now_s += HOLD_INTERVAL_S
        assert await rounds(3) == 2
        assert client.held[0] == client.held[1]


async def test_checkpoints_that_cannot_be_read_are_told_in_a_line_of_their_own() -> None:
    client = FrozenClient()
    client.damaged_manifests = ("0007.json", "0009.json")
    app = ConsoleApp(client)
    async with app.run_test(size=(80, 24)) as pilot:
        await Operator(app, pilot).sees("!! 2 checkpoints cannot be read and are not listed", "v verifies", "k8pg9c")
