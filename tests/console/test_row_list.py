"""The list that draws only what is in sight."""

from __future__ import annotations

import time

from textual.app import App, ComposeResult

from maos_ckpt_tui import themes
from maos_ckpt_tui.widgets.lines import Line
from maos_ckpt_tui.widgets.row_list import Column, RowList, choose_columns, table_line

ROWS = 100_000


class Numbers(RowList):
    """A hundred thousand numbers; counts which were drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.count = ROWS
        self.drawn: list[int] = []

    @property
    def row_count(self) -> int:
        return self.count

    def heading(self, width: int) -> list[Line]:
        return [[("numbers", "head")]]

    def placeholder(self, width: int) -> list[Line]:
        return [[("there are none", "dim")]]

    def row(self, index: int, width: int) -> Line:
        self.drawn.append(index)
        return [(f"row {index}", "plain")]


class ListApp(App[None]):
    CSS_PATH = None

    def __init__(self) -> None:
        super().__init__()
        for one in themes.THEMES:
            self.register_theme(one)
        self.theme = themes.DARK

    def compose(self) -> ComposeResult:
        yield Numbers()

    def on_mount(self) -> None:
        self.query_one(Numbers).styles.height = "1fr"
        self.query_one(Numbers).focus()


def screen_text(app: App[None]) -> str:
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in line) for line in lines)


async def test_a_hundred_thousand_rows_open_and_move_at_once() -> None:
    app = ListApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        numbers = app.query_one(Numbers)
        assert len(set(numbers.drawn)) <= 30
        numbers.drawn.clear()
        began_s = time.perf_counter()
        await pilot.press("G")
        assert "row 99999" in screen_text(app)
        await pilot.press("pageup", "up", "up")
        assert time.perf_counter() - began_s < 1.0
        assert len(set(numbers.drawn)) < 100
        assert ROWS - 40 < numbers.cursor < ROWS - 20
        await pilot.press("g")
        assert numbers.cursor == 0
        assert "numbers" in screen_text(app)
        assert "row 0" in screen_text(app)


async def test_one_step_draws_two_rows_again() -> None:
    app = ListApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        numbers = app.query_one(Numbers)
        numbers.drawn.clear()
        await pilot.press("down")
        assert sorted(set(numbers.drawn)) == [0, 1]


async def test_rows_that_vanish_take_the_cursor_along() -> None:
    app = ListApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("G")
        numbers = app.query_one(Numbers)
        numbers.count = 5
        numbers.rows_changed()
        await pilot.pause()
        assert numbers.cursor == 4
        assert "row 4" in screen_text(app)
        numbers.count = 0
        numbers.rows_changed()
        await pilot.pause()
        assert "there are none" in screen_text(app)
        await pilot.press("down", "pagedown", "G")


def test_columns_of_low_rank_stay_and_the_growing_one_takes_the_rest() -> None:
    columns = (Column("A", 4, 2), Column("B", 6, 1, grow=True), Column("C", 10, 3))
    assert choose_columns(columns, 24) == ((0, 4), (1, 6), (2, 10))
    assert choose_columns(columns, 30) == ((0, 4), (1, 12), (2, 10))
    assert choose_columns(columns, 14) == ((0, 4), (1, 8))
    assert choose_columns(columns, 8) == ((1, 8),)


def test_a_column_gets_its_wish_before_less_important_ones_come_in() -> None:
    wishing = (Column("A", 4, 1, grow=True, wish=20), Column("B", 6, 2), Column("C", 3, 3, grow=True))
    assert choose_columns(wishing, 27) == ((0, 27),)
    assert choose_columns(wishing, 28) == ((0, 20), (1, 6))
    assert choose_columns(wishing, 40) == ((0, 20), (1, 6), (2, 10))


def test_cells_are_safe_and_exactly_as_wide_as_their_columns() -> None:
    columns = (Column("A", 4, 2), Column("B", 6, 1, grow=True), Column("C", 10, 3))
    line = table_line(columns, [("\x1b[31m", "plain"), ("bb", "plain"), ("c", "plain")], 24)
    assert "".join(text for text, _ in line) == "\\x1…  bb      c         "
