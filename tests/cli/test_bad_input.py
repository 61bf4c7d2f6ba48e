"""Every bad input of the contract: one clear sentence, the right exit code, nothing lost, no traceback."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from maos_ckpt.repository.checked_json import with_checksum
from tests.cli.conftest import TIMEOUT_S, Cli

# The source


def test_a_source_that_is_missing(empty: Cli) -> None:
    error = empty.fails(6, "save", "--source", "maos:gone")
    assert error["kind"] == "source"
    assert "gone" in error["message"]
    assert empty.fails(6, "save", "--source", "sqlite:gone.db")["kind"] == "source"
    assert list(empty.cwd.iterdir()) == []


def test_a_directory_without_any_maos(empty: Cli) -> None:
    assert "maos.db" in empty.fails(2, "save")["message"]
    assert empty.fails(6, "save", "--source", "maos:.")["kind"] == "source"
    assert list(empty.cwd.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"not a database at all, but long enough to hold a header " * 20, b"SQLite format 3\0" + b"\xff" * 5000],
    ids=["empty", "text", "garbage"],
)
def test_a_source_that_is_no_database_or_a_corrupt_one(cli: Cli, content: bytes) -> None:
    cli.ok("save")
    with cli.nothing_lost():
        cli.database.write_bytes(content)
        error = cli.fails(6, "save")
        assert error["kind"] == "source"
        assert cli.database.read_bytes() == content


def test_a_source_whose_pages_are_damaged(cli: Cli) -> None:
    cli.ok("save")
    with cli.nothing_lost():
        data = bytearray(cli.database.read_bytes())
        for page in range(2, len(data) // 4096):
            data[page * 4096 : page * 4096 + 200] = b"\xa5" * 200
        cli.database.write_bytes(data)
        assert cli.fails(6, "save")["kind"] == "source"


def test_a_source_that_may_not_be_read(cli: Cli) -> None:
    cli.save()
    cli.obeys_modes = True
    cli.database.chmod(0)
    assert cli.fails(7, "save")["kind"] == "permission"
    cli.database.chmod(0o600)
    with cli.nothing_lost():
        cli.save()


def test_a_repository_that_may_not_be_written_can_still_be_read(cli: Cli) -> None:
    cli.save()
    cli.obeys_modes = True
    folders = [cli.repository, *(path for path in cli.repository.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o500)
    for command in (["save"], ["pin", "latest"], ["delete", "latest"], ["prune"]):
        assert cli.fails(7, *command)["kind"] == "permission"
    assert len(cli.ok("list", "--json").json["checkpoints"]) == 1
    assert cli.ok("verify", "--all", "--level", "full", "--json").json["ok"]
    for folder in folders:
        folder.chmod(0)
    assert cli.fails(7, "list")["kind"] == "permission"
    for folder in folders:
        folder.chmod(0o700)
    with cli.nothing_lost():
        cli.save()


def test_a_configuration_that_may_not_be_read(cli: Cli) -> None:
    (cli.cwd / "maos-ckpt.toml").write_text("")
    (cli.cwd / "maos-ckpt.toml").chmod(0)
    cli.obeys_modes = True
    assert cli.fails(7, "list")["kind"] == "permission"


def test_a_source_that_is_locked_for_ever(cli: Cli) -> None:
    cli.ok("save")
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sqlite3,sys,time\n"
            "c=sqlite3.connect(sys.argv[1],isolation_level=None)\n"
            "c.execute('BEGIN EXCLUSIVE'); print('held',flush=True); time.sleep(120)",
            str(cli.database),
        ],
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        began = time.monotonic()
        result = cli.run("save", "--json")
        assert time.monotonic() - began < 30
        holder.kill()
    # The lock is no change: the state is told to be as it was, or the lock is named.
    if result.code:
        assert (result.code, result.error["kind"]) == (6, "source")
        assert "lock" in result.error["message"]
    with cli.nothing_lost():
        cli.ok("save")


def test_a_source_locked_for_ever_while_changed(cli: Cli) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sqlite3,sys,time\n"
            "c=sqlite3.connect(sys.argv[1],isolation_level=None)\n"
            "c.execute('BEGIN EXCLUSIVE'); print('held',flush=True); time.sleep(120)",
            str(cli.database),
        ],
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        began = time.monotonic()
        result = cli.run("save", "--json")
        waited_s = time.monotonic() - began
        holder.kill()
    assert (result.code, result.error["kind"]) == (6, "source")
    assert waited_s < 30
    cli.ok("save")


def test_a_schema_that_changed_between_checkpoints(cli: Cli) -> None:
    cli.ok("save")
    with contextlib.closing(sqlite3.connect(cli.database)) as connection, connection:
        connection.execute("ALTER TABLE tasks ADD COLUMN mood TEXT")
        connection.execute("CREATE TABLE plugins (id TEXT PRIMARY KEY, data BLOB)")
        connection.execute("INSERT INTO plugins VALUES ('p', x'00')")
        connection.execute("DROP TABLE key_value_store")
    with cli.nothing_lost():
        cli.ok("save")
        result = cli.ok("diff", "latest~1", "latest", "--json").json
        assert any(one["collection"] == "plugins" for one in result["changes"])
        assert cli.ok("verify", "--all", "--level", "full", "--json").json["ok"]


# The repository


def test_a_repository_of_an_unknown_format_version(cli: Cli) -> None:
    cli.ok("save")
    (header,) = cli.repository.glob("*.json")
    text = header.read_text()
    # A newer program writes a right checksum; with another one it is the number that is damaged.
    header.write_text(text.replace('"format": 1', '"format": 99'))
    assert cli.fails(5, "list")["kind"] == "integrity"
    before = text[: text.index(',\n  "checksum"')] + "\n}"
    header.write_bytes(with_checksum(before.replace('"format": 1', '"format": 99').encode()))
    for command in (["list"], ["save"], ["verify", "--all"], ["prune"]):
        error = cli.fails(6, *command)
        assert error["kind"] == "format"
        assert "99" in error["message"]
    header.write_text(text)
    assert cli.ok("verify", "--all", "--level", "full", "--json").json["ok"]


@pytest.mark.parametrize("name", ["packs", "manifests"])
def test_a_repository_that_is_half_deleted(cli: Cli, name: str) -> None:
    cli.ok("save")
    aside = cli.cwd / "aside"
    (cli.repository / name).rename(aside)
    for command in (["list"], ["save"], ["status"]):
        error = cli.fails(5, *command)
        assert name in error["message"]
    aside.rename(cli.repository / name)
    assert cli.ok("verify", "--all", "--level", "full", "--json").json["ok"]


def test_a_repository_whose_packs_are_gone_still_lists_and_says_what_is_missing(cli: Cli) -> None:
    cli.ok("save")
    for path in (cli.repository / "packs").iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert len(cli.ok("list", "--json").json["checkpoints"]) == 1
    assert cli.run("verify", "--all").code == 5
    assert cli.fails(5, "records", "latest")["kind"] == "integrity"


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": 1}', b"\xff\xfe", b"[]"])
def test_a_repository_with_a_damaged_header(cli: Cli, content: bytes) -> None:
    cli.ok("save")
    (header,) = cli.repository.glob("*.json")
    header.write_bytes(content)
    assert cli.fails(5, "list")["kind"] == "integrity"


def test_another_sources_repository(cli: Cli, tmp_path: Path) -> None:
    cli.ok("save")
    other = tmp_path / "other"
    shutil.copytree(cli.cwd, other, ignore=shutil.ignore_patterns(".maos-ckpt"))
    for command in (["save"], ["diff", "latest", "live"]):
        error = cli.fails(4, *command, "--source", f"maos:{other}", "--repo", str(cli.repository))
        assert error["kind"] == "foreign_repository"
    with cli.nothing_lost():
        cli.ok("save")


def test_a_folder_that_is_no_repository_is_left_alone(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "letter.txt").write_text("dear")
    assert cli.fails(2, "save", "--repo", str(tmp_path / "docs"))["kind"] == "usage"
    assert cli.fails(3, "list", "--repo", str(tmp_path / "docs"))["kind"] == "not_found"
    assert [path.name for path in (tmp_path / "docs").iterdir()] == ["letter.txt"]
    assert cli.fails(2, "save", "--repo", str(tmp_path / "docs" / "letter.txt"))


def test_nothing_saved_yet(cli: Cli) -> None:
    for command in (
        ["list"],
        ["show", "latest"],
        ["diff", "latest"],
        ["verify"],
        ["prune"],
        ["pin", "latest"],
        ["events"],
    ):
        assert cli.fails(3, *command)["kind"] == "not_found"
    assert not cli.repository.exists()


def test_a_disk_that_is_full_while_saving(cli: Cli) -> None:
    cli.ok("save")
    with contextlib.closing(sqlite3.connect(cli.database)) as connection, connection:
        connection.execute("CREATE TABLE noise (k INTEGER PRIMARY KEY, v BLOB)")
        connection.executemany("INSERT INTO noise(v) VALUES (?)", [(os.urandom(50_000),) for _ in range(40)])
    with cli.nothing_lost():

        def limit() -> None:
            # A file may not grow beyond this: the kernel's answer to the write is an error, as on a full disk.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, 700_000))

        done = subprocess.run(
            cli.command("save", "--json"),
            cwd=cli.cwd,
            env=cli.environment(),
            capture_output=True,
            text=True,
            preexec_fn=limit,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 6, done.stderr
        assert json.loads(done.stderr)["error"]["kind"] in ("storage", "source")
        assert "Traceback" not in done.stderr
    cli.ok("save")


# Ids


def test_a_wrong_id_or_an_ambiguous_one(cli: Cli) -> None:
    ids = [cli.ok("save", "--json").json["checkpoint"]["id"] for _ in range(2)]
    common = ids[0][: next(at for at, (a, b) in enumerate(zip(*ids, strict=True)) if a != b)]
    for command in ("show", "pin", "delete", "records"):
        assert cli.fails(3, command, "cp_zzzzzzzzzzzzzzz")["kind"] == "not_found"
        ambiguous = cli.fails(3, command, common)
        assert sorted(ambiguous["data"]["candidates"]) == sorted(ids)
    assert cli.fails(3, "show", "latest~9")["kind"] == "not_found"
    assert cli.fails(2, "show", "cp")["kind"] == "usage"
    assert cli.fails(2, "show", "latest~x")["kind"] == "usage"
    assert cli.fails(3, "diff", ids[0], "nope-nope")
    assert cli.fails(3, "verify", ids[0], "nope-nope")
    assert cli.fails(3, "records", ids[0], "--component", "agnets")["data"]["nearest"] == ["agents"]
    assert cli.fails(3, "history", "no-such-key")


# Configuration


def test_a_misspelt_key_and_a_wrong_type(cli: Cli) -> None:
    path = cli.cwd / "maos-ckpt.toml"
    path.write_text("intervall_seconds = 3\n")
    for command in (["save"], ["list"], ["config", "check"], ["--headless"]):
        error = cli.fails(2, *command)
        assert (error["kind"], error["data"]["nearest"]) == ("config", "interval_seconds")
    path.write_text("interval_seconds = 'often'\n")
    assert "a number" in cli.fails(2, "config", "check")["message"]
    path.write_text("interval_seconds = \n")
    assert "TOML" in cli.fails(2, "config", "check")["message"]
    path.unlink()
    assert cli.fails(2, "--config", "gone.toml", "list")["kind"] == "config"
    cli.variables["MAOS_CKPT_INTERVALL"] = "3"
    assert cli.fails(2, "list")["data"]["nearest"] == "MAOS_CKPT_INTERVAL"
