"""The JSON forms of the command line's contract."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from maos_ckpt.cli.text import rfc3339
from maos_ckpt.model import (
    Checkpoint,
    Counts,
    DiffResult,
    FieldChange,
    Finding,
    Plan,
    RecordChange,
    RecoveryResult,
    VerifyResult,
)
from maos_ckpt.model.alerts import Alert

if TYPE_CHECKING:
    from maos_ckpt.model.contents import Version

_PLAN_ID_CHARACTERS = 15


def components(checkpoint: Checkpoint) -> list[dict[str, object]]:
    """A checkpoint's collections by component."""
    return [
        {
            "name": name,
            "collections": [
                {
                    "name": one.name,
                    "records": one.records,
                    "bytes": one.bytes,
                    "root": one.root.hex() if one.root else None,
                }
                for one in checkpoint.collections
                if one.component == name
            ],
        }
        for name in checkpoint.components
    ]


def checkpoint(one: Checkpoint) -> dict[str, object]:
    """A checkpoint."""
    return {
        "id": one.id,
        "seq": one.seq,
        "parent": one.parent,
        "created_at": rfc3339(one.created_at_ms),
        "description": one.description,
        "tags": list(one.tags),
        "pinned": one.pinned,
        "trigger": one.trigger.value,
        "state": one.state.value,
        "source": one.source,
        "records": one.records,
        "logical_bytes": one.logical_bytes,
        "stored_bytes": one.stored_bytes,
        "duration_s": one.duration_s,
        "capture": {
            "skew_s": one.capture.skew_s,
            "lock_s": one.capture.lock_s,
            "unchanged": one.capture.unchanged,
            "notes": list(one.capture.notes),
            "held": one.capture.held,
            "pause_s": one.capture.pause_s,
            "missing": [
                {"component": gone.component, "collection": gone.collection, "reason": gone.reason}
                for gone in one.capture.missing
            ],
        },
        "components": components(one),
        "integrity": {"algorithm": "sha512", "digest": one.digest.hex()},
    }


def counts(one: Counts) -> dict[str, object]:
    """Changes by kind."""
    return {"added": one.added, "modified": one.modified, "removed": one.removed}


def change(one: RecordChange) -> dict[str, object]:
    """One record that differs; `fields` has one side absent where the record was added or removed."""
    shape: dict[str, object] = {
        "component": one.component,
        "collection": one.collection,
        "key": one.key,
        "kind": one.kind.value,
    }
    if one.reason:
        shape["reason"] = one.reason
    if one.fields:
        shape["fields"] = [field(one) for one in one.fields]
    return shape


def changes(found: Iterable[RecordChange]) -> Iterator[dict[str, object]]:
    """Records that differ, one at a time: there may be a million."""
    return (change(one) for one in found)


def field(one: FieldChange) -> dict[str, object]:
    """A field that differs, its values typed; a side on which it is absent has no key here, since null is a value."""
    shape: dict[str, object] = {"path": one.path}
    for name, text, as_json in (("before", one.before, one.before_json), ("after", one.after, one.after_json)):
        if text is not None:
            shape[name] = text if as_json is None else json.loads(as_json)
    return shape


def finding(one: Finding) -> dict[str, object]:
    """What a plan or verification found."""
    return {
        "severity": one.severity.value,
        "kind": one.kind,
        "message": one.message,
        "object": one.object,
        "affected": list(one.affected),
        "number": max(one.number, len(one.affected)),
    }


def diff(result: DiffResult, *, stat: bool) -> dict[str, object]:
    """A diff; without `changes` where only counts were asked for."""
    shape: dict[str, object] = {
        "before": result.before,
        "after": result.after,
        "summary": counts(result.summary),
        "by_component": {name: counts(one) for name, one in result.by_component.items()},
    }
    if result.findings:
        shape["findings"] = [finding(one) for one in result.findings]
    if not stat:
        shape["truncated"] = result.truncated
        shape["changes"] = changes(result.changes)
    return shape


def plan(one: Plan, everything: Iterable[RecordChange] | None = None) -> dict[str, object]:
    """A plan; with `everything` all its changes, instead of those that it lists."""
    return {
        "id": "pl_" + one.digest[:_PLAN_ID_CHARACTERS],
        "digest": one.digest,
        "checkpoint": one.checkpoint,
        "summary": counts(one.summary),
        "by_component": {name: counts(c) for name, c in one.by_component.items()},
        "changes": changes(one.changes if everything is None else everything),
        "truncated": one.truncated and everything is None,
        "kept": one.kept,
        "conflicts": one.conflicts,
        "findings": [finding(f) for f in one.findings],
        "write_bytes": one.write_bytes,
        "estimated_s": one.estimated_s,
        "running": list(one.running),
    }


def recovery(result: RecoveryResult, everything: Iterable[RecordChange] | None = None) -> dict[str, object]:
    """What a recovery did; `everything` as in `plan`."""
    return {
        "plan": plan(result.plan, everything),
        "applied": result.applied,
        "verified": result.verified,
        "partial": result.partial,
        "skipped": list(result.skipped),
        "safety_checkpoint": result.safety_checkpoint,
        "duration_s": result.duration_s,
        "stall_s": result.stall_s,
        "resume_commands": list(result.resume_commands),
        "notes": list(result.notes),
    }


def dry_run(
    one: Plan, duration_s: float, command: str, everything: Iterable[RecordChange] | None = None
) -> dict[str, object]:
    """A plan that was not applied, in the form of a recovery; `command` is what applies exactly it."""
    return {
        "plan": plan(one, everything),
        "command": command,
        "applied": False,
        "verified": None,
        "safety_checkpoint": None,
        "duration_s": duration_s,
    }


def verification(result: VerifyResult) -> dict[str, object]:
    """What a verification read and found."""
    return {
        "ok": result.ok,
        "level": result.level.value,
        "checked": {"objects": result.objects, "bytes": result.bytes, "checkpoints": result.checkpoints},
        "tiers": [
            {"name": one.tier, "objects": one.objects, "bytes": one.bytes, "cache_bypassed": one.cache_bypassed}
            for one in result.tiers
        ],
        "findings": [finding(one) for one in result.findings],
        "repaired": [{"tier": one.tier, "object": one.object, "how": one.detail} for one in result.repaired],
        "quarantined": [{"tier": one.tier, "object": one.object, "file": one.detail} for one in result.quarantined],
        "unrepaired": [{"tier": one.tier, "object": one.object, "why": one.detail} for one in result.unrepaired],
        "last_good": result.last_good or None,
        "duration_s": result.duration_s,
    }


def version(one: Version) -> dict[str, object]:
    """A record as it became with one checkpoint."""
    return {
        "checkpoint": one.checkpoint,
        "created_at": rfc3339(one.created_at_ms),
        "component": one.component,
        "collection": one.collection,
        "key": one.key,
        "kind": one.kind.value,
        "fields": [field(one) for one in one.fields],
    }


def alert(one: Alert) -> dict[str, object]:
    """An alert that stands, with what to do about it."""
    return {
        "name": one.name,
        "severity": one.severity,
        "state": one.state.value,
        "message": one.message,
        "since": rfc3339(one.since_ms),
        "key": one.key,
        "by": one.by or None,
        "until": None if one.until_ms is None else rfc3339(one.until_ms),
        "runbook": one.runbook,
    }


def event(name: str, fields: dict[str, object]) -> dict[str, object]:
    """A journal entry; its time as `at`."""
    at_ms = fields.get("at_ms")
    rest = {key: value for key, value in fields.items() if key != "at_ms"}
    return {"event": name, "at": rfc3339(at_ms if isinstance(at_ms, int) else 0), **rest}
