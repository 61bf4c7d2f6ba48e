"""The work that going back to a checkpoint loses: what has been done since, by kind."""

from __future__ import annotations

from collections import Counter

from maos_ckpt.codec.values import decode_row
from maos_ckpt.fields import named
from maos_ckpt.model import CollectionKind, Descriptor, Value
from maos_ckpt.states import State, collection_pairs
from maos_ckpt.tree.diff import differences

#: What new records of a collection are called.
_NEW = {
    "agents": "new agents",
    "tasks": "new tasks",
    "messages": "messages",
    "sessions": "new sessions",
    "orchestrations": "new orchestrations",
}
TURNS, LINES, FINISHED, OTHER = "turns", "transcript lines", "finished tasks", "other changes"
#: In this order they are told.
_ORDER = (TURNS, FINISHED, *_NEW.values(), LINES, OTHER)


def work_lost(before: State, live: State) -> dict[str, int]:
    """What came since a checkpoint, counted by kind."""
    found: Counter[str] = Counter()
    for pair in collection_pairs(before, live):
        for _, old, new in differences(before.stream(pair.name), live.stream(pair.name)):
            _count(found, pair.either, _row(pair.before, old), _row(pair.after, new))
    return {kind: found[kind] for kind in _ORDER if found[kind]}


def _row(descriptor: Descriptor | None, value: bytes | None) -> dict[str, Value] | None:
    if descriptor is None or value is None:
        return None
    return named(descriptor, (), decode_row(value))


def _count(
    found: Counter[str], descriptor: Descriptor, old: dict[str, Value] | None, new: dict[str, Value] | None
) -> None:
    if descriptor.kind is CollectionKind.LINES and old is None:
        found[LINES] += 1
        return
    kind = _NEW.get(descriptor.name) if descriptor.kind is CollectionKind.TABLE else None
    turns = _turns(new) - _turns(old)
    found[TURNS] += max(turns, 0)
    if kind is not None and old is None:
        found[kind] += 1
    elif descriptor.name == "tasks" and old and new and new.get("status") == "completed" != old.get("status"):
        found[FINISHED] += 1
    elif turns <= 0:
        found[OTHER] += 1


def _turns(row: dict[str, Value] | None) -> int:
    turns = None if row is None else row.get("turn_count")
    return turns if isinstance(turns, int) else 0
