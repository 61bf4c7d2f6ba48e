"""Which records a partial recovery needs besides those that were chosen, and which record needs each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from maos_ckpt.codec.values import decode_key, display_key, encode_key
from maos_ckpt.errors import UsageError
from maos_ckpt.model import CollectionKind, Descriptor
from maos_ckpt.recovery.lookup import Shape, every, matching
from maos_ckpt.recovery.reference_rules import COLLECTIONS, CONVERSATIONS, Json, Reference, references
from maos_ckpt.recovery.touched import TRANSCRIPT_FILES, TRANSCRIPTS, session_name
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite.spill import FRONT_MAX, TEXT, Spill, SpilledMap
from maos_ckpt.states import State, StoredState

#: How far missing records are followed to what they need in turn: tasks to their parents.
DEPTH_MAX: Final = 50
#: Records that may be added to a selection one by one; the note of a recovery lists them.
ADDED_MAX: Final = 100_000

Added = tuple[str, bytes]


def missing_dependencies(
    live: State, target: StoredState, changes: Callable[[], Iterator[Change]], *, front_max: int = FRONT_MAX
) -> dict[Added, str]:
    """Records of the checkpoint that the plan's records refer to and that would not be there: (collection path, key),
    each with what needs it. The lines of a transcript are one entry, with the key of its file.

    What these refer to is followed in turn. Records that are there live are never overwritten for it.

    Raises:
        UsageError: they are more than `ADDED_MAX`.
    """
    found: dict[Added, str] = {}
    with Spill(front_max) as spill:
        for added, reason in _Missing(live, target, spill).of(changes()):
            found[added] = reason
            if len(found) > ADDED_MAX:
                raise UsageError(
                    f"The selection needs more than {ADDED_MAX:,} further records.",
                    kept="Nothing was changed.",
                    hint="Select the components that it needs instead: those are taken as a whole.",
                )
    return found


class _Missing:
    """`there`: ids that need not be fetched, by table; `wanted`: ids that are referred to, with the first reference."""

    def __init__(self, live: State, target: StoredState, spill: Spill) -> None:
        self._live = live
        self._target = target
        self._spill = spill
        self._parse = Json()
        self._there = self._no_ids()
        self._wanted = self._no_ids()

    def of(self, changes: Iterator[Change]) -> Iterator[tuple[Added, str]]:
        """What these changes need, and what that needs in turn."""
        for change in changes:
            descriptor = change.descriptor
            if change.after is None:
                continue
            if (descriptor.component, descriptor.name) == TRANSCRIPT_FILES:
                name = session_name(change.parts[0])
                if name is not None:
                    self._there[CONVERSATIONS].add(name)
            if descriptor.kind is not CollectionKind.TABLE:
                continue
            table, parts = descriptor.origin.lower(), change.parts
            if table in self._there and isinstance(parts[0], str):
                self._there[table].add(parts[0])
            view = Shape(descriptor, change.columns, self._live.get).view(parts, change.after)
            self._want(references(table, view, self._parse), descriptor, change.key)
        for _ in range(DEPTH_MAX):
            wanted, self._wanted = self._wanted, self._no_ids()
            for table in sorted(wanted):
                if table == CONVERSATIONS:
                    yield from self._fetch_conversations(wanted[table])
                else:
                    yield from self._fetch(table, wanted[table])
            if not any(self._wanted.values()):
                break

    def _no_ids(self) -> dict[str, SpilledMap[str]]:
        return {table: SpilledMap(self._spill, TEXT) for table in (*COLLECTIONS, CONVERSATIONS)}

    def _want(self, found: Iterable[Reference], descriptor: Descriptor, key: bytes) -> None:
        for one in found:
            # Made readable only where the record is added: most are there.
            self._wanted[one.table].add(one.id, f"{one.check}\0{descriptor.path}\0".encode() + key)

    def _fetch(self, table: str, ids: SpilledMap[str]) -> Iterator[tuple[Added, str]]:
        """The records among `ids` that only the checkpoint has; what they refer to becomes wanted."""
        fresh, live = self._fresh(table, ids), SpilledMap(self._spill, TEXT)
        for key, _ in matching(self._live, COLLECTIONS[table], fresh):
            live.add(str(decode_key(key)[0]))
        descriptor = self._target.descriptors().get(COLLECTIONS[table])
        if descriptor is None or len(descriptor.keys) != 1:
            return
        shape = Shape(descriptor, descriptor.columns, self._target.get)
        for record in matching(self._target, COLLECTIONS[table], fresh):
            name = str(decode_key(record[0])[0])
            if name not in live:
                self._want(references(table, shape.stored(record), self._parse), descriptor, record[0])
                yield (descriptor.path, record[0]), _reason(fresh.get(name))

    def _fetch_conversations(self, ids: SpilledMap[str]) -> Iterator[tuple[Added, str]]:
        """The transcripts of these names that are not there live; the rows of `sessions` are wanted as well."""
        fresh, live = self._fresh(CONVERSATIONS, ids), SpilledMap(self._spill, TEXT)
        if not fresh:
            return
        for name, reason in fresh.items():
            self._wanted["sessions"].add(name, reason)
        for key, _ in every(self._live, TRANSCRIPT_FILES):
            live.add(session_name(decode_key(key)[0]) or "")
        if TRANSCRIPT_FILES not in self._target.descriptors():
            return
        for key, _ in every(self._target, TRANSCRIPT_FILES):
            path = decode_key(key)[0]
            found = session_name(path)
            if found is not None and found in fresh and found not in live:
                for collection in (TRANSCRIPT_FILES, TRANSCRIPTS):
                    yield ("/".join(collection), encode_key((path,))), _reason(fresh.get(found))

    def _fresh(self, table: str, ids: SpilledMap[str]) -> SpilledMap[str]:
        """Those that need to be looked for; from now on they need not again."""
        fresh = SpilledMap(self._spill, TEXT)
        for name, reason in ids.items():
            if name not in self._there[table]:
                fresh.add(name, reason)
        for name, _ in fresh.items():
            self._there[table].add(name)
        return fresh


def _reason(reference: bytes | None) -> str:
    check, path, key = (reference or b"\0\0").split(b"\0", 2)
    return f"needed by {path.decode()}/{display_key(key)}: {check.decode()}"
