"""Commands through an engine that --connect names: told as those that work on the repository."""

from __future__ import annotations

import io
import json
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from maos_ckpt.cli.commands import attached_contents
from maos_ckpt.cli.main import main
from maos_ckpt.cli.options import COMMANDS
from maos_ckpt_tui.__main__ import TextualConsole
from tests.cli.conftest import Cli
from tests.lab.mutate import mutate
from tests.lab.values import dump_exact
from tests.remote.headless import Headless, headless

#: Commands that take what they need from the repository itself.
DIRECT = {"export", "prune", "audit", "doctor", "config", "key", "token", "demo"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Headless]:
    with headless(tmp_path_factory.mktemp("headless")) as one:
        yield one


@dataclass
class Far:
    """The command line in an empty directory, with nothing but an address; in this process, which is quicker."""

    cwd: Path
    socket: Path
    streams: pytest.CaptureFixture[str]

    @property
    def at(self) -> tuple[str, str]:
        return "--connect", f"unix:{self.socket}"

    def run(self, *words: str) -> tuple[int, str, str]:
        code = main(list(words), TextualConsole())
        out, err = self.streams.readouterr()
        return code, out, err

    def text(self, *words: str) -> str:
        code, out, err = self.run(*self.at, *words)
        assert code == 0, err
        return out

    def ask(self, *words: str) -> Any:
        return json.loads(self.text(*words, "--json"))

    def fails(self, code: int, *words: str) -> dict[str, Any]:
        found, out, err = self.run(*words, "--json")
        assert (found, out) == (code, ""), err
        error: dict[str, Any] = json.loads(err.splitlines()[-1])["error"]
        return error

    def refuses(self, code: int, *words: str) -> dict[str, Any]:
        return self.fails(code, *self.at, *words)


@pytest.fixture
def far(
    engine: Headless, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Far]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with engine.client() as client:
        assert client.address.socket is not None
        yield Far(tmp_path / "empty", client.address.socket, capsys)
    root.handlers[:], root.level = handlers, level
    for number, handler in signals.items():
        signal.signal(number, handler)


def test_every_command_either_goes_through_an_engine_or_says_that_it_does_not(far: Far) -> None:
    assert {name for name, one in COMMANDS.items() if not one.attached} == DIRECT
    for words in (["export", "latest", "--to", "x"], ["prune"], ["key", "list"]):
        error = far.refuses(2, *words)
        assert error["message"].endswith("works on the repository itself and does not go through an engine.")
    assert list(far.cwd.iterdir()) == []


def test_checkpoints_are_taken_listed_shown_marked_and_deleted(far: Far, engine: Headless) -> None:
    saved = far.ask("save", "-m", "from afar", "--tag", "t")["checkpoint"]
    assert (saved["description"], saved["tags"], saved["trigger"]) == ("from afar", ["t"], "manual")
    listed = far.ask("list")["checkpoints"]
    assert listed[0] == saved
    assert far.ask("list", "--tag", "t", "--limit", "1")["checkpoints"] == [saved]
    shown = far.ask("show", "latest")
    assert shown["checkpoint"] == saved
    assert {one["name"] for one in shown["components"]} >= {"agents", "tasks"}
    assert far.ask("pin", saved["id"][-6:])["checkpoint"]["pinned"]
    assert far.refuses(4, "delete", saved["id"])["message"]
    assert not far.ask("unpin", saved["id"])["checkpoint"]["pinned"]
    assert far.ask("tag", saved["id"], "u", "--remove", "t")["checkpoint"]["tags"] == ["u"]
    assert far.ask("delete", saved["id"])["checkpoint"]["id"] == saved["id"]
    assert far.refuses(3, "show", saved["id"])["kind"] == "not_found"
    assert list(far.cwd.iterdir()) == []


def test_looking_inside_checking_and_asking_for_advice(
    far: Far, engine: Headless, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate(engine.database.parent, 0.05, seed=3)
    found = far.ask("diff", "latest", "--limit", "2")
    assert (len(found["changes"]), found["summary"]["modified"] > 0) == (2, True)
    assert "changes" not in far.ask("diff", "latest", "--stat")
    assert far.ask("verify", "latest", "--level", "full")["ok"]
    assert far.ask("find", "agent", "--limit", "1")["matches"]
    assert far.ask("guide", "latest")["asked"]["checkpoint"]
    assert "processes" in far.ask("ps")
    lines = far.text("records", "latest", "--component", "agents", "--limit", "2", "--json").splitlines()
    first, second = map(json.loads, lines)
    assert first["component"] == second["component"] == "agents"
    assert first["value"]
    with monkeypatch.context() as patch:
        patch.setattr(attached_contents, "PAGE_RECORDS_MAX", 100)
        every = [json.loads(line) for line in far.text("records", "latest", "--json").splitlines()]
    assert len(every) == far.ask("show", "latest")["checkpoint"]["records"] > 100
    assert len({(one["component"], one["collection"], one["key"]) for one in every}) == len(every)
    assert far.ask("history", f"agents/{first['collection']}/{first['key']}")["versions"]
    assert far.ask("metrics", "--hours", "3")["total_checkpoints"] >= 1
    assert far.ask("alerts")["alerts"] == []
    assert far.refuses(3, "alerts", "ack", "no-such-alert")["kind"] == "not_found"
    assert far.ask("drill", "--history")["drills"] == []
    assert far.refuses(2, "verify", "--repair")["hint"]


def test_the_status_tells_of_the_engine(far: Far, engine: Headless) -> None:
    status = far.ask("status")
    assert status["engine"]["running"]
    assert status["engine"]["address"].startswith("unix:")
    assert (status["repository"], status["tiers"][0]["name"]) == (str(engine.repository), "local")
    assert status["last_success"]["age_s"] >= 0
    assert {"engine", "tiers", "last_success", "spool"} <= set(status)
    assert status["alerts"] == []
    text = far.text("status")
    assert "engine        engine at unix:" in text


def test_a_recovery_is_planned_applied_and_taken_back(far: Far, engine: Headless) -> None:
    wanted = tables(engine)
    point = far.ask("save", "-m", "wanted")["checkpoint"]["id"]
    mutate(engine.database.parent, 0.1, seed=5)
    damaged = tables(engine)
    dry = far.ask("restore", point, "--dry-run")
    plan = dry["plan"]
    assert len(plan["changes"]) == sum(plan["summary"].values()) > 0
    assert f"--connect unix:{far.socket}" in dry["command"]
    refused = far.refuses(4, "restore", point, "--plan", "0" * 64, "--yes")
    assert refused["kind"] == "plan_moved"
    assert tables(engine) == damaged
    done = far.ask("restore", point, "--plan", plan["digest"], "--reason", "far", "--yes")
    assert (done["applied"], done["verified"]) == (True, True)
    assert tables(engine) == wanted
    text = far.text("undo", "--dry-run")
    assert text.startswith(f'undo the recovery of {point}, made for "far", of ')
    assert far.ask("undo", "--yes")["verified"]
    assert tables(engine) == damaged
    assert far.refuses(2, "restore")["hint"]
    assert far.refuses(2, "restore", point)["message"].endswith("no terminal to ask on.")
    assert far.refuses(7, "--read-only", "restore", point, "--yes")["kind"] == "permission"
    built = far.ask("restore", point, "--component", "agents", "--to", f"sqlite:{far.cwd.parent}/part.db")
    assert built["verified"]
    assert far.refuses(2, "restore", point, "--to", "sqlite:part.db")["hint"]


def tables(engine: Headless) -> dict[str, object]:
    return {name: rows for name, rows in dump_exact(engine.database).items() if name != "sqlite_master"}


def test_events_are_followed_from_afar_and_a_signal_ends_it(far: Far, engine: Headless) -> None:
    past = [json.loads(line) for line in far.text("events", "--json").splitlines()]
    assert past[0]["event"] == "EngineStarted"
    process = subprocess.Popen(
        [sys.executable, "-m", "maos_ckpt_tui", *far.at, "events", "--follow", "--json"],
        env=Cli(far.cwd, far.cwd.parent).environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    assert json.loads(first)["event"]
    with engine.client() as client:
        saved = client.save("seen")
        lines = [first]
        while saved.id.encode() not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], process.communicate()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert len(lines) == len(set(lines))


def test_an_engine_that_is_not_there_and_addresses_and_tokens_that_are_none(far: Far, tmp_path: Path) -> None:
    assert far.fails(6, "--connect", f"unix:{tmp_path}/none", "list")["kind"] == "engine_unreachable"
    assert far.fails(2, "--connect", "ftp://x", "list")["kind"] == "usage"
    assert far.fails(2, "list", "--token-file", "x")["hint"] == "Add --connect."
    assert far.refuses(2, "--headless")["kind"] == "usage"
    assert far.refuses(2)["message"] == "There is no terminal to show the console on."
    assert far.refuses(7, "list", "--token-file", "missing")["kind"] == "permission"
    (far.cwd / "empty").write_text("\n")
    (far.cwd / "two").write_text("one two\n")
    (far.cwd / "bytes").write_bytes(b"\xff\x00" * 20)
    for name in ("empty", "two", "bytes"):
        assert far.refuses(2, "list", "--token-file", name)["kind"] == "usage"
