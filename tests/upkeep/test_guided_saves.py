"""Saves that read by pages and saves that read everything give the same roots, whatever happens between them."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt.codec.values import decode_row
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.base import record_key
from maos_ckpt.sources.spec import open_source
from maos_ckpt.tree.cursor import find, leaf_entries
from tests.lab.writers import LiveMaos
from tests.sources.churn import create, step
from tests.upkeep.conftest import Shelf
from tests.upkeep.savers import Saver, roots

LIVE_SAVES = 12


def change_one(shelf: Shelf) -> None:
    with closing(sqlite3.connect(shelf.directory / "maos.db")) as connection:
        connection.execute("UPDATE messages SET message = 'changed' WHERE id = 1")
        connection.commit()


@pytest.fixture
def savers(tmp_path: Path) -> Iterator[tuple[Saver, Saver, sqlite3.Connection, random.Random]]:
    """Two repositories of one churning database: one reads by pages, one always in full."""
    rng = random.Random(tmp_path.name)
    with closing(create(tmp_path / "t.db", rng, wal=rng.random() < 0.5)) as connection:
        source = open_source(f"sqlite:{tmp_path / 't.db'}", claude_home=tmp_path, seams=SYSTEM)
        guided, full = Saver(tmp_path / "guided", source), Saver(tmp_path / "full", source)
        yield guided, full, connection, rng
        guided.repository.close()
        full.repository.close()


@pytest.mark.parametrize("seed", range(6))
def test_both_ways_of_saving_give_the_same_roots(
    savers: tuple[Saver, Saver, sqlite3.Connection, random.Random], seed: int
) -> None:
    guided, full, connection, rng = savers
    for _ in range(12):
        assert roots(guided.save()) == roots(full.save())
        full.forget()
        assert len(guided.images()) == 1
        step(connection, rng)


def test_a_few_changed_rows_are_all_that_is_read(shelf: Shelf) -> None:
    saver = Saver(shelf.path, shelf.source)
    saver.save()
    database = shelf.directory / "maos.db"
    for number in range(3):
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("UPDATE messages SET acknowledged = 1 - acknowledged WHERE id = 17")
            connection.execute("UPDATE key_value_store SET value = value || ? WHERE rowid = 3", (str(number),))
            connection.commit()
        checkpoint = saver.save()
        assert saver.read == {"system/schema"}
        fresh = Saver(shelf.path.with_name(f"fresh{number}"), shelf.source)
        assert roots(checkpoint) == roots(fresh.save())
        fresh.repository.close()
    assert len(saver.images()) == 1
    saver.repository.close()


def test_a_row_that_moves_to_another_collection_of_its_table_leaves_the_first(shelf: Shelf) -> None:
    saver = Saver(shelf.path, shelf.source)
    before = {one.path: one.records for one in saver.save().collections}
    with closing(sqlite3.connect(shelf.directory / "maos.db")) as connection:
        prefix = "substr(key, 1, 8) = 'context:'"
        connection.execute(
            f"UPDATE key_value_store SET key = 'moved:' || key WHERE rowid IN"
            f" (SELECT rowid FROM key_value_store WHERE {prefix} LIMIT 2)"
        )
        connection.commit()
    checkpoint = saver.save()
    after = {one.path: one.records for one in checkpoint.collections}
    assert saver.read == {"system/schema"}
    assert after["memory/key_value_store"] == before["memory/key_value_store"] - 2
    assert after["system/key_value_store"] == before["system/key_value_store"] + 2
    fresh = Saver(shelf.path.with_name("fresh"), shelf.source)
    assert roots(checkpoint) == roots(fresh.save())
    fresh.repository.close()
    saver.repository.close()


def test_a_rewritten_table_is_read_in_full_and_alone(shelf: Shelf) -> None:
    saver = Saver(shelf.path, shelf.source)
    saver.save()
    with closing(sqlite3.connect(shelf.directory / "maos.db")) as connection:
        connection.execute("UPDATE tasks SET progress = progress + 1")
        connection.commit()
    saver.save()
    assert saver.read == {"tasks/tasks", "system/schema"}
    saver.repository.close()


def test_a_save_that_fails_leaves_the_image_of_the_one_before(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    saver = Saver(shelf.path, shelf.source)
    first = saver.save()
    images = saver.images()
    change_one(shelf)
    with monkeypatch.context() as patched:
        patched.setattr(Repository, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            saver.save()
    assert saver.images() == images
    assert not list((shelf.path / "tmp").iterdir())
    second = saver.save()
    assert "queue/messages" not in saver.read
    assert second.parent == first.id
    saver.repository.close()


def test_an_image_stays_while_only_transcripts_grow(shelf: Shelf) -> None:
    saver = Saver(shelf.path, shelf.source)
    saver.save()
    images = {one: one.stat().st_mtime_ns for one in saver.images()}
    transcript = next(shelf.home.rglob("*.jsonl"))
    for _ in range(2):
        with transcript.open("a") as file:
            file.write('{"type": "user"}\n')
        assert not saver.save().capture.unchanged
        assert not saver.read
        assert {one: one.stat().st_mtime_ns for one in saver.images()} == images
    change_one(shelf)
    saver.save()
    assert saver.read == {"system/schema"}
    saver.repository.close()


def test_without_its_memo_an_image_is_not_used(shelf: Shelf) -> None:
    saver = Saver(shelf.path, shelf.source)
    saver.save()
    (saver.cache / "memo.msgpack").unlink()
    change_one(shelf)
    saver.save()
    assert "queue/messages" in saver.read
    assert len(saver.images()) == 1
    saver.repository.close()


def test_a_damaged_leaf_under_an_edit_is_written_again_from_a_full_reading(shelf: Shelf) -> None:
    saver = Saver(shelf.path, shelf.source)
    checkpoint = saver.save()
    (root,) = (one.root for one in checkpoint.collections if one.name == "messages")
    assert root is not None
    leaf = next(leaf_entries(saver.repository.chunks, root))
    pack, stored = saver.repository.index.find(leaf.id) or ("", None)
    assert stored is not None
    change_one(shelf)
    with (shelf.path / pack).open("r+b") as file:
        file.seek(stored.offset + stored.stored // 2)
        file.write(b"\xff\xff\xff\xff")
    again = Repository.open(shelf.path, SYSTEM)
    saver.repository.close()
    saver.repository = again
    second = saver.save()
    assert "queue/messages" in saver.read
    fresh = Saver(shelf.path.with_name("fresh"), shelf.source)
    assert roots(second) == roots(fresh.save())
    saver.repository.close()
    fresh.repository.close()


def test_beside_live_writers_every_save_holds_what_its_cut_held(tmp_path: Path) -> None:
    with LiveMaos(tmp_path / "maos", tmp_path / "claude", rate_per_s=80) as maos:
        live = open_source(f"maos:{maos.directory}", claude_home=maos.claude_home, seams=SYSTEM)
        saver = Saver(tmp_path / "repository", live)
        saver.source.check = True
        guided = 0
        for number in range(LIVE_SAVES):
            checkpoint = saver.save()
            assert roots(checkpoint) == saver.source.full, number
            guided += number > 0 and "queue/messages" not in saver.read
            SYSTEM.clock.sleep(0.1)
        saver.repository.close()
        assert maos.stop()["errors"] == []
    assert guided > LIVE_SAVES / 2


def test_a_key_is_found_after_its_row_got_another_place(shelf: Shelf) -> None:
    """The rowid of a row is not part of its key; changing it alone must reach the record's hidden column."""
    saver = Saver(shelf.path, shelf.source)
    saver.save()
    with closing(sqlite3.connect(shelf.directory / "maos.db")) as connection:
        key = connection.execute("SELECT id FROM tasks WHERE rowid = 9").fetchone()[0]
        connection.execute("UPDATE tasks SET rowid = 70707 WHERE rowid = 9")
        connection.commit()
    checkpoint = saver.save()
    (root,) = (one.root for one in checkpoint.collections if one.name == "tasks")
    assert "tasks/tasks" not in saver.read
    descriptor = saver.repository.descriptors(checkpoint)["tasks", "tasks"]
    assert descriptor.rowid
    value = find(saver.repository.chunks, root, record_key(descriptor, (key,)))
    assert value is not None
    assert decode_row(value)[0] == 70707
    saver.repository.close()
