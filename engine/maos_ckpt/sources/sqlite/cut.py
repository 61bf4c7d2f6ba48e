"""A cut over one SQLite file: its tables, its sequence numbers and its schema, read from a private image."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from maos_ckpt.codec.values import raw_text
from maos_ckpt.errors import NotFoundError
from maos_ckpt.model import COMPONENT_DATABASE, CollectionKind, Descriptor, MissingPart, Row
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import NOT_HELD, KeyRange
from maos_ckpt.sources.memo import ImageMark, Memo
from maos_ckpt.sources.sqlite import faults, kept_image
from maos_ckpt.sources.sqlite.comparison import Comparison
from maos_ckpt.sources.sqlite.held_image import look_at_held
from maos_ckpt.sources.sqlite.image import Image, capture_image
from maos_ckpt.sources.sqlite.live import Held
from maos_ckpt.sources.sqlite.rows import BATCH_ROWS_MAX, TableQuery, count_rows, read_rows
from maos_ckpt.sources.sqlite.schema import SEQUENCE_TABLE, Schema, TableKind, read_schema

SCHEMA_COLLECTION: Final = "schema"
SCHEMA_KEYS: Final = ("type", "name")
SCHEMA_COLUMNS: Final = ("tbl_name", "sql")
#: The `type` of pseudo entries that hold a setting stored in the file: name, empty `tbl_name`, value as text in `sql`.
PRAGMA_TYPE: Final = "pragma"
SEQUENCE_KEYS: Final = ("name",)
SEQUENCE_COLUMNS: Final = ("seq",)

Collection = tuple[str, str]


class DatabaseImage:
    """A captured SQLite file with its schema, ready to be read; what `sqlite:` and `maos:` cuts have in common."""

    def __init__(self, path: Path, image: Image, seams: Seams) -> None:
        self.path = path
        self.image = image
        self._seams = seams
        #: The comparison with the kept image, and the mark and directory it was made for.
        self._comparison: Comparison | None = None
        self._compared: tuple[ImageMark, Path] | None = None
        #: The mark of a kept image that holds this very state.
        self._same: ImageMark | None = None
        try:
            with closing(image.open()) as connection:
                self.schema: Schema = read_schema(connection, journal_mode=image.journal_mode)
        except sqlite3.Error as error:
            raise faults.source_fault(error, path, " in its schema") from error

    @classmethod
    def capture(
        cls,
        path: Path,
        directory: Path,
        seams: Seams,
        while_frozen: Callable[[], None],
        held: Held | None = None,
    ) -> DatabaseImage:
        """Capture the file at `path`; see `capture_image` and `look_at_held` for arguments and errors."""
        if held is None:
            image = capture_image(path, directory, seams, while_frozen)
        else:
            image = look_at_held(held, directory, seams, while_frozen)
        try:
            return cls(path, image, seams)
        except BaseException:
            image.close()
            raise

    @property
    def queries(self) -> list[TableQuery]:
        """One for each table that holds rows, by name."""
        return [TableQuery.whole(table) for table in self.schema.tables if table.kind is not TableKind.VIRTUAL]

    def rows(self, query: TableQuery, *, sort: bool) -> Iterator[list[Row]]:
        """The rows of a query, in batches."""
        return read_rows(self.image.open, query, self.schema.encoding, self.path, sort=sort)

    def schema_rows(self) -> list[Row]:
        """The schema as records, in key order."""
        rows: list[Row] = [(one.type, one.name, one.table, one.sql) for one in self.schema.objects]
        rows += [(PRAGMA_TYPE, name, "", value) for name, value in self.schema.pragmas]
        return sorted(rows, key=lambda row: tuple(str(part).encode() for part in row[:2]))

    def sequences(self) -> list[tuple[str, object]]:
        """(table, last used AUTOINCREMENT value), in key order.

        Nothing keeps a table's name from standing there twice; SQLite uses the first, and so does this.
        """
        if not self.schema.has_sequence:
            return []
        sql = f"SELECT name, seq FROM {SEQUENCE_TABLE} WHERE typeof(name) = 'text' ORDER BY rowid"
        found: dict[str, object] = {}
        try:
            with closing(self.image.open()) as connection:
                connection.text_factory = raw_text
                for name, seq in connection.execute(sql):
                    if isinstance(name, str):
                        found.setdefault(name, seq)
        except sqlite3.Error as error:
            raise faults.source_fault(error, self.path, f" at table {SEQUENCE_TABLE}") from error
        return sorted(found.items(), key=lambda item: item[0].encode())

    def changed_ranges(
        self, descriptor: Descriptor, query: TableQuery, memo: Memo, kept: Path | None
    ) -> list[KeyRange] | None:
        """See `Cut.changed_ranges`, for the collection that `query` reads."""
        if self._is_same(memo):
            return []
        comparison = self._compare(memo, kept)
        return None if comparison is None else comparison.changed_ranges(descriptor, query)

    def changed_bytes(self, memo: Memo, kept: Path) -> int | None:
        """See `Cut.changed_bytes`."""
        if self._is_same(memo):
            return 0
        comparison = self._compare(memo, kept)
        return None if comparison is None else comparison.changed_bytes

    def is_unchanged(self, table: str, memo: Memo, kept: Path | None) -> bool:
        """Whether all rows of a table, which need not be a collection, are surely what they were."""
        if self._is_same(memo):
            return True
        comparison = self._compare(memo, kept)
        return comparison is not None and comparison.is_unchanged(table)

    def _is_same(self, memo: Memo) -> bool:
        same = bool(memo.database) and memo.database == self.image.fingerprint
        self._same = memo.image if same else None
        return same

    def _compare(self, memo: Memo, kept: Path | None) -> Comparison | None:
        if memo.image is None or kept is None:
            return None
        if self._compared != (memo.image, kept):
            self._end_comparison()
            self._compared = memo.image, kept
            self._comparison = Comparison.with_kept(kept, memo.image, self.image, self.schema.encoding, self.path)
        return self._comparison

    def _end_comparison(self) -> None:
        if self._comparison is not None:
            self._comparison.close()
            self._comparison = None

    def count(self, query: TableQuery) -> int:
        """How many records a query has."""
        return count_rows(self.image.open, query, self.path)

    def keep(self, directory: Path) -> ImageMark | None:
        """See `Cut.keep`: the image stays, to be compared with the next one."""
        mark = None
        if self._same is not None and kept_image.find(directory, self._same) is not None:
            return self._same
        if self._comparison is not None and self._compared is not None and self._compared[1] == directory:
            mark = self._comparison.keep(self._seams)
        return mark or self.image.keep_in(directory, self._seams)

    def close(self) -> None:
        """Remove the private image; safe to call twice."""
        self._end_comparison()
        self.image.close()


class SqliteCut:
    """The cut of a `sqlite:` source: one component, one collection for each table."""

    pause = NOT_HELD
    missing: tuple[MissingPart, ...] = ()

    def __init__(self, database: DatabaseImage) -> None:
        self._database = database
        queries = {query.descriptor(COMPONENT_DATABASE, query.table.name): query for query in database.queries}
        self._queries = {(one.component, one.name): query for one, query in queries.items()}
        self._descriptors = list(queries)
        # A table may be called `schema` as well; then the collection of that name gets a longer one.
        taken = {one.name for one in queries}
        self._sequence_name = free_name(SEQUENCE_TABLE, taken)
        self._schema_name = free_name(SCHEMA_COLLECTION, taken)
        if database.schema.has_sequence:
            self._descriptors.append(sequence_descriptor(COMPONENT_DATABASE, self._sequence_name))
        self._descriptors.append(schema_descriptor(COMPONENT_DATABASE, self._schema_name))

    @property
    def lock_s(self) -> float:
        """See `Cut.lock_s`."""
        return self._database.image.lock_s

    @property
    def skew_s(self) -> float:
        """See `Cut.skew_s`: one file, one moment."""
        return 0.0

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Cut.notes`."""
        return self._database.image.notes

    @property
    def memo(self) -> bytes:
        """See `Cut.memo`."""
        return self._memo().encode()

    def _memo(self, image: ImageMark | None = None) -> Memo:
        return Memo(database=self._database.image.fingerprint, image=image)

    def descriptors(self) -> list[Descriptor]:
        """See `Cut.descriptors`."""
        return list(self._descriptors)

    def rows(self, descriptor: Descriptor, *, sort: bool = False) -> Iterator[list[Row]]:
        """See `Cut.rows`."""
        if descriptor.kind is CollectionKind.SCHEMA:
            return batches(self._database.schema_rows())
        if descriptor.name == self._sequence_name and descriptor.origin == SEQUENCE_TABLE:
            return batches(list(self._database.sequences()))
        query = self._queries.get((descriptor.component, descriptor.name))
        if query is None:
            raise unknown_collection(descriptor)
        return self._database.rows(query, sort=sort)

    def ordered(self, descriptor: Descriptor) -> bool:
        """See `Cut.ordered`."""
        query = self._queries.get((descriptor.component, descriptor.name))
        return query is None or query.ordered

    def changed_ranges(self, descriptor: Descriptor, memo: bytes, kept: Path | None = None) -> list[KeyRange] | None:
        """See `Cut.changed_ranges`: single rows of tables, by their pages; elsewhere all or nothing."""
        found = Memo.decode(memo)
        if found is None:
            return None
        query = self._queries.get((descriptor.component, descriptor.name))
        if query is not None:
            return self._database.changed_ranges(descriptor, query, found, kept)
        return [] if self._database.is_unchanged(descriptor.origin, found, kept) else None

    def changed_bytes(self, memo: bytes, kept: Path) -> int | None:
        """See `Cut.changed_bytes`."""
        found = Memo.decode(memo)
        return None if found is None else self._database.changed_bytes(found, kept)

    def count(self, descriptor: Descriptor) -> int | None:
        """See `Cut.count`."""
        query = self._queries.get((descriptor.component, descriptor.name))
        return None if query is None else self._database.count(query)

    def keep(self, directory: Path) -> bytes:
        """See `Cut.keep`."""
        return self._memo(self._database.keep(directory)).encode()

    def close(self) -> None:
        """See `Cut.close`."""
        self._database.close()


class EmptyCut:
    """The cut of a source that does not exist: the state of a recovery's target before the recovery."""

    lock_s = 0.0
    skew_s = 0.0
    pause = NOT_HELD
    missing: tuple[MissingPart, ...] = ()
    notes: tuple[str, ...] = ()
    memo = b""

    def descriptors(self) -> list[Descriptor]:
        """See `Cut.descriptors`: none."""
        return []

    def rows(self, descriptor: Descriptor, *, sort: bool = False) -> Iterator[list[Row]]:
        """See `Cut.rows`: whatever is asked for is not there."""
        raise unknown_collection(descriptor)

    def ordered(self, descriptor: Descriptor) -> bool:
        """See `Cut.ordered`."""
        return True

    def changed_ranges(self, descriptor: Descriptor, memo: bytes, kept: Path | None = None) -> list[KeyRange] | None:
        """See `Cut.changed_ranges`."""
        return None

    def changed_bytes(self, memo: bytes, kept: Path) -> int | None:
        """See `Cut.changed_bytes`."""
        return None

    def count(self, descriptor: Descriptor) -> int | None:
        """See `Cut.count`."""
        return None

    def keep(self, directory: Path) -> bytes:
        """See `Cut.keep`: there is nothing to keep."""
        kept_image.discard_others(directory, "")
        return b""

    def close(self) -> None:
        """See `Cut.close`."""


def schema_descriptor(component: str, name: str = SCHEMA_COLLECTION) -> Descriptor:
    """The collection of a database's schema."""
    return Descriptor(component, name, CollectionKind.SCHEMA, SCHEMA_KEYS, SCHEMA_COLUMNS, "sqlite_master")


def sequence_descriptor(component: str, name: str = SEQUENCE_TABLE) -> Descriptor:
    """The collection of a database's AUTOINCREMENT counters."""
    return Descriptor(component, name, CollectionKind.TABLE, SEQUENCE_KEYS, SEQUENCE_COLUMNS, SEQUENCE_TABLE)


def free_name(name: str, taken: set[str]) -> str:
    """`name`, made longer until no collection has it."""
    while name in taken:
        name += "_"
    return name


def batches(rows: list[Row]) -> Iterator[list[Row]]:
    """A list of small rows in batches."""
    for at in range(0, len(rows), BATCH_ROWS_MAX):
        yield rows[at : at + BATCH_ROWS_MAX]


def unknown_collection(descriptor: Descriptor) -> NotFoundError:
    """The error for a descriptor of another cut."""
    return NotFoundError(f"The live state holds no collection {descriptor.path}.", collection=descriptor.path)
