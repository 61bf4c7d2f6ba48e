"""Records read through the client, page by page, never more than a bounded number, and their values as texts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from maos_ckpt.client import EngineClient
from maos_ckpt.model.contents import RecordPage, ShownRecord

#: Records of one page, and characters of a value in a list: there are many, and a line shows little of each.
PAGE_RECORDS = 1000
LIST_CHARACTERS = 600
#: Records that a list holds at first; `m` reads four times as many, up to the second bound.
LISTED = 5000
LISTED_MAX = 100_000
Values = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as a list holds it: long values are clipped; `digest` tells its content from another's."""

    component: str
    collection: str
    key: str
    values: Values
    digest: bytes

    @property
    def path(self) -> str:
        """`component/collection/key`."""
        return f"{self.component}/{self.collection}/{self.key}"


@dataclass(frozen=True, slots=True)
class Listing:
    """Records in key order; `more` says that there are others behind them."""

    entries: tuple[Entry, ...]
    more: bool


def entry(record: ShownRecord) -> Entry:
    """A record with its values by name."""
    values = json.loads(record.values_json)
    digest = hashlib.blake2b(record.values_json.encode(), digest_size=12).digest()
    return Entry(record.component, record.collection, record.key, values if isinstance(values, dict) else {}, digest)


def read(client: EngineClient, place: str, pattern: str, limit: int, *, clip: int | None = LIST_CHARACTERS) -> Listing:
    """The first `limit` records that a glob means."""
    found: list[Entry] = []
    after = ""
    while len(found) < limit:
        number = min(PAGE_RECORDS, limit - len(found))
        page: RecordPage = client.records(place, record=pattern, after=after, limit=number, clip=clip)
        found += map(entry, page.records)
        after = page.next
        if not after:
            break
    return Listing(tuple(found), bool(after))


def text(value: object) -> str:
    """A value for people (untrusted); the beginning of one that was clipped."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        if "$clipped" in value:
            return f"{value['$clipped']}…"
        if set(value) <= {"$bytes", "$text", "$real"} and value:
            kind, inside = next(iter(value.items()))
            return str(inside) if kind == "$real" else f"({len(str(inside)) * 3 // 4:,} bytes that are no text)"
    return json.dumps(value, ensure_ascii=False)


def cell(values: Values, name: str) -> str:
    """One column of a record as text, "" where it has none."""
    return text(values.get(name))


def inside(values: Values, name: str) -> object:
    """The document in a column, None where it is none or was clipped."""
    value = values.get(name)
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None
