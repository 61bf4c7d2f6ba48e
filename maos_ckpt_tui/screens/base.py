"""What all screens share: title, operation and key lines, danger levels, and client calls off the event loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual.screen import Screen

from maos_ckpt.errors import CkptError
from maos_ckpt_tui.commands import Level, level_of
from maos_ckpt_tui.messages import CallFinished
from maos_ckpt_tui.modes import OVERVIEW
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.title_bar import TitleBar

if TYPE_CHECKING:
    from maos_ckpt_tui.console import ConsoleApp

T = TypeVar("T")


class ConsoleScreen(Screen[None]):
    """Base of all full screens. Subclasses set `PLACE` and their bindings from `commands`."""

    PLACE: ClassVar[str]
    AUTO_FOCUS = ""

    def __init__(self) -> None:
        super().__init__()
        self._tickets: dict[str, int] = {}

    @property
    def console(self) -> ConsoleApp:
        """The application, typed."""
        return cast("ConsoleApp", self.app)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A read-only console hides all that would change something."""
        return not (self.console.read_only and level_of(self.PLACE, action) > Level.READ)

    def offers(self, action: str) -> bool:
        """Whether keys and palette show an action that is allowed; one that makes no sense now is left out."""
        return True

    @property
    def held(self) -> frozenset[str]:
        """Full ids of the checkpoints that retention must leave alone while this screen is open."""
        return frozenset()

    def on_screen_resume(self) -> None:
        """In sight, for the first time or again: catch up with what happened meanwhile."""
        self.console.open_screens.add(self)
        self.console.hold_shown()
        self.model_changed()
        self.tick()
        self.show_operation()

    def on_unmount(self) -> None:
        """It is gone, and refers to nothing any more."""
        self.console.open_screens.discard(self)

    def model_changed(self) -> None:
        """The application knows something new; called only for the screen in sight."""

    def tick(self) -> None:
        """A second has passed; called only for the screen in sight."""
        self.query_one(TitleBar).show(self.console.model, self.console.now_ms())

    def show_operation(self) -> None:
        """The running operation moved, ended, or there is a new word to say."""
        self.query_one(OperationBar).show(self.console.meter, self.console.note)

    def ask(
        self,
        work: Callable[[], T],
        then: Callable[[T], None],
        *,
        group: str,
        failed: Callable[[CkptError], None] | None = None,
        quiet: bool = False,
    ) -> None:
        """Call the client in a thread; `then` gets the result on the event loop, unless a newer call of `group` began.

        A `CkptError` goes to `failed`, or ends in the error dialog. `quiet` calls are no operation of their own: their
        end says nothing about the operation line, and they stand in no command log.
        """
        ticket = self._tickets[group] = self._tickets.get(group, 0) + 1
        self.run_worker(
            partial(self._call, work, partial(CallFinished, group, ticket, then, failed, quiet), not quiet),
            thread=True,
            group=group,
            exclusive=True,
            exit_on_error=False,
        )

    def _call(self, work: Callable[[], T], finished: Callable[..., CallFinished], logged: bool) -> None:
        try:
            with self.console.command_log.recording(logged):
                message = finished(result=work())
        except CkptError as error:
            message = finished(error=error)
        except Exception as error:  # noqa: BLE001 — handed to the event loop, which ends in the panic screen
            message = finished(crash=error)
        self.post_message(message)

    def on_call_finished(self, message: CallFinished) -> None:
        """Deliver a call's outcome on the event loop."""
        if message.crash is not None:
            raise message.crash
        if self._tickets.get(message.group) != message.ticket or (self.console.leaving and message.group != "close"):
            return
        if not message.quiet:
            self.console.operation_ended()
        if message.error is None:
            message.then(message.result)
        elif message.failed is not None:
            message.failed(message.error)
        else:
            self.console.show_error(message.error)

    def abandon(self, group: str) -> None:
        """Forget the group's running call: its outcome is dropped when it comes."""
        self._tickets[group] = self._tickets.get(group, 0) + 1

    def action_back(self) -> None:
        """One screen back, from a mode's own screen to the overview; a second key already on its way does nothing."""
        if not self.is_current:
            return
        if len(self.app.screen_stack) > 1:
            self.app.pop_screen()
        else:
            self.console.action_mode(OVERVIEW)
