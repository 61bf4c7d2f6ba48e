"""status and events of an engine that is reached with --connect."""

from __future__ import annotations

import json
import queue

from maos_ckpt.api.remote import RemoteClient
from maos_ckpt.cli import shapes
from maos_ckpt.cli.alerts_text import alert_pairs
from maos_ckpt.cli.attaching import attached
from maos_ckpt.cli.commands.upkeep import FOLLOW_CONTEXT, print_event, since_ms
from maos_ckpt.cli.context import Context
from maos_ckpt.cli.text import count, duration, moment, rfc3339, size
from maos_ckpt.errors import ExitCode
from maos_ckpt.events import Event, OperationProgressed, event_fields
from maos_ckpt.model import LOCAL_TIER, EngineStatus, TierStatus
from maos_ckpt.safe_text import safe_text

#: Entries of the journal that are asked for at most; it keeps fewer.
_ENTRIES_MAX = 1_000_000


def status(context: Context) -> int:
    """`maos-ckpt status`."""
    with attached(context) as client:
        found, now_ms = client.status(), context.seams.clock.now_ms()
        address = client.address.text if isinstance(client, RemoteClient) else ""
    if context.out.as_json:
        context.out.document(_document(found, address, now_ms))
    else:
        context.out.lines(f"{name:<13} {safe_text(value)}" for name, value in _facts(found, address, now_ms))
    return ExitCode.DONE


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else rfc3339(at_ms)


def _document(one: EngineStatus, address: str, now_ms: int) -> dict[str, object]:
    last, running = one.last_success, one.running
    return {
        "source": one.source,
        "repository": one.repository,
        "engine": {
            "running": True,
            "address": address,
            "role": one.role,
            "interval_s": one.interval_s,
            "next_run_at": _time(one.next_run_at_ms),
            "missed_ticks": one.missed_ticks,
            "read_only": one.read_only,
        },
        "running": None
        if running is None
        else {
            "operation": running.operation,
            "since": rfc3339(running.started_at_ms),
            "phase": running.progress.phase,
            "done": running.progress.done,
            "total": running.progress.total,
        },
        "tiers": [_tier(tier) for tier in one.tiers],
        "last_success": None
        if last is None
        else {
            "id": last.id,
            "at": rfc3339(last.created_at_ms),
            "age_s": round((now_ms - last.created_at_ms) / 1000, 3),
        },
        "last_error": {"message": one.last_error, "at": _time(one.last_error_at_ms)} if one.last_error else None,
        "spool": _spool(one.tiers, now_ms),
        "unfinished_recovery": one.unfinished_recovery or None,
        "damaged": list(one.damaged_manifests),
        "alerts": [shapes.alert(alert) for alert in one.alerts],
    }


def _tier(one: TierStatus) -> dict[str, object]:
    return {
        "name": one.name,
        "location": one.location,
        "state": one.state,
        "checkpoints": one.checkpoints,
        "stored_bytes": one.bytes,
        "pending": one.pending,
        "pending_bytes": one.pending_bytes,
        "oldest_pending_at": _time(one.oldest_pending_at_ms),
        "last_success_at": _time(one.last_success_at_ms),
        "reason": one.reason or None,
        "damaged": list(one.damaged),
    }


def _spool(tiers: tuple[TierStatus, ...], now_ms: int) -> dict[str, object] | None:
    remote = [one for one in tiers if one.name != LOCAL_TIER]
    if not remote:
        return None
    oldest_ms = min((one.oldest_pending_at_ms for one in remote if one.oldest_pending_at_ms), default=None)
    return {
        "pending": sum(one.pending for one in remote),
        "bytes": sum(one.pending_bytes for one in remote),
        "oldest_age_s": None if oldest_ms is None else max(0.0, round((now_ms - oldest_ms) / 1000, 3)),
    }


def _facts(one: EngineStatus, address: str, now_ms: int) -> list[tuple[str, str]]:
    last, running = one.last_success, one.running
    facts = [
        ("source", one.source),
        ("engine", f"{one.role} at {address}, every {duration(one.interval_s)}"),
        ("next run", moment(one.next_run_at_ms, now_ms) if one.next_run_at_ms is not None else "none scheduled"),
        ("last success", f"{last.id}, {moment(last.created_at_ms, now_ms)}" if last else "no checkpoint yet"),
        ("repository", one.repository),
        ("holds", f"{count(one.checkpoints, 'checkpoint')} in {size(one.repository_bytes)}"),
    ]
    if running is not None:
        facts.append(("running", f"{running.operation}: {running.progress.phase}"))
    for tier in one.tiers:
        if tier.name != LOCAL_TIER or tier.state != "ok":
            waits = (
                f"; {count(tier.pending, 'checkpoint')} ({size(tier.pending_bytes)}) on the way" if tier.pending else ""
            )
            facts.append((tier.name, f"{tier.state}{f': {tier.reason}' if tier.reason else ''}{waits}"))
    if one.last_error and one.last_error_at_ms is not None:
        facts.append(("last error", f"{one.last_error} {moment(one.last_error_at_ms, now_ms)}"))
    if one.damaged_manifests:
        facts.append(("damaged", f"{count(len(one.damaged_manifests), 'checkpoint')} cannot be read"))
    if one.unfinished_recovery:
        facts.append(("unfinished", one.unfinished_recovery))
    return facts + alert_pairs(one.alerts, now_ms)


def events(context: Context) -> int:
    """`maos-ckpt events`."""
    a = context.arguments
    from_ms = since_ms(a.since, context.seams.clock.now_ms())
    heard: queue.SimpleQueue[Event] = queue.SimpleQueue()
    with attached(context) as client:
        # From before the past is read, so that nothing falls between.
        client.subscribe(heard.put)
        known = client.recent_events(FOLLOW_CONTEXT if a.follow and a.since is None else _ENTRIES_MAX)[::-1]
        told = set()
        for kind, fields in known:
            at_ms = fields.get("at_ms")
            if isinstance(at_ms, int) and at_ms >= from_ms:
                print_event(context, kind, fields)
            told.add(_line(kind, fields))
        while a.follow:
            event = heard.get()
            kind, fields = type(event).__name__, event_fields(event)
            if not isinstance(event, OperationProgressed) and _line(kind, fields) not in told:
                print_event(context, kind, fields)
    return ExitCode.DONE


def _line(kind: str, fields: dict[str, object]) -> str:
    return json.dumps([kind, fields], sort_keys=True, default=str)
