"""The operator's own checks, and targets: held against the copy, and unable to reach anything else."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from maos_ckpt.config.types import Performance
from maos_ckpt.drill.checks import SqlCheck, parse_check, run_command, run_sql
from maos_ckpt.errors import ConfigError, UsageError
from maos_ckpt.model import Progress
from maos_ckpt.model.drills import DrillScenario
from maos_ckpt.seams import SYSTEM
from tests.drill.conftest import Protected

LOSS = DrillScenario.FULL_LOSS


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "some.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t(a, b)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(1, "x"), (2, None)])
    return path


def test_a_statement_passes_where_it_gives_what_is_expected(database: Path) -> None:
    check = parse_check("SELECT a, b FROM t WHERE a >= 1 ORDER BY a => 1, x; 2, NULL")
    assert check == SqlCheck("SELECT a, b FROM t WHERE a >= 1 ORDER BY a", "1, x; 2, NULL")
    assert run_sql(database, check, SYSTEM).passed
    other = run_sql(database, replace(check, expected="1, x"), SYSTEM)
    assert not other.passed
    assert "2, NULL" in other.detail


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM t",
        "ATTACH 'other.db' AS other",
        "PRAGMA query_only = OFF; DELETE FROM t",
        "nonsense",
        "SELECT 1; SELECT 2",
    ],
)
def test_a_statement_that_does_anything_but_read_fails_and_changes_nothing(database: Path, statement: str) -> None:
    before = database.read_bytes()
    assert not run_sql(database, SqlCheck(statement, "1"), SYSTEM).passed
    assert database.read_bytes() == before
    assert [one.name for one in database.parent.iterdir()] == ["some.db"]


def test_a_statement_that_never_ends_is_ended(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maos_ckpt.drill.checks.SQL_S_MAX", 0.05)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    found = run_sql(database, SqlCheck(endless, "0"), SYSTEM)
    assert not found.passed
    assert "interrupted" in found.detail


@pytest.mark.parametrize("text", ["SELECT 1", "=> 1", ""])
def test_a_statement_without_an_expectation_is_a_mistake_in_the_configuration(text: str) -> None:
    with pytest.raises(ConfigError, match=r"drill\.sql"):
        parse_check(text)


def test_a_command_passes_by_ending_with_0_and_its_words_are_kept(tmp_path: Path) -> None:
    variables = {"MAOS_DRILL_DATABASE": "some.db"}
    program = "import os, sys; print(os.environ['MAOS_DRILL_DATABASE'], os.getcwd()); sys.exit({})"
    good = run_command((sys.executable, "-c", program.format(0)), tmp_path, variables)
    assert good.passed
    assert f"some.db {tmp_path}" in good.detail
    assert not run_command((sys.executable, "-c", program.format(3)), tmp_path, variables).passed
    missing = run_command(("no-such-program-anywhere",), tmp_path, variables)
    assert not missing.passed
    assert "cannot be run" in missing.detail


def test_checks_of_the_configuration_count_in_a_drill(alone: Protected) -> None:
    program = (
        "import os, sqlite3; c = sqlite3.connect(os.environ['MAOS_DRILL_DATABASE']); "
        "assert c.execute('SELECT count(*) FROM agents').fetchone()[0] > 0; "
        "assert os.listdir(os.environ['MAOS_DRILL_TRANSCRIPTS']) == ['projects']"
    )
    alone.configure(sql=("SELECT count(*) > 0 FROM agents => 1",), command=(sys.executable, "-c", program))
    report = alone.drill(LOSS)
    assert report.passed, report.scenarios[0].why
    names = [one.name for one in report.scenarios[0].assertions]
    assert "SQL: SELECT count(*) > 0 FROM agents" in names
    assert any(one.startswith("Command: ") for one in names)
    alone.configure(sql=("SELECT count(*) FROM agents => -1",))
    failed = alone.drill(LOSS)
    assert not failed.passed
    assert failed.scenarios[0].why.startswith("SQL: SELECT count(*) FROM agents: ")


def test_a_target_that_is_missed_fails_the_drill(alone: Protected) -> None:
    config = msgspec.structs.replace(alone.workspace.config, performance=Performance(max_recovery_time_ms=1))
    alone.workspace = replace(alone.workspace, config=config)
    (result,) = alone.drill(LOSS).scenarios
    assert not result.passed
    assert result.why.startswith("recovered and verified within performance.max_recovery_time_ms")


def test_work_that_would_be_lost_is_measured_and_held_against_the_interval(
    alone: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ms = SYSTEM.clock.now_ms()
    monkeypatch.setattr("maos_ckpt.operations.drills.newest_change_ms", lambda *_: now_ms)
    fast = msgspec.structs.replace(
        alone.workspace.config, interval_seconds=0.1, performance=Performance(max_save_time_ms=1)
    )
    alone.workspace = replace(alone.workspace, config=fast)
    report = alone.drill(LOSS)
    assert not report.passed
    assert report.rpo_s is not None
    assert report.rpo_s > report.rpo_target_s
    # Whoever names a checkpoint knows how old it is.
    assert alone.drill(LOSS, name=report.checkpoint).passed


def test_an_unknown_scenario_is_refused_with_the_nearest(alone: Protected) -> None:
    from maos_ckpt.operations import drills

    with pytest.raises(UsageError) as refused:
        drills.drill(alone.workspace, "latest", ("full-lose",), drills.MANUAL, "", lambda step: None)
    assert refused.value.data["nearest"] == "full-loss"


def test_a_drill_that_takes_too_long_is_ended_and_has_not_passed(alone: Protected) -> None:
    alone.configure(max_minutes=2 / 60)

    def slowly(step: Progress) -> None:
        if step.phase == DrillScenario.FULL_LOSS and step.detail == "the fault":
            SYSTEM.clock.sleep(2.2)

    report = alone.drill(DrillScenario.FULL_LOSS, DrillScenario.MAD_AGENT, progress=slowly)
    assert not report.passed
    for result in report.scenarios:
        assert not result.passed
        assert "The drill took longer than 0.0333333 min and was ended." in result.why
    assert not any(path.is_dir() for path in (alone.repository / "drills").iterdir())
