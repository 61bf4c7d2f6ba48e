"""Typed rows and ordered keys as canonical bytes (FORMAT.md, "Records").

A row is a MessagePack array of NULL, integers, floats, text and binary; SQLite text that is not UTF-8 is the extension
type `RAW_TEXT`, and a value moved out of the row because of its size is the extension type `LARGE`. MessagePack keeps
64-bit integers and IEEE 754 doubles exactly, and the encoder always takes the shortest form, so equal rows are equal
bytes.

A key is the concatenation of its parts, each tagged by type, so that comparing bytes compares keys the way SQLite's
BINARY collation does within one type: NULL < INTEGER < REAL < TEXT < BLOB.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

import msgspec

from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import Row, Value

RAW_TEXT = 1
LARGE = 2

RawText = msgspec.msgpack.Ext
"""SQLite text that is not valid UTF-8: `RawText(RAW_TEXT, data)`."""

_NULL, _INTEGER, _REAL, _TEXT, _BLOB = 0, 1, 2, 3, 4
_INT = struct.Struct(">BQ")
_INT_OFFSET = 1 << 63
_DOUBLE = struct.Struct(">d")
_SIGN = 1 << 63
_MASK = (1 << 64) - 1

encode_row: Callable[[object], bytes] = msgspec.msgpack.Encoder().encode
"""A row (tuple of values) as canonical bytes."""

_ROW_DECODER = msgspec.msgpack.Decoder(tuple[Any, ...])


def decode_row(data: bytes) -> Row:
    """The row behind `encode_row`'s bytes.

    Raises:
        IntegrityError: `data` is not such an encoding.
    """
    try:
        row: Row = _ROW_DECODER.decode(data)
    except UNDECODABLE as error:
        raise IntegrityError("A stored record cannot be decoded.", hint="Run `maos-ckpt verify --all`.") from error
    return row


def raw_text(data: bytes) -> str | RawText:
    """SQLite text bytes as `str` where they are UTF-8, else as `RawText`; fits `sqlite3.Connection.text_factory`."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return RawText(RAW_TEXT, data)


def _escape(tag: int, data: bytes) -> bytes:
    return b"%c%b\0" % (tag, data.replace(b"\0", b"\0\xff"))


def encode_part(value: Value) -> bytes:
    """One part of a key."""
    if isinstance(value, str):
        return _escape(_TEXT, value.encode())
    if isinstance(value, int):
        return _INT.pack(_INTEGER, value + _INT_OFFSET)
    if value is None:
        return b"\0"
    if isinstance(value, bytes):
        return _escape(_BLOB, value)
    if isinstance(value, float):
        bits = int.from_bytes(_DOUBLE.pack(value), "big")
        bits = ~bits & _MASK if bits & _SIGN else bits | _SIGN
        return b"\x02" + bits.to_bytes(8, "big")
    if isinstance(value, RawText) and value.code == RAW_TEXT:
        return _escape(_TEXT, bytes(value.data))
    raise TypeError(f"{type(value).__name__} cannot be part of a key")


def encode_key(parts: Row) -> bytes:
    """A key as bytes that sort like the parts."""
    return b"".join([encode_part(part) for part in parts])


def encode_keys(values: list[Value]) -> list[bytes] | None:
    """Keys of one part each, all integers or all text, as nearly every table has them; None for anything else.

    The same bytes as `encode_key`, in half the time.
    """
    kinds = set(map(type, values))
    if kinds == {int}:
        pack, offset = _INT.pack, _INT_OFFSET
        return [pack(_INTEGER, value + offset) for value in values]  # type: ignore[operator]
    if kinds == {str}:
        return [b"\3%b\0" % value.encode().replace(b"\0", b"\0\xff") for value in values]  # type: ignore[union-attr]
    return None


def decode_key(data: bytes) -> Row:
    """The parts of a key.

    Raises:
        IntegrityError: `data` is not an encoded key.
    """
    parts: list[Value] = []
    at = 0
    try:
        while at < len(data):
            part, at = _decode_part(data, at)
            parts.append(part)
    except (IndexError, struct.error, ValueError) as error:
        raise IntegrityError("A stored key cannot be decoded.", hint="Run `maos-ckpt verify --all`.") from error
    return tuple(parts)


def _decode_part(data: bytes, at: int) -> tuple[Value, int]:
    tag = data[at]
    if tag == _NULL:
        return None, at + 1
    if tag == _INTEGER:
        return _INT.unpack_from(data, at)[1] - _INT_OFFSET, at + 9
    if tag == _REAL:
        if at + 9 > len(data):
            raise ValueError("short")
        bits = int.from_bytes(data[at + 1 : at + 9], "big")
        bits = bits & ~_SIGN if bits & _SIGN else ~bits & _MASK
        return _DOUBLE.unpack(bits.to_bytes(8, "big"))[0], at + 9
    if tag not in (_TEXT, _BLOB):
        raise ValueError("unknown tag")
    end = data.index(b"\0", at + 1)
    while data[end + 1 : end + 2] == b"\xff":
        end = data.index(b"\0", end + 1)
    body = data[at + 1 : end].replace(b"\0\xff", b"\0")
    return (raw_text(body) if tag == _TEXT else body), end + 1


def display_value(value: Value) -> str:
    """A value as one-line-able text for people; untrusted, so a screen still passes it through its own `safe_text`."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, RawText):
        return f"x'{bytes(value.data).hex()}'"
    return repr(value)


#: Text that, bare, would read as NULL or as a number.
_READS_AS_OTHER = re.compile(r"NULL|-?[0-9]+(\.[0-9]+)?(e[-+][0-9]+)?|-?inf|nan")


def display_key(key: bytes) -> str:
    """An encoded key as text, its parts joined by `/`, no two keys of one collection alike.

    Text stands bare, or quoted as in SQL where it is empty, holds a quote, reads as NULL or a number, or holds a `/`
    and is not the first part. Numbers and NULL stand bare, bytes as `x'00ff'`, text that is not UTF-8 as `t'00ff'`.
    """
    return "/".join(_display_part(part, first=at == 0) for at, part in enumerate(decode_key(key)))


def _display_part(value: Value, *, first: bool) -> str:
    if isinstance(value, str):
        if value and "'" not in value and (first or "/" not in value) and not _READS_AS_OTHER.fullmatch(value):
            return value
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, RawText):
        return f"t'{bytes(value.data).hex()}'"
    return display_value(value)


def key_forms(key: bytes) -> tuple[str, ...]:
    """What an operator may type for a key: as it is shown, and where that has quotes, also without them."""
    shown = display_key(key)
    if "'" not in shown:
        return (shown,)
    return shown, "/".join(display_value(part) for part in decode_key(key))
