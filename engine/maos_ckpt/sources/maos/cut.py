"""The cut of a MAOS: database, transcripts and files, frozen together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from maos_ckpt.codec.values import encode_row
from maos_ckpt.model import COMPONENT_OTHER, COMPONENTS, CollectionKind, Descriptor, MissingPart, Row
from maos_ckpt.sources.base import NOT_HELD, KeyRange
from maos_ckpt.sources.maos.files import FileEntry, digest
from maos_ckpt.sources.maos.layout import MEMORY_KEY_PREFIXES, ROOT_CLAUDE, ROOT_WORK, TABLE_COMPONENTS
from maos_ckpt.sources.maos.transcripts import Transcripts
from maos_ckpt.sources.memo import ImageMark, Memo
from maos_ckpt.sources.sqlite import kept_image
from maos_ckpt.sources.sqlite.cut import (
    DatabaseImage,
    batches,
    schema_descriptor,
    sequence_descriptor,
    unknown_collection,
)
from maos_ckpt.sources.sqlite.rows import TableQuery
from maos_ckpt.sources.sqlite.schema import fold, quote

TRANSCRIPTS: Final = "transcripts"
TRANSCRIPT_FILES: Final = "transcript_files"
FILES: Final = "files"
_ORDER = (*COMPONENTS, COMPONENT_OTHER)
_QUEUE_TABLE = "messages"

Reader = Callable[[bool], Iterator[list[Row]]]


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file beside the database: its component, its root's alias, and its content, None where it was not read."""

    component: str
    root: str
    entry: FileEntry
    content: bytes | None

    @property
    def row(self) -> Row:
        """(root alias, path, permission bits, content)."""
        return self.root, self.entry.name, self.entry.mode, self.content


class MaosCut:
    """See `Cut`. `database` is None for a MAOS that has none; `skew_s` is measured by the source."""

    pause = NOT_HELD
    missing: tuple[MissingPart, ...] = ()

    def __init__(
        self,
        database: DatabaseImage | None,
        transcripts: Transcripts,
        files: list[FoundFile],
        skew_s: float,
        notes: tuple[str, ...] = (),
    ) -> None:
        self._database = database
        self._transcripts = transcripts
        self._files = files
        self._skew_s = skew_s
        self._notes = notes
        self._readers: dict[Descriptor, Reader] = {}
        self._queries: dict[Descriptor, TableQuery] = {}
        if database is not None:
            self._add_tables(database)
        self._add_files()

    @property
    def lock_s(self) -> float:
        """See `Cut.lock_s`."""
        return 0.0 if self._database is None else self._database.image.lock_s

    @property
    def skew_s(self) -> float:
        """See `Cut.skew_s`."""
        return self._skew_s

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Cut.notes`."""
        database = () if self._database is None else self._database.image.notes
        return self._notes + self._transcripts.notes + database

    @property
    def memo(self) -> bytes:
        """See `Cut.memo`; knows the transcripts only when every one of them has been read."""
        return self._memo(None).encode()

    def _memo(self, image: ImageMark | None) -> Memo:
        return Memo(
            database=b"" if self._database is None else self._database.image.fingerprint,
            transcripts=self._transcripts.marks,
            files={one.path: self._digest(one) for one in self._readers if one.kind is CollectionKind.FILES},
            image=image,
        )

    def descriptors(self) -> list[Descriptor]:
        """See `Cut.descriptors`; by component in the order of a recovery, then by name."""
        return sorted(self._readers, key=lambda one: (_ORDER.index(one.component), one.name))

    def rows(self, descriptor: Descriptor, *, sort: bool = False) -> Iterator[list[Row]]:
        """See `Cut.rows`."""
        reader = self._readers.get(descriptor)
        if reader is None:
            raise unknown_collection(descriptor)
        return reader(sort)

    def ordered(self, descriptor: Descriptor) -> bool:
        """See `Cut.ordered`."""
        query = self._queries.get(descriptor)
        return query is None or query.ordered

    def changed_ranges(self, descriptor: Descriptor, memo: bytes, kept: Path | None = None) -> list[KeyRange] | None:
        """See `Cut.changed_ranges`: new lines of transcripts, single rows of tables; elsewhere all or nothing."""
        found = Memo.decode(memo)
        if found is None or descriptor not in self._readers:
            return None
        if descriptor.kind is CollectionKind.LINES:
            return self._transcripts.changed_ranges(found.transcripts)
        if descriptor.kind is CollectionKind.FILES:
            return [] if found.files.get(descriptor.path) == self._digest(descriptor) else None
        if self._database is None:
            return None
        query = self._queries.get(descriptor)
        if query is not None:
            return self._database.changed_ranges(descriptor, query, found, kept)
        return [] if self._database.is_unchanged(descriptor.origin, found, kept) else None

    def changed_bytes(self, memo: bytes, kept: Path) -> int | None:
        """See `Cut.changed_bytes`."""
        found = Memo.decode(memo)
        if found is None:
            return None
        lines = self._transcripts.grown_bytes(found.transcripts)
        rows = 0 if self._database is None else self._database.changed_bytes(found, kept)
        return None if lines is None or rows is None else lines + rows

    def count(self, descriptor: Descriptor) -> int | None:
        """See `Cut.count`."""
        query = self._queries.get(descriptor)
        return None if query is None or self._database is None else self._database.count(query)

    def keep(self, directory: Path) -> bytes:
        """See `Cut.keep`."""
        if self._database is None:
            kept_image.discard_others(directory, "")
            return self.memo
        return self._memo(self._database.keep(directory)).encode()

    def close(self) -> None:
        """See `Cut.close`."""
        if self._database is not None:
            self._database.close()

    def _add(self, descriptor: Descriptor, reader: Reader) -> None:
        self._readers[descriptor] = reader

    def _add_query(self, database: DatabaseImage, component: str, query: TableQuery, name: str = "") -> None:
        descriptor = query.descriptor(component, name or query.table.name)
        self._queries[descriptor] = query
        self._add(descriptor, lambda sort: database.rows(query, sort=sort))

    def _add_tables(self, database: DatabaseImage) -> None:
        for query in database.queries:
            table = query.table
            component = TABLE_COMPONENTS.get(fold(table.name), COMPONENT_OTHER)
            if fold(table.name) == "key_value_store" and table.keys == ("key",):
                condition = _memory_condition(quote("key"))
                self._add_query(database, "memory", TableQuery.whole(table, where=condition))
                self._add_query(database, "system", TableQuery.whole(table, where=f"NOT {condition}"))
            elif fold(table.name) == "checkpoints" and ("name",) in table.unique and not table.without_rowid:
                # MAOS replaces these rows by name and gives them a new id every time.
                self._add_query(database, component, TableQuery.whole(table, keys=("name",)))
            else:
                self._add_query(database, component, query)
        if database.schema.has_sequence:
            self._add_sequences(database)
        schema = schema_descriptor("system")
        self._add(schema, lambda sort: batches(database.schema_rows()))

    def _add_sequences(self, database: DatabaseImage) -> None:
        def rows(queue: bool) -> list[Row]:
            return [row for row in database.sequences() if (fold(row[0]) == _QUEUE_TABLE) is queue]

        self._add(sequence_descriptor("queue"), lambda sort: batches(rows(queue=True)))
        self._add(sequence_descriptor("system"), lambda sort: batches(rows(queue=False)))

    def _add_files(self) -> None:
        transcripts = self._transcripts
        lines = Descriptor("memory", TRANSCRIPTS, CollectionKind.LINES, ("path", "line"), ("text",), ROOT_CLAUDE)
        self._add(lines, lambda sort: transcripts.rows())
        files = Descriptor("memory", TRANSCRIPT_FILES, CollectionKind.FILES, ("path",), ("mode",), ROOT_CLAUDE)
        self._add(files, lambda sort: batches(transcripts.file_rows()))
        for component in dict.fromkeys(one.component for one in self._files):
            found = [one for one in self._files if one.component == component]
            descriptor = Descriptor(
                component, FILES, CollectionKind.FILES, ("root", "path"), ("mode", "content"), ROOT_WORK
            )
            # One file a batch: each may be large.
            self._add(descriptor, lambda sort, found=found: ([one.row] for one in found))  # type: ignore[misc]

    def _digest(self, descriptor: Descriptor) -> bytes:
        rows = chain.from_iterable(self._readers[descriptor](False))
        return digest(encode_row(row) for row in rows)


def _memory_condition(key: str) -> str:
    # CASE: for a key that is NULL, a bare comparison and its negation would both be NULL, and the row in neither part.
    tests = " OR ".join(
        f"substr({key}, 1, {len(prefix)}) = '{prefix}' COLLATE BINARY" for prefix in MEMORY_KEY_PREFIXES
    )
    return f"(CASE WHEN typeof({key}) = 'text' AND ({tests}) THEN 1 ELSE 0 END)"
