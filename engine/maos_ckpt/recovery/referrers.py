"""Which records refer to an agent, without reading all that might.

The answer is worked out once in idle time, kept up to date by the differences between checkpoints, and stored as a
tree of its own (`capture.referrers`). Asked of a checkpoint that has such a tree, it reads one path of it, and the
difference between the collections that the tree is true for and the present ones.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from typing import Final

from maos_ckpt.capture.referrers import (
    CHANGES_MAX,
    REFERENCES_MAX,
    key_of,
    prepare,
    prepared,
    range_of,
    record_of,
)
from maos_ckpt.client import ProgressSink
from maos_ckpt.codec.values import decode_key
from maos_ckpt.errors import UNREADABLE
from maos_ckpt.model import Collection, Descriptor, Progress
from maos_ckpt.recovery.lookup import Record, Shape, every
from maos_ckpt.recovery.reference_rules import Json, references
from maos_ckpt.repository.repository import Repository
from maos_ckpt.states import CollectionName, StoredState
from maos_ckpt.tree.cursor import records
from maos_ckpt.tree.diff import StoredStream, differences

#: What the tree covers: the records that come and go with an agent. Few others refer to agents, in few records.
COVERED: Final[tuple[CollectionName, ...]] = (
    ("memory", "key_value_store"),
    ("memory", "sessions"),
    ("queue", "messages"),
    ("tasks", "tasks"),
)
#: An agent's id as it stands inside of keys: `owners.Owners` decides by the same bounds.
NAME: Final = re.compile(r"[0-9A-Za-z_-]+-[0-9a-f]{8}")
_WORD: Final = re.compile(r"(?<![0-9A-Za-z_-])[0-9A-Za-z_-]+")
_ENDING: Final = re.compile(r"-[0-9a-f]{8}(?![0-9A-Za-z])")
#: What JSON may hold and no key can.
_HALF_PAIR: Final = re.compile("[\ud800-\udfff]")
_REPORT_EVERY: Final = 10_000
#: Characters of all names in one key: names of one word begin alike, so that they grow with the square of its length.
NAMES_CHARACTERS_MAX: Final = 1 << 20


class TooManyError(Exception):
    """There is more than is worked out."""


def agents_of(shape: Shape, table: str, record: Record, parse: Json) -> set[str]:
    """The agents that a record refers to, those among them that a key can name; one of the key-value store by its
    key.

    Raises:
        TooManyError: a key may name more than is worked out.
    """
    if table == "key_value_store":
        first = decode_key(record[0])[0]
        return set(_named(first)) if isinstance(first, str) else set()
    found = {one.id for one in references(table, shape.stored(record), parse) if one.table == "agents"}
    return {one for one in found if not _HALF_PAIR.search(one)}


def _named(text: str) -> Iterator[str]:
    """What may be agents' ids in a key, `a-0000000b` and `a-0000000b-0000000c` in `context:a-0000000b-0000000c`."""
    left = NAMES_CHARACTERS_MAX
    for word in _WORD.findall(text):
        for ending in _ENDING.finditer(word):
            left -= ending.end()
            if left < 0:
                raise TooManyError
            if ending.start():
                yield word[: ending.end()]


def work_out(repository: Repository, progress: ProgressSink = lambda _: None) -> bool:
    """Bring the references of the newest checkpoint up to date for the next save; whether there was anything to do.

    The caller holds the lease. What cannot be read, or is too much, is left alone.
    """
    newest = repository.latest()
    if newest is None or newest.source.partition(":")[0] != "maos":
        return False
    waiting = prepared(repository)
    if waiting is not None and waiting.checkpoint == newest.id:
        return False
    state = StoredState(repository, newest)
    of = [one for one in newest.collections if (one.component, one.name) in COVERED]
    try:
        kept = newest.referrers
        if kept is not None and kept.descriptors == newest.descriptors:
            changes = dict(_changes(state, kept.of, of, progress))
            if len(changes) <= CHANGES_MAX:
                base = kept.tree.root or b""
                return bool(changes) and prepare(repository, newest, base, of, changes.items())
        rows = ((key, True) for key in _all(state, of, progress))
        return prepare(repository, newest, b"", of, rows)
    except (TooManyError, *UNREADABLE):
        return False


def _all(state: StoredState, of: list[Collection], progress: ProgressSink) -> Iterator[bytes]:
    number = 0
    for collection in of:
        name, find = (collection.component, collection.name), _Finder(state, collection)
        for record in every(state, name):
            for agent in find.agents(record):
                number += 1
                if number > REFERENCES_MAX:
                    raise TooManyError
                if number % _REPORT_EVERY == 0:
                    # Also where an idle engine can be stopped from outside.
                    progress(Progress("references", "read", number))
                yield key_of(agent, collection.path, record[0])


def _changes(
    state: StoredState, before: tuple[Collection, ...], after: list[Collection], progress: ProgressSink
) -> Iterator[tuple[bytes, bool]]:
    """References that came (True) or went between two versions of the covered collections."""
    old = {one.path: one.root for one in before}
    new = {one.path: one for one in after}
    number = 0
    for path in sorted(old.keys() | new.keys()):
        root = new[path].root if path in new else None
        streams = StoredStream(state.chunks, old.get(path)), StoredStream(state.chunks, root)
        find = _Finder(state, new[path]) if path in new else None
        for key, was, now in differences(*streams):
            number += 1
            if number > REFERENCES_MAX:
                raise TooManyError
            if number % _REPORT_EVERY == 0:
                progress(Progress("references", "compare", number))
            if find is None:
                raise TooManyError
            gone = set() if was is None else find.agents((key, was))
            here = set() if now is None else find.agents((key, now))
            yield from ((key_of(agent, path, key), True) for agent in sorted(here - gone))
            yield from ((key_of(agent, path, key), False) for agent in sorted(gone - here))


class _Finder:
    """Finds the agents that records of one collection refer to."""

    def __init__(self, state: StoredState, collection: Collection) -> None:
        descriptor: Descriptor = state.descriptors()[collection.component, collection.name]
        self._shape = Shape(descriptor, descriptor.columns, state.get)
        self._table = descriptor.name
        self._parse = Json()

    def agents(self, record: Record) -> set[str]:
        found = agents_of(self._shape, self._table, record, self._parse)
        if self._parse.exhausted:
            raise TooManyError
        return found


def referring(state: StoredState, agents: Iterable[str]) -> dict[str, set[tuple[str, bytes]]] | None:
    """The records of covered collections that refer to each of some agents, as (`component/collection`, key).

    None where the checkpoint has no such tree, or it cannot be read: then all records have to be looked at.
    """
    kept = state.checkpoint.referrers
    if kept is None or kept.descriptors != state.checkpoint.descriptors:
        return None
    found: dict[str, set[tuple[str, bytes]]] = {}
    try:
        for agent in agents:
            # Nothing refers to half a surrogate pair.
            with contextlib.suppress(UnicodeEncodeError):
                low, high = range_of(agent)
                found[agent] = {record_of(key) for key, _ in records(state.chunks, kept.tree.root, low, high)}
        present = [one for one in state.checkpoint.collections if (one.component, one.name) in COVERED]
        # What differs lies here and there; leaves between are none of this.
        with state.chunks.scattered():
            for key, there in _changes(state, kept.of, present, lambda _: None):
                of = found.get(str(decode_key(key)[0]))
                if of is not None:
                    (of.add if there else of.discard)(record_of(key))
    except (TooManyError, *UNREADABLE):
        return None
    return found
