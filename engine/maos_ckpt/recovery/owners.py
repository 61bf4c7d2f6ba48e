"""What belongs to an agent, and to an orchestration: decided record by record, so that nothing else has to be read.

MAOS names an agent in columns, in JSON, in ids and in file names; `Owners` holds the names to look for. A record is
looked at as the checkpoint and as the live state hold it, and belongs where either says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from maos_ckpt.errors import UsageError
from maos_ckpt.model import CollectionKind, Descriptor, Row, Selection, Value
from maos_ckpt.recovery.lookup import Shape, keys_of, lookup
from maos_ckpt.recovery.reference_rules import COLLECTIONS, Values
from maos_ckpt.recovery.touched import TRANSCRIPT_FILES, TRANSCRIPTS
from maos_ckpt.states import CollectionName, State

#: Agents of one selection, those of its orchestrations included.
AGENTS_MAX: Final = 10_000
#: A longer list of ids is not read.
JSON_BYTES_MAX: Final = 8 << 20
#: What MAOS calls its checkpoint of an orchestration.
_CHECKPOINT_PREFIX: Final = "orchestration_"

_OF_AGENTS: Final[frozenset[CollectionName]] = frozenset(
    {
        COLLECTIONS["agents"],
        COLLECTIONS["sessions"],
        COLLECTIONS["tasks"],
        TRANSCRIPTS,
        TRANSCRIPT_FILES,
        ("memory", "key_value_store"),
        ("queue", "messages"),
    }
)
_OF_ORCHESTRATIONS: Final[frozenset[CollectionName]] = frozenset(
    {COLLECTIONS["orchestrations"], ("system", "checkpoints")}
)


@dataclass(frozen=True)
class Owners:
    """Ids of agents, of their sessions, and of orchestrations."""

    agents: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    orchestrations: frozenset[str] = frozenset()
    collections: frozenset[CollectionName] = field(init=False)

    def __post_init__(self) -> None:
        of_agents = _OF_AGENTS if self.agents else frozenset()
        object.__setattr__(
            self, "collections", of_agents | (_OF_ORCHESTRATIONS if self.orchestrations else frozenset())
        )

    def own(self, descriptor: Descriptor, parts: Row, values: Values) -> bool:
        """Whether a record, given by its key's parts and its values, belongs to one of them."""
        name = (descriptor.component, descriptor.name)
        if name not in self.collections:
            return False
        first = parts[0]
        if name in (TRANSCRIPTS, TRANSCRIPT_FILES):
            return isinstance(first, str) and not self.sessions.isdisjoint(first.removesuffix(".jsonl").split("/"))
        if descriptor.kind is not CollectionKind.TABLE:
            return False
        table = descriptor.origin.lower()
        if table == "agents":
            return first in self.agents
        if table == "sessions":
            return first in self.sessions or values.get("agent_id") in self.agents
        if table == "messages":
            return values.get("from_agent") in self.agents or values.get("to_agent") in self.agents
        if table == "tasks":
            return self._owns_task(first, values)
        if table == "key_value_store":
            return isinstance(first, str) and self._named.search(first) is not None
        if table == "orchestrations":
            return first in self.orchestrations
        named = values.get("name")
        return (
            isinstance(named, str) and named.startswith(_CHECKPOINT_PREFIX) and values.get("id") in self.orchestrations
        )

    def _owns_task(self, name: Value, values: Values) -> bool:
        if isinstance(name, str) and name.startswith("task-") and name.removeprefix("task-") in self.agents:
            return True
        return not self.agents.isdisjoint(_ids(values.get("assigned_agents")))

    @cached_property
    def _named(self) -> re.Pattern[str]:
        # Part of a longer word it would be another agent's: `analyst-1a2b3c4d` is none of `senior-analyst-1a2b3c4d`.
        names = "|".join(map(re.escape, sorted(self.agents)))
        return re.compile(f"(?<![0-9A-Za-z_-])(?:{names})(?![0-9A-Za-z])")


def find_owners(selection: Selection, states: Sequence[State]) -> Owners:
    """The agents and orchestrations of a selection, with the agents of these orchestrations and the sessions of all.

    Raises:
        UsageError: more than `AGENTS_MAX` agents.
    """
    orchestrations = frozenset(selection.orchestrations)
    agents = set(selection.agents)
    for values in _rows(states, "orchestrations", orchestrations):
        agents.update(_ids(values.get("agents")))
        agents.update(_ids(values.get("batches")))
        agents.update(_inner_ids(values.get("batches")))
    if len(agents) > AGENTS_MAX:
        raise UsageError(
            f"The selection names {len(agents):,} agents; more than {AGENTS_MAX:,} are not taken one by one.",
            kept="Nothing was changed.",
            hint="Select whole components instead.",
        )
    sessions = {values.get("session_id") for values in _rows(states, "agents", agents)}
    return Owners(frozenset(agents), frozenset(one for one in sessions if isinstance(one, str) and one), orchestrations)


def is_there(state: State, table: str, name: str) -> bool:
    """Whether a state holds an agent or an orchestration of this id."""
    return any(True for _ in _rows((state,), table, (name,)))


def _rows(states: Sequence[State], table: str, names: Iterable[str]) -> Iterator[Values]:
    keys = list(keys_of(names))
    for state in states:
        descriptor = state.descriptors().get(COLLECTIONS[table])
        if descriptor is not None and len(descriptor.keys) == 1:
            shape = Shape(descriptor, descriptor.columns, state.get)
            yield from (shape.stored(record) for record in lookup(state, COLLECTIONS[table], keys))


def _ids(text: Value) -> Iterator[str]:
    """The texts in a JSON list."""
    yield from (one for one in _list(text) if isinstance(one, str))


def _inner_ids(text: Value) -> Iterator[str]:
    """The texts in the lists of a JSON list."""
    for one in _list(text):
        yield from (inner for inner in one if isinstance(inner, str)) if isinstance(one, list) else ()


def _list(text: Value) -> list[object]:
    if not isinstance(text, str) or len(text) > JSON_BYTES_MAX:
        return []
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []
