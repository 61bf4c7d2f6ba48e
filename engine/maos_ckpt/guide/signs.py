"""Signs of trouble in what changed between two neighbouring checkpoints.

They are read from the changed records alone: a status that turned to a failing one, records that are gone, text that
MAOS never writes twice, conversations that became shorter. What was made good later is no sign any more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.codec.values import RawText, decode_row, display_key
from maos_ckpt.errors import UNREADABLE
from maos_ckpt.fields import JSON_BYTES_MAX, named
from maos_ckpt.model import CollectionKind, Descriptor, Value
from maos_ckpt.states import CollectionName, State, StoredState, collection_pairs
from maos_ckpt.tree.diff import differences
from maos_ckpt.tree.large import Get, load_row

_FAILING = (
    "failed failure error errored crashed cancelled canceled aborted timeout timed_out killed lost dead stuck "
    "unhealthy rejected"
)
FAILING = frozenset(_FAILING.split())
#: Fields that MAOS writes once, by collection.
_WRITTEN_ONCE = {"tasks": ("description",), "messages": ("message",), "agents": ("type",)}
EXAMPLES_MAX = 3
#: Changed records whose newest form is remembered; what changed beyond that counts as never made good.
REMEMBERED_MAX = 50_000
#: The same of the hashes of their turns.
REMEMBERED_BYTES_MAX = 64 << 20
#: Longer texts are compared by their hash.
_COMPARED_CHARACTERS_MAX = 64
_WEIGHTS = {"failed": 1.5, "removed": 0.2, "rewritten": 1.5, "turns lost": 3, "lines lost": 3, "errors reported": 0.3}
#: Records that nothing in MAOS removes, and agents that fail, weigh more.
_HEAVY = {
    ("failed", "agents"): 3.0,
    **{("removed", name): 2.0 for name in ("agents", "sessions", "tasks", "orchestrations")},
}
#: A collection that loses so many records, and such a share of them, at once.
MASS_REMOVAL_MIN, MASS_REMOVAL_SHARE = 10, 0.1
_MASS_WEIGHT = 5.0
_EMPTIED_WEIGHT = 10.0

SignKey = tuple[str, str, str, str]
#: A list of turns that grows at its end.
_CONVERSATION = "conversation_history"
_TURN_BYTES = 8
#: The fields that signs are read from; a line, and a record of other kinds, is one value without a name.
Watched = dict[str, Value]


def score(key: SignKey, count: float, total: int) -> float:
    """How much so many signs of a kind weigh."""
    what, _, collection, _ = key
    found = count * _HEAVY.get((what, collection), _WEIGHTS[what])
    if what == "removed" and count >= max(MASS_REMOVAL_MIN, total * MASS_REMOVAL_SHARE):
        found += _EMPTIED_WEIGHT if count >= total else _MASS_WEIGHT
    return found


@dataclass(slots=True)
class Step:
    """What changed from one state to the next: signs by kind, and the size that their collections had before."""

    counts: dict[SignKey, int] = field(default_factory=dict)
    examples: dict[SignKey, list[str]] = field(default_factory=dict)
    totals: dict[CollectionName, int] = field(default_factory=dict)
    complete: bool = True
    _last: dict[SignKey, str] = field(default_factory=dict)

    def add(self, what: str, name: CollectionName, detail: str, example: str) -> None:
        """Count one; of a transcript's lines, which come in a row, all together."""
        key = (what, *name, detail)
        if what == "lines lost" and self._last.get(key) == example:
            return
        self._last[key] = example
        self.counts[key] = self.counts.get(key, 0) + 1
        shown = self.examples.setdefault(key, [])
        if len(shown) < EXAMPLES_MAX and example not in shown:
            shown.append(example)


class Reader:
    """Reads steps, the newest first, so that what became of a record later is known by then."""

    def __init__(self) -> None:
        #: The newest form of records that changed: None where they are gone.
        self._newest: dict[tuple[CollectionName, bytes], Watched | None] = {}
        self._bytes = 0

    @property
    def full(self) -> bool:
        """Whether no more can be remembered, so that older steps cannot be judged."""
        return len(self._newest) >= REMEMBERED_MAX or self._bytes >= REMEMBERED_BYTES_MAX

    def read(self, before: StoredState, after: State, *, judge: bool) -> Step:
        """The step from one state to the next; without `judge` only what became of the records is remembered."""
        step = Step(totals={(one.component, one.name): one.records for one in before.checkpoint.collections})
        try:
            pairs = collection_pairs(before, after)
        except UNREADABLE:
            step.complete = False
            return step
        for pair in pairs:
            try:
                for key, old, new in differences(before.stream(pair.name), after.stream(pair.name)):
                    a, b = _watched(pair.before, old, before.get), _watched(pair.after, new, after.get)
                    newest = self._remembered((pair.name, key), b)
                    for what, detail, example in _signs(pair.either, key, a, b, newest) if judge else ():
                        step.add(what, pair.name, detail, example)
            except UNREADABLE:
                step.complete = False
        return step

    def _remembered(self, place: tuple[CollectionName, bytes], now: Watched | None) -> Watched | None:
        """The newest form of a record that was `now` after this step."""
        if place not in self._newest and not self.full:
            self._newest[place] = now
            turns = None if now is None else now.get(_CONVERSATION)
            self._bytes += len(turns) if isinstance(turns, bytes) else 0
        return self._newest.get(place, now)


def _watched(descriptor: Descriptor | None, value: bytes | None, get: Get) -> Watched | None:
    """What signs are read from. Large values stay where they are, and are compared by their references; but for
    conversations, of which each turn is compared."""
    if value is None or descriptor is None:
        return None
    if descriptor.kind is not CollectionKind.TABLE:
        return {"": hash(value)}
    if _CONVERSATION in descriptor.columns:
        found = named(descriptor, (), load_row(value, get))
        found[_CONVERSATION] = _turns(found[_CONVERSATION])
    else:
        found = named(descriptor, (), decode_row(value))
    wanted = ("status", "turn_count", "message_type", *_WRITTEN_ONCE.get(descriptor.name, ()))
    watched = {name: _comparable(found[name]) for name in wanted if name in found}
    return watched | ({_CONVERSATION: found[_CONVERSATION]} if _CONVERSATION in found else {})


def _turns(conversation: Value) -> bytes:
    """A hash of each turn, one behind the other; nothing where it is no list."""
    if not isinstance(conversation, str) or len(conversation) > JSON_BYTES_MAX:
        return b""
    try:
        turns = msgspec.json.decode(conversation, type=list[msgspec.Raw])
    except UNDECODABLE:
        return b""
    return b"".join([hashlib.blake2b(bytes(one).strip(), digest_size=_TURN_BYTES).digest() for one in turns])


def _comparable(value: Value) -> Value:
    if isinstance(value, str | bytes) and len(value) > _COMPARED_CHARACTERS_MAX:
        return hash(value)
    return hash(bytes(value.data)) if isinstance(value, RawText) else value


def _signs(
    descriptor: Descriptor, key: bytes, before: Watched | None, after: Watched | None, newest: Watched | None
) -> Iterator[tuple[str, str, str]]:
    """(what, detail, example) of one changed record."""
    if descriptor.kind is CollectionKind.LINES:
        # Lines are only ever appended; one that is another now, or gone, was lost unless it has come back.
        if before is not None and newest != before:
            yield "lines lost", "", display_key(key).rpartition("/")[0]
    elif descriptor.kind is CollectionKind.TABLE:
        shown = display_key(key)
        if after is None and newest is None:
            yield "removed", "", shown
        elif after is not None and newest is not None:
            for what, detail in _row_signs(descriptor, before or {}, after, newest):
                yield what, detail, shown


def _row_signs(descriptor: Descriptor, before: Watched, after: Watched, newest: Watched) -> Iterator[tuple[str, str]]:
    """(what, detail) of a row that is there still; `before` is empty where it was added."""
    status = _status(after)
    if status in FAILING and _status(newest) in FAILING and _status(before) not in FAILING:
        yield "failed", status
    if not before and after.get("message_type") == "error":
        yield "errors reported", ""
    for name in _WRITTEN_ONCE.get(descriptor.name, ()) if before else ():
        if before.get(name) != after.get(name) and newest.get(name) != before.get(name):
            yield "rewritten", name
    if _fewer(before, after) and _fewer(before, newest):
        yield "turns lost", ""


def _fewer(before: Watched, after: Watched) -> bool:
    """Whether turns of a conversation are no longer there, or not the same."""
    a, b = before.get(_CONVERSATION), after.get(_CONVERSATION)
    if isinstance(a, bytes) and isinstance(b, bytes) and not b.startswith(a):
        return True
    counted, now = before.get("turn_count"), after.get("turn_count")
    return isinstance(counted, int) and isinstance(now, int) and now < counted


def _status(record: Watched) -> str:
    status = record.get("status")
    return status.lower() if isinstance(status, str) else ""
