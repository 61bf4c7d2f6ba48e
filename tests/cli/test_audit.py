"""What the audit log says of commands: who gave them, and no more of the state than that."""

from __future__ import annotations

import json
import os

from maos_ckpt.audit.entries import DIRECTORY
from tests.cli.conftest import Cli


def test_in_an_encrypted_repository_commands_and_keys_are_told_of_and_no_state_content_is(cli: Cli) -> None:
    cli.variables |= {
        "MAOS_CKPT_ENCRYPTION_ENABLED": "true",
        "MAOS_CKPT_ENCRYPTION_KEY": "env:FIRST_KEY",
        "FIRST_KEY": "correct horse battery staple",
        "SECOND_KEY": "another horse battery staple",
        "SSH_CLIENT": "192.0.2.7 50022 22",
        "SUDO_USER": "alice",
    }
    cli.execute("UPDATE tasks SET description = 'the-secret-of-the-state'")
    first = cli.save()["id"]
    slot = cli.ok("key", "add", "--new-key", "env:SECOND_KEY", "--label", "spare", "--json").json["key"]["id"]
    cli.execute("UPDATE tasks SET description = 'gone'")
    done = cli.ok("restore", first, "--component", "tasks", "--reason", "analyst-3 went mad", "--yes", "--json").json
    entries = cli.ok("audit", "--json").json["entries"]
    assert [one["verb"] for one in entries] == ["new chain", "key add", "restore", "restore"]
    _, key, begun, restore = entries
    assert (begun["result"], begun["reason"]) == ("begun", "analyst-3 went mad")
    assert key["about"] == [slot]
    assert (restore["result"], restore["reason"]) == ("done", "analyst-3 went mad")
    assert (restore["digest"], restore["about"]) == (done["plan"]["digest"], [first, done["safety_checkpoint"]])
    who = restore["who"]
    assert (who["uid"], who["ssh"], who["login"]) == (os.getuid(), "192.0.2.7", "alice")
    kept = json.dumps(entries) + "".join(path.read_text() for path in (cli.repository / DIRECTORY).iterdir())
    assert "the-secret" not in kept
    assert "horse" not in kept
    (path,) = (cli.repository / DIRECTORY).glob("*.jsonl")
    path.write_bytes(path.read_bytes().replace(b"verified", b"excelled"))
    told = cli.run("audit")
    assert told.code == 5
    assert "entry 4 is not the one that its head names" in told.out
    assert "alice as" in told.out
