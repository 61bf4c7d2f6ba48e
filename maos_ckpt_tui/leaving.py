"""Leaving the console: the engine that is its own ends with it, one that others use is left, or stopped by a key."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from maos_ckpt.client import EngineClient
from maos_ckpt.errors import CkptError
from maos_ckpt_tui.bridge import Bridge
from maos_ckpt_tui.progress import ProgressMeter
from maos_ckpt_tui.screens.base import ConsoleScreen
from maos_ckpt_tui.shared_actions import SharedActions

if TYPE_CHECKING:
    from maos_ckpt_tui.screens.overview import OverviewScreen

CLOSE_TIMEOUT_S = 120.0


class LeavingActions(SharedActions):
    """Base of the application, which sets what is declared here."""

    client: EngineClient
    meter: ProgressMeter | None
    closed: bool
    leaving: bool
    not_closed: CkptError | None
    _bridge: Bridge
    _overview: OverviewScreen

    @property
    def read_only(self) -> bool:
        """Whether everything that would change something is hidden."""
        return False

    def action_help_quit(self) -> None:
        """Ctrl+c, which copies or stops elsewhere, only says how to leave."""
        self.say("q leaves the console.")

    async def action_quit(self) -> None:
        """See `action_leave`."""
        self.action_leave()

    def action_leave(self) -> None:
        """Leave a shared engine at once; close one of our own in a thread, saying so."""
        if self.client.shared:
            self.leaving = True
            self.exit()
            return
        self._close_engine(partial(self.client.close, CLOSE_TIMEOUT_S))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """An engine of the console's own ends with it; one that others use is stopped by a key of its own."""
        if action == "stop_engine" and (not self.client.shared or self.read_only):
            return False
        return super().check_action(action, parameters)

    def action_suspend(self) -> None:
        """To the shell and back, where no engine would stop with the process."""
        if self.client.shared:
            self.action_suspend_process()
        else:
            self.say(
                "Not suspended: the engine inside this console would stop, too. Attach to a --headless one.", "warn"
            )

    def action_stop_engine(self) -> None:
        """Stop a shared engine, if the operator means it."""
        from maos_ckpt_tui.modals.closing import STOP, stop_modal  # Loaded when first needed.

        def chosen(choice: str | None) -> None:
            if choice == STOP:
                self._close_engine(partial(self.client.stop_engine, CLOSE_TIMEOUT_S))

        if isinstance(self.screen, ConsoleScreen):
            self.push_screen(stop_modal(), chosen)

    def _close_engine(self, close: Callable[[], bool]) -> None:
        from maos_ckpt_tui.modals.closing import ClosingModal  # Loaded when first needed.

        if isinstance(self.screen, ClosingModal):
            self.exit()
            return
        running = self.meter.last.operation if self.meter and self.meter.last else ""
        self.leaving = True
        self.push_screen(ClosingModal(running))
        self._bridge.close()
        self._overview.ask(close, self._engine_closed, group="close", failed=self._not_closed)

    def _engine_closed(self, clean: bool) -> None:
        self.closed = clean
        self.exit()

    def _not_closed(self, error: CkptError) -> None:
        self.not_closed = error
        self.exit()
