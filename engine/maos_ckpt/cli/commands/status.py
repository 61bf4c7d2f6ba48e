"""status: engine, storage, last success and last failure, read from the repository and its journal."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from maos_ckpt.api.places import find_listening
from maos_ckpt.cli import shapes
from maos_ckpt.cli.alerts_text import alert_pairs, hook_pairs
from maos_ckpt.cli.context import Context
from maos_ckpt.cli.text import age, count, duration, moment, rfc3339, size, span
from maos_ckpt.cli.upkeep_text import scrub_due_ms, upkeep_lines
from maos_ckpt.doctor import Disk, disk
from maos_ckpt.engine.lock import Owner, engine_owner
from maos_ckpt.errors import ExitCode
from maos_ckpt.model import LOCAL_TIER, TierStatus
from maos_ckpt.model.drills import DrillStatus
from maos_ckpt.operations import alerts, drills, state
from maos_ckpt.operations.state import RepositoryState
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.recovery.alone import Recovering
from maos_ckpt.safe_text import safe_text

_DAMAGED_LISTED = 3


@dataclass(frozen=True, slots=True)
class _Status:
    """What is known now. `next_ms`: when the engine, if one runs, takes its next checkpoint."""

    workspace: Workspace
    now_ms: int
    owner: Owner | None
    found: RepositoryState
    unfinished: str
    recovering: Recovering | None
    drill: DrillStatus
    disk: Disk

    @property
    def next_ms(self) -> int | None:
        if self.owner is None or not self.owner.interval_s:
            return None
        return state.next_run_at_ms(self.owner.since_ms, self.owner.interval_s, self.now_ms)

    @property
    def ratio(self) -> float | None:
        found = self.found
        return round(found.logical_bytes / found.all_bytes, 2) if found.all_bytes else None

    @property
    def target(self) -> float:
        return self.workspace.config.performance.compression_target


def _tier_words(tier: TierStatus, one: _Status) -> str:
    """A tier: how it is, since when and why, what it holds and what waits."""
    words = tier.state
    if tier.since_ms is not None:
        words += f" for {span((one.now_ms - tier.since_ms) / 1000)}"
    if tier.reason:
        words += f": {tier.reason.rstrip('.')}"
    parts = [words, f"{count(tier.checkpoints, 'checkpoint')} ({size(tier.bytes)}) in {tier.location}"]
    if tier.pending:
        verb = "waits" if tier.pending == 1 else "wait"
        parts.append(f"{count(tier.pending, 'checkpoint')} ({size(tier.pending_bytes)}) {verb}")
        if one.owner is None:
            parts.append("no engine is running")
    if tier.last_success_at_ms is not None and tier.state != "ok":
        parts.append(f"last replicated {age(tier.last_success_at_ms, one.now_ms)}")
    return "; ".join(parts)


def _look(context: Context) -> _Status:
    workspace = context.workspace
    found = state.repository_state(workspace)
    owner = engine_owner(workspace.repository)
    now_ms, unfinished = context.seams.clock.now_ms(), state.unfinished_recovery(workspace)
    recovering, free = state.recovery_under_way(workspace), disk(workspace.repository, 0)
    return _Status(workspace, now_ms, owner, found, unfinished, recovering, drills.status(workspace), free)


def status(context: Context) -> int:
    """`maos-ckpt status`."""
    looked = _look(context)
    if context.out.as_json:
        context.out.document(_document(looked))
    else:
        context.out.lines(_lines(looked))
    return ExitCode.DONE


def _document(one: _Status) -> dict[str, object]:
    return {
        "source": one.workspace.source,
        "engine": _engine(one),
        "tiers": [_tier(one, tier) for tier in one.found.tiers],
        "ratios": dataclasses.asdict(one.found.ratios),
        "last_success": _last_success(one),
        "last_error": _last_error(one),
        "spool": _spool(one),
        "encryption": _encryption(one),
        "disk": {"free_bytes": one.disk.free_bytes, "ok": one.disk.ok},
        "unfinished_recovery": one.unfinished or None,
        "recovery": None if one.recovering is None else one.recovering.shape(one.now_ms),
        "damaged": list(one.found.damaged_manifests),
        "drill": _drill(one),
        "damaged_checkpoints": list(one.found.damaged_checkpoints),
        "alerts": [shapes.alert(alert) for alert in alerts.standing(one.workspace)],
    }


def _drill(one: _Status) -> dict[str, object]:
    drill = one.drill
    return {
        "state": drill.state,
        "interval_s": drill.interval_s or None,
        "last_at": _time(drill.last_at_ms),
        "passed": not drill.failed if drill.last_at_ms is not None else None,
        "rto_s": drill.rto_s,
        "rpo_s": drill.rpo_s,
        "failed": list(drill.failed),
        "evidence": drill.evidence or None,
    }


def _drill_words(drill: DrillStatus, now_ms: int) -> str:
    """`passed 3 h ago, RTO 4.1 s`, or what is wrong."""
    if drill.last_at_ms is None:
        return "none was held yet" if drill.state == "never" else "none was held, and none is scheduled"
    words = f"{'FAILED' if drill.failed else 'passed'} {age(drill.last_at_ms, now_ms)}"
    if drill.rto_s is not None:
        words += f", RTO {duration(drill.rto_s)}"
    if drill.failed:
        words += f": {', '.join(drill.failed)}; see {drill.evidence}"
    if drill.state == "overdue":
        words += f"; overdue, one is to be held every {duration(drill.interval_s)}"
    return words


def _tier(one: _Status, tier: TierStatus) -> dict[str, object]:
    shape: dict[str, object] = {
        "name": tier.name,
        "location": tier.location,
        "state": tier.state,
        "checkpoints": tier.checkpoints,
        "stored_bytes": tier.bytes,
        "reason": tier.reason or None,
        "scrub": {
            "share": tier.scrub_share,
            "completed_at": _time(tier.scrubbed_at_ms),
            "due_at": _time(scrub_due_ms(tier, one.workspace.config.scrub_days)),
            "damaged": list(tier.damaged),
        },
    }
    if tier.name == LOCAL_TIER:
        held = {"logical_bytes": one.found.logical_bytes, "ratio": one.ratio, "ratio_target": one.target}
        return {**shape, "path": tier.location, "stored_bytes": one.found.stored_bytes, **held}
    outcome = one.found.outcome
    return {
        **shape,
        "pending": tier.pending,
        "pending_bytes": tier.pending_bytes,
        "oldest_pending_at": _time(tier.oldest_pending_at_ms),
        "last_success_at": _time(tier.last_success_at_ms),
        "since": _time(tier.since_ms),
        "breaker": tier.breaker or None,
        "breaker_since": _time(outcome.breaker_since_ms or None if outcome else None),
        "trying_since": _time(outcome.trying_ms or None if outcome else None),
        "lease": outcome.writer or None if outcome else None,
        "lease_since": _time(outcome.writer_since_ms or None if outcome else None),
        "next_try_at": _time(tier.next_try_ms),
    }


def _spool(one: _Status) -> dict[str, object] | None:
    """What waits for the remote copy; None where none is configured."""
    waiting = [tier for tier in one.found.tiers if tier.name != LOCAL_TIER]
    if not waiting:
        return None
    oldest_ms = min((tier.oldest_pending_at_ms for tier in waiting if tier.oldest_pending_at_ms), default=None)
    return {
        "pending": sum(tier.pending for tier in waiting),
        "bytes": sum(tier.pending_bytes for tier in waiting),
        "bytes_max": one.workspace.config.storage.spool_size_bytes,
        "oldest_age_s": None if oldest_ms is None else max(0.0, round((one.now_ms - oldest_ms) / 1000, 3)),
    }


def _encryption(one: _Status) -> dict[str, object]:
    found = one.found
    return {"enabled": found.encrypted, "slot": found.opened_by or None, "locked": found.locked or None}


def _encryption_words(one: _Status) -> str:
    found = one.found
    if found.locked:
        return f"on; it did not open, so that little can be told: {found.locked}"
    if not found.encrypted:
        return "off"
    return f"on, opened by the key {found.opened_by}" if found.opened_by else "on"


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else rfc3339(at_ms)


def _engine(one: _Status) -> dict[str, object]:
    owner, next_ms = one.owner, one.next_ms
    return {
        "running": owner is not None,
        "pid": owner.pid if owner else None,
        "host": owner.host if owner else None,
        "since": rfc3339(owner.since_ms) if owner else None,
        "interval_s": owner.interval_s if owner else None,
        "next_run_at": rfc3339(next_ms) if next_ms is not None else None,
        "listening": list(_listening(one)),
    }


def _listening(one: _Status) -> tuple[str, ...]:
    """Where the running engine is reached; an engine inside a console is not."""
    found = find_listening(one.workspace.repository) if one.owner else None
    return found.addresses if found and one.owner and found.pid == one.owner.pid else ()


def _last_success(one: _Status) -> dict[str, object] | None:
    last = one.found.last_success
    if last is None:
        return None
    age_s = round((one.now_ms - last.created_at_ms) / 1000, 3)
    return {"id": last.id, "at": rfc3339(last.created_at_ms), "age_s": age_s, "missing": list(last.missing)}


def _last_error(one: _Status) -> dict[str, object] | None:
    failure = one.found.failure
    if failure is None:
        return None
    return {
        "operation": failure.operation,
        "kind": failure.kind,
        "message": failure.message,
        "at": rfc3339(failure.at_ms),
    }


def _lines(one: _Status) -> list[str]:
    owner, last, failure, next_ms = one.owner, one.found.last_success, one.found.failure, one.next_ms
    held = f"{count(one.found.checkpoints, 'checkpoint')} in {size(one.found.stored_bytes)}"
    if one.ratio:
        held += f" ({one.ratio:,.1f} : 1, target {one.target:g} : 1)"
    pairs = [
        ("source", one.workspace.source),
        ("engine", f"running as {owner}, every {duration(owner.interval_s)}" if owner else "not running"),
        ("next run", moment(next_ms, one.now_ms) if next_ms is not None else "none scheduled"),
        ("last success", f"{last.id}, {moment(last.created_at_ms, one.now_ms)}" if last else "no checkpoint yet"),
        ("repository", str(one.workspace.repository)),
        ("holds", held),
        ("encryption", _encryption_words(one)),
    ]
    if last and last.missing:
        pairs.append(("partial", f"that checkpoint is without {', '.join(last.missing)}"))
    if _listening(one):
        pairs.insert(2, ("reached at", ", ".join(_listening(one))))
    if not one.disk.ok:
        pairs.append(("disk", one.disk.text))
    told = [tier for tier in one.found.tiers if tier.name != LOCAL_TIER or tier.state != "ok"]
    pairs += [(tier.name, _tier_words(tier, one)) for tier in told]
    pairs += upkeep_lines(one.found.tiers, one.found.outcome, one.workspace.config, one.now_ms)
    parts = one.found.ratios
    if parts.codec and parts.dedup and parts.whole:
        text = f"{parts.whole:,.1f} : 1 (codec {parts.codec:,.1f}, deduplication {parts.dedup:,.1f})"
        pairs.append(("ratios", text))
    pairs.append(("last drill", _drill_words(one.drill, one.now_ms)))
    if failure:
        pairs.append(("last error", f"{failure.operation}: {failure.message} {moment(failure.at_ms, one.now_ms)}"))
    pairs += hook_pairs(alerts.ways(one.workspace), one.now_ms, failing_only=True)
    if one.found.damaged_manifests:
        what = ", ".join(one.found.damaged_manifests[:_DAMAGED_LISTED])
        number = count(len(one.found.damaged_manifests), "checkpoint")
        pairs.append(("damaged", f"{number} cannot be read ({what}); see `maos-ckpt verify --all`"))
    if one.found.damaged_checkpoints:
        what = ", ".join(one.found.damaged_checkpoints[:_DAMAGED_LISTED])
        more = ", …" if len(one.found.damaged_checkpoints) > _DAMAGED_LISTED else ""
        number = count(len(one.found.damaged_checkpoints), "checkpoint")
        verb = "is" if len(one.found.damaged_checkpoints) == 1 else "are"
        pairs.append(("damaged", f"{number} {verb} marked as damaged ({what}{more}); see `maos-ckpt verify --all`"))
    if one.recovering is not None:
        pairs.append(("recovery", one.recovering.sentence(one.now_ms)))
    if one.unfinished:
        pairs.append(("unfinished", one.unfinished))
    pairs += alert_pairs(alerts.standing(one.workspace), one.now_ms)
    return [f"{name:<13} {safe_text(value)}" for name, value in pairs]
