"""The last line of every screen: what can be done here, the most important first, never a cut word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from textual import events
from textual.binding import ActiveBinding
from textual.screen import Screen

from maos_ckpt_tui.commands import APP, COMMANDS, Command, Level, commands_for, shown_key
from maos_ckpt_tui.widgets.lines import KeysInForce, Line, LineView, line_width

if TYPE_CHECKING:
    from maos_ckpt_tui.console import ConsoleApp

_ALWAYS = ("help", "leave")


class KeyHost(Protocol):
    """A screen whose keys can be shown."""

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        """See `textual.screen.Screen`."""
        ...

    def offers(self, action: str) -> bool:
        """Whether an action makes sense now."""
        ...


def keys_in_force(screen: KeyHost) -> dict[str, str]:
    """Binding id → the key that triggers it now, the first declared where it has several; none for what is hidden."""
    found: dict[str, list[str]] = {}
    for key, active in screen.active_bindings.items():
        if active.binding.id and active.enabled and screen.offers(active.binding.action):
            found.setdefault(active.binding.id, []).append(key)
    declared = {one.id: one.keys.split(",") for one in COMMANDS}
    return {
        name: shown_key(min(keys, key=lambda key: _place(key, declared.get(name, [])))) for name, keys in found.items()
    }


def _place(key: str, declared: list[str]) -> int:
    return declared.index(key) if key in declared else len(declared)


class KeyBar(LineView, KeysInForce):
    """Reads the bindings in force, so changed keys and hidden actions show at once."""

    def __init__(self, place: str) -> None:
        super().__init__(id="keys")
        self._place = place

    def on_mount(self) -> None:
        """Follow the bindings."""
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)

    def _bindings_changed(self, _screen: Screen[Any]) -> None:
        self.changed()

    async def on_click(self, event: events.Click) -> None:
        """Where the mouse is on: do what stands there."""
        right = 0
        for one, part in self._parts(self.size.width):
            right += line_width(part)
            if event.x < right:
                await self.screen.run_action(one.action if one.place != APP else f"app.{one.action}")
                return

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        return [[span for _, part in self._parts(width) for span in part]]

    def _parts(self, width: int) -> list[tuple[Command, Line]]:
        keys = keys_in_force(cast(KeyHost, self.screen))
        lost = cast("ConsoleApp", self.app).model.lost

        def away(one: Command) -> bool:
            # Refused until the engine is back: grey, and pressed it says so.
            return lost and one.level is not Level.READ

        offered = [one for one in (*commands_for(self._place), *commands_for(APP)) if one.footer and one.id in keys]
        parts: list[tuple[Command, Line]] = [
            (one, [(f" {keys[one.id]}", "faint" if away(one) else "key"), (f" {one.label} ", "dim")]) for one in offered
        ]
        # Help and quit stay in any case: the one leads to all that has no room here, the other leads out.
        room = width - sum(line_width(part) for one, part in parts if one.action in _ALWAYS)
        kept: set[str] = {one.id for one, _ in parts if one.action in _ALWAYS}
        for one, part in sorted(parts, key=_rank):
            if one.id not in kept and line_width(part) <= room:
                kept.add(one.id)
                room -= line_width(part)
        return [(one, part) for one, part in sorted(parts, key=_rank) if one.id in kept]


def _rank(pair: tuple[Command, Line]) -> int:
    return pair[0].footer or 0
