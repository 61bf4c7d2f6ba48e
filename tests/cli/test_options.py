"""What can be typed, and what is said when it was typed wrong."""

from __future__ import annotations

import json
import statistics
import subprocess
import time

import pytest

from maos_ckpt import __version__
from maos_ckpt.cli.options import COMMANDS, NO_COMMAND, find_command, parser_for
from maos_ckpt.errors import UsageError
from tests.cli.conftest import Cli

HELP_S_MAX = 0.150


def test_help_answers_within_the_budget(empty: Cli) -> None:
    times = []
    for _ in range(7):
        began = time.perf_counter()
        subprocess.run(empty.command("--help"), env=empty.environment(), cwd=empty.cwd, capture_output=True, check=True)
        times.append(time.perf_counter() - began)
    # Other work on the machine only ever adds time, so the better half tells what the program takes.
    assert statistics.median(sorted(times)[:4]) < HELP_S_MAX


def test_help_names_every_command_and_global_option(empty: Cli) -> None:
    text = empty.ok("--help").out
    for name in COMMANDS:
        assert f"\n  {name} " in text
    for option in ("--config", "--repo", "--source", "--json", "--read-only", "--log-level", "--version", "--headless"):
        assert option in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_of_its_own(name: str, empty: Cli) -> None:
    text = empty.ok(name, "--help").out
    assert text.startswith(f"usage: maos-ckpt {name}")


def test_the_version_is_told(empty: Cli) -> None:
    assert empty.ok("--version").out == f"maos-ckpt {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "--repo", "r", "list", "--limit", "3"],
        ["list", "--limit", "3", "--json", "--repo", "r"],
        ["--repo=r", "list", "--json", "--limit=3"],
        ["--json", "list", "--repo", "r", "--limit", "3"],
    ],
)
def test_global_options_may_stand_before_or_after_the_command(words: list[str]) -> None:
    command, rest = find_command(words)
    parsed = parser_for(command).parse(rest)
    assert command.name == "list"
    assert (parsed.json, parsed.repo, parsed.limit) == (True, "r", 3)


def test_a_repeatable_option_is_collected_from_both_sides() -> None:
    command, rest = find_command(["--source", "maos:a", "save", "--source", "maos:b"])
    assert parser_for(command).parse(rest).source == ["maos:a", "maos:b"]


def test_a_value_that_looks_like_a_command_is_no_command() -> None:
    command, rest = find_command(["--repo", "save", "list"])
    assert (command.name, parser_for(command).parse(rest).repo) == ("list", "save")


def test_without_a_command_the_engine_options_count() -> None:
    command, rest = find_command(["--headless", "--interval", "5"])
    assert command is NO_COMMAND
    assert parser_for(command).parse(rest).interval == "5"


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["sav"], "save"),
        (["lsit"], "list"),
        (["restor", "latest"], "restore"),
        (["save", "--tga", "x"], "--tag"),
        (["restore", "latest", "--dryrun"], "--dry-run"),
        (["verify", "--al"], "--all"),
        (["--jsn", "list"], "--json"),
    ],
)
def test_a_mistyped_word_is_an_error_that_names_the_nearest(words: list[str], near: str, empty: Cli) -> None:
    error = empty.fails(2, *words)
    assert error["data"]["nearest"] == near
    assert near in error["message"]


@pytest.mark.parametrize(
    "words",
    [
        ["zzzzzz"],
        ["show"],
        ["show", "a", "b"],
        ["diff"],
        ["history"],
        ["export", "latest"],
        ["list", "--limit", "0"],
        ["list", "--limit", "many"],
        ["verify", "--level", "deep"],
        ["verify", "--all", "latest"],
        ["config"],
        ["config", "destroy"],
        ["save", "-m"],
        ["demo", "--seconds", "-1"],
        ["demo", "--seconds", "nan"],
        ["--interval", "0", "--headless"],
        ["--log-level", "loud", "list"],
    ],
)
def test_bad_usage_is_exit_code_2(words: list[str], empty: Cli) -> None:
    assert empty.fails(2, *words)["kind"] in ("usage", "config")


def test_help_says_that_what_is_named_adds_up(empty: Cli) -> None:
    text = " ".join(empty.ok("restore", "--help").out.split())
    assert "add up: a record is recovered where any of them names it." in text


@pytest.mark.parametrize(
    "words",
    [
        ["--repo", "gs://bucket/prefix", "list"],
        ["--source", "redis://localhost:6379/0", "save"],
        ["--source", "provider:m", "save"],
        ["--source", "moas:.", "save"],
        ["--source", "here", "save"],
        ["--source", "maos:", "save"],
        ["--source", "maos:a", "--source", "maos:b", "save"],
    ],
)
def test_a_place_this_version_does_not_serve_is_refused_clearly(words: list[str], empty: Cli) -> None:
    assert empty.fails(2, *words)["hint"]


def test_no_argument_is_ever_a_traceback(empty: Cli) -> None:
    for words in (["\x1b]0;x\x07"], ["--\udcff"], ["show", "\x00".replace("\x00", "\u202e")], [""], ["-"], ["--"]):
        result = empty.run(*words)
        assert result.code in (2, 3)
        assert "\x1b" not in result.err
        assert "\u202e" not in result.err


@pytest.mark.parametrize(
    "words",
    [
        ["save", "-m", "\udcff"],
        ["save", "--tag", "\udcff"],
        ["tag", "latest", "x", "\udcff"],
        ["history", "\udcff"],
        ["restore", "latest", "--record", "agents/agents/*\udcff", "--dry-run"],
        ["undo", "--reason", "\udcff", "--yes"],
    ],
)
def test_an_argument_that_is_no_text_is_refused_before_anything_is_done(words: list[str], cli: Cli) -> None:
    assert "not UTF-8" in cli.fails(2, *words)["message"]
    assert not cli.repository.exists()


def test_without_a_terminal_the_console_says_so_and_tells_the_status(cli: Cli) -> None:
    cli.ok("save")
    result = cli.run()
    assert result.code == 2
    assert "last success" in result.out
    assert "no terminal" in result.err
    assert "--headless" in result.err
    as_json = cli.run("--json")
    assert as_json.code == 2
    assert as_json.json["last_success"]["id"]
    assert json.loads(as_json.err)["error"]["kind"] == "usage"


def test_without_a_terminal_the_demo_shows_its_other_form(empty: Cli) -> None:
    assert "demo --headless" in empty.fails(2, "demo")["hint"]


def test_the_parsers_errors_carry_the_commands_usage() -> None:
    with pytest.raises(UsageError) as caught:
        parser_for(COMMANDS["show"]).parse([])
    assert caught.value.data["usage"] == "maos-ckpt show"
