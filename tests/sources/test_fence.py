"""The fence: it keeps MAOS's stale writes out, lets its right ones in, ends by itself, and proves the commit."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from maos_ckpt.errors import UsageError
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.sqlite import live
from maos_ckpt.sources.sqlite.fence import committed_recovery, create_fence, drop_fence
from maos_ckpt.sources.sqlite.live import hold, last_recovery, release_fence, remove_fence
from maos_ckpt.sources.sqlite.schema import read_schema
from tests.lab.writers import LiveMaos

FAR: Final = 1 << 40
#: MAOS's own `json.dumps` is put off by the tests below.
dumps = json.dumps


def turns(*contents: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": one} for one in contents]


class Maos:
    """MAOS's own persistence, which a test can stop between its read and its write of a conversation."""

    def __init__(self, path: Path) -> None:
        from maos.interfaces.sqlite_persistence import SqlitePersistence

        self.loop = asyncio.new_event_loop()
        self.store: Any = SqlitePersistence(str(path))
        self._run(self.store.initialize())
        self._run(self.store.create_agent("a", "a", "developer", []))
        self._run(self.store.create_session("s", "a", "task"))

    def _run(self, call: Any) -> Any:
        return self.loop.run_until_complete(call)

    def append(self, content: str, between: Any = lambda: None) -> None:
        """MAOS's update_session; `between` runs after it has read and before it writes."""

        def late(value: Any) -> str:
            between()
            return dumps(value)

        try:
            json.dumps = late  # type: ignore[assignment]
            self._run(self.store.update_session("s", turns(content)[0], 0.0))
        finally:
            json.dumps = dumps

    def history(self) -> list[str]:
        return [one["content"] for one in self._run(self.store.get_session("s"))["conversation_history"]]

    def close(self) -> None:
        self._run(self.store.close())
        self.loop.close()


@pytest.fixture
def maos(tmp_path: Path) -> Any:
    found = Maos(tmp_path / "maos.db")
    yield found
    found.close()


def recover(path: Path, history: list[dict[str, str]], expires_at_s: int) -> None:
    with hold(path, SYSTEM) as held:
        held.connection.execute(
            "UPDATE sessions SET conversation_history = ?, turn_count = ?", (dumps(history), len(history))
        )
        create_fence(held.connection, "r1", expires_at_s=expires_at_s)


@pytest.mark.parametrize("restored", [("one",), ("one", "two", "three"), ("one", "other")])
def test_a_turn_written_from_a_reading_before_the_recovery_is_kept_out(maos: Maos, restored: tuple[str, ...]) -> None:
    path = Path(maos.store.db_path)
    maos.append("one")
    maos.append("two")
    maos.append("late", between=lambda: recover(path, turns(*restored), FAR))
    assert maos.history() == list(restored)
    maos.append("next")
    assert maos.history() == [*restored, "next"]


def test_without_a_fence_the_late_turn_takes_the_recovery_back(maos: Maos) -> None:
    path = Path(maos.store.db_path)
    maos.append("one")
    maos.append("two")
    maos.append("late", between=lambda: recover(path, turns("one"), 0))
    assert maos.history() == ["one", "two", "late"]


def test_first_turns_of_new_sessions_pass(maos: Maos) -> None:
    with hold(Path(maos.store.db_path), SYSTEM) as held:
        create_fence(held.connection, "r1", expires_at_s=FAR)
    maos.append("first")
    assert maos.history() == ["first"]


def test_an_expired_fence_lets_everything_pass(maos: Maos) -> None:
    path = Path(maos.store.db_path)
    maos.append("one")
    maos.append("late", between=lambda: recover(path, turns("x", "y"), int(time.time()) - 1))
    assert maos.history() == ["one", "late"]


def test_the_fence_proves_the_commit_and_a_rolled_back_one_is_not_there(maos: Maos) -> None:
    path = Path(maos.store.db_path)
    assert last_recovery(path) is None
    with pytest.raises(ZeroDivisionError):
        _fail_after_marking(path)
    assert last_recovery(path) is None
    with hold(path, SYSTEM) as held:
        assert held.mark("recovery_2026-1:a")
    assert last_recovery(path) == "recovery_2026-1:a"
    with closing(sqlite3.connect(path)) as connection:
        assert [one.type for one in read_schema(connection).objects if one.type == "trigger"] == []
    assert not remove_fence(path, SYSTEM, "another")
    assert remove_fence(path, SYSTEM, "recovery_2026-1:a")
    assert last_recovery(path) is None


def _fail_after_marking(path: Path) -> None:
    with hold(path, SYSTEM) as held:
        held.mark("r1")
        _ = 1 / 0


@pytest.mark.parametrize(
    "ddl", ['CREATE TABLE "odd ""name" (a)', "CREATE TABLE sessions (id, other)", "CREATE VIEW sessions AS SELECT 1"]
)
def test_a_database_of_another_kind_carries_the_mark_and_is_not_fenced(tmp_path: Path, ddl: str) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(ddl)
        connection.execute("CREATE TABLE z (v)")
        connection.execute("INSERT INTO z VALUES (1)")
        connection.execute("BEGIN")
        assert create_fence(connection, "r1", expires_at_s=FAR)
        connection.execute("COMMIT")
        connection.execute("UPDATE z SET v = 2")
        assert connection.execute("SELECT v FROM z").fetchone() == (2,)
        assert committed_recovery(connection) == "r1"
        assert drop_fence(connection)


def test_a_database_without_tables_carries_no_mark() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        assert not create_fence(connection, "r1", expires_at_s=FAR)


@pytest.mark.parametrize("recovery", ["", "a b", "*/; DROP TABLE t; /*", "x" * 129, "a\n"])
def test_an_id_that_could_end_the_comment_is_refused(recovery: str) -> None:
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(UsageError):
        create_fence(connection, recovery, expires_at_s=0)


def test_with_maos_stopped_the_mark_is_dropped_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE sessions (conversation_history, turn_count)")
    with hold(path, SYSTEM) as held:
        held.mark("r1")
    release_fence(held, "r1")
    assert last_recovery(path) is None


def test_beside_a_running_maos_a_guardian_drops_the_fence_when_its_time_has_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "FENCE_S", 0.5)
    with LiveMaos(tmp_path / "work", tmp_path / "claude") as maos:
        with hold(maos.database, SYSTEM) as held:
            held.mark("r1")
        release_fence(held, "r1")
        assert last_recovery(maos.database) == "r1"
        end = time.monotonic() + 10
        while last_recovery(maos.database) is not None and time.monotonic() < end:
            time.sleep(0.05)
        assert last_recovery(maos.database) is None
        report = maos.stop()
    assert report["errors"] == []
