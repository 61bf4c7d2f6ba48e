"""Whether message ids would be given twice: SQLite counts up from `sqlite_sequence`, which a whole recovery sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from maos_ckpt.codec.values import encode_key
from maos_ckpt.model import Finding, Row, Severity
from maos_ckpt.recovery.lookup import Shape, lookup
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite.schema import SEQUENCE_TABLE
from maos_ckpt.states import CollectionName, State

MESSAGES: Final[CollectionName] = ("queue", "messages")
SEQUENCE: Final[CollectionName] = ("queue", SEQUENCE_TABLE)
_CHECK: Final = "messages.id is at most sqlite_sequence"


@dataclass(slots=True)
class SequenceCheck:
    """Takes the changes of messages and of their counter; then `findings`. `live`: the state before."""

    live: State
    _before: int = 0
    _after: int = 0
    _counter: tuple[int | None, int | None] | None = None

    def take(self, change: Change) -> None:
        """Note one change."""
        name = (change.descriptor.component, change.descriptor.name)
        if name == MESSAGES:
            number = change.parts[0]
            if isinstance(number, int):
                self._before = max(self._before, number if change.before is not None else 0)
                self._after = max(self._after, number if change.after is not None else 0)
        elif name == SEQUENCE and change.parts[0] == "messages":
            self._counter = _counter(change.before), _counter(change.after)

    def findings(self, *, whole: bool) -> Iterator[Finding]:
        """What would be wrong afterwards and is not now; a partial recovery only ever raises the counter."""
        if not whole or not self._after:
            return
        before, after = self._counter or (live := self._live_counter(), live)
        if after is not None and self._after > after and not (before is not None and self._before > before):
            text = f"It would no longer hold that {_CHECK}: message {self._after} comes back, the counter is {after};"
            text += " MAOS would give ids again that are taken."
            yield Finding(Severity.WARNING, "records", text, _CHECK, (f"{'/'.join(MESSAGES)}/{self._after}",))

    def _live_counter(self) -> int | None:
        descriptor = self.live.descriptors().get(SEQUENCE)
        if descriptor is None:
            return None
        shape = Shape(descriptor, descriptor.columns, self.live.get)
        for record in lookup(self.live, SEQUENCE, [encode_key(("messages",))]):
            value = shape.stored(record).get(descriptor.columns[-1])
            return value if isinstance(value, int) else None
        return None


def _counter(row: Row | None) -> int | None:
    value = row[-1] if row else None
    return value if isinstance(value, int) else None
