"""Whatever agents write, Explore shows it and nothing of it reaches the terminal as a command."""

from __future__ import annotations

import json
import unicodedata

from textual.events import Key

from maos_ckpt.model import ChangeKind, FieldChange, FindResult
from maos_ckpt.model.contents import History, RecordPage, ShownRecord, Version
from maos_ckpt.model.insight import Match
from maos_ckpt_tui.console import ConsoleApp
from maos_ckpt_tui.screens.conversation import ConversationScreen
from tests.console.fixtures import NOW_MS, FixedClock
from tests.console.frozen_client import FrozenClient
from tests.console.frozen_console import HOSTILE

#: The large one is of the conversation's and record's own tests.
_CHARACTERS_MAX = 400
_COLUMNS = (
    *("id", "status", "type", "session_id", "last_active", "metadata", "description", "parent_task_id"),
    *("assigned_agents", "progress", "from_agent", "to_agent", "message", "timestamp", "agent_id", "turn_count"),
)


def hostile(pattern: str) -> tuple[ShownRecord, ...]:
    component, collection = pattern.split("/")[:2]
    found = []
    for number, evil in enumerate(one[:_CHARACTERS_MAX] for one in HOSTILE):
        values: dict[str, object] = dict.fromkeys(_COLUMNS, evil)
        values["metadata"] = json.dumps({"task": evil, evil: [evil]})
        values["total_cost"] = [evil]
        if collection == "transcripts":
            parts = [{"type": "tool_use", "name": evil, "input": {evil: evil}}, evil, {"type": evil, "text": evil}]
            said = [
                {"type": "assistant", "timestamp": evil, "message": {"content": parts}},
                {"type": "user", "message": {"content": evil}},
                {"type": evil, "summary": evil},
                evil,
            ]
            line = said[number % 4]
            values = {"path": "f", "line": number, "text": line if isinstance(line, str) else json.dumps(line)}
        key = f"{evil}/{number}" if collection == "transcripts" else evil
        found.append(ShownRecord(component, collection, key, json.dumps(values)))
    return tuple(found)


class Hostile(FrozenClient):
    """Every record, version and match is hostile."""

    def records(self, name: str, *, record: str | None = None, limit: int = 200, **_: object) -> RecordPage:  # type: ignore[override]
        return RecordPage(name, hostile(record or "agents/agents/*")[:limit], "")

    def history(self, key: str, limit: int = 1000) -> History:
        place = self.listed[0].id
        return History(
            tuple(
                Version(place, NOW_MS, "a", "b", evil, kind, (FieldChange(evil, evil, evil),))
                for evil in HOSTILE
                for kind in ChangeKind
            ),
            0,
        )

    def find(self, text: str, **_: object) -> FindResult:  # type: ignore[override]
        one, ms = self.listed[0].id, NOW_MS
        found = [Match("memory", "transcripts", evil, evil, evil, one, ms, one, ms, "", 0, 1, True) for evil in HOSTILE]
        return FindResult(text, tuple(found), False, 1, 1)


def harmless(app: ConsoleApp) -> None:
    for line in app.screen._compositor.render_strips():
        for segment in line:
            assert not any(unicodedata.category(one) in {"Cc", "Cf", "Cs", "Co", "Cn"} for one in segment.text)
            assert "@click" not in str(segment.style.meta if segment.style else "")


async def test_hostile_records_are_harmless_in_every_view_and_screen() -> None:
    app = ConsoleApp(Hostile(), clock=FixedClock())
    views = [key for _ in range(7) for key in ("tab", "end")]
    legs = [
        ("3", *views),
        ("3", "enter", "f", "up", "up", "]", "[", "!", "!", "o", "down", "left", "right"),
        ("3", "down", "enter", "/", "a", "enter", "n", "N"),
        ("3", "H", "down", "enter", "escape", "space", "down", "d", "enter", "escape"),
        ("3", "F", "x", "enter", "down", "enter", "home", "end"),
        ("3", "e", "escape", "d", "enter", "escape"),
        ("3", "r", "escape", "y", "?", "escape"),
    ]
    walk = [key for leg in legs for key in ("escape", "escape", "3", *leg)]
    names = {"!": "exclamation_mark", "]": "right_square_bracket", "[": "left_square_bracket", "/": "slash"}
    seen = set()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.1)
        for key in walk:
            name = names.get(key, "question_mark" if key == "?" else key)
            app.post_message(Key(name, key if len(key) == 1 else None))
            await app.workers.wait_for_complete()
            await pilot.pause()
            seen.add(type(app.screen).__name__)
            harmless(app)
    assert app.crash is None
    assert {"ExploreScreen", ConversationScreen.__name__, "RecordScreen", "VersionsScreen", "FoundScreen"} <= seen
    assert {"PartChangesScreen", "PlanScreen", "FileNameModal"} <= seen
