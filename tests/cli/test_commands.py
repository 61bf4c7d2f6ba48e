"""Every command on a real state: the JSON of the contract, text for people, and what stays as it was."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from maos_ckpt.ids import is_checkpoint_id, short_id
from tests.cli.conftest import HOSTILE, Cli
from tests.lab.mutate import mutate

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_saved_checkpoint_has_the_form_of_the_contract(cli: Cli) -> None:
    before = fingerprint(cli.database)
    one = cli.save("-m", "first of all", "--tag", "a", "--tag", "b")
    assert fingerprint(cli.database) == before
    assert is_checkpoint_id(one["id"])
    assert RFC3339.fullmatch(one["created_at"])
    assert (one["description"], one["tags"], one["pinned"]) == ("first of all", ["a", "b"], False)
    assert (one["trigger"], one["state"], one["parent"]) == ("manual", "committed", None)
    assert 0 < one["stored_bytes"] < one["logical_bytes"]
    assert isinstance(one["duration_s"], float)
    assert set(one["capture"]) >= {"skew_s", "lock_s"}
    assert one["integrity"]["algorithm"] == "sha512"
    assert len(one["integrity"]["digest"]) == 128
    collections = [c for component in one["components"] for c in component["collections"]]
    assert sum(c["records"] for c in collections) == one["records"]
    assert sum(c["bytes"] for c in collections) == one["logical_bytes"]
    assert all(len(c["root"]) == 64 for c in collections if c["records"])
    with contextlib.closing(sqlite3.connect(cli.database)) as connection:
        agents = connection.execute("SELECT count(*) FROM agents").fetchone()[0]
    assert {"name": "agents", "records": agents} in [{k: c[k] for k in ("name", "records")} for c in collections]


def test_a_save_of_an_unchanged_state_says_so_and_stores_next_to_nothing(cli: Cli) -> None:
    first = cli.save()
    size = sum(path.stat().st_size for path in cli.repository.rglob("*") if path.is_file())
    text = cli.ok("save").out
    assert "nothing had changed" in text
    grown = sum(path.stat().st_size for path in cli.repository.rglob("*") if path.is_file()) - size
    assert grown <= 4096, "manifest and journal line"
    second = cli.ok("show", "latest", "--json").json["checkpoint"]
    assert second["capture"]["unchanged"]
    assert second["integrity"] == first["integrity"]
    assert second["stored_bytes"] <= 2048


def test_checkpoints_are_listed_newest_first_and_by_tag(cli: Cli) -> None:
    ids = [cli.save("--tag", tag)["id"] for tag in ("x", "y", "x")]
    assert [one["id"] for one in cli.ok("list", "--json").json["checkpoints"]] == ids[::-1]
    assert [one["id"] for one in cli.ok("list", "--json", "--limit", "2").json["checkpoints"]] == ids[:0:-1]
    assert [one["id"] for one in cli.ok("list", "--json", "--tag", "x").json["checkpoints"]] == [ids[2], ids[0]]
    lines = cli.ok("list").out.splitlines()
    assert len(lines) == 4
    assert lines[0].split()[:3] == ["ID", "CREATED", "TRIGGER"]
    assert lines[1].startswith(ids[2])
    # The columns are aligned.
    assert len({line.index("manual") for line in lines[1:]}) == 1


def test_one_checkpoint_is_found_by_id_prefix_ending_and_place(cli: Cli) -> None:
    ids = [cli.save()["id"] for _ in range(3)]
    for name in (ids[1], short_id(ids[1]), "latest~1"):
        shown = cli.ok("show", name, "--json").json
        assert shown["checkpoint"]["id"] == ids[1]
        assert shown["components"] == shown["checkpoint"]["components"]
    text = cli.ok("show", "latest").out
    assert ids[2] in text
    assert "sha-512" in text


def test_pins_tags_and_deletion(cli: Cli) -> None:
    ids = [cli.save("--tag", "old")["id"] for _ in range(2)]
    assert cli.ok("pin", ids[0], "--json").json["checkpoint"]["pinned"]
    assert cli.fails(4, "delete", ids[0])["kind"] == "conflict"
    tagged = cli.ok("tag", ids[0], "new", "newer", "--remove", "old", "--json").json["checkpoint"]
    assert tagged["tags"] == ["new", "newer"]
    assert cli.ok("tag", ids[0]).out.strip().endswith("has new, newer")
    assert not cli.ok("unpin", ids[0], "--json").json["checkpoint"]["pinned"]
    assert cli.ok("delete", ids[0], "--json").json["checkpoint"]["id"] == ids[0]
    assert cli.fails(3, "show", ids[0])["kind"] == "not_found"
    assert [one["id"] for one in cli.ok("list", "--json").json["checkpoints"]] == ids[1:]
    assert cli.ok("verify", "--all", "--level", "full", "--json").json["ok"]


def test_prune_says_what_goes_and_what_keeps_the_rest(cli: Cli) -> None:
    ids = []
    for seed in range(5):
        mutate(cli.cwd, 0.2, seed=seed)
        ids.append(cli.save()["id"])
    cli.ok("pin", ids[0])
    dry = cli.ok("prune", "--keep-last", "2", "--dry-run", "--json").json
    assert len(cli.ok("list", "--json").json["checkpoints"]) == 5
    done = cli.ok("prune", "--keep-last", "2", "--json").json
    assert sorted(done["removed"]) == sorted(dry["removed"]) == sorted(ids[1:3])
    assert {one["id"]: one["reason"] for one in done["kept"]}[ids[0]] == "pinned"
    assert done["bytes_freed"] > 0
    assert (dry["dry_run"], done["dry_run"]) == (True, False)
    assert [one["id"] for one in cli.ok("list", "--json").json["checkpoints"]] == [ids[4], ids[3], ids[0]]
    assert cli.ok("verify", "--all", "--level", "full", "--json").json["ok"]


def test_prune_takes_its_number_from_the_configuration(cli: Cli) -> None:
    for _ in range(4):
        cli.save()
    cli.variables["MAOS_CKPT_MAX_CHECKPOINTS"] = "3"
    assert len(cli.ok("prune", "--json").json["removed"]) == 1
    assert cli.ok("prune", "--keep-last", "0", "--json").json["removed"] == []


@pytest.mark.parametrize("level", ["quick", "standard", "full"])
def test_verify_says_what_it_read(cli: Cli, level: str) -> None:
    cli.save()
    result = cli.ok("verify", "--all", "--level", level, "--json").json
    assert (result["ok"], result["level"], result["findings"]) == (True, level, [])
    assert result["checked"]["objects"] > 0
    assert cli.ok("verify", "latest", "--level", level).out.startswith(f"OK ({level})")


def test_damage_is_found_named_and_exit_code_5(cli: Cli) -> None:
    one = cli.save()
    pack = next(path for path in (cli.repository / "packs").rglob("*") if path.is_file())
    data = bytearray(pack.read_bytes())
    data[len(data) // 3] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(data)
    result = cli.run("verify", "--all", "--level", "full", "--json")
    assert result.code == 5
    assert not result.json["ok"]
    assert any(one["id"] in finding["affected"] for finding in result.json["findings"])
    assert all({"severity", "kind", "object", "affected"} <= set(finding) for finding in result.json["findings"])
    assert "DAMAGED" in cli.run("verify", "--all").out
    assert cli.ok("show", "latest", "--json").json["checkpoint"]["state"] == "damaged"
    # A damaged past does not keep the present from being saved.
    mutate(cli.cwd, 0.5, seed=1)
    cli.save()


def test_status_tells_last_success_and_its_age_with_or_without_a_repository(cli: Cli) -> None:
    before = cli.ok("status", "--json").json
    assert (before["last_success"], before["engine"]["running"], before["spool"]) == (None, False, None)
    assert not cli.repository.exists()
    one = cli.save()
    after = cli.ok("status", "--json").json
    assert after["last_success"]["id"] == one["id"]
    assert after["last_success"]["at"] == one["created_at"]
    assert 0 <= after["last_success"]["age_s"] < 60
    (tier,) = after["tiers"]
    assert (tier["checkpoints"], tier["logical_bytes"]) == (1, one["logical_bytes"])
    assert tier["stored_bytes"] >= one["stored_bytes"]
    assert "no checkpoint yet" not in cli.ok("status").out


def test_a_failed_save_shows_in_the_status_until_one_succeeds(cli: Cli) -> None:
    cli.save()
    away = cli.database.with_suffix(".away")
    cli.database.rename(away)
    assert cli.fails(6, "save")["kind"] == "source"
    assert cli.ok("status", "--json").json["last_error"]["operation"] == "save"
    away.rename(cli.database)
    cli.save()
    assert cli.ok("status", "--json").json["last_error"] is None


def test_events_are_lines_with_names_and_times(cli: Cli) -> None:
    one = cli.save()
    cli.ok("pin", "latest")
    cli.ok("verify")
    events = cli.ok("events", "--json").lines
    assert [event["event"] for event in events] == ["CheckpointCreated", "CheckpointMarked", "VerificationCompleted"]
    assert all(RFC3339.fullmatch(event["at"]) for event in events)
    assert events[0]["checkpoint"] == one["id"]
    assert cli.ok("events", "--since", "1h", "--json").lines == events
    later = datetime.now(UTC).replace(year=2100).isoformat()
    assert cli.ok("events", "--since", later).out == ""
    assert cli.fails(2, "events", "--since", "yesterday")
    assert "CheckpointCreated" in cli.ok("events").out


def test_the_doctor_looks_at_everything_and_finds_nothing_wrong(cli: Cli) -> None:
    cli.save()
    report = cli.ok("doctor", "--json").json
    assert report["ok"]
    names = {check["name"] for check in report["checks"]}
    assert names >= {"sqlite", "terminal", "source", "lock", "maos", "disk", "storage", "repository", "permissions"}
    assert "clock" in names
    assert all(set(check) == {"name", "ok", "detail"} for check in report["checks"])


def test_the_doctor_names_what_is_wrong(cli: Cli) -> None:
    cli.save()
    cli.repository.chmod(0o755)
    result = cli.run("doctor", "--json")
    assert result.code == 6
    assert [check["name"] for check in result.json["checks"] if not check["ok"]] == ["permissions"]
    assert "FAIL" in cli.run("doctor").out


def test_hostile_content_never_reaches_the_terminal(cli: Cli) -> None:
    cli.execute("UPDATE agents SET name = ?, metadata = ?", HOSTILE, json.dumps({HOSTILE: HOSTILE}))
    cli.save("-m", HOSTILE, "--tag", HOSTILE)
    cli.execute("UPDATE agents SET name = 'x'")
    cli.execute("PRAGMA foreign_keys = OFF")
    cli.execute("INSERT INTO tasks(id, description, status) VALUES (?, ?, 'x')", HOSTILE, HOSTILE)
    commands = (["list"], ["show", "latest"], ["diff", "latest"], ["records", "latest"], ["events"], ["status"])
    for command in (*commands, ["tag", "latest"], ["history", "nothing\x1b"]):
        for form in ([], ["--json"]):
            result = cli.run(*command, *form)
            for character in ("\x1b", "\x07", "\x9b", "\u202e", "\u200b"):
                assert character not in result.out + result.err, command


def test_config_show_tells_where_each_value_comes_from(cli: Cli) -> None:
    cli.variables["MAOS_CKPT_MAX_CHECKPOINTS"] = "7"
    (cli.cwd / "maos-ckpt.toml").write_text("[compression]\ncodec = 'lz4'\n")
    shown = cli.ok("config", "show", "--json", "--log-level", "error").json
    values = {one["key"]: (one["value"], one["origin"]) for one in shown["values"]}
    assert values["max_checkpoints"] == (7, "environment MAOS_CKPT_MAX_CHECKPOINTS")
    assert values["compression.codec"] == ("lz4", f"file {cli.cwd / 'maos-ckpt.toml'}")
    assert values["log_level"] == ("error", "flag --log-level")
    assert values["interval_seconds"] == (30, "default")
    assert "environment MAOS_CKPT_MAX_CHECKPOINTS" in cli.ok("config", "show", "--origin").out
    assert "max_checkpoints = 7" in cli.ok("config", "show").out


def test_config_init_writes_the_example_and_never_overwrites(empty: Cli) -> None:
    written = Path(empty.ok("config", "init", "--json").json["file"])
    assert written == empty.cwd / "maos-ckpt.toml"
    assert empty.ok("config", "check", "--json").json == {"ok": True, "file": str(written)}
    written.write_text("interval_seconds = 5\n")
    assert empty.fails(4, "config", "init")["kind"] == "conflict"
    assert written.read_text() == "interval_seconds = 5\n"
    other = empty.cwd / "other.toml"
    empty.ok("config", "init", "--config", str(other))
    assert other.read_text().startswith("# Configuration of maos-ckpt")


def test_the_configuration_reaches_the_save(cli: Cli) -> None:
    sizes = {}
    for codec in ("none", "zstd"):
        cli.variables["MAOS_CKPT_COMPRESSION_CODEC"] = codec
        sizes[codec] = cli.save("--repo", f"r-{codec}")["stored_bytes"]
    assert sizes["zstd"] < sizes["none"] / 2


def test_read_only_refuses_what_would_change_something(cli: Cli) -> None:
    cli.save()
    for command in (["save"], ["pin", "latest"], ["delete", "latest"], ["prune"], ["tag", "latest", "x"]):
        assert cli.fails(7, "--read-only", *command)["kind"] == "permission"
    assert len(cli.ok("list", "--read-only", "--json").json["checkpoints"]) == 1
    assert cli.ok("diff", "latest", "--read-only", "--json").json["summary"]["modified"] == 0


def test_a_sqlite_file_is_a_source_of_its_own(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "any" / "data.sqlite"
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(n, f"value {n}") for n in range(100)])
    one = cli.save("--source", f"sqlite:{path}")
    assert [component["name"] for component in one["components"]] == ["database"]
    assert (path.parent / ".maos-ckpt").is_dir()


def test_relative_paths_in_a_configuration_file_are_relative_to_it(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "conf.toml").write_text("sources = ['maos:team']\n[storage.local]\npath = 'kept'\n")
    cli.run("save", "--config", str(tmp_path / "conf.toml"), cwd=cli.home)
    assert (tmp_path / "kept" / "manifests").is_dir()
