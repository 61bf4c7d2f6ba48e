"""Any two states compared: sides chosen, swapped, kinds told apart, long values read, and a file of it."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from maos_ckpt.model import ChangeKind, Counts, DiffResult, FieldChange, RecordChange
from maos_ckpt_tui.diff_export import as_markdown
from maos_ckpt_tui.modals.full_text import difference_lines, wrap_spans
from maos_ckpt_tui.screens import diff
from maos_ckpt_tui.text_diff import CAME, GONE, SAME, diff_lines, diff_words
from tests.console.frozen_console import HOSTILE
from tests.console.real import Lab, build_lab, console


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return build_lab(tmp_path)


async def test_sides_are_chosen_swapped_and_written_to_a_file(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with console(lab.client(), size=(120, 30)) as operator:
        first = operator.app.model.checkpoints[0].id[-6:]
        task = lab.one("SELECT id FROM tasks LIMIT 1")
        lab.execute("UPDATE tasks SET description = 'one line\nand a second' WHERE id = ?", task)
        second = await operator.save("second")
        lab.execute("UPDATE tasks SET description = 'one line\nand the second' WHERE id = ?", task)
        lab.execute("INSERT INTO tasks (id, description, status) VALUES ('zz-new', 'do it', 'pending')")
        await operator.press("4")
        await operator.sees(f"Differences {second} → live", "2 changes ", "tasks +1 ~1", "zz-new")
        await operator.press("K")
        screen = await operator.sees("added alone, 1")
        assert task[:20] not in screen
        await operator.press("K")
        screen = await operator.sees("modified alone, 1", task[:20])
        await operator.press("end", "enter")
        await operator.sees("Before", "After", "- and [-a-] second", "+ and {+the+} second")
        await operator.press("escape", "K")
        await operator.sees("No change matches")
        await operator.press("K", "A")
        await operator.sees("A: the side before", "the live state, as it is now")
        await operator.type(first)
        await operator.press("enter")
        await operator.sees(f"Differences {first} → live", "2 changes ")
        await operator.press("B")
        await operator.type("second")
        await operator.press("enter")
        await operator.sees(f"Differences {first} → {second}", "1 change ", "and a second")
        await operator.press("w")
        await operator.sees(f"Differences {second} → {first}", "1 change ")
        for number, form in enumerate(("md", "json")):
            await operator.press("e", *["down"] * number, "enter")
            await operator.sees(f".{form}")
            (path,) = tmp_path.glob(f"maos-ckpt-diff-{second}-{first}-*.{form}")
            assert task in path.read_text()
        assert json.loads(path.read_text())["summary"] == {"added": 0, "modified": 1, "removed": 0}


def test_lines_and_words_that_differ_are_told_with_signs() -> None:
    lines = list(diff_lines("same\nold word here\nend", "same\nnew word here\nmore\nend"))
    assert [(one.sign, "".join(text for text, _ in one.pieces)) for one in lines] == [
        (SAME, "same"),
        (GONE, "old word here"),
        (CAME, "new word here"),
        (CAME, "more"),
        (SAME, "end"),
    ]
    assert diff_words("the torn write", "the broken write") == (
        (("the ", False), ("torn", True), (" write", False)),
        (("the ", False), ("broken", True), (" write", False)),
    )
    assert diff_words("alpha beta", "gamma delta epsilon")[0] == (("alpha beta", True),)


def test_both_texts_can_be_read_back_from_what_is_shown() -> None:
    chance = random.Random(7)
    for _ in range(200):
        texts = ["\n".join(chance.choices(["a", "b c", "b d", "", "e f g"], k=chance.randrange(12))) for _ in "xy"]
        lines = [(one.sign, "".join(text for text, _ in one.pieces)) for one in diff_lines(*texts)]
        if any(sign == "…" for sign, _ in lines):
            continue
        assert "\n".join(text for sign, text in lines if sign != CAME) == texts[0]
        assert "\n".join(text for sign, text in lines if sign != GONE) == texts[1]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\nb\n" * 999, "b\nc\n" * 999),
        ("a b " * 5000, "b a a " * 5000),
        ("\n" * 100_000, "a\n" * 100_000),
        ("x" * 200_000, "y" * 300_000),
    ],
    ids=["lines", "words", "many lines", "one line"],
)
def test_no_text_takes_long_to_compare(before: str, after: str) -> None:
    began_s = time.perf_counter()
    lines = difference_lines(before, after, 80)
    assert time.perf_counter() - began_s < 3.0
    assert len(lines) <= 20_010


def test_long_lines_break_at_blanks_and_lose_nothing() -> None:
    rows = wrap_spans([("one two", "plain"), (" three", "before"), ("x" * 25, "plain")], 10)
    assert ["".join(text for text, _ in row) for row in rows] == [
        "one two ",
        "three",
        "xxxxxxxxxx",
        "xxxxxxxxxx",
        "xxxxx",
    ]


def test_nothing_an_agent_wrote_leaves_its_place_in_the_file() -> None:
    changes = tuple(
        RecordChange(evil, evil, evil + "`|", ChangeKind.MODIFIED, (FieldChange(evil, evil, "`" + evil),))
        for evil in HOSTILE
    )
    text = as_markdown(DiffResult("cp_a", "live", Counts(0, 1, 0), {HOSTILE[0]: Counts(0, 1, 0)}, changes, True))
    assert "\x1b" not in text
    assert all(line.count("`") % 2 == 0 for line in text.splitlines())
    assert "listed" in text


async def test_a_live_state_that_was_read_a_while_ago_says_so_and_is_read_again_at_a_key(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with console(lab.client(), size=(80, 24)) as operator:
        await operator.save("known")
        task = lab.one("SELECT id FROM tasks LIMIT 1")
        await operator.press("4")
        await operator.sees("live state now", "the two are equal")
        lab.execute("UPDATE tasks SET description = 'other' WHERE id = ?", task)
        await operator.press("1")
        monkeypatch.setattr(diff, "LIVE_FRESH_MS", -1)
        await operator.press("4")
        await operator.sees("live state, read ", "ago")
        monkeypatch.undo()
        await operator.press("l")
        await operator.sees("live state now", "1 change ")
