"""Recoveries between states of different schemas: what comes, what has no place, and what an undo drops again."""

from __future__ import annotations

import pytest

from maos_ckpt.model import Selection, Severity
from maos_ckpt.operations import checkpoints
from tests.recovery.conftest import Site, kinds

NOTES = (
    "CREATE TABLE notes (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT)",
    "CREATE INDEX notes_by_text ON notes (text)",
    "CREATE VIEW long_notes AS SELECT * FROM notes WHERE length(text) > 3",
    "CREATE TRIGGER no_empty AFTER INSERT ON notes WHEN NEW.text = '' BEGIN DELETE FROM notes WHERE id = NEW.id; END",
    "INSERT INTO notes (text) VALUES ('one'), ('three')",
)
NAMES = "SELECT name FROM sqlite_master WHERE name LIKE '%notes%' OR name = 'no_empty' ORDER BY name"


def without_notes(site: Site) -> None:
    site.run("DROP VIEW long_notes", "DROP TABLE notes")


def test_an_undo_drops_what_the_recovery_created_and_a_second_one_brings_it_back(site: Site) -> None:
    site.run(*NOTES)
    site.save()
    without_notes(site)
    before = site.save()
    done = site.recover("latest~1")
    assert (done.applied, done.verified, done.partial) == (True, True, False)
    assert site.run("SELECT text FROM long_notes") == [("three",)]
    undone = site.undo(site.undo_plan().digest)
    assert (undone.applied, undone.verified, undone.partial) == (True, True, False)
    assert site.run(NAMES) == []
    assert site.save().digest == before.digest
    assert site.undo().verified
    assert site.run("SELECT text FROM notes ORDER BY id") == [("one",), ("three",)]
    assert len(site.run(NAMES)) == 4


def test_rows_that_came_since_go_with_the_table_and_are_in_the_safety_checkpoint(site: Site) -> None:
    site.run(*NOTES)
    site.save()
    without_notes(site)
    site.recover()
    site.run("INSERT INTO notes (text) VALUES ('since')")
    planned = site.undo_plan()
    assert "other/notes/3" in [f"{one.component}/{one.collection}/{one.key}" for one in planned.changes]
    assert site.undo(planned.digest).verified
    assert site.run(NAMES) == []
    assert site.undo().verified
    assert ("since",) in site.run("SELECT text FROM notes")


def test_a_table_with_records_outside_of_the_selection_stays_and_the_plan_says_so(site: Site) -> None:
    site.run(*NOTES)
    site.save()
    without_notes(site)
    site.recover(selection=Selection(components=("system",)))
    assert site.run("SELECT count(*) FROM notes") == [(0,)]
    site.run("INSERT INTO notes (text) VALUES ('since')")
    (finding,) = (one for one in site.undo_plan().findings if one.severity is Severity.WARNING)
    assert "keeps the table notes" in finding.message
    undone = site.undo()
    assert (undone.verified, undone.partial) == (True, True)
    assert site.run("SELECT text FROM notes") == [("since",)]
    assert site.run("SELECT count(*) FROM sqlite_master WHERE name = 'long_notes'") == [(0,)]


def test_what_somebody_else_created_since_is_never_dropped(site: Site) -> None:
    site.save()
    site.run("DELETE FROM agents WHERE name = 'Bob'")
    site.recover()
    site.run(*NOTES)
    undone = site.undo()
    assert undone.verified
    assert len(site.run(NAMES)) == 4
    assert undone.partial is False


def test_records_of_a_table_that_is_gone_bring_the_table_with_them(site: Site) -> None:
    site.run(*NOTES)
    site.save()
    without_notes(site)
    done = site.recover(selection=Selection(components=("other",)))
    assert (done.applied, done.verified) == (True, True)
    assert site.run("SELECT text FROM notes ORDER BY id") == [("one",), ("three",)]
    assert ("notes_by_text",) in site.run(NAMES)
    assert site.undo().verified
    assert site.run(NAMES) == []


def test_columns_without_a_place_are_told_by_plan_and_result(site: Site) -> None:
    site.run("ALTER TABLE agents ADD COLUMN mood TEXT", "UPDATE agents SET mood = 'fine'")
    site.save()
    site.run("ALTER TABLE agents DROP COLUMN mood", "UPDATE agents SET name = 'Eve' WHERE name = 'Bob'")
    planned = site.plan()
    assert "columns" in kinds(planned.findings)
    done = site.recover(digest=planned.digest)
    assert (done.applied, done.verified, done.partial) == (True, True, True)
    assert [one.message for one in done.plan.findings if one.kind == "columns"] == [
        "agents/agents has no place any more for the column mood."
    ]
    again = site.recover("latest")
    assert (again.applied, again.partial, again.plan.summary.total) == (False, True, 0)


def test_columns_that_came_since_are_told(site: Site) -> None:
    saved = site.save()
    site.run("ALTER TABLE agents ADD COLUMN mood TEXT DEFAULT 'fine'", "UPDATE agents SET name = 'Eve'")
    plan = site.plan(saved.id, Selection(components=("agents",)))
    assert [one.message for one in plan.findings if one.kind == "later_columns"] == [
        "agents/agents has the column mood since, which no checkpointed value is put into."
    ]
    done = site.recover(saved.id, Selection(components=("agents",)), plan.digest)
    assert (done.verified, done.partial) == (True, False)


def test_columns_that_are_new_since_are_kept_and_no_fault(site: Site) -> None:
    site.save()
    site.run("ALTER TABLE agents ADD COLUMN mood TEXT", "UPDATE agents SET mood = 'fine', name = 'Eve'")
    done = site.recover()
    assert (done.verified, done.partial) == (True, False)
    assert site.run("SELECT name, mood FROM agents ORDER BY id") == [("Ada", "fine"), ("Bob", "fine")]


def test_another_key_leaves_the_collection_alone_and_the_recovery_partial(site: Site) -> None:
    site.run("CREATE TABLE things (a TEXT PRIMARY KEY, b TEXT)", "INSERT INTO things VALUES ('x', 'y')")
    site.save()
    site.run("DROP TABLE things", "CREATE TABLE things (a TEXT, b TEXT PRIMARY KEY)")
    site.run("DELETE FROM agents")
    done = site.recover()
    assert (done.verified, done.partial) == (True, True)
    assert "keys" in kinds(done.plan.findings)
    assert site.agents() == ["Ada", "Bob"]
    assert site.run("SELECT count(*) FROM things") == [(0,)]


@pytest.mark.parametrize("deed", ["DROP INDEX idx_agents_status", "DROP TABLE messages"])
def test_a_missing_index_or_table_comes_back(site: Site, deed: str) -> None:
    kept = site.save()
    site.run(deed)
    done = site.recover()
    assert (done.verified, done.partial) == (True, False)
    assert site.save().digest == kept.digest


def test_a_setting_of_the_file_that_stays_is_told_and_no_fault(site: Site) -> None:
    site.save()
    site.run("PRAGMA journal_mode = WAL", "DELETE FROM agents")
    done = site.recover()
    assert (done.verified, done.partial) == (True, False)
    assert "schema" in kinds(done.plan.findings)
    assert site.agents() == ["Ada", "Bob"]


def retype(site: Site, table: str, *columns: str) -> None:
    """Make a table anew under its name, as a migration does, its rows kept."""
    site.run(
        f"CREATE TABLE new_one ({', '.join(columns)})",
        f"INSERT INTO new_one SELECT * FROM {table}",
        f"DROP TABLE {table}",
        f"ALTER TABLE new_one RENAME TO {table}",
    )


def test_values_that_a_retyped_column_would_turn_into_others_stay_out_and_are_named(site: Site) -> None:
    site.run(
        "CREATE TABLE things (id TEXT PRIMARY KEY, amount TEXT, size INTEGER)",
        "INSERT INTO things VALUES ('a', '12', 1), ('b', 'twelve', 2), ('c', NULL, 3), ('d', x'00', 4)",
    )
    site.save()
    retype(site, "things", "id TEXT PRIMARY KEY", "amount INTEGER", "size TEXT")
    site.run("UPDATE things SET amount = -1, size = NULL")
    plan = site.plan(selection=Selection(components=("other",)))
    (found,) = (one for one in plan.findings if one.kind == "retyped" and "size" in one.message)
    assert found.affected == tuple(f"other/things/{key}" for key in "bcd")
    (found,) = (one for one in plan.findings if one.kind == "retyped" and "amount" in one.message)
    assert found.affected == ("other/things/a",)
    site.run("ALTER TABLE things DROP COLUMN size")
    done = site.recover(selection=Selection(components=("other",)))
    # Without that column all but '12', which would become 12, fit.
    assert (done.verified, done.partial) == (True, True)
    assert site.run("SELECT id, amount FROM things ORDER BY id") == [
        ("a", -1),
        ("b", "twelve"),
        ("c", None),
        ("d", b"\0"),
    ]


def test_retyped_columns_that_keep_every_value_are_no_matter(site: Site) -> None:
    site.run("CREATE TABLE things (id TEXT PRIMARY KEY, amount INTEGER)", "INSERT INTO things VALUES ('a', 12)")
    site.save()
    retype(site, "things", "id TEXT PRIMARY KEY", "amount NUMERIC")
    site.run("DELETE FROM things")
    done = site.recover(selection=Selection(components=("other",)))
    assert (done.verified, done.partial) == (True, False)
    assert site.run("SELECT amount FROM things") == [(12,)]


def test_strict_tables_take_only_what_is_of_their_type(site: Site) -> None:
    site.run("CREATE TABLE things (id TEXT PRIMARY KEY, n INTEGER)", "INSERT INTO things VALUES ('a', 1), ('b', 'x')")
    site.save()
    site.run("DROP TABLE things", "CREATE TABLE things (id TEXT PRIMARY KEY, n INTEGER) STRICT")
    done = site.recover(selection=Selection(components=("other",)))
    assert (done.verified, done.partial) == (True, True)
    assert site.run("SELECT id, n FROM things") == [("a", 1)]


def test_a_column_that_must_be_filled_and_is_new_keeps_records_from_coming_back(site: Site) -> None:
    site.run("CREATE TABLE things (id TEXT PRIMARY KEY)", "INSERT INTO things VALUES ('a')")
    site.save()
    site.run("DROP TABLE things", "CREATE TABLE things (id TEXT PRIMARY KEY, owner TEXT NOT NULL)")
    done = site.recover(selection=Selection(components=("other",)))
    assert (done.applied, done.partial) == (False, True)
    assert [one.affected for one in done.plan.findings if one.kind == "retyped"] == [("other/things/a",)]
    site.run("DROP TABLE things", "CREATE TABLE things (id TEXT PRIMARY KEY, owner TEXT NOT NULL DEFAULT 'all')")
    assert site.recover(selection=Selection(components=("other",))).verified
    assert site.run("SELECT * FROM things") == [("a", "all")]


def test_a_diff_tells_of_a_column_once_and_of_no_record_that_only_has_it(site: Site) -> None:
    before = site.save()
    site.run("ALTER TABLE agents ADD COLUMN mood TEXT", "UPDATE agents SET mood = 'fine' WHERE name = 'Ada'")
    site.run("UPDATE agents SET name = 'Eve' WHERE name = 'Bob'")
    for one, other, side in ((before.id, "live", "live"), ("live", before.id, "live")):
        found = checkpoints.diff(site.workspace, one, other, 100, lambda step: None)
        assert [change.key for change in found.changes if change.collection == "agents"] == ["b-0000000b"]
        (change,) = (change for change in found.changes if change.collection == "agents")
        assert [field.path for field in change.fields] == ["name"]
        assert [finding.message for finding in found.findings] == [
            f"agents/agents has the column mood only in {side}, where 1 record holds something in it;"
            " records are compared without it."
        ]
    assert checkpoints.diff(site.workspace, "live", "live", 100, lambda step: None).findings == ()
