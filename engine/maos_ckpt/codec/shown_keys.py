"""Keys as people write them, turned back into what is stored: whole ones, and the range that a glob means."""

from __future__ import annotations

import re

from maos_ckpt.codec.values import RAW_TEXT, RawText, display_key, encode_key, encode_part
from maos_ckpt.model import Descriptor, Value

# The forms of `display_key`; an integer of 18 digits is always one of SQLite's.
_QUOTED = re.compile(r"([xt]?)'(.*)'", re.DOTALL)
_HEX = re.compile(r"(?:[0-9a-f]{2})*")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_REAL = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[-+][0-9]+)?|-?inf")
#: Where a glob begins to be one.
_GLOB = re.compile(r"[*?\[]")
#: What begins so may be a value that is shown quoted, and is not stored as it is shown.
_QUOTES = ("'", "x", "t")
#: Encoded keys of text sort behind all numbers and NULL, and before bytes.
_TEXT = encode_part("")[:1]


def key_ranges(descriptor: Descriptor, pattern: str) -> list[tuple[bytes, bytes | None]] | None:
    """Ranges `low <= key < high` of encoded keys, in order, outside of which `COMPONENT/COLLECTION/GLOB` means nothing.

    None where the pattern does not begin with this collection's path; the ranges may be wider than what matches.
    """
    if not pattern.startswith(f"{descriptor.path}/"):
        return None
    glob = pattern.removeprefix(f"{descriptor.path}/")
    start = _GLOB.split(glob, maxsplit=1)[0]
    if "'" in start or not start or start.startswith(_QUOTES):
        return [(b"", None)]
    try:
        if start == glob and len(descriptor.keys) == 1:
            return [(key, key + b"\0") for key in sorted(shown_as(descriptor, glob) | typed_as(descriptor, glob))]
        text = encode_part(start)[:-1]
    except UnicodeEncodeError:
        return [(b"", None)]
    # The first part ends at any of the slashes, or goes on behind them all.
    lows = [encode_part(start[:at]) for at in range(len(start)) if start[at] == "/"] if len(descriptor.keys) > 1 else []
    return [(b"", _TEXT), *((low, low + b"\xff") for low in (*lows, text))]


def shown_as(descriptor: Descriptor, text: str) -> set[bytes]:
    """Encoded keys that are shown exactly so in a collection."""
    found = {encode_key(tuple(map(_parse, parts))) for parts in _splits(descriptor, text)}
    return {key for key in found if display_key(key) == text.removeprefix(f"{descriptor.path}/")}


def typed_as(descriptor: Descriptor, text: str) -> set[bytes]:
    """Encoded keys that an operator may mean who leaves the quotes out."""
    found = set()
    for parts in _splits(descriptor, text):
        last = _parse(parts[-1])
        found.update({encode_key(tuple(parts)), encode_key((*parts[:-1], last))})
    return found


def _splits(descriptor: Descriptor, text: str) -> list[list[str]]:
    """A shown key in as many parts as the collection's keys have; either the first or the last may hold slashes."""
    text, arity = text.removeprefix(f"{descriptor.path}/"), len(descriptor.keys)
    return [parts for parts in (text.split("/", arity - 1), text.rsplit("/", arity - 1)) if len(parts) == arity]


def _parse(shown: str) -> Value:
    """The value behind one part of a shown key; what is no form of another type is text."""
    if shown == "NULL":
        return None
    quoted = _QUOTED.fullmatch(shown)
    if quoted is not None:
        kind, body = quoted.groups()
        if not kind:
            return body.replace("''", "'")
        if _HEX.fullmatch(body):
            data = bytes.fromhex(body)
            return data if kind == "x" else RawText(RAW_TEXT, data)
    if _INTEGER.fullmatch(shown):
        return int(shown)
    return float(shown) if _REAL.fullmatch(shown) else shown
