"""An event as others are told of it: a JSON document with an id by which whoever gets it twice knows."""

from __future__ import annotations

import hashlib
import json

from maos_ckpt.config.keys import without_credentials
from maos_ckpt.events import public_field, public_name
from maos_ckpt.journal import Entry
from maos_ckpt.times import rfc3339

_ID_DIGITS = 32


def event_id(entry: Entry) -> str:
    """The same for the same event, also after a restart."""
    name, fields = entry
    text = json.dumps([name, fields], sort_keys=True, ensure_ascii=True)
    return "ev_" + hashlib.sha256(text.encode("ascii")).hexdigest()[:_ID_DIGITS]


def message(entry: Entry, source: str) -> bytes:
    """ASCII JSON: `id`, `type`, `timestamp` (RFC 3339), `source`, `data` with the event's fields in camelCase."""
    name, fields = entry
    at_ms = fields.get("at_ms")
    data = {public_field(key): _shown(value) for key, value in fields.items() if key != "at_ms"}
    body = {
        "id": event_id(entry),
        "type": public_name(name),
        "timestamp": rfc3339(at_ms if isinstance(at_ms, int) else 0),
        "source": without_credentials(source),
        "data": data,
    }
    return json.dumps(body, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def _shown(value: object) -> object:
    return without_credentials(value) if isinstance(value, str) else value
