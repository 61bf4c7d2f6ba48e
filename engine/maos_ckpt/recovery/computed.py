"""Changes that are computed from the live state, instead of read from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from maos_ckpt.model import Finding
from maos_ckpt.sources.change import Change
from maos_ckpt.states import State

RecordName = tuple[str, bytes]
"""A record: its collection's path, and its key."""


@dataclass(frozen=True, slots=True)
class Computed:
    """The changes that mend a state, in the order of writing, all of one collection together and in key order.

    `reasons` says of each changed record why. `identity` says what was asked for; the plan's digest covers it.
    """

    changes: tuple[Change, ...]
    reasons: Mapping[RecordName, str]
    identity: bytes
    findings: tuple[Finding, ...] = ()
    keys: frozenset[RecordName] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", frozenset((one.descriptor.path, one.key) for one in self.changes))


#: Computes the changes for a live state; the second argument is called now and then, as a sign of life.
Compute = Callable[[State, Callable[[], None]], Computed]
