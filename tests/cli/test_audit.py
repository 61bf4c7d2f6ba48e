"""What the audit log says of operations, and what `verify` says of the audit log."""

from __future__ import annotations

import json
import os
from typing import Any

from maos_ckpt.audit.entries import DIRECTORY
from tests.cli.conftest import Cli
from tests.cli.support import damage


def audit(cli: Cli) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cli.ok("audit", "--json").json["entries"]
    return found


def test_every_recovery_undo_deletion_and_prune_is_told_with_who_why_and_which_plan(cli: Cli) -> None:
    cli.variables |= {"SSH_CLIENT": "192.0.2.7 50022 22", "SUDO_USER": "alice"}
    first = cli.save()["id"]
    cli.save()
    damage(cli)
    done = cli.ok("restore", first, "--component", "tasks", "--reason", "analyst-3 went mad", "--yes", "--json").json
    assert cli.run("restore", first, "--plan", "0" * 12, "--yes").code == 4
    cli.ok("undo", "--yes", "--reason", "wrong one")
    cli.ok("delete", "latest", "--yes")
    cli.ok("prune", "--keep-last", "1")
    entries = {one["verb"]: one for one in reversed(audit(cli))}
    assert [one["verb"] for one in audit(cli)] == ["new chain", "restore", "restore", "undo", "delete", "prune"]
    restore = entries["restore"]
    assert (restore["result"], restore["reason"]) == ("done", "analyst-3 went mad")
    assert restore["digest"] == done["plan"]["digest"]
    assert restore["about"] == [first, done["safety_checkpoint"]]
    who = restore["who"]
    assert (who["uid"], who["ssh"], who["login"]) == (os.getuid(), "192.0.2.7", "alice")
    refused = audit(cli)[2]
    assert (refused["result"], refused["detail"].partition(":")[0]) == ("failed", "plan_moved")
    assert entries["undo"]["reason"] == "wrong one"
    assert first in entries["prune"]["about"]
    assert cli.ok("verify", "--json").json["findings"] == []


def test_a_changed_log_fails_verify_until_it_is_named_and_nothing_else_stops_working(cli: Cli) -> None:
    first = cli.save()["id"]
    cli.save()
    damage(cli)
    cli.ok("restore", first, "--reason", "it was me", "--yes")
    (path,) = (cli.repository / DIRECTORY).glob("*.jsonl")
    path.write_bytes(path.read_bytes().replace(b"it was me", b"was it me"))
    result = cli.run("verify", "--json")
    assert (result.code, result.json["ok"]) == (5, False)
    assert [one["kind"] for one in result.json["findings"]] == ["audit"]
    assert cli.run("audit").code == 5
    undone = cli.ok("undo", "--yes")
    assert "the audit log is damaged" in undone.err
    verified = cli.ok("verify", "--json").json
    assert [one["severity"] for one in verified["findings"]] == ["warning"]
    assert "does not end with entry 2" in verified["findings"][0]["message"]
    # Before the end, and so not noticed by the next entry: named by hand.
    path.write_bytes(path.read_bytes().replace(b'"verb":"new chain"', b'"verb":"old chain"'))
    assert cli.run("verify", "--json").code == 5
    cli.ok("verify", "--repair")
    assert cli.ok("verify", "--json").json["ok"]


def test_a_checkpoint_names_the_log_so_that_one_removed_whole_is_missed(cli: Cli) -> None:
    cli.save()
    cli.save()
    cli.ok("delete", "latest", "--yes")
    cli.save()
    for path in (cli.repository / DIRECTORY).iterdir():
        path.unlink()
    result = cli.run("verify", "--json")
    assert result.code == 5
    assert "is not here" in result.json["findings"][0]["message"]
    cli.ok("verify", "--repair", "--json")
    assert cli.ok("verify", "--json").json["ok"]


def test_in_an_encrypted_repository_keys_are_told_of_and_no_state_content_is(cli: Cli) -> None:
    cli.variables |= {
        "MAOS_CKPT_ENCRYPTION_ENABLED": "true",
        "MAOS_CKPT_ENCRYPTION_KEY": "env:FIRST_KEY",
        "FIRST_KEY": "correct horse battery staple",
        "SECOND_KEY": "another horse battery staple",
    }
    cli.execute("UPDATE tasks SET description = 'the-secret-of-the-state'")
    first = cli.save()["id"]
    slot = cli.ok("key", "add", "--new-key", "env:SECOND_KEY", "--label", "spare", "--json").json["key"]["id"]
    cli.ok("key", "remove", slot)
    cli.execute("UPDATE tasks SET description = 'gone'")
    cli.ok("restore", first, "--yes")
    assert [one["verb"] for one in audit(cli)][1:] == ["key add", "key remove", "restore"]
    assert audit(cli)[1]["about"] == [slot]
    text = json.dumps(audit(cli))
    assert "the-secret" not in text
    assert "horse" not in text
