"""Actions that every screen has: help, palette, colours."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from textual.actions import ActionParseResult
from textual.app import App
from textual.dom import DOMNode

from maos_ckpt.seams import Clock
from maos_ckpt_tui import themes
from maos_ckpt_tui.commands import APP, Level, level_of
from maos_ckpt_tui.screens.base import ConsoleScreen
from maos_ckpt_tui.viewmodel import ConsoleModel
from maos_ckpt_tui.widgets.lines import Span

NOTE_S = 8.0

if TYPE_CHECKING:
    from maos_ckpt_tui.modals.palette import Entry


class SharedActions(App[int]):
    """Base of the application, which sets `model` and `clock`."""

    model: ConsoleModel
    clock: Clock
    note: Span = ("", "plain")
    _note_number = 0

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """See `App.run_action`; what would change something is refused, in words, while the engine is away."""
        target, name, _ = self._parse_action(action, default_namespace or self, namespaces)
        place = target.PLACE if isinstance(target, ConsoleScreen) else APP if target is self else ""
        if self.model.lost and level_of(place, name) > Level.READ:
            self.say("The engine is away: nothing was sent. This console finds it again by itself.", "warn")
            return True
        return await super().run_action(action, default_namespace, namespaces)

    def now_ms(self) -> int:
        """Wall clock."""
        return self.clock.now_ms()

    def say(self, text: str, tone: str = "plain") -> None:
        """A sentence in the operation line, for a while."""
        self.note = (text, tone)
        self._note_number += 1
        self.set_timer(NOTE_S, partial(self._forget_note, self._note_number))
        self.show_operation()

    def _forget_note(self, number: int) -> None:
        if number == self._note_number:
            self.note = ("", "plain")
            self.show_operation()

    @property
    def in_sight(self) -> ConsoleScreen | None:
        """The screen that the operator sees; a dialog shows the one below it, which keeps living."""
        found = [one for one in self.screen_stack if isinstance(one, ConsoleScreen)]
        # While it is composed or taken down, a screen is mounted and has nothing inside.
        return found[-1] if found and found[-1].is_mounted and found[-1].children else None

    def show_operation(self) -> None:
        """The operation line has something else to say."""
        if (screen := self.in_sight) is not None:
            screen.show_operation()

    def to_root(self) -> None:
        """Leave all screens above the mode's own."""
        while len(self.screen_stack) > 1:
            self.pop_screen()

    def action_mode(self, name: str) -> None:
        """Go to a mode, and there to where one left it; its own key pressed again leads to its first screen."""
        if not isinstance(self.screen, ConsoleScreen):
            return  # A dialog wants an answer first.
        if name == self.current_mode:
            self.to_root()
        else:
            self.switch_mode(name)

    def action_help(self) -> None:
        """Contextual help."""
        from maos_ckpt_tui.screens.help import HelpModal  # Loaded when first needed.
        from maos_ckpt_tui.widgets.key_bar import keys_in_force

        if isinstance(self.screen, ConsoleScreen):
            self.push_screen(HelpModal(self.screen.PLACE, keys_in_force(self.screen)))

    def action_palette(self) -> None:
        """Everything by name."""
        from maos_ckpt_tui.modals.palette import PaletteModal
        from maos_ckpt_tui.palette_entries import palette_entries  # Loaded when first needed.

        if isinstance(screen := self.screen, ConsoleScreen):
            self.push_screen(PaletteModal(palette_entries(screen, self.model, self.now_ms())), self._chosen)

    def action_command_log(self) -> None:
        """What was asked so far, as command lines."""
        from maos_ckpt_tui.modals.command_log import CommandLogModal  # Loaded when first needed.

        if isinstance(self.screen, ConsoleScreen):
            self.push_screen(CommandLogModal())

    async def _chosen(self, entry: Entry | None) -> None:
        if entry is None or not isinstance(screen := self.screen, ConsoleScreen):
            return
        if entry.action:
            await screen.run_action(entry.action)
        elif (one := self.model.find(entry.checkpoint)) is not None:
            from maos_ckpt_tui.screens.detail import DetailScreen  # Loaded when first needed.

            self.to_root()
            self.push_screen(DetailScreen(one))

    def action_next_theme(self) -> None:
        """The next theme, by name."""
        if self.no_color:
            self.say("NO_COLOR is set: the console stays without colours.")
            return
        names = list(themes.NAMES)
        at = list(themes.NAMES.values()).index(self.theme)
        wanted = names[(at + 1) % len(names)]
        self.ansi_color = None
        self.theme = themes.NAMES[wanted]
        self.say(f"Colours: {wanted}. `--theme {wanted}` or console.theme keeps them.")
