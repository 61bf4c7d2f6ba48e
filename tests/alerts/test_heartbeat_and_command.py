"""The heartbeat and the command hook, with a real server and real programs."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from maos_ckpt.config.alerting import Hooks
from maos_ckpt.events import CheckpointCreated, Event, OperationFailed, OperationProgressed
from maos_ckpt.hooks import command
from maos_ckpt.hooks.heartbeat import Heartbeat, ping_url
from maos_ckpt.journal import Entry, Journal, decode, encode
from maos_ckpt.model import Progress
from maos_ckpt.seams import SYSTEM
from tests.alerts.conftest import SOURCE, Delivering
from tests.alerts.receiver import CLOSE, HANG, receiver

SAVED = CheckpointCreated(1, "cp_x", "schedule", 5, 10, 10, 0.1, 0.0, False)
FAILED = OperationFailed(1, "save", "source", "it is away")
SAVING = OperationProgressed(1, Progress("save", "reading"))


def pinged(*events: Event, answers: tuple[int, ...] = ()) -> list[str]:
    """The paths asked for, each event told when the ones before had arrived."""
    with receiver(*answers) as server:
        heartbeat = Heartbeat(server.url)
        heartbeat.start()
        for number, event in enumerate(events, 1):
            heartbeat.tell(event)
            server.wait_for(number + len(answers))
        assert heartbeat.close(5.0)
        return [one.path.removeprefix("/hook/token-that-is-secret") for one in server.took()]


def test_a_save_that_begins_succeeds_or_fails_is_told_as_healthchecks_has_it() -> None:
    assert pinged(SAVING, SAVED, SAVING, FAILED) == ["/start", "", "/start", "/fail"]


def test_other_operations_are_no_heartbeat_and_progress_is_told_once() -> None:
    with receiver() as server:
        heartbeat = Heartbeat(server.url)
        heartbeat.start()
        for event in (
            OperationFailed(1, "verify", "integrity", "damaged"),
            OperationProgressed(1, Progress("verify", "reading")),
            SAVING,
            SAVING,
            SAVING,
        ):
            heartbeat.tell(event)
        server.wait_for(1)
        heartbeat.tell(SAVED)
        assert heartbeat.close(5.0)
        assert [one.path.rpartition("/")[2] for one in server.took()] == ["start", "token-that-is-secret"]


def test_a_ping_that_does_not_arrive_is_tried_again() -> None:
    assert pinged(SAVED, answers=(500, CLOSE)) == ["", "", ""]


def test_while_the_monitor_hangs_only_the_newest_outcome_waits_and_nobody_is_held_up() -> None:
    with receiver(HANG, HANG, HANG) as server:
        heartbeat = Heartbeat(server.url)
        heartbeat.start()
        heartbeat.tell(SAVED)
        server.wait_for(1)
        began_s = time.monotonic()
        for _ in range(200):
            heartbeat.tell(FAILED)
            heartbeat.tell(SAVED)
        assert time.monotonic() - began_s < 0.3
        server.wait_for(4)
        assert heartbeat.close(5.0)
        assert len(server.took()) == 4
        assert not server.took()[-1].path.endswith("/fail")
        assert heartbeat.failure == ""


@pytest.mark.parametrize(
    ("url", "what", "wanted"),
    [
        ("https://hc.example/uuid", "/fail", "https://hc.example/uuid/fail"),
        ("https://hc.example/uuid/", "/start", "https://hc.example/uuid/start"),
        ("https://hc.example/ping?key=a/b", "/fail", "https://hc.example/ping/fail?key=a/b"),
        ("https://hc.example/uuid/?k=1", "", "https://hc.example/uuid/?k=1"),
    ],
)
def test_what_is_told_is_added_to_the_path(url: str, what: str, wanted: str) -> None:
    assert ping_url(url, what) == wanted


NOTE = """
import json, os, sys
told = {"event": json.load(sys.stdin), "environment": dict(os.environ), "arguments": sys.argv[2:]}
with open(sys.argv[1], "a") as file:
    file.write(json.dumps(told) + "\\n")
"""


def entry(event: Event) -> Entry:
    found = decode(encode(event))
    assert found is not None
    return found


def run(program: tuple[str, ...], tmp_path: Path, event: Event = FAILED, within_s: float = 20.0) -> str:
    hooks = Hooks(command=program, command_timeout_s=within_s)
    return command.run(hooks, SOURCE, tmp_path, SYSTEM.processes, entry(event))


def test_a_program_reads_the_event_and_sees_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("MAOS_CKPT_PASSPHRASE", "hush")
    out = tmp_path / "told"
    assert run((sys.executable, "-c", NOTE, str(out), "$(touch pwned)", "a b"), tmp_path) == ""
    told = json.loads(out.read_text())
    assert told["event"]["type"] == "operationFailed"
    assert told["event"]["data"]["message"] == "it is away"
    assert told["environment"]["MAOS_EVENT"] == "operationFailed"
    assert told["environment"]["MAOS_EVENT_ID"] == told["event"]["id"]
    assert "hush" not in json.dumps(told)
    assert told["environment"]["PATH"] == os.environ["PATH"]
    assert told["arguments"] == ["$(touch pwned)", "a b"]
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("program", "wanted"),
    [
        (("/nonexistent/program",), "cannot be run: No such file or directory"),
        (("/bin/sh", "-c", "echo no mail >&2; exit 3"), "failed (3): no mail"),
        (("/bin/sh", "-c", "kill -9 $$"), "was ended by signal 9"),
        (("/bin/sh", "-c", "sleep 60 & sleep 60"), "took longer than 0.3 s and was ended"),
        (("a\0b",), "cannot be run: embedded null byte"),
    ],
)
def test_what_goes_wrong_with_a_program_is_said_in_one_sentence(
    tmp_path: Path, program: tuple[str, ...], wanted: str
) -> None:
    assert run(program, tmp_path, within_s=0.3 if "sleep" in program[-1] else 20.0) == wanted


def test_a_program_that_ignores_its_input_succeeds(tmp_path: Path) -> None:
    assert run(("/bin/true",), tmp_path) == ""


def test_a_program_that_fails_is_run_again_for_the_same_event(
    journal: Journal, delivering: Delivering, tmp_path: Path
) -> None:
    out = tmp_path / "told"
    script = NOTE + "sys.exit(0 if open(sys.argv[1]).read().count('\\n') > 2 else 1)\n"
    hooks = Hooks(command=(sys.executable, "-c", script, str(out)))

    def send(one: Entry) -> str:
        return command.run(hooks, SOURCE, tmp_path, SYSTEM.processes, one)

    with delivering(hooks, send=send, budget_s=30.0):
        journal.append(OperationFailed(SYSTEM.clock.now_ms(), "save", "source", "away"))
        deadline_s = time.monotonic() + 20
        while not out.exists() or out.read_text().count("\n") < 3:
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
    ids = {json.loads(line)["event"]["id"] for line in out.read_text().splitlines()}
    assert len(ids) == 1
