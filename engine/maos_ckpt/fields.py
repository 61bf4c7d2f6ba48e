"""Which fields of a record differ, down to the items of JSON documents inside text columns.

`conversation_history` is one text column and a list of turns; a change to it is shown turn by turn, as
`conversation_history[12]`. JSON is parsed only for showing: what is stored and restored is the text, byte for byte.

JSON values: NULL, numbers and text are JSON's own, integers of any size in full. JSON has no bytes, no text outside
Unicode and no infinities; such a value is an object with one key: `$bytes` or `$text` (base64), or `$real` (`inf`,
`-inf`, `nan`). A value of a change beyond `SHOWN_CHARACTERS_MAX` is `{"$clipped": its beginning, "of": "text", "json"
or "bytes", "length": characters or bytes}`; `records`, unless it is told to clip, and `export` give it in full.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator

from maos_ckpt.codec.values import RawText, display_value
from maos_ckpt.model import Descriptor, FieldChange, Row, Value
from maos_ckpt.sources.change import same_row, same_value

#: Longer texts are compared as text, not as JSON.
JSON_BYTES_MAX = 8 << 20
#: Nesting beyond this is compared as one value.
JSON_DEPTH_MAX = 6
#: Fields listed for one record; the last entry says how many more there are.
FIELDS_MAX = 200
#: Characters of a value shown in a change.
SHOWN_CHARACTERS_MAX = 4000
#: Listed changes whose added and removed records come with their values; a longer list gives their keys alone, since it
#: would carry the state itself.
VALUES_LISTED_MAX = 1000


def named(descriptor: Descriptor, key: Row, row: Row | None) -> dict[str, Value]:
    """A record as name → value; the hidden rowid is left out."""
    if row is None:
        return {}
    values = dict(zip(descriptor.keys, key, strict=False))
    columns = zip(descriptor.columns, row, strict=True)
    if descriptor.rowid:
        next(columns)
    values.update(columns)
    return values


def same_record(before: tuple[Descriptor, Row], after: tuple[Descriptor, Row]) -> bool:
    """Whether two records with one key differ in nothing but the hidden rowid or in the order of columns."""
    if before[0].columns == after[0].columns:
        start = 1 if before[0].rowid else 0
        return same_row(before[1][start:], after[1][start:])
    a, b = named(before[0], (), before[1]), named(after[0], (), after[1])
    return a.keys() == b.keys() and all(same_value(a[name], b[name]) for name in a)


def changed_fields(before: dict[str, Value], after: dict[str, Value]) -> tuple[FieldChange, ...]:
    """What differs between two records given by name; bounded by `FIELDS_MAX`."""
    found: list[FieldChange] = []
    more = 0
    for change in _walk(before, after):
        if len(found) < FIELDS_MAX:
            found.append(change)
        else:
            more += 1
    if more:
        found.append(FieldChange(f"({more} more fields)", None, None))
    return tuple(found)


def _walk(before: dict[str, Value], after: dict[str, Value]) -> Iterator[FieldChange]:
    for name in dict.fromkeys([*before, *after]):
        if name not in before:
            yield _field(name, None, _shown(after[name]))
        elif name not in after:
            yield _field(name, _shown(before[name]), None)
        elif not same_value(before[name], after[name]):
            yield from _value_changes(name, before[name], after[name])


def _value_changes(path: str, before: Value, after: Value) -> Iterator[FieldChange]:
    old, new = _parse(before), _parse(after)
    found = False
    if type(old) is type(new) and isinstance(old, dict | list):
        for change in _json_changes(path, old, new, 1):
            found = True
            yield change
    if not found:
        # Not documents, or documents that differ in their text alone: the text is what is stored.
        yield _field(path, _shown(before), _shown(after))


def _parse(value: Value) -> object:
    if isinstance(value, str) and value[:1] in ("{", "[") and len(value) <= JSON_BYTES_MAX:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return None
    return None


def _json_changes(path: str, before: object, after: object, depth: int) -> Iterator[FieldChange]:
    if depth <= JSON_DEPTH_MAX and isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*before, *after]):
            yield from _item_changes(f"{path}.{name}", name, before, after, depth)
    elif depth <= JSON_DEPTH_MAX and isinstance(before, list) and isinstance(after, list):
        yield from _list_changes(path, before, after, depth)
    elif not _same_json(before, after):
        yield _field(path, _shown_json(before), _shown_json(after))


def _item_changes(
    path: str, name: str, before: dict[str, object], after: dict[str, object], depth: int
) -> Iterator[FieldChange]:
    if name not in before:
        yield _field(path, None, _shown_json(after[name]))
    elif name not in after:
        yield _field(path, _shown_json(before[name]), None)
    elif not _same_json(before[name], after[name]):
        yield from _json_changes(path, before[name], after[name], depth + 1)


def _list_changes(path: str, before: list[object], after: list[object], depth: int) -> Iterator[FieldChange]:
    """Items by position, after the common beginning and end, so that one inserted turn is one change."""
    start = 0
    while start < min(len(before), len(after)) and _same_json(before[start], after[start]):
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and _same_json(before[-1 - end], after[-1 - end]):
        end += 1
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    for i in range(max(len(old), len(new))):
        item = f"{path}[{start + i}]"
        if i >= len(old):
            yield _field(item, None, _shown_json(new[i]))
        elif i >= len(new):
            yield _field(item, _shown_json(old[i]), None)
        elif not _same_json(old[i], new[i]):
            yield from _json_changes(item, old[i], new[i], depth + 1)


def _same_json(before: object, after: object) -> bool:
    # Compared as text because 1, 1.0 and true are equal in Python, but not in JSON.
    return before is after or json.dumps(before) == json.dumps(after)


#: A value for people, and as JSON text where that is something else than the same text.
_Shown = tuple[str, str | None]


def _field(path: str, before: _Shown | None, after: _Shown | None) -> FieldChange:
    old, new = before or (None, None), after or (None, None)
    return FieldChange(path, old[0], new[0], old[1], new[1])


def json_value(value: Value, clip: int | None = None) -> object:
    """A stored value as JSON can hold it; see "JSON values" above. Without loss, unless it is longer than `clip`
    characters or bytes."""
    if clip is not None and isinstance(value, str) and len(value) > clip:
        return _cut_short(value[:clip], "text", len(value))
    if clip is not None and isinstance(value, bytes | RawText):
        data = value if isinstance(value, bytes) else bytes(value.data)
        if len(data) > clip:
            return _cut_short(base64.b64encode(data[:clip]).decode(), "bytes", len(data))
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, RawText):
        return {"$text": base64.b64encode(bytes(value.data)).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$real": repr(value)}
    return value


def _shown(value: Value) -> _Shown:
    """A column's value."""
    if isinstance(value, str):
        return _shown_text(value)
    if isinstance(value, bytes | RawText):
        data = value if isinstance(value, bytes) else bytes(value.data)
        # In hexadecimal each byte is two characters.
        if len(data) > SHOWN_CHARACTERS_MAX // 2:
            beginning = data[: SHOWN_CHARACTERS_MAX // 2]
            text = f"x'{beginning.hex()}… ({len(data) - len(beginning):,} more bytes)"
            return text, _clipped(base64.b64encode(beginning).decode(), "bytes", len(data))
        return display_value(value), json.dumps(json_value(value))
    text = display_value(value)
    as_json = json.dumps(json_value(value))
    # One string for both where they are equal, as they are for nearly all numbers.
    return text, text if text == as_json else as_json


def _shown_json(value: object) -> _Shown:
    """A value inside a JSON document."""
    if isinstance(value, str):
        return _shown_text(value)
    text = json.dumps(value, ensure_ascii=False)
    if len(text) > SHOWN_CHARACTERS_MAX:
        return _cut(text), _clipped(text[:SHOWN_CHARACTERS_MAX], "json", len(text))
    try:
        as_json = json.dumps(value, allow_nan=False)
    except ValueError:
        finite = json.loads(text, parse_constant=lambda name: {"$real": repr(float(name))})
        as_json = json.dumps(finite)
    return _encodable(text), text if text == as_json else as_json


def _shown_text(text: str) -> _Shown:
    if len(text) > SHOWN_CHARACTERS_MAX:
        return _cut(text), _clipped(text[:SHOWN_CHARACTERS_MAX], "text", len(text))
    shown = _encodable(text)
    return shown, None if shown is text else json.dumps(text)


def _cut(text: str) -> str:
    more = len(text) - SHOWN_CHARACTERS_MAX
    return f"{_encodable(text[:SHOWN_CHARACTERS_MAX])}… ({more:,} more characters)"


def _clipped(beginning: str, of: str, length: int) -> str:
    return json.dumps(_cut_short(beginning, of, length))


def _cut_short(beginning: str, of: str, length: int) -> dict[str, str | int]:
    return {"$clipped": beginning, "of": of, "length": length}


def _encodable(text: str) -> str:
    """`text` itself, or, where a JSON escape has put half a surrogate pair into it, with that escape shown."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text
