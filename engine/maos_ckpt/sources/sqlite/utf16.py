"""Exact text of databases whose encoding is UTF-16.

SQLite hands text out as UTF-8, and for UTF-16 that is neither exact (a lone surrogate or a non-character becomes
another one) nor in order (BINARY compares the stored bytes). So text is read as its stored bytes and decoded here: as
`str` where that can be written back without a difference, else as `RawText` of the stored bytes. A writer puts those
into the statement as a literal, `CAST(x'…' AS TEXT)`: a *bound* blob counts as UTF-8 when it is cast, whatever the
encoding.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from maos_ckpt.codec.values import RAW_TEXT, RawText
from maos_ckpt.model import Row, Value

_FUNCTION = "ckpt_key_bytes"
#: What SQLite turns into U+FFFD when it writes UTF-8 text into a UTF-16 database.
_NOT_WRITABLE = ("\ufffe", "\uffff")


class Utf16Reader:
    """Reads text of one encoding (`UTF-16le` or `UTF-16be`)."""

    def __init__(self, encoding: str) -> None:
        self._codec = "utf-16-be" if encoding.lower().endswith("be") else "utf-16-le"

    def prepare(self, connection: sqlite3.Connection) -> None:
        """Register the function that `order` uses."""
        connection.create_function(_FUNCTION, 1, self._key_bytes, deterministic=True)

    def expression(self, column: str) -> str:
        """Two select-list entries for a quoted column: its value with text as bytes, and whether it is text."""
        kind = f"typeof({column})"
        return f"CASE {kind} WHEN 'text' THEN CAST({column} AS BLOB) ELSE {column} END, {kind} = 'text'"

    def order(self, column: str) -> str:
        """An ORDER BY term that sorts a quoted column's values of one type as their encoded keys."""
        return f"CASE typeof({column}) WHEN 'text' THEN {_FUNCTION}(CAST({column} AS BLOB)) ELSE {column} END"

    def rows(self, pairs: Iterator[Row]) -> Iterator[Row]:
        """Rows of values from rows of `expression` pairs."""
        for row in pairs:
            values, texts = row[::2], row[1::2]
            yield tuple(
                self._text(value) if is_text and isinstance(value, bytes) else value
                for value, is_text in zip(values, texts, strict=True)
            )

    def _text(self, data: bytes) -> Value:
        try:
            text = data.decode(self._codec)
        except UnicodeDecodeError:
            return RawText(RAW_TEXT, data)
        if any(one in text for one in _NOT_WRITABLE):
            return RawText(RAW_TEXT, data)
        return text

    def _key_bytes(self, data: bytes) -> bytes:
        text = self._text(data)
        return text.encode() if isinstance(text, str) else data
