"""A client of frozen values, for snapshots alone: fixed clock, fixed data, every answer prepared.

What the console *does* is tested against a real engine on a real MAOS (test_flows); these values only give every run
the same picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from maos_ckpt.client import EventSink
from maos_ckpt.errors import CkptError, NotFoundError
from maos_ckpt.insight import Advice, Recommendation
from maos_ckpt.model import (
    CaptureInfo,
    ChangeKind,
    Checkpoint,
    CheckpointState,
    Collection,
    Counts,
    DiffResult,
    EngineStatus,
    FieldChange,
    Finding,
    Plan,
    RecordChange,
    RecoveryResult,
    RunningOperation,
    Selection,
    Severity,
    TierStatus,
    Trigger,
    VerifyLevel,
    VerifyResult,
)

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


def _events(checkpoints: Sequence[Checkpoint]) -> list[tuple[str, dict[str, object]]]:
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


def _count(changes: Sequence[RecordChange]) -> tuple[Counts, dict[str, Counts]]:
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


UNREAD = "It has not been read back in full since it was taken."


class FrozenClient:
    """An engine that stands still; attributes are the answers."""

    def __init__(
        self, number: int = 64, *, error: CkptError | None = None, running: RunningOperation | None = None
    ) -> None:
        self.listed = make_checkpoints(number)
        self.error = error
        self.running = running
        self.changes = CHANGES
        self.read_only = False
        self.damaged_manifests: tuple[str, ...] = ()
        self.held: list[frozenset[str]] = []
        self.tiers: tuple[TierStatus, ...] = ()
        self.asked = 0

    def start(self) -> None:
        return None

    def close(self, timeout_s: float) -> bool:
        return True

    def subscribe(self, sink: EventSink) -> Callable[[], None]:
        return lambda: None

    def status(self) -> EngineStatus:
        self.asked += 1
        return EngineStatus(
            source=SOURCE,
            repository="/srv/agents/team-alpha/.maos-ckpt",
            role="engine",
            owner="",
            interval_s=INTERVAL_S,
            next_run_at_ms=NOW_MS + 18_000,
            last_success=self.listed[0] if self.listed else None,
            last_error=self.error.message if self.error else "",
            last_error_at_ms=NOW_MS - 2_000 if self.error else None,
            running=self.running,
            checkpoints=len(self.listed),
            repository_bytes=sum(one.stored_bytes for one in self.listed),
            missed_ticks=2,
            read_only=self.read_only,
            damaged_manifests=self.damaged_manifests,
            tiers=self.tiers,
        )

    def checkpoints(self, limit: int = 500) -> list[Checkpoint]:
        return self.listed[:limit]

    def checkpoint(self, name: str) -> Checkpoint:
        for one in self.listed:
            if name in (one.id, one.id[-6:]):
                return one
        raise NotFoundError(f"There is no checkpoint {name!r}.")

    def hold(self, names: frozenset[str]) -> None:
        self.held.append(names)

    def save(self, description: str = "", tags: Sequence[str] = ()) -> Checkpoint:
        return self._newest()

    def diff(self, before: str, after: str, limit: int = 1000) -> DiffResult:
        total, parts = _count(self.changes)
        return DiffResult(before, after, total, parts, self.changes[:limit], len(self.changes) > limit)

    def plan(self, name: str, selection: Selection, limit: int = 1000) -> Plan:
        listed = (one for one in self.changes if selection.whole or one.component in selection.components)
        changes = tuple(one for one in listed if selection.exact or one.kind is not ChangeKind.REMOVED)
        total, parts = _count(changes)
        digest = hashlib.sha256(name.encode()).hexdigest()
        return Plan(name, selection, digest, total, parts, changes[:limit], False, FINDINGS, 41_200, 0.4, RUNNING)

    def recover(
        self, name: str, selection: Selection, *, digest: str | None, reason: str, limit: int = 1000
    ) -> RecoveryResult:
        commands = ("cd /srv/agents/team-alpha && claude --resume 5f0c2a9e-8f5f-4a43-9d6e-0f8f2c7a1b11",)
        return RecoveryResult(self.plan(name, selection), True, True, self.listed[0].id, 0.41, 0.12, commands, ())

    def recommend(self, name: str | None = None) -> Recommendation:
        best = next(one for one in self.listed[2:] or self.listed if one.state is not CheckpointState.DAMAGED)
        reasons = (
            "The last one before it went wrong (2026-01-10 02:13:35 to 02:14:05 UTC): 3 agents "
            "turned failed (reviewer-8f3a12cd, writer-0011aabb, analyst-77aa01ce).",
            "1 min 12 s of work would be lost: 14 turns, 2 new tasks, 31 messages.",
        )
        advice = Advice(best.id, best.created_at_ms, reasons, (UNREAD,), {"turns": 14}, 72.0)
        if name in (None, best.id):
            return Recommendation(advice, advice, None, len(self.listed), True)
        asked = self.checkpoint(name)
        held = "It holds the damage, or a part of it (2026-01-10 02:13:35 to 02:14:05 UTC): 3 agents turned failed."
        about = Advice(asked.id, asked.created_at_ms, ("2 s of work would be lost: 1 turn.",), (held, UNREAD), {}, 2.0)
        return Recommendation(advice, about, None, len(self.listed), True)

    def undo_plan(self, limit: int = 1000) -> Plan:
        return self.plan(self._newest().id, Selection(exact=True), limit)

    def undo(self, *, digest: str | None, reason: str, limit: int = 1000) -> RecoveryResult:
        return self.recover(self._newest().id, Selection(exact=True), digest=digest, reason=reason)

    def _newest(self) -> Checkpoint:
        if not self.listed:
            raise NotFoundError("There is no checkpoint yet.")
        return self.listed[0]

    def verify(self, names: Sequence[str], level: VerifyLevel) -> VerifyResult:
        return VerifyResult(level, True, len(names), 14, 4_300_000, (), 0.32)

    def set_pinned(self, name: str, pinned: bool) -> Checkpoint:
        return replace(self.checkpoint(name), pinned=pinned)

    def delete(self, name: str) -> str:
        return self.checkpoint(name).id

    def recent_events(self, limit: int = 200) -> list[tuple[str, dict[str, object]]]:
        return _events(self.listed)[:limit]


def make_tiers(**changes: object) -> tuple[TierStatus, ...]:
    """The tiers of a repository whose remote copy is in step, unless `changes` say otherwise."""
    remote = TierStatus("s3", "s3://agents/teams/alpha", "ok", 48, 9_100_000, last_success_at_ms=NOW_MS - 11_000)
    return (TierStatus("local", "/srv/agents/team-alpha/.maos-ckpt", "ok", 48, 9_100_000), replace(remote, **changes))  # type: ignore[arg-type]


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
