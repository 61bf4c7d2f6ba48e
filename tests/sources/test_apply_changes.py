"""Applying changes to live tables: exact values, least writing, nothing done behind the plan's back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from maos_ckpt.errors import CkptError, ConflictError, PlanMovedError, SourceError
from maos_ckpt.model import ChangeKind
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite.live import hold
from maos_ckpt.sources.sqlite.schema import read_schema
from maos_ckpt.sources.sqlite.write import apply_changes, in_write_order, shadow_tables
from tests.lab.values import dump_exact, make_hard_database
from tests.sources.applying import apply, logical, make, rows
from tests.sources.changes import changes_between, schema_of


@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "WAL"])
def test_hard_values_that_were_all_changed_or_lost_come_back_bit_for_bit(tmp_path: Path, wal: bool) -> None:
    wanted, live = tmp_path / "wanted.db", tmp_path / "live.db"
    make_hard_database(wanted)
    make_hard_database(live, wal=wal)
    with closing(sqlite3.connect(live, isolation_level=None)) as connection:
        for number, table in enumerate(read_schema(connection).tables):
            if table.kind != "table" or table.name == "shadowed_rowid":
                continue
            if number % 3 == 0:
                connection.execute(f'DELETE FROM "{table.name.replace(chr(34), chr(34) * 2)}"')
            elif table.rowid_alias and number % 3 == 1:
                name = table.name.replace('"', '""')
                connection.execute(f'DELETE FROM "{name}" WHERE rowid % 2')
        connection.execute("UPDATE untyped SET v = 'spoilt' WHERE id % 2")
        connection.execute("INSERT INTO untyped (v) VALUES ('new'), (NULL)")
        connection.execute("INSERT INTO notes (title, body) VALUES ('new', 'entry')")
        connection.execute("DELETE FROM documents WHERE id = 40")
        connection.execute("UPDATE composite SET v = 'spoilt'")
        connection.execute("UPDATE shadowed_rowid SET v = v + 1")
        connection.execute("INSERT INTO shadowed_rowid VALUES ('last', 'last', 3)")
        connection.execute("UPDATE sqlite_sequence SET seq = 5000")
    changes = changes_between(live, wanted)
    assert len(changes) > 100
    apply(live, changes)
    assert changes_between(live, wanted) == []
    assert logical(live) == logical(wanted)
    assert rows(live, "PRAGMA integrity_check") == [("ok",)]
    assert rows(live, "SELECT count(*) FROM notes WHERE notes MATCH 'entry'") == [(0,)]
    assert rows(live, "SELECT rowid FROM documents_index WHERE documents_index MATCH 'settlement'") == [(40,)]


def test_an_emptied_hard_database_is_filled_again_with_the_rowids_it_had(tmp_path: Path) -> None:
    wanted, live = tmp_path / "wanted.db", tmp_path / "live.db"
    make_hard_database(wanted)
    make_hard_database(live)
    with closing(sqlite3.connect(live, isolation_level=None)) as connection:
        for table in read_schema(connection).tables:
            if table.kind == "table":
                connection.execute(f'DELETE FROM "{table.name.replace(chr(34), chr(34) * 2)}"')
    apply(live, changes_between(live, wanted))
    # `shadowed_rowid` has a rowid that no SQL can name: its rows come back in order, and that is all.
    was, now = dump_exact(wanted, shadow_tables=True), dump_exact(live, shadow_tables=True)
    nameless = {"shadowed_rowid"}
    assert {name: now[name] for name in was if name not in nameless} == {
        name: was[name] for name in was if name not in nameless
    }


def test_only_columns_that_differ_are_written(tmp_path: Path) -> None:
    live = make(tmp_path / "live.db", "CREATE TABLE t (id TEXT PRIMARY KEY, a, b)", "INSERT INTO t VALUES ('x', 1, 2)")
    wanted = make(
        tmp_path / "wanted.db", "CREATE TABLE t (id TEXT PRIMARY KEY, a, b)", "INSERT INTO t VALUES ('x', 1, 3)"
    )
    (change,) = changes_between(live, wanted)
    assert list(change.differing()) == [("b", 3)]
    with hold(live, SYSTEM) as held:
        statements: list[str] = []
        held.connection.set_trace_callback(statements.append)
        apply_changes(held.connection, [change], sequences="set")
    updates = [one for one in statements if one.startswith("UPDATE")]
    assert len(updates) == 1
    assert '"b"' in updates[0]
    assert '"a"' not in updates[0]


def test_swapped_unique_values_and_keys_are_put_back(tmp_path: Path) -> None:
    ddl = "CREATE TABLE t (k TEXT PRIMARY KEY, u INTEGER UNIQUE, w TEXT UNIQUE COLLATE NOCASE)"
    wanted = make(tmp_path / "wanted.db", ddl, *[f"INSERT INTO t VALUES ('k{n}', {n}, 'W{n}')" for n in range(50)])
    live = make(
        tmp_path / "live.db", ddl, *[f"INSERT INTO t VALUES ('k{n}', {(n + 1) % 50}, 'w{49 - n}')" for n in range(50)]
    )
    with closing(sqlite3.connect(live, isolation_level=None)) as connection:
        # One record is gone and its unique values now belong to a record that the checkpoint does not know.
        connection.execute("DELETE FROM t WHERE k = 'k7'")
        connection.execute("INSERT INTO t VALUES ('new', 8, 'w42')")
    apply(live, changes_between(live, wanted))
    assert rows(live, "SELECT * FROM t ORDER BY u") == rows(wanted, "SELECT * FROM t ORDER BY u")
    assert rows(live, "PRAGMA integrity_check") == [("ok",)]


def test_maos_checkpoints_known_by_name_take_their_ids_from_each_other(tmp_path: Path) -> None:
    ddl = "CREATE TABLE checkpoints (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, v)"
    wanted = make(tmp_path / "wanted.db", ddl, "INSERT INTO checkpoints VALUES ('a', 'one', 1), ('b', 'two', 2)")
    live = make(
        tmp_path / "live.db", ddl, "INSERT INTO checkpoints VALUES ('b', 'one', 9), ('a', 'two', 2), ('c', 'x', 3)"
    )
    changes = changes_between(live, wanted)
    assert {one.kind for one in changes} == {ChangeKind.MODIFIED, ChangeKind.REMOVED}
    apply(live, changes)
    assert rows(live, "SELECT * FROM checkpoints ORDER BY id") == [("a", "one", 1), ("b", "two", 2)]


def test_a_unique_value_held_by_a_record_outside_of_the_plan_refuses_and_changes_nothing(tmp_path: Path) -> None:
    ddl = "CREATE TABLE t (k TEXT PRIMARY KEY, u UNIQUE)"
    wanted = make(tmp_path / "wanted.db", ddl, "INSERT INTO t VALUES ('a', 1)")
    live = make(tmp_path / "live.db", ddl, "INSERT INTO t VALUES ('other', 1)")
    before = live.read_bytes()
    with pytest.raises(ConflictError, match=r"other/t/a cannot be put back: UNIQUE constraint failed: t\.u"):
        apply(live, changes_between(live, wanted, exact=False))
    assert live.read_bytes() == before


def test_keys_with_null_come_back_at_their_rowid_even_if_another_record_has_taken_it(tmp_path: Path) -> None:
    ddl = "CREATE TABLE t (k TEXT PRIMARY KEY, v)"
    wanted = make(
        tmp_path / "wanted.db", ddl, "INSERT INTO t (rowid, k, v) VALUES (1, NULL, 'n1'), (2, NULL, 'n2'), (9, 'a', 1)"
    )
    live = make(tmp_path / "live.db", ddl, "INSERT INTO t (rowid, k, v) VALUES (1, 'a', 0), (2, NULL, 'n3')")
    apply(live, changes_between(live, wanted))
    assert changes_between(live, wanted) == []
    assert rows(live, "SELECT rowid, v FROM t WHERE k IS NULL ORDER BY rowid") == [(1, "n1"), (2, "n2")]


def test_nocase_keys_that_differ_only_in_case_are_told_apart(tmp_path: Path) -> None:
    ddl = "CREATE TABLE t (k TEXT PRIMARY KEY COLLATE NOCASE, v)"
    wanted = make(tmp_path / "wanted.db", ddl, "INSERT INTO t VALUES ('Agent', 1)")
    live = make(tmp_path / "live.db", ddl, "INSERT INTO t VALUES ('AGENT', 1)")
    changes = changes_between(live, wanted)
    assert sorted(one.kind for one in changes) == [ChangeKind.ADDED, ChangeKind.REMOVED]
    apply(live, changes)
    assert rows(live, "SELECT k FROM t") == [("Agent",)]


def test_integers_and_reals_as_keys_of_an_untyped_column_are_told_apart(tmp_path: Path) -> None:
    ddl = "CREATE TABLE t (k PRIMARY KEY, v) WITHOUT ROWID"
    wanted = make(tmp_path / "wanted.db", ddl, "INSERT INTO t VALUES (7, 'i'), (8.5, 'r'), ('7', 't'), (x'37', 'b')")
    live = make(tmp_path / "live.db", ddl, "INSERT INTO t VALUES (7.0, 'i'), (8.5, 'x'), ('7', 'y')")
    apply(live, changes_between(live, wanted))
    assert dump_exact(live)["t"] == dump_exact(wanted)["t"]


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
def test_utf16_databases_keep_text_that_no_utf8_can_carry(tmp_path: Path, encoding: str) -> None:
    ddl = (f"PRAGMA encoding = '{encoding}'", "CREATE TABLE t (k TEXT PRIMARY KEY, v)")
    lone = "d800" if encoding.endswith("be") else "00d8"
    fill = (
        f"INSERT INTO t VALUES ('\u00fc', CAST(x'{lone}' AS TEXT)), ('\U0001f600', 'x'), (CAST(x'{lone}' AS TEXT), 1)"
    )
    wanted, live = make(tmp_path / "wanted.db", *ddl, fill), make(tmp_path / "live.db", *ddl)
    apply(live, changes_between(live, wanted))
    assert dump_exact(live) == dump_exact(wanted)
    make(live, "UPDATE t SET v = CAST(x'0041' AS TEXT)", "DELETE FROM t WHERE k = '\u00fc'")
    apply(live, changes_between(live, wanted))
    assert logical(live) == logical(wanted)


def test_triggers_do_not_fire_and_are_there_again_afterwards_in_their_order(tmp_path: Path) -> None:
    ddl = (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v)",
        "CREATE TABLE log (id INTEGER PRIMARY KEY, what)",
        "CREATE TRIGGER z_first AFTER UPDATE ON t BEGIN INSERT INTO log (what) VALUES ('first'); END",
        "CREATE TRIGGER a_second AFTER UPDATE ON t BEGIN INSERT INTO log (what) VALUES ('second'); END",
        "CREATE TRIGGER guard BEFORE DELETE ON t BEGIN SELECT RAISE(ABORT, 'never'); END",
        "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
    )
    wanted, live = make(tmp_path / "wanted.db", *ddl), make(tmp_path / "live.db", *ddl)
    make(live, "INSERT INTO t VALUES (3, 'new')", "UPDATE t SET v = 'x' WHERE id = 1", "DELETE FROM log")
    apply(live, changes_between(live, wanted))
    assert rows(live, "SELECT * FROM log") == []
    assert rows(live, "SELECT * FROM t") == [(1, "a"), (2, "b")]
    make(live, "UPDATE t SET v = v")
    make(wanted, "UPDATE t SET v = v")
    assert rows(live, "SELECT what FROM log ORDER BY id") == rows(wanted, "SELECT what FROM log ORDER BY id")
    assert dump_exact(live)["sqlite_master"] == dump_exact(wanted)["sqlite_master"]


def test_the_fence_of_a_former_recovery_does_not_swallow_this_one(tmp_path: Path) -> None:
    ddl = (
        "CREATE TABLE sessions (session_id TEXT PRIMARY KEY, conversation_history TEXT, turn_count INTEGER)",
        "INSERT INTO sessions VALUES ('s', '[1, 2, 3]', 3)",
    )
    wanted, live = make(tmp_path / "wanted.db", *ddl), make(tmp_path / "live.db", *ddl)
    make(live, "UPDATE sessions SET conversation_history = '[]', turn_count = 0")
    changes = changes_between(live, wanted)
    with hold(live, SYSTEM) as held:
        held.connection.execute(
            "CREATE TRIGGER ckpt_fence BEFORE UPDATE OF conversation_history ON sessions BEGIN SELECT RAISE(IGNORE)"
            " /* maos-ckpt recovery r1 */; END"
        )
    apply(live, changes)
    assert rows(live, "SELECT * FROM sessions") == [("s", "[1, 2, 3]", 3)]


@pytest.mark.parametrize("kind", list(ChangeKind))
def test_a_record_that_moved_since_the_plan_refuses_all_of_it(tmp_path: Path, kind: ChangeKind) -> None:
    ddl = ("CREATE TABLE t (id TEXT PRIMARY KEY, v)", "INSERT INTO t VALUES ('same', 1), ('mod', 2), ('old', 3)")
    wanted, live = make(tmp_path / "wanted.db", *ddl), make(tmp_path / "live.db", *ddl)
    make(
        live, "UPDATE t SET v = 9 WHERE id = 'mod'", "DELETE FROM t WHERE id = 'old'", "INSERT INTO t VALUES ('new', 4)"
    )
    changes = changes_between(live, wanted)
    assert {one.kind for one in changes} == set(ChangeKind)
    make(
        live,
        {
            ChangeKind.ADDED: "INSERT INTO t VALUES ('old', 3)",
            ChangeKind.MODIFIED: "UPDATE t SET v = 9.0 WHERE id = 'mod'",
            ChangeKind.REMOVED: "DELETE FROM t WHERE id = 'new'",
        }[kind],
    )
    before = live.read_bytes()
    moved = {ChangeKind.ADDED: "old", ChangeKind.MODIFIED: "mod", ChangeKind.REMOVED: "new"}[kind]
    with pytest.raises(PlanMovedError) as caught:
        apply(live, changes)
    assert caught.value.data["records"] == [f"other/t/{moved}"]
    assert live.read_bytes() == before


def test_of_many_moved_records_twenty_are_named(tmp_path: Path) -> None:
    ddl = "CREATE TABLE t (id INTEGER PRIMARY KEY, v)"
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) "
    wanted = make(tmp_path / "wanted.db", ddl, many + "INSERT INTO t SELECT i, 'good' FROM n")
    live = make(tmp_path / "live.db", ddl, many + "INSERT INTO t SELECT i, 'bad' FROM n")
    changes = changes_between(live, wanted)
    make(live, "UPDATE t SET v = 'worse' WHERE id > 100")
    with pytest.raises(PlanMovedError) as caught:
        apply(live, changes)
    assert caught.value.data["records"] == [f"other/t/{n}" for n in range(101, 121)]


def test_a_whole_recovery_sets_the_counters_and_a_partial_one_only_raises_them(tmp_path: Path) -> None:
    ddl = "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v)"
    wanted = make(
        tmp_path / "wanted.db", ddl, "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (40, 'x')", "DELETE FROM t WHERE id = 40"
    )
    live = make(tmp_path / "live.db", ddl, "INSERT INTO t VALUES (1, 'a'), (90, 'new')")
    partial = tmp_path / "partial.db"
    partial.write_bytes(live.read_bytes())
    apply(live, changes_between(live, wanted), "set")
    assert rows(live, "SELECT * FROM sqlite_sequence") == [("t", 40)]
    apply(partial, changes_between(partial, wanted, exact=False), "raise")
    assert rows(partial, "SELECT * FROM sqlite_sequence") == [("t", 90)]
    make(partial, "DELETE FROM sqlite_sequence")
    apply(partial, changes_between(partial, wanted, exact=False), "raise")
    assert rows(partial, "SELECT * FROM sqlite_sequence") == [("t", 40)]


def test_putting_ids_back_leaves_a_counter_that_the_plan_does_not_name(tmp_path: Path) -> None:
    ddl = "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v)"
    wanted = make(tmp_path / "wanted.db", ddl, "INSERT INTO t VALUES (5, 'a')", "UPDATE sqlite_sequence SET seq = 3")
    live = make(tmp_path / "live.db", ddl, "INSERT INTO t VALUES (1, 'a')", "UPDATE sqlite_sequence SET seq = 3")
    apply(live, changes_between(live, wanted), "set")
    assert rows(live, "SELECT * FROM sqlite_sequence") == [("t", 3)]


PARENT_AND_CHILD = (
    "CREATE TABLE agents (id TEXT PRIMARY KEY, v)",
    "CREATE TABLE messages (id INTEGER PRIMARY KEY, sender TEXT REFERENCES agents(id) ON DELETE CASCADE)",
)


def test_a_reference_that_would_break_refuses_unless_it_is_allowed(tmp_path: Path) -> None:
    wanted = make(tmp_path / "wanted.db", *PARENT_AND_CHILD, "INSERT INTO messages VALUES (1, 'gone'), (2, 'gone')")
    live = make(tmp_path / "live.db", *PARENT_AND_CHILD)
    before = live.read_bytes()
    changes = changes_between(live, wanted)
    with pytest.raises(ConflictError, match="leave 1 reference to nobody, the first from messages to agents"):
        apply(live, changes)
    assert live.read_bytes() == before
    assert apply(live, changes, allow_new_violations=True).violation_count == 1


def test_removing_a_parent_that_is_referred_to_refuses_and_does_not_cascade(tmp_path: Path) -> None:
    fill = "INSERT INTO messages VALUES (1, 'a'), (2, 'dirty')"
    live = make(tmp_path / "live.db", *PARENT_AND_CHILD, "INSERT INTO agents VALUES ('a', 1), ('b', 2)", fill)
    wanted = make(tmp_path / "wanted.db", *PARENT_AND_CHILD, "INSERT INTO agents VALUES ('b', 2)", fill)
    changes = changes_between(live, wanted)
    # `dirty` dangled before: it is no fault of this recovery.
    with pytest.raises(ConflictError, match="leave 1 reference to nobody"):
        apply(live, changes)
    result = apply(live, changes, allow_new_violations=True)
    assert [(one.table, one.record) for one in result.violations] == [("messages", "rowid 1")]
    assert rows(live, "SELECT count(*) FROM messages") == [(2,)]


def test_a_reference_that_led_to_nobody_may_lead_to_another_nobody(tmp_path: Path) -> None:
    wanted = make(tmp_path / "wanted.db", *PARENT_AND_CHILD, "INSERT INTO messages VALUES (1, 'gone')")
    live = make(tmp_path / "live.db", *PARENT_AND_CHILD, "INSERT INTO messages VALUES (1, 'lost')")
    assert apply(live, changes_between(live, wanted)).violation_count == 0


def test_references_are_looked_up_when_everything_is_in_place(tmp_path: Path) -> None:
    ddl = "CREATE TABLE tasks (id TEXT PRIMARY KEY, up TEXT REFERENCES tasks(id))"
    wanted = make(tmp_path / "wanted.db", ddl, "INSERT INTO tasks VALUES ('a-child', 'z-root'), ('z-root', NULL)")
    live = make(tmp_path / "live.db", ddl)
    assert apply(live, changes_between(live, wanted)).violation_count == 0


def test_a_column_that_only_the_live_table_has_keeps_its_value(tmp_path: Path) -> None:
    wanted = make(
        tmp_path / "wanted.db",
        "CREATE TABLE t (id TEXT PRIMARY KEY, gone, v)",
        "INSERT INTO t VALUES ('a', 7, 1), ('b', 8, 2)",
    )
    live = make(
        tmp_path / "live.db",
        "CREATE TABLE t (id TEXT PRIMARY KEY, v, extra DEFAULT 'd')",
        "INSERT INTO t VALUES ('a', 0, 'kept')",
    )
    changes = [one for one in changes_between(live, wanted) if one.descriptor.kind == "table"]
    apply(live, changes)
    assert rows(live, "SELECT * FROM t") == [("a", 1, "kept"), ("b", 2, "d")]


def test_a_table_indexed_by_an_unknown_collation_is_refused(tmp_path: Path) -> None:
    for name in ("live.db", "wanted.db"):
        with closing(sqlite3.connect(tmp_path / name)) as connection, connection:
            connection.create_collation("custom", lambda a, b: (a > b) - (a < b))
            connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT COLLATE custom UNIQUE)")
            connection.execute("INSERT INTO t VALUES (1, ?)", (name,))
    with pytest.raises(SourceError, match="indexed in an order that only its application knows"):
        apply(tmp_path / "live.db", changes_between(tmp_path / "live.db", tmp_path / "wanted.db"))


def test_an_index_fed_by_a_trigger_that_was_not_recovered_is_named(tmp_path: Path) -> None:
    ddl = (
        "CREATE TABLE docs (id INTEGER PRIMARY KEY, body)",
        "CREATE VIRTUAL TABLE search USING fts5(body, content='docs', content_rowid='id')",
        "CREATE TRIGGER docs_ai AFTER INSERT ON docs BEGIN"
        " INSERT INTO search (rowid, body) VALUES (NEW.id, NEW.body); END",
    )
    wanted, live = (
        make(tmp_path / "wanted.db", *ddl, "INSERT INTO docs VALUES (1, 'a word')"),
        make(tmp_path / "live.db", *ddl),
    )
    result = apply(live, changes_between(live, wanted, tables={"docs"}))
    assert result.notes == (
        "The index search follows the table docs by a trigger and was not recovered with it; rebuild it.",
    )
    whole = apply(live, changes_between(live, wanted))
    assert whole.notes == ()
    assert rows(live, "SELECT rowid FROM search WHERE search MATCH 'word'") == [(1,)]


def test_shadow_tables_are_known_by_their_virtual_table(tmp_path: Path) -> None:
    path = make(
        tmp_path / "x.db", "CREATE VIRTUAL TABLE a USING fts5(x)", "CREATE VIRTUAL TABLE a_b USING rtree(id, l, h)"
    )
    assert shadow_tables(schema_of(path)) == {
        "a": ("a_config", "a_content", "a_data", "a_docsize", "a_idx"),
        "a_b": ("a_b_node", "a_b_parent", "a_b_rowid"),
    }


def test_collections_are_written_in_the_order_of_their_dependencies(tmp_path: Path) -> None:
    path = make(tmp_path / "x.db", "CREATE TABLE t (a)")
    (change, *_) = changes_between(make(tmp_path / "y.db", "CREATE TABLE other (a)"), path)
    table = next(one.descriptor for one in [*changes_between(path, path.with_name("y.db")), change])
    named = [replace(table, component=name) for name in ("other", "queue", "agents", "memory")]
    assert [one.component for one in in_write_order(named)] == ["agents", "memory", "queue", "other"]


def test_progress_is_reported_and_an_error_in_it_rolls_back(tmp_path: Path) -> None:
    ddl = "CREATE TABLE t (id INTEGER PRIMARY KEY, v)"
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO t SELECT i, 1"
    many += " FROM n"
    wanted, live = make(tmp_path / "wanted.db", ddl, many), make(tmp_path / "live.db", ddl)
    before = live.read_bytes()
    seen: list[int] = []

    def stop(done: int) -> None:
        seen.append(done)
        if done >= 1000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(live, changes_between(live, wanted), progress=stop)
    assert seen == [0, 500, 1000]
    assert live.read_bytes() == before


def test_changes_may_be_a_stream_that_is_read_once(tmp_path: Path) -> None:
    ddl = "CREATE TABLE t (id INTEGER PRIMARY KEY, v)"
    wanted, live = make(tmp_path / "wanted.db", ddl, "INSERT INTO t VALUES (1, 2)"), make(tmp_path / "live.db", ddl)

    changes = changes_between(live, wanted)

    def stream() -> Iterator[Change]:
        yield from changes

    with hold(live, SYSTEM) as held:
        assert apply_changes(held.connection, stream(), sequences="set").counts.added == 1


def test_a_full_disk_refuses_and_changes_nothing(tmp_path: Path) -> None:
    ddl = "CREATE TABLE t (id INTEGER PRIMARY KEY, v)"
    wanted = make(tmp_path / "wanted.db", ddl, "INSERT INTO t VALUES (1, zeroblob(1000000))")
    live = make(tmp_path / "live.db", ddl)
    before, changes = live.read_bytes(), changes_between(live, wanted)

    def fill() -> None:
        with hold(live, SYSTEM) as held:
            held.connection.execute("PRAGMA max_page_count = 20")
            apply_changes(held.connection, changes, sequences="set")

    _refuses(fill, "No space left to write")
    assert live.read_bytes() == before


def _refuses(call: Callable[[], None], text: str) -> None:
    with pytest.raises(CkptError, match=text):
        call()


def test_references_that_are_no_text_at_all_do_no_harm(tmp_path: Path) -> None:
    fill = "INSERT INTO messages VALUES (1, CAST(x'ff' AS TEXT)), (2, NULL), (3, x'00'), (4, 7.5)"
    ddl = (
        "CREATE TABLE agents (id PRIMARY KEY)",
        "CREATE TABLE messages (id INTEGER PRIMARY KEY, sender REFERENCES agents)",
    )
    wanted = make(tmp_path / "wanted.db", *ddl, "INSERT INTO agents VALUES (x'00'), (7.5)", fill)
    live = make(tmp_path / "live.db", *ddl)
    apply(live, changes_between(live, wanted))
    assert dump_exact(live) == dump_exact(wanted)
