"""What a drill leaves behind: evidence, a bounded history with trends, an event, and a state at a glance."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import pytest

from maos_ckpt.drill import reports
from maos_ckpt.drill.evidence import plain
from maos_ckpt.drill.reports import Reports, Schedule
from maos_ckpt.drill.scratch import scratch_directory
from maos_ckpt.errors import ConflictError, InterruptedByUserError, PermissionRefusedError, StorageError
from maos_ckpt.model import Progress
from maos_ckpt.model.drills import DrillReport, DrillScenario, ScenarioResult
from maos_ckpt.operations import drills
from maos_ckpt.seams import SYSTEM
from tests.drill.conftest import Protected
from tests.engine.clocks import VirtualClock, seams_with

LOSS = DrillScenario.FULL_LOSS
HOUR_S = 3600.0


def result(scenario: str, *, passed: bool = True, rto_s: float | None = 1.0, applicable: bool = True) -> ScenarioResult:
    return ScenarioResult(scenario, applicable, passed and applicable, rto_s=rto_s if applicable else None)


def report(number: int, *scenarios: ScenarioResult, at_ms: int = 0) -> DrillReport:
    return DrillReport(
        id=f"dr_{number:08d}",
        started_at_ms=at_ms,
        duration_s=1.0,
        passed=all(one.passed for one in scenarios if one.applicable),
        checkpoint="cp_x",
        checkpoint_at_ms=0,
        digest="00",
        source="maos:/srv/team",
        repository="/srv/repository",
        repository_id="00",
        who="somebody@somewhere",
        trigger="manual",
        reason="",
        versions={},
        scenarios=scenarios,
        rto_s=max((one.rto_s for one in scenarios if one.rto_s), default=None),
        rpo_s=0.0,
        rto_target_s=60.0,
        rpo_target_s=35.0,
    )


def test_the_evidence_says_what_was_read_from_where_by_whom_and_of_which_state(protected: Protected) -> None:
    held = protected.drill(LOSS, DrillScenario.LOST_MACHINE)
    text = Path(held.evidence).read_text(encoding="utf-8")
    assert f"SHA-512 of its state: {held.digest}" in text
    assert len(held.digest) == 128
    assert held.who in text.replace("\\", "")
    assert "a test" in text
    assert "Read of the real tiers: s3," in text
    assert "past every cache" in text
    for name in ("maos-ckpt", "Python", "SQLite"):
        assert f"{name} {held.versions[name]}" in text
    stored = Path(held.evidence).with_suffix(".json").read_bytes()
    assert json.loads(stored)["scenarios"][0]["scenario"] == "full-loss"
    name, fields = next(iter(protected.workspace.journal.newest_first()))
    assert (name, fields["drill"], fields["passed"]) == ("DrillCompleted", held.id, True)
    assert fields["report_sha256"] == hashlib.sha256(stored).hexdigest()
    audited = next(protected.workspace.audit.newest_first())
    assert (audited.verb, audited.result, audited.reason) == ("drill", "done", held.reason)
    assert (audited.about, audited.detail) == (
        [held.id, held.checkpoint],
        f"manual, report {fields['report_sha256']}",
    )
    # Of the bucket, the lost machine reads what it needs; of this machine, only the copy was read.
    loss, lost = held.scenarios
    assert [one.tier for one in loss.reads] == ["local"]
    assert max(lost.reads, key=lambda one: one.bytes).tier == "s3"


def test_no_text_of_a_state_means_anything_in_the_evidence() -> None:
    assert plain("a\n# b | <script> [x](y) `c` \x1b[2J") == r"a\\n\# b \| \<script\> \[x\](y) \`c\` \\x1b\[2J"


def test_the_history_is_bounded_and_tells_trends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "REPORTS_MAX", 5)
    kept = Reports(tmp_path, SYSTEM)
    for number in range(8):
        kept.store(report(number, result("full-loss", rto_s=float(number)), result("s3-away", applicable=False)))
    kept.store(report(8, result("full-loss", passed=False, rto_s=None)))
    assert len(list((tmp_path / "drills").iterdir())) == 10
    found = kept.history(3, Schedule())
    assert [one.id for one in found.reports] == ["dr_00000008", "dr_00000007", "dr_00000006"]
    loss = next(one for one in found.trends if one.scenario == "full-loss")
    assert (loss.runs, loss.passed, loss.rtos_s) == (5, 4, (7.0, 6.0, 5.0, 4.0))
    assert (loss.rto_median_s, loss.rto_worst_s) == (5.5, 7.0)
    assert next(one for one in found.trends if one.scenario == "s3-away").runs == 0


def test_a_report_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    kept = Reports(tmp_path, SYSTEM)
    kept.store(report(1, result("full-loss")))
    (tmp_path / "drills" / "dr_00000002.json").write_bytes(b"{")
    assert [one.id for one in kept.newest(10)] == ["dr_00000001"]


def test_how_drills_stand(tmp_path: Path) -> None:
    clock = VirtualClock()
    kept = Reports(tmp_path, seams_with(clock))
    loss = frozenset({"full-loss"})
    daily, never = Schedule(24.0, loss), Schedule(0.0, loss)
    assert kept.status(never).state == "off"
    assert kept.status(daily).state == "never"
    kept.store(report(1, result("full-loss"), at_ms=clock.now_ms()))
    assert kept.status(daily).state == "passed"
    # A drill of something else does not stand for a complete one.
    clock.sleep(37 * HOUR_S)
    kept.store(report(2, result("mad-agent"), at_ms=clock.now_ms()))
    status = kept.status(daily)
    assert (status.state, status.last_at_ms) == ("overdue", clock.now_ms())
    assert kept.status(never).state == "passed"


def test_a_scenario_that_failed_counts_until_it_passes(tmp_path: Path) -> None:
    kept = Reports(tmp_path, SYSTEM)
    kept.store(report(1, result("full-loss"), result("mad-agent", passed=False)))
    kept.store(report(2, result("full-loss")))
    kept.store(report(3, result("s3-away", applicable=False)))
    status = kept.status(Schedule())
    assert (status.state, status.failed, status.rto_s) == ("failed", ("mad-agent",), 1.0)
    kept.store(report(4, result("mad-agent")))
    assert kept.status(Schedule()).state == "passed"


def test_a_second_drill_is_refused_and_what_a_killed_one_left_goes(alone: Protected) -> None:
    left = alone.repository / "drills" / "maos-ckpt-drill-of-a-killed-one"
    left.mkdir(parents=True)
    with scratch_directory(alone.repository / "drills", SYSTEM), pytest.raises(ConflictError, match="running already"):
        alone.drill(LOSS)
    assert not left.exists()
    assert alone.drill(LOSS).passed


def test_a_drill_that_is_stopped_leaves_nothing_behind_and_no_report(alone: Protected) -> None:
    def stop(step: Progress) -> None:
        if step.detail == "apply the plan":
            raise InterruptedByUserError("stopped")

    with pytest.raises(InterruptedByUserError):
        drills.drill(alone.workspace, drills.LATEST, (), drills.MANUAL, "", stop)
    assert sorted(one.name for one in (alone.repository / "drills").iterdir()) == ["maos-ckpt-drill.lock"]


def test_an_object_that_retention_takes_meanwhile_is_no_failed_drill(
    alone: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(source: Path, target: Path) -> None:
        raise FileNotFoundError(2, "No such file or directory", str(source))

    monkeypatch.setattr("maos_ckpt.drill.copied.shutil.copyfile", gone)
    with pytest.raises(ConflictError, match="while it was being copied"):
        alone.drill(LOSS)
    assert Reports(alone.repository, SYSTEM).newest(1) == []


def test_a_drill_without_room_is_not_begun(alone: Protected, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = os.statvfs_result((4096, 4096, 100, 1, 1, 0, 0, 0, 0, 255))
    monkeypatch.setattr("os.statvfs", lambda path: usage)
    with pytest.raises(StorageError, match="takes up to"):
        alone.drill(LOSS)


def test_a_drill_needs_the_right_to_leave_its_report(alone: Protected) -> None:
    import msgspec

    config = msgspec.structs.replace(alone.workspace.config, read_only=True)
    alone.workspace = dataclasses.replace(alone.workspace, config=config)
    with pytest.raises(PermissionRefusedError):
        alone.drill(LOSS)
