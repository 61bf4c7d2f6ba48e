"""find, guide, and restore without an ID, as commands."""

from __future__ import annotations

from tests.cli.conftest import HOSTILE, Cli


def test_find_and_guide_tell_people_and_programs_and_nothing_hostile_reaches_a_terminal(cli: Cli) -> None:
    first = cli.save()["id"]
    cli.execute("UPDATE tasks SET description = ?, status = 'failed'", f"needle {HOSTILE}")
    second = cli.save()["id"]
    found = cli.ok("find", "needle", "--between", first, "latest", "--component", "tasks", "--json").json
    assert {one["field"] for one in found["matches"]} == {"description"}
    assert {one["first"]["checkpoint"] for one in found["matches"]} == {second}
    assert [one["gone"] for one in found["matches"]] == [None] * len(found["matches"])
    assert (found["truncated"], found["checkpoints"]) == (False, 2)
    told = cli.ok("find", "NEEDLE", "-i", "--limit", "1")
    assert "\x1b" not in told.out
    assert f"since {second}" in told.out
    assert "--limit N" in told.err
    advice = cli.ok("guide", second, "--json").json
    assert advice["recommended"]["checkpoint"] == first
    assert advice["incident"]["signs"][0]["what"] in ("failed", "rewritten")
    assert advice["asked"]["warnings"][0].startswith("It holds the damage")
    shown = cli.ok("guide").out
    assert shown.startswith(f"recommended: {first}, ")
    told = cli.ok("guide", "--claude-home", str(cli.cwd)).out.splitlines()[-1]
    assert told == f"    to see its plan: maos-ckpt restore {first} --claude-home {cli.cwd} --dry-run"
    error = cli.fails(2, "restore")
    assert error["hint"].startswith(f"{first} is recommended. The last one before it went wrong (")


def test_bad_input_to_find_and_guide_ends_in_a_sentence(empty: Cli) -> None:
    assert cli_kinds(empty, ["find", "x"], ["guide"]) == ["not_found"] * 2
    assert empty.fails(2, "find", "")["kind"] == "usage"
    assert "guide" in empty.fails(2, "restore")["hint"]


def cli_kinds(cli: Cli, *commands: list[str]) -> list[str]:
    return [cli.fails(3, *one, "--source", "sqlite:none.db", "--repo", "none")["kind"] for one in commands]
