"""An encrypted repository on the command line: everything works with its key, nothing without, and nothing shows."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import random
import select
import subprocess
import termios
from pathlib import Path

import pytest

from tests.cli.conftest import TIMEOUT_S, Cli
from tests.cli.support import damage, save, state

MARKER = "heliotrope-9f31"
PASSPHRASE = "correct horse battery"


def key_file(cli: Cli, name: str, seed: int) -> str:
    path = cli.home / name
    path.write_bytes(random.Random(seed).randbytes(64))
    path.chmod(0o600)
    return f"file:{path}"


def encrypted(cli: Cli, reference: str) -> Cli:
    cli.variables |= {"MAOS_CKPT_ENCRYPTION_ENABLED": "true", "MAOS_CKPT_ENCRYPTION_KEY": reference}
    return cli


@pytest.fixture
def sealed(cli: Cli) -> Cli:
    """The command line with encryption switched on and a key file."""
    return encrypted(cli, key_file(cli, "key", 1))


def stored(cli: Cli, *left_out: str) -> dict[str, bytes]:
    found = {str(path.relative_to(cli.repository)): path for path in cli.repository.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name.partition("/")[0] not in left_out}


def packs(cli: Cli) -> set[str]:
    return {name for name in stored(cli) if name.startswith("packs/")}


def test_a_state_is_saved_recovered_and_brought_back_as_ever(sealed: Cli) -> None:
    good = save(sealed)
    whole = state(sealed)
    damage(sealed)
    damaged = state(sealed)
    assert sealed.ok("diff", good, "live", "--stat", "--json").json["summary"]["modified"]
    sealed.ok("restore", good, "--exact", "--yes")
    assert state(sealed) == whole
    sealed.ok("undo", "--yes")
    assert state(sealed) == damaged
    sealed.ok("save")
    sealed.ok("prune", "--keep-last", "1")
    assert sealed.ok("verify", "--all", "--level", "full", "--json").json["ok"]


def test_no_word_of_what_is_saved_shows_in_any_stored_object(sealed: Cli) -> None:
    sealed.execute("INSERT INTO agents (id, name) VALUES (?, ?)", f"{MARKER}-id", MARKER)
    transcript = next(sealed.claude_home.rglob("*.jsonl"))
    transcript.write_text(transcript.read_text() + json.dumps({"type": "user", "message": MARKER}) + "\n")
    (sealed.cwd / ".claude" / "agents" / f"{MARKER}.md").write_text(MARKER)
    first = sealed.save("-m", MARKER, "--tag", MARKER)
    sealed.execute("UPDATE agents SET name = ? WHERE name = ?", f"{MARKER} again", MARKER)
    sealed.save("-m", MARKER)
    sealed.ok("tag", first["id"], f"{MARKER}-more")
    sealed.ok("verify", "--all", "--level", "full")
    # What serves this machine alone is no object of the repository, and is in the clear.
    objects = stored(sealed, "cache", "journal", "recovery")
    assert len(objects) > 6
    assert [name for name, data in objects.items() if MARKER.encode() in data or MARKER in name] == []
    # The same bytes in the clear would have been found.
    assert MARKER in sealed.ok("records", first["id"], "--record", "*heliotrope*", "--json").out


def test_without_the_key_or_with_another_one_nothing_is_read(sealed: Cli) -> None:
    save(sealed)
    sealed.variables["MAOS_CKPT_ENCRYPTION_KEY"] = key_file(sealed, "other", 2)
    assert "opens none" in sealed.fails(7, "list")["message"]
    assert sealed.fails(7, "save")["kind"] == "permission"
    del sealed.variables["MAOS_CKPT_ENCRYPTION_KEY"]
    error = sealed.fails(7, "list")
    assert "encryption_key" in error["hint"]
    del sealed.variables["MAOS_CKPT_ENCRYPTION_ENABLED"]
    assert "is encrypted, and no key is named" in sealed.fails(7, "verify", "--all")["message"]
    sealed.variables["MAOS_CKPT_ENCRYPTION_KEY"] = "env:NOT_SET_ANYWHERE"
    assert "NOT_SET_ANYWHERE" in sealed.fails(7, "list")["message"]


def test_the_key_alone_opens_what_says_that_it_is_encrypted(sealed: Cli) -> None:
    saved = save(sealed)
    del sealed.variables["MAOS_CKPT_ENCRYPTION_ENABLED"]
    assert [one["id"] for one in sealed.ok("list", "--json").json["checkpoints"]] == [saved]


def test_a_repository_in_the_clear_is_not_taken_for_an_encrypted_one(cli: Cli) -> None:
    save(cli)
    encrypted(cli, key_file(cli, "key", 1))
    for words in (("list",), ("save",)):
        error = cli.fails(5, *words)
        assert "not encrypted, although" in error["message"]
        assert "make a new repository" in error["hint"]


def test_a_new_repository_is_never_in_the_clear_by_mistake(cli: Cli) -> None:
    cli.variables["MAOS_CKPT_ENCRYPTION_KEY"] = key_file(cli, "key", 1)
    assert "encryption_enabled" in cli.fails(2, "save")["message"]
    cli.variables = {"MAOS_CKPT_ENCRYPTION_ENABLED": "true"}
    assert cli.fails(7, "save")["kept"]
    cli.variables |= {"MAOS_CKPT_ENCRYPTION_KEY": "env:MAOS_CKPT_PASSPHRASE", "MAOS_CKPT_PASSPHRASE": "short"}
    assert "fewer than 8" in cli.fails(2, "save")["message"]
    assert not cli.repository.exists()


def test_a_passphrase_in_the_place_of_a_reference_is_refused_and_not_repeated(cli: Cli) -> None:
    cli.variables["MAOS_CKPT_ENCRYPTION_ENABLED"] = "true"
    (cli.cwd / "maos-ckpt.toml").write_text(f'encryption_key = "{PASSPHRASE}"\n')
    error = cli.fails(2, "save")
    assert "env:NAME" in error["message"]


def test_keys_are_added_removed_and_replaced_without_writing_data_again(cli: Cli) -> None:
    encrypted(cli, "env:MAOS_CKPT_PASSPHRASE").variables["MAOS_CKPT_PASSPHRASE"] = PASSPHRASE
    saved = save(cli)
    before = packs(cli)
    (first,) = cli.ok("key", "list", "--json").json["keys"]
    assert first["kind"] == "passphrase"
    added = cli.ok("key", "add", "--new-key", key_file(cli, "key", 1), "--label", "office", "--json").json["key"]
    assert (added["kind"], added["label"]) == ("key_file", "office")
    cli.variables["MAOS_CKPT_ENCRYPTION_KEY"] = key_file(cli, "key", 1)
    rotated = cli.ok("key", "rotate", "--new-key", key_file(cli, "next", 2), "--json").json
    assert (rotated["removed"], rotated["key"]["label"]) == (added["id"], "office")
    assert cli.fails(7, "list")["kind"] == "permission"
    cli.variables["MAOS_CKPT_ENCRYPTION_KEY"] = key_file(cli, "next", 2)
    assert cli.ok("key", "remove", first["id"][:6], "--json").json == {"removed": first["id"]}
    assert "last key slot" in cli.fails(4, "key", "remove", rotated["key"]["id"])["message"]
    assert [one["id"] for one in cli.ok("list", "--json").json["checkpoints"]] == [saved]
    assert packs(cli) == before
    cli.variables["MAOS_CKPT_ENCRYPTION_KEY"] = "env:MAOS_CKPT_PASSPHRASE"
    assert PASSPHRASE not in json.dumps(cli.fails(7, "list"))


def test_keys_are_listed_without_one(sealed: Cli) -> None:
    save(sealed)
    sealed.variables = {}
    assert sealed.ok("key", "list", "--json").json["encrypted"]
    assert "key file" in sealed.ok("key", "list").out


def test_key_commands_on_a_repository_in_the_clear_say_so(cli: Cli) -> None:
    save(cli)
    assert cli.ok("key", "list", "--json").json == {"encrypted": False, "keys": [], "damaged": []}
    for words in (("add",), ("remove", "0011"), ("rotate",)):
        assert "not encrypted" in cli.fails(2, "key", *words)["message"]
    assert "needs the ID" in cli.fails(2, "key", "remove")["message"]


def test_a_damaged_slot_is_named_and_the_others_go_on(sealed: Cli) -> None:
    save(sealed)
    sealed.ok("key", "add", "--new-key", key_file(sealed, "next", 2))
    slot = next(iter((sealed.repository / "keys").iterdir()))
    slot.write_bytes(slot.read_bytes().replace(b"key_file", b"key_fixe"))
    found = sealed.ok("key", "list", "--json").json
    assert [one["object"] for one in found["damaged"]] == [f"keys/{slot.name}"]
    assert len(found["keys"]) == 1
    opened = []
    for name, seed in (("key", 1), ("next", 2)):
        sealed.variables["MAOS_CKPT_ENCRYPTION_KEY"] = key_file(sealed, name, seed)
        opened.append(sealed.run("list").code)
    assert sorted(opened) == [0, 5]


def test_the_key_is_not_needed_where_nothing_is_encrypted(cli: Cli, tmp_path: Path) -> None:
    save(cli)
    cli.variables["MAOS_CKPT_ENCRYPTION_KEY"] = f"file:{tmp_path / 'nowhere'}"
    cli.ok("list")


def on_terminal(cli: Cli, arguments: list[str], *typed: str) -> tuple[int, str]:
    """Run a command on a terminal of its own, and type a line at each question for a passphrase."""
    fd, side = pty.openpty()
    process = subprocess.Popen(
        cli.command(*arguments),
        cwd=cli.cwd,
        env=cli.environment(),
        stdin=side,
        stdout=side,
        stderr=side,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(side)
    text, waiting = "", list(typed)
    while True:
        assert select.select([fd], [], [], TIMEOUT_S)[0], text
        try:
            text += os.read(fd, 65_536).decode()
        except OSError:
            break
        if waiting and text.endswith(": "):
            os.write(fd, f"{waiting.pop(0)}\n".encode())
    os.close(fd)
    return process.wait(TIMEOUT_S), text


def test_on_a_terminal_the_passphrase_is_asked_for_twice_at_first_and_never_shown(cli: Cli) -> None:
    cli.variables["MAOS_CKPT_ENCRYPTION_ENABLED"] = "true"
    code, text = on_terminal(cli, ["save"], PASSPHRASE, PASSPHRASE + "x")
    assert (code, "differ" in text, cli.repository.exists()) == (7, True, False)
    code, text = on_terminal(cli, ["save"], PASSPHRASE, PASSPHRASE)
    assert (code, PASSPHRASE in text) == (0, False)
    code, text = on_terminal(cli, ["list"], PASSPHRASE)
    assert (code, "cp_" in text) == (0, True)
    code, text = on_terminal(cli, ["key", "rotate"], PASSPHRASE, f"new {PASSPHRASE}", f"new {PASSPHRASE}")
    assert code == 0, text
    assert on_terminal(cli, ["list"], PASSPHRASE)[0] == 7
    assert on_terminal(cli, ["list"], f"new {PASSPHRASE}")[0] == 0
