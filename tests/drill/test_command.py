"""`maos-ckpt drill` as a process: unattended, by one command, with its report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maos_ckpt.model.drills import DrillScenario
from tests.cli.conftest import Cli
from tests.cli.support import state
from tests.lab.build import build_state

SCENARIOS = [one.value for one in DrillScenario]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = Cli(tmp_path / "team", tmp_path / "home")
    build_state(made.cwd, made.claude_home, 150_000, seed=5, transcript_bytes=40_000)
    return made


def test_one_command_rehearses_all_that_applies_and_leaves_the_state_alone(cli: Cli) -> None:
    saved = cli.save()
    before = state(cli)
    told = cli.ok("drill", "--json", "--reason", "every Monday").json
    assert state(cli) == before
    assert told["passed"] is True
    assert [one["name"] for one in told["scenarios"]] == SCENARIOS
    assert told["checkpoint"] == saved["id"]
    assert told["digest"] == saved["integrity"]["digest"]
    assert 0 < told["rto_s"] < told["rto_target_s"]
    assert told["rpo_s"] <= told["rpo_target_s"]
    assert all(one["passed"] for one in told["assertions"])
    assert {one["scenario"] for one in told["assertions"]} == {
        "full-loss",
        "component-corrupted",
        "mad-agent",
        "interrupted-recovery",
    }
    away = next(one for one in told["scenarios"] if one["name"] == "s3-away")
    assert (away["applicable"], away["passed"]) == (False, None)
    assert "no S3 bucket" in away["why"]
    evidence = Path(told["evidence"])
    assert "every Monday" in evidence.read_text(encoding="utf-8")
    assert json.loads(evidence.with_suffix(".json").read_bytes())["id"] == told["id"]
    status = cli.ok("status", "--json").json["drill"]
    assert (status["state"], status["passed"], status["rto_s"]) == ("passed", True, told["rto_s"])
    assert "last drill    passed " in cli.ok("status").out
    history = cli.ok("drill", "--history", "--json").json
    assert [one["id"] for one in history["drills"]] == [told["id"]]
    assert next(one for one in history["trends"] if one["scenario"] == "full-loss")["passed"] == 1
    (event,) = [one for one in cli.ok("events", "--json").lines if one["event"] == "DrillCompleted"]
    assert (event["drill"], event["passed"]) == (told["id"], True)


def test_a_failed_drill_names_the_assertion_and_ends_with_5(cli: Cli) -> None:
    cli.save()
    (cli.cwd / "maos-ckpt.toml").write_text('[drill]\nsql = ["SELECT count(*) FROM agents => -1"]\n')
    failed = cli.run("drill", "latest", "--scenario", "full-loss")
    assert failed.code == 5
    assert "FAILED  full-loss" in failed.out
    assert "NOT: SQL: SELECT count(*) FROM agents" in failed.out
    assert "FAILED: 0 of 1 scenario" in failed.out
    assert cli.ok("status", "--json").json["drill"]["failed"] == ["full-loss"]
    assert "last drill    FAILED " in cli.ok("status").out
    assert "FAILED" in cli.ok("drill", "--history").out


def test_what_does_not_apply_is_neither_passed_nor_failed(cli: Cli) -> None:
    cli.save()
    told = cli.run("drill", "--scenario", "wrong-key", "--json")
    assert told.code == 8
    assert told.json["passed"] is False
    assert told.json["scenarios"][0]["why"] == "the repository is not encrypted"


def test_a_plain_database_can_be_rehearsed_too(cli: Cli) -> None:
    source = f"sqlite:{cli.database}"
    cli.ok("save", "--source", source, "--repo", str(cli.home / "other"))
    told = cli.ok("drill", "--source", source, "--repo", str(cli.home / "other"), "--json").json
    assert told["passed"], told["scenarios"]
    assert {one["name"] for one in told["scenarios"] if one["applicable"]} == {
        "full-loss",
        "component-corrupted",
        "interrupted-recovery",
    }


def test_what_cannot_be_drilled_is_refused(cli: Cli) -> None:
    assert cli.run("drill").code == 3
    cli.save()
    assert cli.run("drill", "--scenario", "earthquake").code == 2
    assert cli.run("drill", "--read-only").code == 7
    (cli.cwd / "maos-ckpt.toml").write_text('[drill]\nsql = ["SELECT 1"]\n')
    assert cli.fails(2, "drill")["data"]["key"] == "drill.sql"
    assert not (cli.repository / "drills").exists()
