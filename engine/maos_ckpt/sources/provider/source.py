"""The source `provider:NAME`: objects of some process, read and put back by asking that process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from maos_ckpt.codec.values import encode_key
from maos_ckpt.errors import NotFoundError
from maos_ckpt.model import CollectionKind, Descriptor, MissingPart, Row
from maos_ckpt.sources.base import NOT_HELD, KeyRange
from maos_ckpt.sources.provider.files import FrameReader, Record
from maos_ckpt.sources.provider.host import Captured, CapturedPart

KEYS: Final = ("key",)
COLUMNS: Final = ("value", "form")
#: Rows given at a time, and the bytes of records after which a batch ends.
_BATCH_ROWS_MAX: Final = 500
_BATCH_BYTES_MAX: Final = 4 << 20

#: `component/collection` → SHA-256 over its records.
_MEMO: msgspec.msgpack.Decoder[dict[str, bytes]] = msgspec.msgpack.Decoder(dict[str, bytes])


class ProviderCut:
    """What providers held at one moment; see `Cut`. It reads the files of `captured`, which belong to the caller."""

    pause = NOT_HELD
    lock_s = 0.0
    notes: tuple[str, ...] = ()

    def __init__(self, captured: Captured) -> None:
        self._parts = {_descriptor(one): one for one in captured.parts if not one.missing}
        self._readers: list[FrameReader] = []
        self._places: dict[Descriptor, tuple[FrameReader, list[tuple[bytes, int]]]] = {}
        self.missing = tuple(
            MissingPart(one.component, one.collection, one.missing) for one in captured.parts if one.missing
        )
        self.skew_s = captured.last_s - captured.first_s

    @property
    def memo(self) -> bytes:
        """See `Cut.memo`."""
        return msgspec.msgpack.encode({one.path: part.digest for one, part in self._parts.items()})

    def descriptors(self) -> list[Descriptor]:
        """See `Cut.descriptors`: one for each provider that could be read, whether it holds anything or not."""
        return list(self._parts)

    def rows(self, descriptor: Descriptor, *, sort: bool = False) -> Iterator[list[Row]]:
        """See `Cut.rows`; always in order."""
        reader, places = self._sorted(descriptor)
        batch: list[Row] = []
        size = 0
        for _, place in places:
            record = reader.at(place)
            batch.append(record)
            size += len(record[1]) if isinstance(record[1], str | bytes) else 8
            if len(batch) >= _BATCH_ROWS_MAX or size >= _BATCH_BYTES_MAX:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _sorted(self, descriptor: Descriptor) -> tuple[FrameReader, list[tuple[bytes, int]]]:
        found = self._places.get(descriptor)
        if found is None:
            part = self._parts.get(descriptor)
            if part is None:
                raise NotFoundError(
                    f"The live state holds no collection {descriptor.path}.", collection=descriptor.path
                )
            reader = FrameReader(Path(part.path), Record)
            self._readers.append(reader)
            found = reader, sorted((encode_key((record[0],)), place) for place, record in reader)
            self._places[descriptor] = found
        return found

    def ordered(self, descriptor: Descriptor) -> bool:
        """See `Cut.ordered`."""
        return True

    def changed_ranges(self, descriptor: Descriptor, memo: bytes, kept: Path | None = None) -> list[KeyRange] | None:
        """See `Cut.changed_ranges`: all or nothing."""
        part = self._parts.get(descriptor)
        with contextlib.suppress(msgspec.DecodeError):
            if part is not None and _MEMO.decode(memo).get(descriptor.path) == part.digest:
                return []
        return None

    def changed_bytes(self, memo: bytes, kept: Path) -> int | None:
        """See `Cut.changed_bytes`."""
        return sum(part.size for one, part in self._parts.items() if self.changed_ranges(one, memo) is None)

    def count(self, descriptor: Descriptor) -> int | None:
        """See `Cut.count`."""
        part = self._parts.get(descriptor)
        return None if part is None else part.records

    def keep(self, directory: Path) -> bytes:
        """See `Cut.keep`: the digests are all it needs."""
        return self.memo

    def close(self) -> None:
        """See `Cut.close`."""
        for reader in self._readers:
            reader.close()


def _descriptor(one: CapturedPart) -> Descriptor:
    return Descriptor(one.component, one.collection, CollectionKind.OBJECTS, KEYS, COLUMNS, one.collection)


def held_value(columns: Sequence[str], row: Row | None) -> tuple[Any, str] | None:
    """The value and form of a change's side; None where the record is not there."""
    if row is None:
        return None
    values = dict(zip(columns, row, strict=True))
    return values.get("value"), str(values.get("form", ""))
