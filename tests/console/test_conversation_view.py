"""The conversation's own list: turns of any height, one cursor, only what is in sight is laid out."""

from __future__ import annotations

import random

from textual.app import App, ComposeResult

from maos_ckpt_tui.explore.conversation import AGENT, TOOL, Turn
from maos_ckpt_tui.themes import THEMES, VARIABLE_DEFAULTS
from maos_ckpt_tui.widgets.conversation_view import ConversationView

ROWS = 20


class Host(App[None]):
    """The view alone."""

    CSS = "ConversationView { height: 1fr; }"

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return VARIABLE_DEFAULTS

    def compose(self) -> ComposeResult:
        yield ConversationView()

    def on_mount(self) -> None:
        self.register_theme(THEMES[0])


def turns(number: int) -> list[Turn]:
    words = [f"turn {at} " + "word " * (at * 37 % 300) for at in range(number)]
    return [Turn(at + 1, TOOL if at % 3 == 2 else AGENT, "", "", text) for at, text in enumerate(words)]


def shown(view: ConversationView) -> list[str]:
    return [
        "".join(segment.text for segment in view.render_line(y)).rstrip() for y in range(1, view.content_size.height)
    ]


async def test_every_turn_is_reached_from_either_end_and_always_in_sight() -> None:
    app = Host()
    async with app.run_test(size=(60, ROWS)) as pilot:
        view = app.query_one(ConversationView)
        view.show(turns(60), [], [])
        await pilot.pause()
        for step, goal in ((1, 59), (-1, 0)):
            seen = {view.cursor}
            for _ in range(1500):
                view.action_cursor(step)
                assert any(line.startswith("▌") for line in shown(view)), view.cursor
                seen.add(view.cursor)
                if view.cursor == goal and (step > 0 or view._top == (0, 0)):
                    break
            assert seen == set(range(60))


async def test_any_keys_leave_a_full_page_with_the_cursor_in_it() -> None:
    app, chance = Host(), random.Random(5)
    async with app.run_test(size=(50, ROWS)) as pilot:
        view = app.query_one(ConversationView)
        view.show(turns(300), [], [])
        await pilot.pause()
        for _ in range(400):
            key = chance.choice(["down", "up", "page", "back", "end", "home", "toggle", "fold", "go"])
            match key:
                case "down" | "up":
                    view.action_cursor(1 if key == "down" else -1)
                case "page" | "back":
                    view.action_page(1 if key == "page" else -1)
                case "end" | "home":
                    view.action_edge(int(key == "end"))
                case "toggle":
                    view.toggle()
                case "fold":
                    view.fold_all()
                case _:
                    view.go(chance.randrange(300))
            assert any(line.startswith("▌") for line in shown(view)), key


async def test_a_hundred_thousand_turns_are_not_laid_out() -> None:
    app = Host()
    async with app.run_test(size=(60, ROWS)) as pilot:
        view = app.query_one(ConversationView)
        view.show([Turn(at + 1, AGENT, "", "", "word " * 50) for at in range(100_000)], [], [])
        view.action_edge(1)
        view.action_page(-1)
        view.go(50_000)
        await pilot.pause()
        assert view.current is not None
        assert view.current.line == 50_001
        assert len(view._wrapped) < 100
