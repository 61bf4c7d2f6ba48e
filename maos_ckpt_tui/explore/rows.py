"""Records as rows: what a list shows of an agent, a task, a message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from maos_ckpt.model import Checkpoint
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.explore.reading import Entry, Values, cell, inside
from maos_ckpt_tui.widgets.lines import Span

_LEVELS_MAX = 12
_STATES = {
    "completed": ("OK", "ok"),
    "done": ("OK", "ok"),
    "failed": ("XX", "bad"),
    "error": ("XX", "bad"),
    "crashed": ("XX", "bad"),
    "cancelled": ("--", "dim"),
    "blocked": ("!!", "warn"),
    "paused": ("!!", "warn"),
    "active": (">>", "accent"),
    "running": (">>", "accent"),
    "in_progress": (">>", "accent"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A record as a row: its cells, and how deep it lies in a tree. `name` is what the thing is called; `trouble`
    says that an operator may want to look at it."""

    entry: Entry
    cells: tuple[Span, ...]
    name: str
    level: int = 0
    trouble: bool = False


def status(values: Values) -> Span:
    """A status with its sign."""
    word = cell(values, "status")
    sign, tone = _STATES.get(word.casefold(), ("..", "dim"))
    return f"{sign} {word or 'no status'}", tone


def moment(values: Values, *names: str) -> str:
    """The first of some times that is there, as MAOS wrote it, without the year and fractions of a second."""
    found = next((one for name in names if (one := cell(values, name))), "")
    return found[5:19].replace("T", " ")


def _trouble(values: Values) -> bool:
    return _STATES.get(cell(values, "status").casefold(), ("", ""))[1] in ("bad", "warn")


def _number(values: Values, name: str) -> Span:
    value = values.get(name)
    return (fmt.count(value) if isinstance(value, int) else "", "plain")


def agents_rows(entries: Iterable[Entry], counts: Mapping[str, Counter[str]]) -> list[Row]:
    """The one that was active last comes first."""
    rows = []
    for one in sorted(entries, key=lambda one: cell(one.values, "last_active"), reverse=True):
        # Where they were not counted there is nothing to say, which is not the same as none.
        numbers = [(fmt.count(counts[name][one.key]) if name in counts else "", "plain") for name in ("tasks", "turns")]
        cells: tuple[Span, ...] = (
            (one.key, "plain"),
            status(one.values),
            (cell(one.values, "type"), "plain"),
            (moment(one.values, "last_active", "created_at"), "plain"),
            *numbers,
            (cell(one.values, "name"), "dim"),
        )
        rows.append(Row(one, cells, one.key, trouble=_trouble(one.values)))
    return rows


def orchestrations_rows(entries: Iterable[Entry], _: Mapping[str, Counter[str]]) -> list[Row]:
    """Newest first."""
    rows = []
    for one in sorted(entries, key=lambda one: cell(one.values, "created_at"), reverse=True):
        agents = inside(one.values, "agents")
        cells: tuple[Span, ...] = (
            (cell(one.values, "request"), "plain"),
            status(one.values),
            (fmt.count(len(agents)) if isinstance(agents, list) else "", "plain"),
            (moment(one.values, "last_updated", "created_at"), "plain"),
            (one.key, "dim"),
        )
        rows.append(Row(one, cells, one.key, trouble=_trouble(one.values)))
    return rows


def tasks_rows(entries: Iterable[Entry], _: Mapping[str, Counter[str]]) -> list[Row]:
    """A tree: each task behind its parent."""
    known = {one.key: one for one in entries}
    children: dict[str, list[Entry]] = {}
    for one in known.values():
        parent = cell(one.values, "parent_task_id")
        children.setdefault(parent if parent in known and parent != one.key else "", []).append(one)
    rows: list[Row] = []
    seen: set[str] = set()
    stack = [(one, 0) for one in reversed(children.get("", []))]
    # Tasks that are each other's parents have no root: what is left begins a tree of its own.
    rest = iter(known.values())
    while len(seen) < len(known):
        if not stack:
            stack.append((next(one for one in rest if one.key not in seen), 0))
        one, level = stack.pop()
        if one.key in seen:
            continue
        seen.add(one.key)
        rows.append(_task(one, level))
        stack += [(child, level + 1) for child in reversed(children.get(one.key, []))]
    return rows


def _task(one: Entry, level: int) -> Row:
    agents, needs = inside(one.values, "assigned_agents"), inside(one.values, "dependencies")
    named = ", ".join(map(str, agents)) if isinstance(agents, list) else ""
    done = one.values.get("progress")
    cells: tuple[Span, ...] = (
        (cell(one.values, "description") or one.key, "plain"),
        status(one.values),
        (f"{done:.0f} %" if isinstance(done, int | float) else "", "plain"),
        (f"needs {len(needs)}" if isinstance(needs, list) and needs else "", "warn"),
        (named, "dim"),
    )
    return Row(one, cells, one.key, min(level, _LEVELS_MAX), _trouble(one.values))


def messages_rows(entries: Iterable[Entry], _: Mapping[str, Counter[str]]) -> list[Row]:
    """Newest first."""
    rows = []
    for one in entries:
        read_ = one.values.get("acknowledged") in (1, True, "1")
        cells: tuple[Span, ...] = (
            (moment(one.values, "timestamp")[6:], "dim"),
            (cell(one.values, "from_agent"), "plain"),
            (f"→ {cell(one.values, 'to_agent') or 'everybody'}", "plain"),
            ("read" if read_ else "unread", "dim" if read_ else "accent"),
            (cell(one.values, "message"), "plain"),
        )
        rows.append(Row(one, cells, f"message {one.key}"))
    return rows[::-1]


def sessions_rows(entries: Iterable[Entry], _: Mapping[str, Counter[str]]) -> list[Row]:
    """The one that was written last comes first."""
    rows = []
    for one in sorted(entries, key=lambda one: cell(one.values, "updated_at"), reverse=True):
        cost = one.values.get("total_cost")
        cells: tuple[Span, ...] = (
            (cell(one.values, "agent_id"), "plain"),
            status(one.values),
            _number(one.values, "turn_count"),
            (f"${cost:.2f}" if isinstance(cost, int | float) else "", "plain"),
            (moment(one.values, "updated_at", "created_at"), "plain"),
            (cell(one.values, "task"), "dim"),
            (one.key, "dim"),
        )
        rows.append(Row(one, cells, one.key, trouble=_trouble(one.values)))
    return rows


def files_rows(entries: Iterable[Entry], _: Mapping[str, Counter[str]]) -> list[Row]:
    """Transcripts, and files of MAOS."""
    rows = []
    for one in entries:
        talk = one.collection == "transcript_files"
        cells: tuple[Span, ...] = (
            ("transcript" if talk else "file", "accent" if talk else "plain"),
            (one.key.rpartition("/")[2] if talk else one.key, "plain"),
            (one.key.rpartition("/")[0] if talk else "", "dim"),
        )
        rows.append(Row(one, cells, one.key))
    return rows


def records_rows(entries: Iterable[Entry], _: Mapping[str, Counter[str]]) -> list[Row]:
    """Any records, in key order."""
    rows = []
    for one in entries:
        names = one.key.split("/")
        words = "  ".join(f"{name} {text_}" for name in one.values if (text_ := cell(one.values, name)) not in names)
        rows.append(Row(one, ((one.key, "plain"), (words, "dim")), one.key))
    return rows


def collections_rows(totals: Checkpoint) -> list[Row]:
    """What a checkpoint is made of."""
    rows = []
    for one in totals.collections:
        entry = Entry(one.component, one.name, "", {}, one.root or b"")
        cells: tuple[Span, ...] = (
            (one.component, "plain"),
            (one.name, "plain"),
            (fmt.count(one.records), "plain" if one.records else "dim"),
            (fmt.size(one.bytes), "plain"),
        )
        rows.append(Row(entry, cells, one.path))
    return rows


def task_of(values: Values) -> str:
    """What an agent was asked to do, "" where its record does not say."""
    found = inside(values, "metadata")
    return str(found.get("task") or "") if isinstance(found, dict) else ""
