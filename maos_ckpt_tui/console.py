"""The console's application: theme, first screen, signals, and the one model that all screens read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.driver import Driver

from maos_ckpt.client import EngineClient
from maos_ckpt.errors import CkptError, EngineUnreachableError
from maos_ckpt.events import ConnectionLost, ConnectionRestored
from maos_ckpt.model import Progress
from maos_ckpt.seams import Clock, SystemClock
from maos_ckpt_tui import refresher, themes
from maos_ckpt_tui.bridge import Bridge
from maos_ckpt_tui.command_log import CommandLog, recorded
from maos_ckpt_tui.commands import APP, bindings_for
from maos_ckpt_tui.leaving import LeavingActions
from maos_ckpt_tui.looks import Looks
from maos_ckpt_tui.messages import EngineSpoke, ProgressMoved
from maos_ckpt_tui.modes import MODES, OVERVIEW
from maos_ckpt_tui.progress import ProgressMeter
from maos_ckpt_tui.safe_text import safe_text
from maos_ckpt_tui.screens.base import ConsoleScreen
from maos_ckpt_tui.screens.overview import OverviewScreen
from maos_ckpt_tui.signals import hardened, leave_on_signals, stop_leaving_on_signals
from maos_ckpt_tui.viewmodel import ConsoleModel

#: Most saves are over before one could read of them; only longer operations take the operation line.
SHOWN_AFTER_S = 0.3
#: A start that failed is tried again after 1 s, 2 s, 4 s, … and then this often.
START_DELAY_MAX_S = 30.0
_GOES_ON = "An engine that still runs goes on by itself."


class ConsoleApp(LeavingActions):
    """Owns model, meter and note; screens read them, only this class writes them.

    Args:
        client: an engine, not started yet where `start` is true.
        theme: one of `themes.THEMES`.
        looks: what else is chosen; the theme is `theme`.
        where: options that make a command line mean this console's engine or repository.
    """

    CSS_PATH = "console.tcss"
    TITLE = "maos-ckpt"
    ENABLE_COMMAND_PALETTE = False
    DEFAULT_MODE = OVERVIEW
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(APP)]
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (40, "-narrow"), (78, "-normal"), (120, "-wide")]  # noqa: RUF012 — Textual types it so
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (12, "-short"), (24, "-mid"), (36, "-tall")]  # noqa: RUF012 — as above

    def __init__(
        self,
        client: EngineClient,
        *,
        read_only: bool = False,
        theme: str = themes.DARK,
        start: bool = True,
        clock: Clock | None = None,
        looks: Looks = Looks(),  # noqa: B008 — it is frozen
        where: Sequence[str] = (),
    ) -> None:
        # With the terminal's own colours Textual's NO_COLOR filter must be chosen before the theme is.
        super().__init__(ansi_color=True if theme == themes.ANSI else None)
        for one in themes.THEMES:
            self.register_theme(one)
        for mode in MODES:
            self.add_mode(mode.name, self._open_overview if mode.name == OVERVIEW else mode.open)
        self.looks = looks
        self.ascii = looks.ascii
        self.set_keymap(dict(looks.keys))
        self.open_screens: set[ConsoleScreen] = set()
        self.theme = theme
        self.clock = clock or SystemClock()
        self.command_log = CommandLog(self.clock, where)
        self.client = client = recorded(client, self.command_log)
        self.model = ConsoleModel(limit=refresher.CHECKPOINTS_FIRST, attached=client.shared)
        self.meter: ProgressMeter | None = None
        self.closed = False
        self.crash: Exception | None = None
        self.not_closed: CkptError | None = None
        self._asked_read_only = read_only
        self._start_client = start
        self._starts_failed = 0
        self.leaving = False
        self._bridge = Bridge(client, self.post_message, self.clock, looks.progress_interval_s)
        self._refresher = refresher.Refresher(client, self.model, self)

    # --- what screens ask -------------------------------------------------------------------------------------

    @property
    def read_only(self) -> bool:
        """Whether everything that would change something is hidden."""
        return self._asked_read_only or (self.model.status is not None and self.model.status.read_only)

    def log_command(self, line: str, *, failed: str = "") -> None:
        """Note what was done without a call of the client, as the line that does the same; see `command_log`."""
        self.command_log.add(line, failed=failed)

    def copy(self, text: str) -> None:
        """To the clipboard, and onto the screen: whether the terminal took it cannot be known."""
        if safe_text(text.replace("\n", "")) != text.replace("\n", ""):
            self.say("Not copied: the text holds characters that a terminal would act on.", "warn")
            return
        self.copy_to_clipboard(text)
        self.say(f"Copied, if this terminal allows it: {text}", "accent")

    def show_error(self, error: CkptError) -> None:
        """The error dialog."""
        from maos_ckpt_tui.modals.error import ErrorModal  # Loaded when first needed: keeps the first paint short.

        self.push_screen(ErrorModal(error))

    # --- life -------------------------------------------------------------------------------------------------

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """See `App.get_theme_variable_defaults`."""
        return themes.VARIABLE_DEFAULTS

    def get_driver_class(self) -> type[Driver]:
        """Textual's, made to survive the loss of the terminal where it is the Linux one."""
        return hardened(super().get_driver_class())

    def _open_overview(self) -> OverviewScreen:
        self._overview = OverviewScreen()
        return self._overview

    def on_mount(self) -> None:
        """Signals first, then a clock, then the engine; the first paint does not wait for it."""
        leave_on_signals(self)
        self.app_resume_signal.subscribe(self, self._paint_again)
        self.set_interval(self.looks.tick_s, self._tick)
        self.set_interval(refresher.POLL_INTERVAL_S, partial(self._refresher.want, everything=False))
        self.call_after_refresh(self._begin)

    def on_unmount(self) -> None:
        """Nobody listens any more."""
        self._bridge.close()
        stop_leaving_on_signals(self)

    def _paint_again(self, _: object) -> None:
        # Back from the shell the terminal is empty, of which Textual knows nothing.
        self.screen._compositor._dirty_regions.add(self.size.region)
        self.screen.refresh()

    def _begin(self) -> None:
        if self.screen_stack and not self.leaving:
            self._overview.ask(self._start, self._started, group="start", failed=self._not_started, quiet=True)

    def _start(self) -> None:
        # In a thread of its own: a remote engine may take its time to answer.
        if self._start_client:
            self.client.start()
            self._start_client = False
        self._bridge.open()

    def _started(self, _: None) -> None:
        if self._starts_failed:
            self.say("The engine has started.", "ok")
        self.model.problem = self.model.start_again_ms = None
        self._refresher.begin()

    def _not_started(self, error: CkptError) -> None:
        known = self.model.problem
        delay_s = min(START_DELAY_MAX_S, 2.0 ** min(self._starts_failed, 10))
        self._starts_failed += 1
        self.model.problem, self.model.start_again_ms = error, self.now_ms() + int(delay_s * 1000)
        self.set_timer(delay_s, self._begin)
        self._screens_changed()
        if known is None or known.message != error.message:
            self.show_error(error)

    def _handle_exception(self, error: Exception) -> None:
        # Textual would print a traceback; `run_console` shows the panic screen instead.
        self._return_code = 1
        if self._exception is None:
            self.crash = self._exception = error
            self._exception_event.set()
        self._close_messages_no_wait()

    # --- news -------------------------------------------------------------------------------------------------

    def refresh_soon(self) -> None:
        """Read everything again, together with what else is wanted in this moment."""
        self._refresher.want(everything=True)

    def hold_shown(self) -> None:
        """Other checkpoints are in sight: the next round tells the engine."""
        self._refresher.want(everything=False)

    def shown_checkpoints(self) -> frozenset[str]:
        """See `refresher.Host`."""
        return frozenset().union(*(one.held for one in self.open_screens))

    def load_all(self) -> None:
        """The whole list of checkpoints."""
        self._refresher.want_all()

    def load_more(self) -> None:
        """A longer list of checkpoints."""
        self._refresher.want_more()

    def ask_quietly(
        self, work: Callable[[], Any], then: Callable[[Any], None], failed: Callable[[CkptError], None]
    ) -> None:
        """See `refresher.Host`."""
        if self.screen_stack:  # None is left while the application closes.
            self._overview.ask(work, then, group="read", failed=failed, quiet=True)

    def model_replaced(self, *, news: bool) -> None:
        """See `refresher.Host`; another process's operation shows as well."""
        running = self.model.status.running if self.model.status else None
        if running is None:
            self.operation_ended()
        elif self.meter is None:
            self._progressed_to(running.progress)
        if news:
            self._screens_changed()

    def on_engine_spoke(self, message: EngineSpoke) -> None:
        """Something happened: the operation in sight has ended, and there is news to read."""
        self.operation_ended()
        if isinstance(message.event, ConnectionLost):
            self.model.problem = EngineUnreachableError(message.event.reason, kept=_GOES_ON)
            self._screens_changed()
            return
        if isinstance(message.event, ConnectionRestored):
            self.say("The engine answers again.", "ok")
        self.refresh_soon()

    def on_progress_moved(self, message: ProgressMoved) -> None:
        """The running operation moved on."""
        self._progressed_to(message.progress)

    def _progressed_to(self, progress: Progress) -> None:
        if self.meter is None:
            self.meter = ProgressMeter()
            self.set_timer(SHOWN_AFTER_S, self.show_operation)
        self.meter.update(progress, self.clock.monotonic_s())
        if self.meter.age_s >= SHOWN_AFTER_S:
            self.show_operation()

    def operation_ended(self) -> None:
        """Nothing runs any more, as far as is known."""
        if self.meter is not None:
            self.meter = None
            self.show_operation()

    def _screens_changed(self) -> None:
        if (screen := self.in_sight) is not None:
            screen.model_changed()
            screen.tick()
            screen.refresh_bindings()

    def _tick(self) -> None:
        if (screen := self.in_sight) is not None:
            screen.tick()
