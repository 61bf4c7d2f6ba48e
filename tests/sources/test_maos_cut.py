"""`maos:DIR`: every part of a MAOS's state, in the component it belongs to, frozen together."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from maos_ckpt.errors import NotFoundError, PermissionRefusedError, SourceError
from maos_ckpt.model import CollectionKind
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.maos.layout import Layout
from maos_ckpt.sources.maos.source import MaosSource
from maos_ckpt.sources.memo import Memo
from tests.lab.build import build_state
from tests.lab.schemas import FAMILIES, Family, create_schema
from tests.sources.states import as_nobody, capture, find, make_rows, rows_of, whole

MIB = 1 << 20


@pytest.fixture
def private(tmp_path: Path) -> Path:
    (tmp_path / "private").mkdir()
    return tmp_path / "private"


def source_in(tmp_path: Path, *, allow_missing: bool = False) -> MaosSource:
    for name in ("work", "home"):
        (tmp_path / name).mkdir(exist_ok=True)
    layout = Layout.of(tmp_path / "work", tmp_path / "home" / ".claude", tmp_path / "home")
    return MaosSource(layout, SYSTEM, allow_missing=allow_missing)


def built(tmp_path: Path, family: Family = "0.9") -> MaosSource:
    source = source_in(tmp_path)
    build_state(
        source.layout.directory, source.layout.claude_home, 2 * MIB, seed=3, transcript_bytes=MIB // 2, family=family
    )
    return source


def test_every_record_of_a_real_state_is_in_its_component(tmp_path: Path, private: Path) -> None:
    source = built(tmp_path)
    with closing(source.open_cut(private)) as cut:
        paths = [one.path for one in cut.descriptors()]
        assert paths == [
            "agents/agents",
            "tasks/tasks",
            "memory/key_value_store",
            "memory/sessions",
            "memory/transcript_files",
            "memory/transcripts",
            "queue/messages",
            "queue/sqlite_sequence",
            "system/checkpoints",
            "system/files",
            "system/key_value_store",
            "system/orchestrations",
            "system/schema",
            "system/sqlite_sequence",
        ]
        state = whole(cut)
        assert cut.skew_s < 0.5
        assert cut.lock_s < 0.5
        assert cut.notes == ()
        assert find(cut, "system/checkpoints").keys == ("name",)
        assert find(cut, "system/checkpoints").columns[:2] == ("rowid", "id")
        assert all(cut.ordered(one) for one in cut.descriptors())
        memory_keys = [str(row[0]) for row in rows_of(cut, "memory/key_value_store")]
        system_keys = [str(row[0]) for row in rows_of(cut, "system/key_value_store")]
    with closing(sqlite3.connect(source.layout.database)) as connection:
        for path in paths:
            component, table = path.split("/")
            if table in ("agents", "tasks", "sessions", "messages", "orchestrations", "checkpoints"):
                count = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                assert len(state[path]) == count > 0, (component, table)
        keys = {str(key) for (key,) in connection.execute("SELECT key FROM key_value_store")}
    assert memory_keys
    assert all(key.split(":")[0] in ("context", "embedding", "memory") for key in memory_keys)
    assert set(memory_keys) | set(system_keys) == keys
    assert not set(memory_keys) & set(system_keys)


def test_transcripts_and_files_are_the_ones_on_disk(tmp_path: Path, private: Path) -> None:
    source = built(tmp_path)
    work, projects = source.layout.directory, source.layout.projects
    with closing(source.open_cut(private)) as cut:
        texts: dict[str, str] = {}
        for path, _, text in rows_of(cut, "memory/transcripts"):
            texts[str(path)] = texts.get(str(path), "") + str(text)
        modes = {str(path): mode for path, mode in rows_of(cut, "memory/transcript_files")}
        files = {(str(root), str(path)): (mode, content) for root, path, mode, content in rows_of(cut, "system/files")}
    found = sorted(projects.rglob("*.jsonl"))
    assert found
    assert texts == {str(one.relative_to(projects)): one.read_text() for one in found}
    assert modes == {str(one.relative_to(projects)): one.stat().st_mode & 0o7777 for one in found}
    expected = [work / ".maos" / "config.yaml", *sorted((work / ".claude" / "agents").glob("*.md"))]
    assert files == {
        ("work", str(one.relative_to(work))): (one.stat().st_mode & 0o7777, one.read_bytes()) for one in expected
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_of_schemas_is_captured_by_column_name(tmp_path: Path, private: Path, family: Family) -> None:
    source = built(tmp_path, family)
    with closing(source.open_cut(private)) as cut:
        assert rows_of(cut, "agents/agents")
        names = {one.path: one.columns for one in cut.descriptors()}
        assert ("system/orchestrations" in names) == (family != "0.3")
        if family.startswith("0.9"):
            assert {"last_updated", "active_agents", "message_count"} < set(names["system/orchestrations"])


def test_tables_without_a_home_are_kept_in_a_component_of_their_own(tmp_path: Path, private: Path) -> None:
    source = built(tmp_path)
    with closing(sqlite3.connect(source.layout.database)) as connection:
        connection.execute("CREATE TABLE plugin_state (id INTEGER PRIMARY KEY AUTOINCREMENT, v)")
        connection.execute("INSERT INTO plugin_state (v) VALUES ('kept')")
        connection.execute("CREATE VIRTUAL TABLE search USING fts5(body)")
        connection.commit()
    with closing(source.open_cut(private)) as cut:
        assert rows_of(cut, "other/plugin_state") == [(1, "kept")]
        assert [one.path for one in cut.descriptors() if one.component == "other"][-1].startswith("other/search_")
        assert ("plugin_state", 1) in rows_of(cut, "system/sqlite_sequence")
        assert [row[0] for row in rows_of(cut, "queue/sqlite_sequence")] == ["messages"]


def test_keys_of_the_store_that_are_no_text_are_in_one_of_its_halves(tmp_path: Path, private: Path) -> None:
    source = source_in(tmp_path)
    keys = [None, None, b"context:blob", "context:", "Context:x", "contextx", "embedding:1\0", "memory:ü", "x", 7]
    with closing(sqlite3.connect(source.layout.database)) as connection:
        connection.execute("CREATE TABLE key_value_store (key TEXT PRIMARY KEY, value)")
        connection.executemany("INSERT INTO key_value_store VALUES (?, ?)", [(key, n) for n, key in enumerate(keys)])
        connection.commit()
    with closing(source.open_cut(private)) as cut:
        memory = [row[0] for row in rows_of(cut, "memory/key_value_store")]
        system = [row[0] for row in rows_of(cut, "system/key_value_store")]
    assert memory == ["context:", "embedding:1\0", "memory:ü"]
    assert system == [None, None, "7", "Context:x", "contextx", "x", b"context:blob"]


def test_tables_that_only_look_like_maos_are_keyed_by_what_they_are(tmp_path: Path, private: Path) -> None:
    source = source_in(tmp_path)
    with closing(sqlite3.connect(source.layout.database)) as connection:
        connection.execute("CREATE TABLE Checkpoints (id TEXT PRIMARY KEY, name TEXT UNIQUE)")
        connection.execute("CREATE TABLE key_value_store (value)")
        connection.execute("INSERT INTO Checkpoints VALUES ('a', NULL), ('b', NULL)")
        connection.commit()
    with closing(source.open_cut(private)) as cut:
        assert find(cut, "system/Checkpoints").keys == ("id",)
        assert find(cut, "system/key_value_store").keys == ("rowid",)
        assert len(whole(cut)["system/Checkpoints"]) == 2


def test_a_maos_without_its_database_is_still_a_state(tmp_path: Path, private: Path) -> None:
    source = built(tmp_path)
    source.layout.database.unlink()
    source.check()
    assert source.token()
    with closing(source.open_cut(private)) as cut:
        assert {one.path for one in cut.descriptors()} == {
            "memory/transcripts",
            "memory/transcript_files",
            "system/files",
        }
        assert rows_of(cut, "memory/transcripts")
        assert cut.lock_s == 0.0


def test_where_there_is_no_maos_it_says_so(tmp_path: Path, private: Path) -> None:
    source = source_in(tmp_path)
    (tmp_path / "home" / ".maos.yml").write_text("a: 1\n")
    for call in (source.check, lambda: source.open_cut(private)):
        with pytest.raises(SourceError, match="There is no MAOS in") as caught:
            call()
        assert caught.value.hint
    assert os.listdir(private) == []
    missing = source_in(tmp_path, allow_missing=True)
    missing.check()
    with closing(missing.open_cut(private)) as cut:
        assert sum(map(len, whole(cut).values())) == 1, "the user's own configuration"


def test_an_empty_or_foreign_database_is_an_error_and_not_an_empty_state(tmp_path: Path, private: Path) -> None:
    source = built(tmp_path)
    for content, match in ((b"", "is empty"), (b"hello" * 100, "not a SQLite database")):
        source.layout.database.write_bytes(content)
        with pytest.raises(SourceError, match=match):
            source.open_cut(private)
    assert os.listdir(private) == []


@pytest.mark.parametrize("closed", ["work", "projects"])
def test_a_part_that_may_not_be_read_is_an_error_and_never_an_empty_part(private: Path, closed: str) -> None:
    # Not below pytest's own folder, which nobody else may enter at all.
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        source = built(Path(name))
        layout = source.layout
        shut = layout.directory if closed == "work" else layout.projects / layout.slugs[0]
        shut.chmod(0)
        with as_nobody():
            for call in (source.check, lambda: source.open_cut(private)):
                if call == source.check and closed == "projects":
                    continue
                with pytest.raises(PermissionRefusedError, match="refuses to read") as caught:
                    call()
                assert closed in caught.value.message
            assert source.token() == b""
        shut.chmod(0o755)
        assert source.token()
    assert os.listdir(private) == []


def test_the_memo_makes_an_unchanged_state_cost_nothing_and_a_new_line_one_record(
    tmp_path: Path, private: Path
) -> None:
    source = built(tmp_path)
    with closing(source.open_cut(private)) as cut:
        first = whole(cut)
        memo = cut.memo
    with closing(source.open_cut(private)) as cut:
        assert [cut.changed_ranges(one, memo) for one in cut.descriptors()] == [[]] * len(first)
        # What need not be read is remembered all the same.
        again = Memo.decode(cut.memo)
        assert again is not None
        assert again.transcripts
    path = next(source.layout.projects.rglob("*.jsonl"))
    with open(path, "ab") as file:
        file.write(b'{"new":1}\n')
    with closing(source.open_cut(private)) as cut:
        answers = {one.path: cut.changed_ranges(one, memo) for one in cut.descriptors()}
        lines = answers.pop("memory/transcripts")
        assert lines is not None
        assert [[row[2] for row in one.rows] for one in lines] == [['{"new":1}\n']]
        assert all(answer == [] for answer in answers.values())
        later = cut.memo
    with closing(sqlite3.connect(source.layout.database)) as connection:
        connection.execute("UPDATE agents SET status = 'moved'")
        connection.commit()
    (source.layout.directory / ".maos.yml").write_text("a: 2\n")
    with closing(source.open_cut(private)) as cut:
        answers = {one.path: cut.changed_ranges(one, later) for one in cut.descriptors()}
        assert {path for path, answer in answers.items() if answer == []} == {
            "memory/transcripts",
            "memory/transcript_files",
        }
        assert {answer for answer in answers.values() if answer != []} == {None}
        for garbage in (b"", b"\xff" * 100, later[:-1], later + b"\0"):
            assert all(cut.changed_ranges(one, garbage) is None for one in cut.descriptors())


def test_a_foreign_descriptor_is_not_found(tmp_path: Path, private: Path) -> None:
    source = built(tmp_path)
    with closing(source.open_cut(private)) as cut:
        foreign = find(cut, "agents/agents")
    source.layout.database.unlink()
    with closing(source.open_cut(private)) as cut, pytest.raises(NotFoundError):
        cut.rows(foreign)


def test_a_database_behind_a_link_is_captured_where_it_is(tmp_path: Path, private: Path) -> None:
    source = source_in(tmp_path)
    make_rows(tmp_path / "elsewhere.db", 5, wal=True)
    (source.layout.directory / "maos.db").symlink_to(tmp_path / "elsewhere.db")
    with closing(source.open_cut(private)) as cut:
        assert len(rows_of(cut, "other/t")) == 5
        assert find(cut, "system/schema").kind is CollectionKind.SCHEMA
    assert os.listdir(source.layout.directory) == ["maos.db"]


def test_closing_twice_leaves_nothing(tmp_path: Path, private: Path) -> None:
    source = source_in(tmp_path)
    with closing(sqlite3.connect(source.layout.database)) as connection:
        create_schema(connection, "0.9")
    cut = source.open_cut(private)
    assert len(os.listdir(private)) == 1
    cut.close()
    cut.close()
    assert os.listdir(private) == []
    assert capture(source, private)
