"""Drills as operations: set up from a workspace, carried out in a scratch copy, told by a report and an event."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import hashlib
import platform
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from maos_ckpt import __version__
from maos_ckpt.audit.actor import actor
from maos_ckpt.audit.entries import DONE, FAILED
from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.backends.read_cache import CacheSettings
from maos_ckpt.client import ProgressSink
from maos_ckpt.codec.secret import read_secret
from maos_ckpt.config import Config
from maos_ckpt.drill.age import newest_change_ms
from maos_ckpt.drill.checks import parse_check
from maos_ckpt.drill.origin import Expected, Origin
from maos_ckpt.drill.reports import DIRECTORY, Reports, Schedule
from maos_ckpt.drill.run import Outcome, run_scenarios
from maos_ckpt.drill.scratch import scratch_directory
from maos_ckpt.errors import ConfigError, KeyRefusedError, UsageError
from maos_ckpt.events import DrillCompleted
from maos_ckpt.model.drills import DrillHistory, DrillReport, DrillScenario, DrillStatus
from maos_ckpt.nobody import quiet
from maos_ckpt.operations.audit import record
from maos_ckpt.operations.unlocking import KeyHolder
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.repository.connect import RemoteSettings
from maos_ckpt.repository.header import read_header
from maos_ckpt.repository.keyring import Unlock
from maos_ckpt.repository.repository import Repository

_TOKEN_BYTES = 3
#: A drill of whatever is the latest checkpoint, which its age may be held against.
LATEST = "latest"
MANUAL = "manual"
SCHEDULE = "schedule"


def drill(
    workspace: Workspace,
    name: str,
    scenarios: Sequence[str],
    trigger: str,
    reason: str,
    progress: ProgressSink,
) -> DrillReport:
    """Rehearse recovering a checkpoint in a scratch copy; the live system is only read, its state not even that.

    Args:
        scenarios: names of `DrillScenario`; all where empty.

    Raises:
        UsageError, ConfigError: a scenario or a check of the configuration that cannot be meant.
        NotFoundError: no such checkpoint.
        ConflictError: another drill is running, or retention took an object while it was copied.
        StorageError: there is no room for the copies.
    """
    wanted = _wanted(scenarios)
    expected = _expected(workspace, name)
    workspace.refuse_if_read_only("a drill")
    workspace.bring_home()
    started_ms, started_s = workspace.now_ms(), workspace.seams.clock.monotonic_s()
    with workspace.journalled("drill"):
        origin = _origin(workspace, name, expected)
        chosen = Path(workspace.config.drill.directory).expanduser()
        root = workspace.repository.parent / chosen if chosen.name else workspace.repository / DIRECTORY
        with scratch_directory(root, workspace.seams) as scratch:
            outcome = run_scenarios(origin, wanted, scratch, progress, 60 * workspace.config.drill.max_minutes)
        report = _report(workspace, origin, outcome, started_ms, trigger, reason)
        took_s = round(workspace.seams.clock.monotonic_s() - started_s, 3)
        reports = Reports(workspace.repository, workspace.seams)
        report = dataclasses.replace(report, duration_s=took_s, evidence=str(reports.directory / f"{report.id}.md"))
        _tell(workspace, report, reports.store(report))
    return report


def history(workspace: Workspace, limit: int) -> DrillHistory:
    """The last drills, newest first, with trends; empty where there were none."""
    return Reports(workspace.repository, workspace.seams).history(limit, schedule_of(workspace.config))


def status(workspace: Workspace) -> DrillStatus:
    """How drills stand now."""
    return Reports(workspace.repository, workspace.seams).status(schedule_of(workspace.config))


def schedule_of(config: Config) -> Schedule:
    """What the configuration wants of drills without anybody."""
    return Schedule(config.drill.interval_hours, frozenset(config.drill.scenarios or DrillScenario))


def _wanted(names: Sequence[str]) -> tuple[DrillScenario, ...]:
    known = [one.value for one in DrillScenario]
    for name in names:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, 1, 0.3)
            raise UsageError(
                f"There is no scenario {name!r}." + (f" Did you mean {nearest[0]}?" if nearest else ""),
                kept="No drill was begun.",
                hint=f"There are {', '.join(known)}.",
                nearest=nearest[0] if nearest else None,
            )
    return tuple(one for one in DrillScenario if not names or one.value in names)


def _expected(workspace: Workspace, name: str) -> Expected:
    config = workspace.config
    rpo_s = _rpo_target_s(workspace) if name == LATEST else None
    checks = tuple(parse_check(one) for one in config.drill.sql)
    return Expected(config.performance.max_recovery_time_ms / 1000, rpo_s, checks, config.drill.command)


def _rpo_target_s(workspace: Workspace) -> float:
    # What happens in a save is in the next one: two checkpoints are an interval and a save apart.
    return workspace.config.interval_seconds + workspace.config.performance.max_save_time_ms / 1000


def _origin(workspace: Workspace, name: str, expected: Expected) -> Origin:
    """Read what there is to know of the real repository, which is opened without the right to write and without its
    bucket: opened with it, it would note down what it hears from there."""
    seams = quiet(workspace.seams)
    header = read_header(LocalBackend(workspace.repository, seams))
    master = workspace.unlock(LocalBackend(workspace.repository, seams), header.id, header.features)
    live = Repository.open(workspace.repository, seams, read_only=True, key=master)
    with contextlib.closing(live):
        if workspace.source:
            live.check_source(workspace.source)
        checkpoint = live.resolve(name)
    unlock, notes = _fresh_unlock(workspace)
    return Origin(
        repository=workspace.repository,
        identity=header.id,
        checkpoint=checkpoint,
        asked=name,
        master=master,
        remote=_read_only(workspace.remote),
        unlock=unlock,
        newest_change_ms=newest_change_ms(workspace.source or checkpoint.source, workspace.claude_home),
        expected=expected,
        seams=seams,
        key_notes=notes,
    )


def _read_only(remote: RemoteSettings | None) -> RemoteSettings | None:
    if remote is None:
        return None
    return dataclasses.replace(remote, cache=CacheSettings(0, 0.0), read_only=True)


def _fresh_unlock(workspace: Workspace) -> tuple[Unlock, tuple[str, ...]]:
    """What opens a repository as a new machine would: by the configured key and the slots that lie there."""
    reference = workspace.config.encryption_key
    if reference:
        with contextlib.suppress(KeyRefusedError, ConfigError):
            read_secret(reference)
            return KeyHolder().unlocker(workspace.config), ()
    if not workspace.config.encryption_enabled and not reference and workspace.key.unlocked is None:
        return workspace.unlock, ()
    note = "It was opened with the key that this process holds: the configured one is not at hand here, so the bucket's"
    return workspace.unlock, (f"{note} key slots were not tried.",)


def _report(
    workspace: Workspace, origin: Origin, outcome: Outcome, started_ms: int, trigger: str, reason: str
) -> DrillReport:
    played = [one for one in outcome.scenarios if one.applicable]
    checkpoint = origin.checkpoint
    # To the millisecond: ids order the reports, and two drills can begin within a second.
    stamp = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(started_ms / 1000))}{started_ms % 1000:03d}Z"
    return DrillReport(
        id=f"dr_{stamp}_{workspace.seams.random.token(_TOKEN_BYTES).hex()}",
        started_at_ms=started_ms,
        duration_s=0.0,
        passed=bool(played) and all(one.passed for one in played),
        checkpoint=checkpoint.id,
        checkpoint_at_ms=checkpoint.created_at_ms,
        digest=checkpoint.digest.hex(),
        source=checkpoint.source,
        repository=str(workspace.repository),
        repository_id=origin.identity,
        who=_who(),
        trigger=trigger,
        reason=reason,
        versions=_versions(),
        scenarios=outcome.scenarios,
        rto_s=max((one.rto_s for one in played if one.rto_s is not None), default=None),
        rpo_s=max((one.rpo_s for one in played if one.rpo_s is not None), default=None),
        rto_target_s=origin.expected.rto_s,
        rpo_target_s=_rpo_target_s(workspace),
        reads=outcome.reads,
    )


def _who() -> str:
    who = actor()
    return f"{who.user or who.uid}@{who.host} (process {who.pid})"


def _versions() -> dict[str, str]:
    return {
        "maos-ckpt": __version__,
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        platform.system(): platform.release(),
    }


def _tell(workspace: Workspace, report: DrillReport, stored: bytes) -> None:
    """The one place where a drill's outcome leaves this operation: to the journal and the audit log."""
    digest = hashlib.sha256(stored).hexdigest()
    told = f"{report.trigger}, report {digest}"
    result = DONE if report.passed else FAILED
    about = (report.id, report.checkpoint)
    record(workspace, "drill", reason=report.reason, result=result, detail=told, about=about)
    workspace.record(
        DrillCompleted(
            at_ms=workspace.now_ms(),
            drill=report.id,
            checkpoint=report.checkpoint,
            passed=report.passed,
            scenarios=tuple(one.scenario for one in report.scenarios if one.applicable),
            failed=report.failed,
            rto_s=report.rto_s,
            rpo_s=report.rpo_s,
            duration_s=report.duration_s,
            trigger=report.trigger,
            reason=report.reason,
            who=report.who,
            evidence=report.evidence,
            report_sha256=digest,
        )
    )
