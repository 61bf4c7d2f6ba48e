"""Rows set aside in bounded memory: the first megabytes in memory, the rest in an unnamed temporary file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Final

from maos_ckpt.codec.values import decode_row, encode_row
from maos_ckpt.model import Row

#: Encoded rows kept in memory.
SPOOL_BYTES_MAX: Final = 8 << 20
_LENGTH_BYTES = 8


class Spool:
    """Rows in the order they were added, `bytes` in all. Use it in a `with` block, or `close` it."""

    def __init__(self) -> None:
        self.bytes = 0
        self._file = tempfile.SpooledTemporaryFile(SPOOL_BYTES_MAX, prefix="maos-ckpt-")  # noqa: SIM115 - closed on exit

    def add(self, row: Row) -> None:
        """Set one row aside."""
        data = encode_row(row)
        self._file.write(len(data).to_bytes(_LENGTH_BYTES, "big"))
        self._file.write(data)
        self.bytes += _LENGTH_BYTES + len(data)

    def __iter__(self) -> Iterator[Row]:
        self._file.seek(0)
        while length := self._file.read(_LENGTH_BYTES):
            yield decode_row(self._file.read(int.from_bytes(length, "big")))

    def close(self) -> None:
        """Forget the rows."""
        self._file.close()

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
