"""The views of a state: which records each one reads, and how they become rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from maos_ckpt.client import EngineClient
from maos_ckpt.model import Checkpoint
from maos_ckpt_tui.explore import rows as row
from maos_ckpt_tui.explore.position import LIVE
from maos_ckpt_tui.explore.reading import Entry, cell, inside, read
from maos_ckpt_tui.explore.rows import Row
from maos_ckpt_tui.widgets.lines import Span
from maos_ckpt_tui.widgets.row_list import Column

#: Agents are listed with their tasks and turns where a state has no more of those than this.
COUNTED_MAX = 5000
ALL = "records"


@dataclass(frozen=True, slots=True)
class View:
    """One view. `title` is its name, `short` where the terminal is narrow, `thing` what one row is, `collection` the
    one that is read, `nothing` says why there may be none."""

    name: str
    title: str
    short: str
    thing: str
    collection: tuple[str, str]
    columns: tuple[Column, ...]
    rows: Callable[[Iterable[Entry], Mapping[str, Counter[str]]], list[Row]]
    nothing: str

    @property
    def pattern(self) -> str:
        """Glob of its records."""
        return "/".join((*self.collection, "*"))


VIEWS: tuple[View, ...] = (
    View(
        "agents",
        "Agents",
        "Agent",
        "agent",
        ("agents", "agents"),
        (
            Column("AGENT", 14, 1, grow=True, wish=22),
            Column("STATUS", 12, 1),
            Column("ROLE", 10, 5, grow=True, wish=16),
            Column("LAST ACTIVE", 14, 2),
            Column("TASKS", 5, 3, right=True),
            Column("TURNS", 6, 4, right=True),
            Column("NAME", 16, 6, grow=True),
        ),
        row.agents_rows,
        "MAOS had registered no agent yet.",
    ),
    View(
        "orchestrations",
        "Orchestrations",
        "Orch",
        "orchestration",
        ("system", "orchestrations"),
        (
            Column("REQUEST", 20, 1, grow=True, wish=40),
            Column("STATUS", 12, 1),
            Column("AGENTS", 6, 3, right=True),
            Column("UPDATED", 14, 2),
            Column("ID", 36, 6),
        ),
        row.orchestrations_rows,
        "None was begun, or this MAOS is older than 0.8.4, which kept none.",
    ),
    View(
        "tasks",
        "Tasks",
        "Task",
        "task",
        ("tasks", "tasks"),
        (
            Column("TASK", 20, 1, grow=True, wish=27),
            Column("STATUS", 14, 1),
            Column("DONE", 5, 2, right=True),
            Column("NEEDS", 8, 7),
            Column("AGENTS", 16, 3, grow=True, wish=30),
        ),
        row.tasks_rows,
        "No task had been given.",
    ),
    View(
        "messages",
        "Messages",
        "Msgs",
        "message",
        ("queue", "messages"),
        (
            Column("TIME", 8, 3),
            Column("FROM", 13, 1, grow=True),
            Column("TO", 13, 1, grow=True),
            Column("STATE", 6, 4),
            Column("WORDS", 12, 2, grow=True),
        ),
        row.messages_rows,
        "No agent had written to another.",
    ),
    View(
        "sessions",
        "Sessions",
        "Sess",
        "session",
        ("memory", "sessions"),
        (
            Column("AGENT", 16, 1, grow=True, wish=24),
            Column("STATUS", 12, 1),
            Column("TURNS", 5, 3, right=True),
            Column("COST", 8, 4, right=True),
            Column("UPDATED", 14, 2),
            Column("TASK", 14, 5, grow=True, wish=30),
            Column("SESSION", 36, 8),
        ),
        row.sessions_rows,
        "No session had been opened.",
    ),
    View(
        "files",
        "Files",
        "Files",
        "file",
        ("memory", "transcript_files"),
        (Column("KIND", 10, 1), Column("NAME", 24, 1, grow=True, wish=44), Column("FOLDER", 12, 2, grow=True)),
        row.files_rows,
        "There was no transcript, and no file of MAOS's own.",
    ),
    View(
        ALL,
        "Records",
        "All",
        "collection",
        ("", ""),
        (
            Column("COMPONENT", 10, 1, grow=True, wish=14),
            Column("COLLECTION", 18, 1, grow=True, wish=30),
            Column("RECORDS", 9, 1, right=True),
            Column("SIZE", 9, 2, right=True),
        ),
        row.records_rows,
        "there is no checkpoint yet that would say what there is.",
    ),
)


def collection_view(component: str, name: str) -> View:
    """All records of one collection by key."""
    columns = (Column("KEY", 20, 1, grow=True, wish=40), Column("VALUES", 12, 1, grow=True))
    title = f"{component}/{name}"
    return View(
        title, title, title, "record", (component, name), columns, row.records_rows, "this collection is empty."
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """A view as it was read. `digests` are of its records by path, to tell what differs elsewhere."""

    rows: list[Row]
    more: bool
    digests: Mapping[str, bytes]


def load(client: EngineClient, place: str, one: View, limit: int, totals: Checkpoint | None) -> Reading:
    """Read one view; `totals` is the checkpoint, or the newest one for the live state, to know what is small."""
    if one.name == ALL:
        rows = row.collections_rows(totals) if totals is not None else []
        return Reading(rows, False, {one_.entry.path: one_.entry.digest for one_ in rows})
    found = read(client, place, one.pattern, limit)
    entries = list(found.entries)
    counts: dict[str, Counter[str]] = {}
    # Each question about the live state reads it anew, so only what is listed is asked for.
    if one.name == "agents" and place != LIVE:
        counts = _counts(client, place, totals)
    elif one.name == "files":
        # A glob over all components would look at every key of the state.
        for component in sorted(
            {held.component for held in (totals.collections if totals else ()) if held.name == "files"}
        ):
            entries += read(client, place, f"{component}/files/*", limit).entries
    rows = one.rows(entries, counts)
    return Reading(rows, found.more, {entry.path: entry.digest for entry in entries})


def _counts(client: EngineClient, place: str, totals: Checkpoint | None) -> dict[str, Counter[str]]:
    """Tasks and turns by agent, where there are few enough to count."""
    held = {(one.component, one.name): one.records for one in totals.collections} if totals is not None else {}
    counts: dict[str, Counter[str]] = {}
    if held.get(("tasks", "tasks"), 0) <= COUNTED_MAX:
        tasks = read(client, place, "tasks/tasks/*", COUNTED_MAX)
        named = (inside(one.values, "assigned_agents") for one in tasks.entries)
        counts["tasks"] = Counter(str(agent) for agents in named if isinstance(agents, list) for agent in agents)
    if held.get(("memory", "sessions"), 0) <= COUNTED_MAX:
        counts["turns"] = Counter()
        for one in read(client, place, "memory/sessions/*", COUNTED_MAX, clip=100).entries:
            turns = one.values.get("turn_count")
            counts["turns"][cell(one.values, "agent_id")] += turns if isinstance(turns, int) else 0
    return counts


def changed(before: Mapping[str, bytes] | None, path: str, digest: bytes) -> Span:
    """How a record differs from what it was at the place before: a sign and its tone; a blank where it does not."""
    if before is None:
        return "", "plain"
    known = before.get(path)
    if known is None:
        return "+", "ok"
    return ("", "plain") if known == digest else ("~", "accent")
