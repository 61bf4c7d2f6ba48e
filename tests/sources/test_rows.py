"""Rows of a cut: every value exact, every batch bounded, every order the keys'."""

from __future__ import annotations

import random
import sqlite3
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from maos_ckpt.codec.values import RawText
from maos_ckpt.model import CollectionKind, Row, Value
from maos_ckpt.sources.base import record_key
from maos_ckpt.sources.sqlite import rows as rows_module
from maos_ckpt.sources.sqlite.rows import BATCH_BYTES_MAX, BATCH_ROWS_MAX
from tests.lab.values import RAW_TEXTS, dump_exact, make_hard_database
from tests.sources.states import find, rows_of, sqlite_source


def typed(value: Value) -> tuple[str, bytes]:
    """A value as `dump_exact` gives it."""
    match value:
        case None:
            return "null", b""
        case int():
            return "integer", struct.pack(">q", value)
        case float():
            return "real", struct.pack(">d", value)
        case str():
            return "text", value.encode()
        case bytes():
            return "blob", value
        case RawText():
            return "text", bytes(value.data)
    raise TypeError(type(value).__name__)


def stored_columns(path: Path, table: str) -> list[tuple[int, str]]:
    """(position in `dump_exact`, name) of the columns that are not generated."""
    quoted = '"' + table.replace('"', '""') + '"'
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(f"PRAGMA table_xinfo({quoted})").fetchall()
    return [(at, str(column[1])) for at, column in enumerate(found) if column[6] == 0]


@pytest.mark.parametrize("wal", [False, True])
def test_every_value_of_every_form_of_table_survives_bit_for_bit(tmp_path: Path, wal: bool) -> None:
    path = tmp_path / "hard.db"
    make_hard_database(path, wal=wal)
    with closing(sqlite_source(path).open_cut(tmp_path)) as cut:
        captured = {one.origin: one for one in cut.descriptors() if one.kind is CollectionKind.TABLE}
        collected = {name: rows_of(cut, one.path) for name, one in captured.items()}
    dump = dump_exact(path, shadow_tables=True)
    tables = set(dump) - {"sqlite_master", "pragma", "notes", "documents_index", "sqlite_sequence"}
    assert set(captured) == tables | {"sqlite_sequence"}
    for name in tables:
        descriptor = captured[name]
        columns = stored_columns(path, name)
        expected = Counter(tuple(values[at] for at, _ in columns) for _, values in dump[name])
        names = descriptor.keys + descriptor.columns
        # Twice the same name: a hidden rowid called like nothing else, and a column of that name.
        places = [len(names) - 1 - names[::-1].index(column) for _, column in columns]
        found = Counter(tuple(typed(row[place]) for place in places) for row in collected[name])
        assert found == expected, name
        rowids = sorted(rowid for rowid, _ in dump[name] if rowid is not None)
        if descriptor.rowid or descriptor.keys[0] in ("rowid", "_rowid_"):
            place = len(descriptor.keys) if descriptor.rowid else 0
            assert sorted(row[place] for row in collected[name]) == rowids, name  # type: ignore[type-var]
    assert sum(isinstance(row[1], RawText) for row in collected["untyped"]) == len(RAW_TEXTS)


def test_every_way_of_reading_is_in_key_order_where_it_says_so(tmp_path: Path) -> None:
    path = tmp_path / "hard.db"
    make_hard_database(path)
    with closing(sqlite_source(path).open_cut(tmp_path)) as cut:
        for descriptor in cut.descriptors():
            for sort in (True, False):
                keys = [record_key(descriptor, row) for row in rows_of(cut, descriptor.path, sort=sort)]
                if sort or cut.ordered(descriptor):
                    assert keys == sorted(set(keys)), (descriptor.path, sort)
                assert len(set(keys)) == len(keys)


VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-3, 3),
    st.floats(allow_nan=False),
    st.sampled_from([0.0, -0.0, 1.0, 2.5]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    st.text("ab\0\x7f\u0080\uffff\U0001f600", max_size=3),
    st.binary(max_size=3),
)
DECLARATIONS = ["", "TEXT", "INTEGER", "REAL", "NUMERIC", "BLOB", "TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM"]


@given(
    declarations=st.lists(st.sampled_from(DECLARATIONS), min_size=1, max_size=3),
    descending=st.booleans(),
    without_rowid=st.booleans(),
    encoding=st.sampled_from(["UTF-8", "UTF-8", "UTF-16le", "UTF-16be"]),
    rows=st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=25),
)
@example(["", ""], False, False, "UTF-8", [(0.0, None, None), (-0.0, None, None)])
@example(["REAL", "TEXT"], True, False, "UTF-16le", [(1.5, None, None), (1.5, None, None), (-0.0, "", None)])
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_rows_of_any_key_come_once_each_in_key_order(
    tmp_path_factory: pytest.TempPathFactory,
    declarations: list[str],
    descending: bool,
    without_rowid: bool,
    encoding: str,
    rows: list[Row],
) -> None:
    directory = tmp_path_factory.mktemp("order")
    path = directory / "t.db"
    names = [f"k{n}" for n in range(len(declarations))]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA encoding='{encoding}'")
        columns = ", ".join(f"{name} {declared}" for name, declared in zip(names, declarations, strict=True))
        key = ", ".join(f"{name}{' DESC' if descending else ''}" for name in names)
        ending = " WITHOUT ROWID" if without_rowid else ""
        connection.execute(f"CREATE TABLE t ({columns}, v, PRIMARY KEY ({key})){ending}")
        marks = ", ".join("?" * (len(names) + 1))
        for number, row in enumerate(rows):
            # A true INTEGER PRIMARY KEY refuses everything else.
            with suppress(sqlite3.IntegrityError):
                connection.execute(f"INSERT OR IGNORE INTO t VALUES ({marks})", (*row[: len(names)], number))
        expected = {number for (number,) in connection.execute("SELECT v FROM t")}
    with closing(sqlite_source(path).open_cut(directory)) as cut:
        descriptor = find(cut, "database/t")
        for sort in (False, True):
            found = rows_of(cut, "database/t", sort=sort)
            keys = [record_key(descriptor, row) for row in found]
            if sort or cut.ordered(descriptor):
                assert keys == sorted(keys)
            assert len(set(keys)) == len(keys)
            assert {row[-1] for row in found} == expected


def ways(path: Path, directory: Path) -> Iterator[list[Row]]:
    with closing(sqlite_source(path).open_cut(directory)) as cut:
        yield from cut.rows(find(cut, "database/t"))


def test_text_that_is_not_utf8_in_the_middle_of_a_table_costs_no_row_and_doubles_none(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    count = 5 * BATCH_ROWS_MAX
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (id TEXT PRIMARY KEY, v TEXT)")
        connection.executemany("INSERT INTO t VALUES (?, 'v')", [(f"{n:06}",) for n in range(count)])
        at = f"{3 * BATCH_ROWS_MAX + 7:06}"
        connection.execute("UPDATE t SET v = CAST(x'ff00fe' AS TEXT) WHERE id = ?", (at,))
        connection.commit()
    rows = [row for batch in ways(path, tmp_path) for row in batch]
    assert [row[0] for row in rows] == [f"{n:06}" for n in range(count)]
    assert [row[0] for row in rows if isinstance(row[2], RawText)] == [at]


def test_batches_are_bounded_by_bytes_whatever_is_in_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    sizes = [10] * 300 + [3 << 20] * 12 + [10] * 300 + [20 << 20, 10]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
        connection.executemany("INSERT INTO t VALUES (?, zeroblob(?))", list(enumerate(sizes)))
        connection.commit()
    numbers: list[Value] = []
    for batch in ways(path, tmp_path):
        assert 0 < len(batch) <= BATCH_ROWS_MAX
        measured = [sys.getsizeof(row[1]) for row in batch]
        assert sum(measured[:-1]) < BATCH_BYTES_MAX, "only the last row may go beyond"
        for number, blob in batch:
            assert isinstance(number, int)
            assert isinstance(blob, bytes)
            assert len(blob) == sizes[number]
        numbers += [row[0] for row in batch]
    assert numbers == list(range(len(sizes)))


def test_tables_of_the_most_columns_are_read_in_bounded_batches(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    names = ", ".join(f"c{n}" for n in range(1999))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {names})")
        connection.executemany("INSERT INTO t (id, c0, c1998) VALUES (?, 'first', 'last')", [(n,) for n in range(50)])
        connection.commit()
    batches = list(ways(path, tmp_path))
    assert max(map(len, batches)) <= 2
    assert [row[0] for batch in batches for row in batch] == list(range(50))
    assert batches[0][0][-1] == "last"


def test_a_batch_never_depends_on_how_the_table_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.db"
    random_source = random.Random(4)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (id TEXT PRIMARY KEY, v)")
        ids = random_source.sample(range(10**6), 700)
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(f"{n}", "x" * (n % 9000)) for n in ids])
        connection.commit()
    expected = [row for batch in ways(path, tmp_path) for row in batch]
    for rows_max, bytes_max in ((1, 100), (7, 5000), (128, 300_000)):
        monkeypatch.setattr(rows_module, "BATCH_ROWS_MAX", rows_max)
        monkeypatch.setattr(rows_module, "BATCH_BYTES_MAX", bytes_max)
        assert [row for batch in ways(path, tmp_path) for row in batch] == expected
    assert len(expected) == 700


def test_a_table_whose_rowid_has_no_name_is_read_by_position(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (rowid, oid, _rowid_, v)")
        connection.execute("CREATE INDEX covering ON t (v DESC, rowid, oid, _rowid_)")
        connection.executemany("INSERT INTO t VALUES (1, 2, 3, ?)", [(n,) for n in range(300)])
        connection.commit()
    rows = [row for batch in ways(path, tmp_path) for row in batch]
    assert rows == [(n + 1, 1, 2, 3, n) for n in range(300)]


def test_a_collation_that_only_the_application_knows_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.create_collation("backwards", lambda a, b: (b > a) - (b < a))
        connection.execute("CREATE TABLE t (k TEXT COLLATE backwards, v, PRIMARY KEY (k)) WITHOUT ROWID")
        connection.executemany("INSERT INTO t VALUES (?, 1)", [(f"{n:03}",) for n in range(300)])
        connection.commit()
    for sort in (False, True):
        with closing(sqlite_source(path).open_cut(tmp_path)) as cut:
            assert [row[0] for row in rows_of(cut, "database/t", sort=sort)] == [f"{n:03}" for n in range(300)]


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
def test_text_that_is_not_utf16_survives_bit_for_bit(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "t.db"
    raw = [
        b"\xd8\x00",
        b"\x00\xd8",
        b"a",
        b"\xff\xff",
        b"\xff\xfe",
        b"\x00\xdc\x00\xd8",
        "ok\U0001f600".encode("utf-16-le"),
    ]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA encoding='{encoding}'")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
        for data in raw:
            # As a literal: a bound blob counts as UTF-8 when it is cast.
            connection.execute(f"INSERT INTO t (v) VALUES (CAST(x'{data.hex()}' AS TEXT))")
        stored = connection.execute("SELECT CAST(v AS BLOB), typeof(v) FROM t ORDER BY id").fetchall()
    codec = encoding.replace("UTF-16", "utf-16-")
    with closing(sqlite_source(path).open_cut(tmp_path)) as cut:
        found = [row[1] for row in rows_of(cut, "database/t")]
        assert ("pragma", "encoding", "", encoding) in rows_of(cut, "database/schema")
    assert [kind for _, kind in stored] == ["text"] * len(raw)
    assert [typed(one)[1] if isinstance(one, RawText) else str(one).encode(codec) for one in found] == [
        data for data, _ in stored
    ]
    # What is delivered as text can be written back as text.
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for at, one in enumerate(found):
            if isinstance(one, str):
                connection.execute("UPDATE t SET v = ? WHERE id = ?", (one, at + 1))
        assert connection.execute("SELECT CAST(v AS BLOB), typeof(v) FROM t ORDER BY id").fetchall() == stored
