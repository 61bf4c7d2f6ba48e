"""What commands tell an operator: the command that applies a plan, what was left out, what an undo is about."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import TIMEOUT_S, Cli
from tests.cli.support import damage, save, state
from tests.lab.mutate import mutate


def words(cli: Cli, line: str) -> list[str]:
    """A told shell line as the arguments of the program."""
    program, *rest = shlex.split(line)
    assert program == "maos-ckpt"
    return rest


def test_a_dry_run_tells_the_command_that_applies_exactly_it(cli: Cli, tmp_path: Path) -> None:
    places = ("--repo", str(tmp_path / "kept here"), "--claude-home", str(cli.claude_home), "--source", "maos:.")
    one = cli.save(*places)["id"]
    damage(cli)
    cli.save(*places)
    chosen = ("--component", "tasks", "--record", "agents/agents/*", "--exact", "--reason", "it's bad")
    dry = cli.ok("restore", "latest~1", *chosen, *places, "--dry-run", "--json").json
    told = words(cli, dry["command"])
    assert told[:2] == ["restore", one]
    assert told[-3:] == ["--plan", dry["plan"]["digest"], "--yes"]
    text = cli.ok("restore", "latest~1", *chosen, *places, "--dry-run").out
    assert f"to apply exactly this: {dry['command']}\n" in text
    # By now `latest~1` is another one.
    cli.save(*places)
    done = cli.ok(*told, "--json").json
    assert done["plan"]["checkpoint"] == one
    assert done["plan"]["digest"] == dry["plan"]["digest"]
    events = [e for e in cli.ok("events", "--json", *places).lines if e["event"] == "RecoveryCompleted"]
    assert [event["reason"] for event in events] == ["it's bad"]
    undo = cli.ok("undo", "--dry-run", "--json", *places).json
    assert cli.ok(*words(cli, undo["command"]), "--json").json["verified"]


def test_a_plan_may_be_named_by_its_first_digits(cli: Cli) -> None:
    one = save(cli)
    wanted = state(cli)
    damage(cli)
    digest = cli.ok("restore", one, "--dry-run", "--json").json["plan"]["digest"]
    for wrong in (digest[:11], "", "x" * 12, digest + "0"):
        assert cli.fails(2, "restore", one, "--yes", "--plan", wrong)["kind"] == "usage"
        assert cli.fails(2, "restore", one, "--dry-run", "--plan", wrong)["kind"] == "usage"
    assert cli.fails(4, "restore", one, "--yes", "--plan", "0" * 12)["kind"] == "plan_moved"
    assert cli.ok("restore", one, "--yes", "--plan", digest[:12], "--json").json["verified"]
    assert state(cli) == wanted


def test_an_undo_says_what_it_takes_back_and_a_second_one_that_it_brings_it_back(cli: Cli) -> None:
    one = save(cli)
    damage(cli)
    told = cli.ok("restore", one, "--yes", "--reason", "analyst went mad").out
    assert "`maos-ckpt undo` takes this back" in told
    for brings_back, begins in ((False, "takes back"), (True, "brings back"), (False, "takes back")):
        dry = cli.ok("undo", "--dry-run", "--json").json["undoes"]
        assert (dry["checkpoint"], dry["reason"], dry["brings_back"]) == (one, "analyst went mad", brings_back)
        line = f'undo {begins} the recovery of {one}, made for "analyst went mad", '
        assert cli.ok("undo", "--dry-run").out.startswith(line)
        done = cli.ok("undo", "--yes").out
        assert done.startswith(line)
        follows = "takes the recovery of {} back again" if brings_back else "brings the recovery of {} back"
        assert f"`maos-ckpt undo` {follows.format(one)}\n" in done


def test_what_a_recovery_leaves_out_is_named_and_exit_code_8(cli: Cli) -> None:
    one = save(cli)
    with contextlib.closing(sqlite3.connect(cli.database)) as connection, connection:
        connection.execute("ALTER TABLE tasks DROP COLUMN result")
    for form in (["--dry-run"], ["--yes"]):
        only = cli.run("restore", one, "--component", "tasks", *form)
        assert "column result" in only.out, "nothing to write, and yet something to say"
        assert "Nothing to write" in only.out
        assert only.code == (8 if form == ["--yes"] else 0)
    cli.execute("UPDATE tasks SET status = 'lost'")
    done = cli.run("restore", one, "--component", "tasks", "--yes", "--json")
    assert done.code == 8
    assert (done.json["applied"], done.json["partial"]) == (True, True)
    assert [found["kind"] for found in done.json["plan"]["findings"]] == ["columns"]
    cli.execute("UPDATE tasks SET status = 'lost'")
    text = cli.run("restore", one, "--component", "tasks", "--yes")
    assert text.code == 8
    assert "column result" in text.out
    assert "DONE IN PART" in text.out


def test_prune_says_why_each_stays_or_goes(cli: Cli) -> None:
    ids = []
    for seed in range(4):
        mutate(cli.cwd, 0.2, seed=seed)
        ids.append(save(cli))
    cli.ok("pin", ids[0])
    dry = cli.ok("prune", "--keep-last", "2", "--dry-run")
    assert f"would remove  {ids[1]}  (not one of the last 2)" in dry.out
    assert f"keeps  {ids[0]}  (pinned)" in dry.out
    assert dry.out.splitlines()[-1].startswith("would remove 1 checkpoint and free ")
    assert cli.ok("prune", "--keep-last", "2", "--dry-run", "--json").json["reasons"] == {
        ids[1]: "not one of the last 2"
    }
    done = cli.ok("prune", "--keep-last", "2").out
    assert f"removed  {ids[1]}  (not one of the last 2)" in done
    assert done.splitlines()[-1].startswith("removed 1 checkpoint and freed ")


def test_a_manifest_that_cannot_be_read_is_told_wherever_its_checkpoint_is_missed(cli: Cli) -> None:
    one = save(cli)
    mutate(cli.cwd, 0.2, seed=1)
    save(cli)
    newest = max(path for path in (cli.repository / "manifests").rglob("*") if path.is_file())
    newest.chmod(0o600)
    newest.write_bytes(newest.read_bytes()[:-40])
    listed = cli.ok("list")
    assert "1 checkpoint is missing from this list" in listed.err
    assert newest.name in listed.err
    (found,) = cli.ok("list", "--json").json["damaged"]
    assert newest.name in found["object"]
    assert newest.name in cli.ok("status").out
    assert len(cli.ok("status", "--json").json["damaged"]) == 1
    for command in (["restore", "latest", "--dry-run"], ["diff", "latest", "live"]):
        told = cli.ok(*command)
        assert told.err.startswith("warning: ")
        assert one in told.err
    assert cli.ok("diff", one, "live").err == ""


def test_following_begins_with_the_last_ten_and_since_with_what_was_asked_for(cli: Cli) -> None:
    one = save(cli)
    for number in range(15):
        cli.ok("tag", one, f"t{number}")
    for options, expected in ((["--follow"], 10), (["--follow", "--since", "1h"], 17)):
        with subprocess.Popen(
            cli.command("events", "--json", *options),
            cwd=cli.cwd,
            env=cli.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            lines = [json.loads(process.stdout.readline()) for _ in range(expected)]
            cli.ok("tag", one, f"late{expected}")
            late = json.loads(process.stdout.readline())
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=TIMEOUT_S)
            assert process.returncode == 130
        assert f"late{expected}" in late["tags"]
        assert f"late{expected}" not in lines[-1].get("tags", [])
        assert (lines[0]["event"] == "CheckpointCreated") == (expected == 17)


@pytest.mark.parametrize("length", [201, 1_000_000])
def test_a_very_long_key_is_cut_in_text_with_its_length_and_whole_in_json(cli: Cli, length: int) -> None:
    one = save(cli)
    key = "k" * length
    cli.execute("INSERT INTO agents(id, name, type, session_id, status) VALUES (?, 'n', 't', 's', 'active')", key)
    save(cli)
    told = f"({length + len('agents/agents/'):,} characters)"
    for command in (["diff", one], ["records", "latest"], ["restore", one, "--dry-run"], ["history", "kkk*"]):
        text = cli.ok(*command).out
        assert told in text, command
        assert max(map(len, text.splitlines())) < 2000
    (change,) = cli.ok("diff", one, "--json").json["changes"]
    assert change["key"] == key
    (version,) = cli.ok("history", "kkk*", "--json").json["versions"]
    assert version["key"] == key


def test_a_reader_that_has_seen_enough_ends_a_long_document_quietly(cli: Cli) -> None:
    one = save(cli)
    mutate(cli.cwd, 0.9, seed=3)
    process = subprocess.Popen(
        cli.command("diff", one, "--json"),
        cwd=cli.cwd,
        env=cli.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        os.read(process.stdout.fileno(), 10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(TIMEOUT_S) == 0
