"""The laboratory itself: what the other tests stand on has to be what it says it is."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt.demo import maos_access
from maos_ckpt.demo.transcripts import TranscriptWriter, project_slug
from tests.lab.build import build_state
from tests.lab.mutate import KEYS, mutate
from tests.lab.rows import EPOCH
from tests.lab.schemas import FAMILIES, Family, master
from tests.lab.values import dump_exact, make_hard_database
from tests.lab.writers import SOURCE_ROOT, LiveMaos, LiveMaosError

MIB = 1 << 20


def run_demo(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"maos_ckpt.demo.{module}", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(SOURCE_ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


def transcripts(home: Path) -> dict[str, list[dict[str, object]]]:
    found = home.glob("projects/*/*.jsonl")
    return {path.stem: [json.loads(line) for line in path.read_bytes().splitlines()] for path in found}


def assert_chain_closed(session_id: str, lines: list[dict[str, object]]) -> None:
    turns = [line for line in lines if line["type"] != "summary"]
    assert {line["sessionId"] for line in turns} == {session_id}
    assert [line["parentUuid"] for line in turns] == [None, *(line["uuid"] for line in turns[:-1])]


def test_sample_writes_at_its_rate_without_errors_and_its_transcripts_grow(tmp_path: Path) -> None:
    home = tmp_path / "claude"
    with LiveMaos(tmp_path / "maos", home, rate_per_s=50, concurrency=8) as maos:
        first_calls = len(maos.oplog())
        before = {name: len(lines) for name, lines in transcripts(home).items()}
        time.sleep(1.0)
        os.kill(maos.pid, signal.SIGSTOP)
        time.sleep(0.3)
        os.kill(maos.pid, signal.SIGCONT)
        time.sleep(1.0)
        calls = maos.oplog()
        report = maos.stop()

    assert report["errors"] == []
    assert isinstance(report["writes"], int)
    assert report["writes"] - first_calls > 60  # of about 100: it does not make up for the time it was stopped
    assert [call["seq"] for call in calls] == list(range(1, len(calls) + 1))
    after = transcripts(home)
    assert sum(map(len, after.values())) > sum(before.values())
    assert len(before) == 12
    for session_id, lines in after.items():
        assert_chain_closed(session_id, lines)
    with closing(sqlite3.connect(maos.database)) as connection:
        rows = connection.execute("SELECT session_id, conversation_history, turn_count FROM sessions").fetchall()
        agents = connection.execute("SELECT session_id FROM agents").fetchall()
        counts = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in KEYS}
    assert {row[0] for row in rows} == set(after) == {row[0] for row in agents}
    assert [len(json.loads(history)) for _, history, _ in rows] == [turns for _, _, turns in rows]
    assert min(counts.values()) > 0


def test_sample_takes_over_the_team_it_finds_and_grows_it_only_when_asked(tmp_path: Path) -> None:
    arguments = (
        "--dir",
        tmp_path,
        "--claude-home",
        tmp_path / "c",
        "--rate",
        300,
        "--report",
        tmp_path / "report.json",
    )
    assert run_demo("sample", *arguments, "--seconds", 0).stdout == "ready\n"
    first = dump_exact(tmp_path / "maos.db")
    assert run_demo("sample", *arguments, "--seconds", 0.3).returncode == 0
    second = dump_exact(tmp_path / "maos.db")
    assert [values[0] for _, values in second["agents"]] == [values[0] for _, values in first["agents"]]
    assert len(second["tasks"]) == len(first["tasks"])
    assert len(second["messages"]) > len(first["messages"])

    assert run_demo("sample", *arguments, "--seconds", 0.5, "--churn").returncode == 0
    third = dump_exact(tmp_path / "maos.db")
    assert len(third["tasks"]) > len(second["tasks"])
    assert json.loads((tmp_path / "report.json").read_text())["errors"] == []


def test_sample_records_every_error_and_the_stall(tmp_path: Path) -> None:
    with LiveMaos(tmp_path, tmp_path / "claude", rate_per_s=50, concurrency=1) as maos:
        with closing(sqlite3.connect(maos.database)) as connection:
            connection.execute(
                "CREATE TRIGGER broken BEFORE INSERT ON messages BEGIN SELECT RAISE(ABORT, 'broken'); END"
            )
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(0.5)
            connection.execute("ROLLBACK")
        time.sleep(0.7)
        report = maos.stop()
    errors = report["errors"]
    assert isinstance(errors, list)
    assert {error["op"] for error in errors} == {"save_message"}
    assert "broken" in errors[0]["message"]
    assert isinstance(report["stall_max_s"], float)
    assert report["stall_max_s"] > 0.3


def test_live_maos_says_why_it_did_not_start(tmp_path: Path) -> None:
    (tmp_path / "maos.db").write_bytes(b"no database, but long enough to be looked at" * 100)
    with pytest.raises(LiveMaosError, match="not a database"), LiveMaos(tmp_path, tmp_path / "claude"):
        pass


@pytest.mark.parametrize("kind", ["tasks", "memory", "queue"])
def test_incident_damages_what_it_says_and_nothing_else(tmp_path: Path, kind: str) -> None:
    home = tmp_path / "claude"
    assert run_demo("sample", "--dir", tmp_path, "--claude-home", home, "--seconds", 0).returncode == 0
    before, before_lines = dump_exact(tmp_path / "maos.db"), transcripts(home)
    done = run_demo("incident", "--dir", tmp_path, "--claude-home", home, "--kind", kind, "--seed", 4)
    assert done.returncode == 0, done.stderr
    damage = json.loads(done.stdout)
    after, after_lines = dump_exact(tmp_path / "maos.db"), transcripts(home)

    changed = {table: {_key(table, row) for row in set(after[table]) - set(before[table])} for table in KEYS}
    told = {
        "tasks": {*damage["tasks"], *damage["tasks_of_others_cancelled"]},
        "messages": {*damage["messages_added"], *damage["messages_overwritten"]},
        "sessions": set(damage["sessions"]),
    }
    assert changed == {table: told.get(table, set()) for table in KEYS}
    assert sum(map(len, changed.values())) > 0
    files = {Path(path).stem for path in damage["transcripts"]}
    assert {name for name, lines in after_lines.items() if lines != before_lines[name]} == files
    assert (kind == "queue") == (not files)
    for session_id in files:
        assert_chain_closed(session_id, after_lines[session_id])


def _key(table: str, row: tuple[int | None, tuple[tuple[str, bytes], ...]]) -> str | int | None:
    return row[0] if table == "messages" else row[1][0][1].decode()


@pytest.mark.parametrize("module", ["sample", "incident"])
@pytest.mark.parametrize("missing", ["maos", "click"])
def test_demo_without_maos_cli_says_what_to_install(tmp_path: Path, module: str, missing: str) -> None:
    (tmp_path / "maos.db").touch()
    program = (
        "import importlib, sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {missing!r}: raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        f"sys.exit(importlib.import_module('maos_ckpt.demo.{module}').main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", program, "--dir", str(tmp_path), "--claude-home", str(tmp_path)]
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(SOURCE_ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert 'pip install "maos-ckpt[demo]"' in done.stderr


def test_built_state_has_the_size_asked_for_and_repeats_itself(tmp_path: Path) -> None:
    built = [
        build_state(tmp_path / name, tmp_path / f"{name}-home", 2 * MIB, seed=5, transcript_bytes=MIB // 2)
        for name in ("one", "two")
    ]
    assert abs(built[0].db_bytes - 2 * MIB) < 0.2 * 2 * MIB
    assert abs(built[0].transcript_bytes - MIB // 2) < 0.2 * MIB // 2
    assert 1_600 < built[0].record_count < 3_200
    assert min(built[0].records.values()) > 0
    assert built[0].database.read_bytes() == built[1].database.read_bytes()
    assert sorted(transcripts(built[0].claude_home)) == sorted(transcripts(built[1].claude_home))
    for session_id, lines in transcripts(built[0].claude_home).items():
        assert_chain_closed(session_id, lines)
    with closing(sqlite3.connect(built[0].database)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        histories = connection.execute("SELECT conversation_history, turn_count FROM sessions").fetchall()
    for history, turns in histories:
        # as MAOS itself would write it, so that its next turn leaves the rest as it is
        assert history is None or (len(json.loads(history)) == turns and json.dumps(json.loads(history)) == history)
    with pytest.raises(FileExistsError):
        build_state(tmp_path / "one", tmp_path / "one-home", MIB, seed=5)


@pytest.mark.parametrize("newest", [False, True])
def test_mutate_changes_exactly_the_records_it_names(tmp_path: Path, newest: bool) -> None:
    for name in ("one", "two"):
        build_state(tmp_path / name, tmp_path / "home", MIB, seed=6)
    before = dump_exact(tmp_path / "one" / "maos.db")
    changed = mutate(tmp_path / "one", 0.02, seed=9, newest=newest)
    after = dump_exact(tmp_path / "one" / "maos.db")
    assert {table: {_key(table, row) for row in set(after[table]) - set(before[table])} for table in KEYS} == {
        table: set(keys) for table, keys in changed.items()
    }
    assert {table: len(rows) for table, rows in after.items()} == {table: len(rows) for table, rows in before.items()}
    assert all(len(keys) == max(1, round(0.02 * len(before[table]))) for table, keys in changed.items())
    assert mutate(tmp_path / "two", 0.02, seed=9, newest=newest) == changed
    assert dump_exact(tmp_path / "two" / "maos.db") == after
    if newest:
        number = len(before["messages"])
        assert changed["messages"] == list(range(number - len(changed["messages"]) + 1, number + 1))
    assert not any(mutate(tmp_path / "one", 0.0, seed=9).values())


@pytest.mark.parametrize("family", FAMILIES)
def test_schema_families_open_with_the_real_class_and_equal_its_own(tmp_path: Path, family: Family) -> None:
    build_state(tmp_path / "lab", tmp_path / "home", 300_000, seed=7, family=family)

    async def opened(path: Path) -> int:
        maos = maos_access.open_persistence(path)
        await maos.initialize()
        await maos.save("probe", 1)
        found = await maos.execute_query("SELECT count(*) AS n FROM orchestrations", [])
        await maos.close()
        return int(str(found[0]["n"]))

    columns_before = _orchestration_columns(tmp_path / "lab" / "maos.db")
    count = asyncio.run(opened(tmp_path / "lab" / "maos.db"))
    columns_after = _orchestration_columns(tmp_path / "lab" / "maos.db")
    asyncio.run(opened(tmp_path / "fresh.db"))
    assert (count > 0) == (family != "0.3")
    assert len(columns_before) == {"0.3": 0, "0.8": 13}.get(family, 16)
    assert sorted(columns_after) == sorted(_orchestration_columns(tmp_path / "fresh.db"))
    if family in ("0.8", "0.9-migrated"):
        assert columns_after[-3:] == ["last_updated", "active_agents", "message_count"]
    if family == "0.9":
        with (
            closing(sqlite3.connect(tmp_path / "lab" / "maos.db")) as lab,
            closing(sqlite3.connect(tmp_path / "fresh.db")) as fresh,
        ):
            assert master(lab) == master(fresh)


def _orchestration_columns(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [str(row[1]) for row in connection.execute("PRAGMA table_info(orchestrations)")]


def test_hard_database_is_the_same_in_a_write_ahead_log(tmp_path: Path) -> None:
    make_hard_database(tmp_path / "plain.db")
    make_hard_database(tmp_path / "log.db", wal=True)
    plain = dump_exact(tmp_path / "plain.db")
    assert dump_exact(tmp_path / "log.db") == plain
    assert (tmp_path / "log.db").stat().st_size <= 4096 < (tmp_path / "log.db-wal").stat().st_size
    assert {kind for _, values in plain["untyped"] for kind, _ in values} == {"null", "integer", "real", "text", "blob"}
    assert b"\xed\xa0\x80" in {value for _, values in plain["untyped"] for _, value in values}
    assert any(rowid == -(2**63) for rowid, _ in plain["odd_rowids"])
    with closing(sqlite3.connect(tmp_path / "plain.db")) as connection:
        connection.execute("UPDATE untyped SET v = 0.0 WHERE typeof(v) = 'real' AND v = 0.0")
        connection.commit()
    assert dump_exact(tmp_path / "plain.db") != plain  # minus zero became zero


def test_project_slug_is_claude_codes() -> None:
    assert project_slug("/home/ann/my_app.v2") == "-home-ann-my-app-v2"
    assert project_slug("/srv/caf\u00e9/\U0001f600") == "-srv-caf----"


def test_transcript_goes_on_from_what_is_really_there(tmp_path: Path) -> None:
    def writer() -> TranscriptWriter:
        return TranscriptWriter(tmp_path, "/srv/app", "s", rng=random.Random(1), now=lambda: EPOCH)

    first = writer()
    uuids = [first.append_user("a"), first.append_assistant("b"), first.append_user("c")]
    lines = first.path.read_bytes().splitlines(keepends=True)
    first.path.write_bytes(b"".join(lines[:2]) + lines[2][:40])  # cut in the middle of a line
    first.append_assistant("d")
    assert writer().path == first.path
    kept = first.path.read_bytes().splitlines()
    assert json.loads(kept[-1])["parentUuid"] == uuids[1]
    assert kept[2] == lines[2][:40]
