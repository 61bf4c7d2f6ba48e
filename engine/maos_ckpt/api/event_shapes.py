"""Events as JSON: the name in camel case, the time as RFC 3339, the fields by the codec's rules."""

from __future__ import annotations

import hashlib
import operator
import re
from dataclasses import dataclass
from typing import Any

import msgspec

from maos_ckpt.api.codec import Time, encode, shown, special
from maos_ckpt.events import EVENT_TYPES, Event, OperationProgressed, public_field, public_name
from maos_ckpt.journal import Entry, as_event
from maos_ckpt.times import rfc3339

_DIGEST_CHARACTERS = 12
_ID = re.compile(r"(?P<at_ms>[0-9]{1,16})-[0-9a-f]{12}")


class EventDocument(msgspec.Struct, frozen=True):
    """An event. Besides these members it has those of its kind."""

    event: str
    at: Time


@dataclass(frozen=True, slots=True)
class EventShape:
    """An event as JSON shows it: its name, when it was, and the members of its kind."""

    event: str
    at: str
    details: dict[str, Any]

    @property
    def members(self) -> dict[str, Any]:
        """All in one."""
        return {"event": self.event, "at": self.at, **self.details}


special(EventShape, EventDocument, operator.attrgetter("members"))


#: Names in JSON of all events that are kept.
NAMES = frozenset(public_name(name) for name in EVENT_TYPES)
PROGRESS = public_name(OperationProgressed.__name__)


def event_shape(name: str, fields: dict[str, object]) -> EventShape:
    """A journal entry; what a newer version wrote is told by its own names."""
    event = as_event((name, fields))
    at_ms = fields.get("at_ms")
    if event is not None:
        return shape_of(event)
    details = {public_field(key): value for key, value in fields.items() if key != "at_ms"}
    return EventShape(public_name(name), rfc3339(at_ms if isinstance(at_ms, int) else 0), details)


def shape_of(event: Event) -> EventShape:
    """An event as JSON."""
    details = shown(event)
    return EventShape(public_name(type(event).__name__), details.pop("at"), details)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:_DIGEST_CHARACTERS]


def identity(at_ms: int, shape: EventShape) -> str:
    """An event's id: it is in the event itself, so it is the same whoever tells of it, and after a restart."""
    return f"{at_ms}-{_digest(encode(shape.members))}"


def entry_identity(entry: Entry) -> str:
    """The id of a journal entry."""
    at_ms = entry[1].get("at_ms")
    return identity(at_ms if isinstance(at_ms, int) else 0, event_shape(*entry))


def identity_time(text: str) -> int | None:
    """The time in an id; None where it is none."""
    match = _ID.fullmatch(text)
    return int(match["at_ms"]) if match else None
