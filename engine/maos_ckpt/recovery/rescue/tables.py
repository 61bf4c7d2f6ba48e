"""Reading one table of a state record by record, and changing columns of a record."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from typing import Final

from maos_ckpt.codec.values import encode_key
from maos_ckpt.model import Value
from maos_ckpt.recovery.lookup import Record, RecordView, Shape, beating, every
from maos_ckpt.sources.change import Change
from maos_ckpt.states import CollectionName, State
from maos_ckpt.tree.large import load_row

#: A JSON text longer than this is not looked into: MAOS writes lists of ids and single objects.
JSON_CHARACTERS_MAX: Final = 4 << 20


class Table:
    """A table of `live`; one that is not there has no records."""

    def __init__(self, live: State, name: CollectionName, beat: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self._live = live
        self._beat = beat
        self.descriptor = live.descriptors().get(name)
        self._shape = None if self.descriptor is None else Shape(self.descriptor, self.descriptor.columns, live.get)

    @property
    def path(self) -> str:
        """`component/collection`."""
        return "/".join(self.name)

    def records(self) -> Iterator[tuple[Record, RecordView]]:
        """All records in key order, each as it is stored and by column name."""
        if self._shape is None:
            return
        for record in beating(every(self._live, self.name), self._beat):
            yield record, self._shape.stored(record)

    @property
    def rowid(self) -> str | None:
        """The column that holds SQLite's hidden rowid: the order in which records came."""
        return self.descriptor.columns[0] if self.descriptor is not None and self.descriptor.rowid else None

    def change(self, record: Record, values: dict[str, Value]) -> Change:
        """The change that gives a record these values; columns that the table does not have are left out."""
        assert self.descriptor is not None
        before = load_row(record[1], self._live.get)
        columns = self.descriptor.columns
        after = tuple(values.get(name, value) for name, value in zip(columns, before, strict=True))
        return Change(self.descriptor, record[0], before, after, columns)

    def addition(self, key: Value, values: dict[str, Value]) -> Change:
        """The change that adds a record; columns that the table does not have are left out."""
        assert self.descriptor is not None
        columns = tuple(name for name in self.descriptor.columns if name in values)
        return Change(self.descriptor, encode_key((key,)), None, tuple(values[name] for name in columns), columns)


def text(value: Value) -> str:
    """A text; "" for anything else."""
    return value if isinstance(value, str) else ""


def json_of(value: Value) -> object:
    """What a JSON text says; None where it is none, or too long to look into."""
    if not isinstance(value, str) or len(value) > JSON_CHARACTERS_MAX:
        return None
    try:
        found: object = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return found


def texts_of(value: Value) -> list[str]:
    """The texts in a JSON list; empty where it is none."""
    found = json_of(value)
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def utc_ms(value: Value) -> int | None:
    """A time as SQLite's CURRENT_TIMESTAMP writes it, in milliseconds since 1970; None for anything else."""
    return _ms(value, datetime.UTC)


def local_ms(value: Value) -> int | None:
    """A time as MAOS's Python writes it: `isoformat` in this machine's zone; None for anything else."""
    return _ms(value, None)


def local_text(at_ms: int) -> str:
    """A time as MAOS's Python writes it; in UTC at the ends of the calendar, where this machine's zone leads beyond."""
    try:
        return datetime.datetime.fromtimestamp(at_ms / 1000).isoformat()
    except (ValueError, OverflowError, OSError):
        return (datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=at_ms)).isoformat()


def _ms(value: Value, zone: datetime.tzinfo | None) -> int | None:
    try:
        moment = datetime.datetime.fromisoformat(text(value))
        return int((moment if moment.tzinfo or zone is None else moment.replace(tzinfo=zone)).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        return None
