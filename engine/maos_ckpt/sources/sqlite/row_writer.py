"""Writing the changes of one table, in whatever order they come.

Every live record is compared with what the plan saw before it is touched. Where a record cannot take its values yet
because another record still holds a unique one, it is set aside (a modified one leaves the table) and put back at the
end, when every other record of the table is as it should be: swapped unique values need no other order.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from maos_ckpt.errors import ConflictError
from maos_ckpt.model import Descriptor, Row
from maos_ckpt.sources.change import Change, same_row
from maos_ckpt.sources.sqlite.foreign_keys import References
from maos_ckpt.sources.sqlite.spool import Spool
from maos_ckpt.sources.sqlite.statements import Statements

#: Records that are inserted with one call; more would be no faster, and this many may be in memory.
BATCH_ROWS_MAX: Final = 32
#: Live records that have moved since the plan: so many are named, and so many further changes looked at to find them.
MOVED_LISTED_MAX: Final = 20
MOVED_LOOKED_MAX: Final = 10_000

_UNIQUE: Final = (
    sqlite3.SQLITE_CONSTRAINT_UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
    sqlite3.SQLITE_CONSTRAINT_ROWID,
)


class RowWriter:
    """Takes the changes of one collection, then `finish`; call `close` in any case.

    `moved` holds the paths of records that are not as the plan saw them; once there is one nothing more is written, and
    the caller rolls the transaction back.
    """

    def __init__(self, statements: Statements, references: References, descriptor: Descriptor) -> None:
        self._statements = statements
        self._references = references
        self._descriptor = descriptor
        self._keys = len(descriptor.keys)
        self._all_names = descriptor.keys + descriptor.columns
        self._columns = descriptor.columns
        #: Names of an added record's values: keys, then the columns that the checkpoint provides.
        self._names = self._all_names
        self._checked = references.any
        self._batch: list[Row] = []
        self._batch_keys: list[bytes] = []
        self._aside = Spool()
        self._looked = 0
        self.moved: list[str] = []

    @property
    def exhausted(self) -> bool:
        """Whether enough records that moved have been found."""
        return len(self.moved) >= MOVED_LISTED_MAX or self._looked >= MOVED_LOOKED_MAX

    def take(self, change: Change) -> None:
        """Check one change and write it.

        Raises:
            ConflictError: the live table cannot hold the record.
        """
        if self.moved:
            self._looked += 1
        if change.before is None:
            self._add(change)
            return
        parts = change.parts
        live = self._statements.find(parts)
        if live is None or not self._same(change.before, live[self._keys :]):
            self._move(change)
        elif not self.moved:
            if change.after is None:
                self._references.removed()
                self._statements.delete(parts)
            else:
                self._modify(change, parts, live)

    def finish(self) -> None:
        """Write what is left.

        Raises:
            ConflictError: a record that is not part of the plan holds a value that must be unique.
        """
        self._flush()
        if self.moved:
            return
        aside, self._aside = self._aside, Spool()
        with aside:
            for whole, key, *values in aside:
                assert isinstance(key, bytes)
                self._put_back(self._all_names if whole else self._names, key, tuple(values))

    def close(self) -> None:
        """Release the temporary file."""
        self._aside.close()

    def _same(self, before: Row | None, live: Row) -> bool:
        assert before is not None
        return same_row(before[self._descriptor.rowid :], live[self._descriptor.rowid :])

    def _whole(self, row: Row) -> Row:
        """An added record's values as values of all names, NULL where the checkpoint provides none."""
        if self._names == self._all_names:
            return row
        given = dict(zip(self._names, row, strict=True))
        return tuple(given.get(one) for one in self._all_names)

    def _move(self, change: Change) -> None:
        if len(self.moved) < MOVED_LISTED_MAX:
            self.moved.append(change.path)

    def _add(self, change: Change) -> None:
        assert change.after is not None
        parts = change.parts
        row = parts[: self._keys] + change.after
        if self.moved:
            if self._statements.find(parts) is not None:
                self._move(change)
            return
        if change.columns is not self._columns and change.columns != self._columns:
            self.finish()
            self._columns = change.columns
            self._names = self._descriptor.keys + change.columns
        if self._checked:
            self._references.added(self._whole(row), change.key)
        self._batch.append(row)
        self._batch_keys.append(change.key)
        if len(self._batch) >= BATCH_ROWS_MAX:
            self._flush()

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        keys, self._batch_keys = self._batch_keys, []
        at = 0
        while at < len(batch) and not self.moved:
            at += self._statements.insert_many(self._names, batch[at:])
            if at < len(batch):
                self._insert(batch[at], keys[at])
                at += 1

    def _insert(self, row: Row, key: bytes) -> None:
        """Insert one record that may be in somebody's way."""
        try:
            self._statements.insert(self._names, row)
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode not in _UNIQUE:
                raise self._unfit(key, error) from error
            change = Change(self._descriptor, key, None, row[self._keys :], self._columns)
            if self._statements.find(change.parts) is not None:
                self._move(change)
            else:
                self._aside.add((0, key, *row))

    def _modify(self, change: Change, parts: Row, live: Row) -> None:
        new = dict(change.differing())
        row = tuple(new.get(name, value) for name, value in zip(self._all_names, live, strict=True))
        self._references.modified(live, row, change.key, new.keys())
        try:
            self._statements.update(parts, tuple(new), tuple(new.values()))
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode not in _UNIQUE:
                raise self._unfit(change.key, error) from error
            self._statements.delete(parts)
            self._aside.add((1, change.key, *row))

    def _put_back(self, names: tuple[str, ...], key: bytes, row: Row) -> None:
        """Insert a record that was set aside, with its hidden rowid where that is free."""
        hidden = self._descriptor.columns[0] if self._descriptor.rowid else None
        if hidden in names:
            at = names.index(hidden)
            if None in row[: self._keys]:
                self._make_way(row[at], key)
            elif self._statements.rowid_taken(row[at]):
                names, row = names[:at] + names[at + 1 :], row[:at] + row[at + 1 :]
        try:
            self._statements.insert(names, row)
        except sqlite3.IntegrityError as error:
            raise self._unfit(key, error) from error

    def _make_way(self, rowid: object, key: bytes) -> None:
        """Free a rowid that tells records with NULL in their key apart."""
        there = self._statements.record_at(rowid)
        if there is None:
            return
        if None in there[: self._keys]:
            raise self._unfit(key, None)
        self._statements.move_rowid(rowid)

    def _unfit(self, key: bytes, error: sqlite3.IntegrityError | None) -> ConflictError:
        # SQLite names the columns here, never their values.
        reason = "another record has its rowid" if error is None else str(error)
        path = Change(self._descriptor, key, None, None, ()).path
        return ConflictError(
            f"The record {path} cannot be put back: {reason}.",
            kept="The transaction was rolled back; nothing was changed.",
            hint="Recover the records that stand in the way too, or the whole component with --exact.",
            record=path,
        )
