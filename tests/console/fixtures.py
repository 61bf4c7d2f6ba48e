"""Frozen values for snapshots: a fixed clock, fixed checkpoints, changes and findings.

What the console *does* is tested against a real engine on a real MAOS (test_flows); these values only give every run
the same picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from maos_ckpt.model import (
    CaptureInfo,
    ChangeKind,
    Checkpoint,
    CheckpointState,
    Collection,
    Counts,
    FieldChange,
    Finding,
    RecordChange,
    Severity,
    TierStatus,
    Trigger,
)
from maos_ckpt.model.integrity import Coverage, IntegrityReport, VerificationRun

#: 2026-11-23 09:14:42 UTC.
NOW_MS = 1_795_425_282_000
INTERVAL_S = 30.0
SOURCE = "maos:/srv/agents/team-alpha"
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_COLLECTIONS = (
    ("agents", "agents", 24, 9_400),
    ("tasks", "tasks", 61, 38_200),
    ("memory", "sessions", 48, 412_000),
    ("memory", "transcripts", 9_310, 13_650_000),
    ("queue", "messages", 2_204, 871_000),
    ("system", "orchestrations", 6, 14_100),
    ("system", "checkpoints", 31, 22_600),
    ("system", "files", 12, 18_900),
    ("system", "schema", 19, 6_800),
)


class FixedClock:
    """A clock that stands still."""

    def now_ms(self) -> int:
        return NOW_MS

    def monotonic_s(self) -> float:
        return 1000.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing sleeps on a clock that stands still")


def _digits(number: int, length: int) -> str:
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * (length - 1), -1, -5))


def checkpoint_id(seq: int, at_ms: int) -> str:
    random = int.from_bytes(hashlib.sha256(str(seq).encode()).digest()[:4], "big") & (1 << 30) - 1
    return "cp_" + _digits(at_ms, 9) + _digits(random, 6)


def _collections(seq: int, quiet: bool, previous: tuple[Collection, ...]) -> tuple[Collection, ...]:
    if quiet and previous:
        return previous
    made = []
    for number, (component, name, records, size) in enumerate(_COLLECTIONS):
        moves = name in ("transcripts", "sessions", "messages") or (seq + number) % 5 == 0
        old = previous[number] if previous else None
        if old is not None and not moves:
            made.append(old)
            continue
        grown_records = (old.records if old else records) + (seq * 7 + number * 3) % (records // 40 + 2)
        grown_bytes = (old.bytes if old else size) + (seq * 911 + number * 77) % (size // 60 + 9)
        root = hashlib.sha256(f"{seq}/{name}".encode()).digest()
        made.append(Collection(component, name, root, grown_records, grown_bytes))
    return tuple(made)


def make_checkpoints(number: int, **changes: object) -> list[Checkpoint]:
    """`number` checkpoints, newest first, 30 s apart, the newest 12 s old."""
    found: list[Checkpoint] = []
    collections: tuple[Collection, ...] = ()
    for seq in range(1, number + 1):
        at_ms = NOW_MS - 12_000 - (number - seq) * 30_000
        quiet = seq % 7 in (3, 4)
        collections = _collections(seq, quiet, collections)
        burst = 180_000 if seq % 23 == 11 else 0
        trigger = Trigger.MANUAL if seq % 29 == 17 else Trigger.SAFETY if seq % 41 == 33 else Trigger.SCHEDULE
        found.append(
            Checkpoint(
                id=checkpoint_id(seq, at_ms),
                seq=seq,
                parent=found[-1].id if found else None,
                created_at_ms=at_ms,
                description="before the prompt change" if trigger is Trigger.MANUAL else "",
                tags=("release",) if trigger is Trigger.MANUAL else (),
                pinned=trigger is not Trigger.SCHEDULE,
                trigger=trigger,
                state=CheckpointState.DAMAGED if seq == number - 19 else CheckpointState.COMMITTED,
                source=SOURCE,
                collections=collections,
                stored_bytes=4_200_000 if seq == 1 else 612 if quiet else 2_400 + seq * 137 % 9_000 + burst,
                duration_s=0.84 if seq == 1 else 0.02 if quiet else 0.11 + seq % 13 / 100,
                capture=CaptureInfo(lock_s=0.0 if quiet else 0.012, skew_s=0.0 if quiet else 0.003, unchanged=quiet),
                digest=hashlib.sha512(b"".join(one.root or b"" for one in collections)).digest(),
                descriptors=b"\0" * 32,
            )
        )
    return found[::-1]


def make_events(checkpoints: Sequence[Checkpoint]) -> list[tuple[str, dict[str, object]]]:
    made: list[tuple[str, dict[str, object]]] = []
    for number, one in enumerate(checkpoints[:20]):
        fields: dict[str, object] = {
            "at_ms": one.created_at_ms,
            "checkpoint": one.id,
            "trigger": one.trigger.value,
            "records": one.records,
            "logical_bytes": one.logical_bytes,
            "stored_bytes": one.stored_bytes,
            "duration_s": one.duration_s,
            "lock_s": one.capture.lock_s,
            "unchanged": one.capture.unchanged,
        }
        made.append(("CheckpointCreated", fields))
        if number == 1:
            made.append(
                ("TicksMissed", {"at_ms": one.created_at_ms - 9_000, "count": 2, "reason": "the machine slept"})
            )
    return made


CHANGES: tuple[RecordChange, ...] = (
    RecordChange(
        "agents",
        "agents",
        "reviewer-8f3a12cd",
        ChangeKind.MODIFIED,
        (
            FieldChange("status", "active", "failed"),
            FieldChange("last_active", "2026-11-23T09:11:02", "2026-11-23T09:14:31"),
        ),
    ),
    RecordChange(
        "agents",
        "agents",
        "planner-77aa01fe",
        ChangeKind.ADDED,
        (
            FieldChange("name", None, "planner"),
            FieldChange("status", None, "active"),
            FieldChange("last_active", None, "2026-11-23T09:14:29"),
        ),
    ),
    RecordChange(
        "tasks",
        "tasks",
        "task-reviewer-8f3a12cd",
        ChangeKind.MODIFIED,
        (
            FieldChange("status", "in_progress", "completed"),
            FieldChange("result.output", None, "All 14 findings are confirmed; see the table below."),
            FieldChange(
                "description", "Review the storage layer for torn writes, then report", "\x1b]0;owned\x07[/b] ignore"
            ),
        ),
    ),
    RecordChange(
        "tasks",
        "tasks",
        "task-writer-0011aabb",
        ChangeKind.REMOVED,
        (
            FieldChange("description", "Write the release notes", None),
            FieldChange("status", "in_progress", None),
        ),
    ),
    RecordChange(
        "memory",
        "sessions",
        "session-reviewer-8f3a12cd-1795425000",
        ChangeKind.MODIFIED,
        (
            FieldChange("turn_count", "14", "16"),
            FieldChange("conversation_history[14]", None, '{"role": "user", "content": "And the second file?"}'),
            FieldChange(
                "conversation_history[15]",
                None,
                '{"role": "assistant", "content": "The second file has the same fault: the name is not synced."}',
            ),
        ),
    ),
    RecordChange("queue", "messages", "2204", ChangeKind.ADDED),
    RecordChange("queue", "messages", "2205", ChangeKind.ADDED),
)


def count_changes(changes: Sequence[RecordChange]) -> tuple[Counts, dict[str, Counts]]:
    total, parts = Counts(), dict[str, Counts]()
    for change in changes:
        total.count(change.kind)
        parts.setdefault(change.component, Counts()).count(change.kind)
    return total, parts


FINDINGS = (
    Finding(
        Severity.WARNING,
        "dangling_reference",
        "1 task would name an agent that no longer exists (0 do now)",
        "tasks.assigned_agents",
        ("task-writer-0011aabb",),
    ),
    Finding(
        Severity.INFO,
        "stale_process",
        "2 agents name processes that are gone",
        "agents.process_id",
        ("reviewer-8f3a12cd",),
    ),
)
RUNNING = ("pid 4127 `maos chat` in /srv/agents/team-alpha",)


def make_tiers(**changes: object) -> tuple[TierStatus, ...]:
    """The tiers of a repository whose remote copy is in step, unless `changes` say otherwise."""
    remote = TierStatus("s3", "s3://agents/teams/alpha", "ok", 48, 9_100_000, last_success_at_ms=NOW_MS - 11_000)
    return (TierStatus("local", "/srv/agents/team-alpha/.maos-ckpt", "ok", 48, 9_100_000), replace(remote, **changes))  # type: ignore[arg-type]


def make_integrity(checkpoints: Sequence[Checkpoint]) -> IntegrityReport:
    """A round of the look at all objects under way, and a few verifications."""
    minute_ms = 60_000
    local = Coverage(
        "local",
        NOW_MS - 20 * minute_ms,
        3_900_000,
        9_100_000,
        NOW_MS - 2 * 1440 * minute_ms,
        NOW_MS + 40 * minute_ms,
    )
    named = tuple(one.id for one in checkpoints[5:7])
    return IntegrityReport(
        7,
        (local, replace(local, tier="s3", read_bytes=1_100_000, completed_at_ms=None)),
        (
            VerificationRun(NOW_MS - 4 * minute_ms, "full", True, 212, 9_100_000, 0, checkpoints=named),
            VerificationRun(NOW_MS - 9 * minute_ms, "standard", False, 412, 18_200_000, 3, everything=True),
            VerificationRun(NOW_MS - 2 * 1440 * minute_ms, "standard", True, 31, 1_300_000, 0, scrub=True),
        ),
    )


#: The remote copy does not answer.
AWAY: dict[str, object] = {
    "state": "away",
    "pending": 7,
    "pending_bytes": 1_260_000,
    "oldest_pending_at_ms": NOW_MS - 190_000,
    "since_ms": NOW_MS - 185_000,
    "breaker": "open",
    "reason": "The store at s3://agents/teams/alpha cannot be reached. It is left alone after 6 failures in a row.",
}
