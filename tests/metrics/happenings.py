"""Made-up events of all kinds that metrics are made of."""

from __future__ import annotations

from random import Random

from maos_ckpt.events import (
    CacheAsked,
    CheckpointCreated,
    CheckpointsRemoved,
    CheckpointsReplicated,
    DrillCompleted,
    EngineStarted,
    Event,
    OperationFailed,
    RecoveryCompleted,
    ReplicationStalled,
    TicksMissed,
    VerificationCompleted,
)


def happening(random: Random, at_ms: int) -> Event:
    """One event at that time."""
    roll, seconds = random.random(), random.lognormvariate(-1, 1.5)
    if roll < 0.6:
        logical, stored = random.randrange(1 << 30), random.randrange(1 << 22)
        unchanged = random.random() < 0.3
        return CheckpointCreated(at_ms, "cp_x", "schedule", 5, logical, stored, seconds, seconds / 7, unchanged)
    if roll < 0.75:
        operation = random.choice(["save", "restore", "verify", "prune", "something new"])
        return OperationFailed(at_ms, operation, "source", "it is away")
    if roll < 0.85:
        safety = random.choice(["cp_s", ""])
        return RecoveryCompleted(at_ms, "cp_x", "d", safety, "why", 3, True, random.random() < 0.5, seconds)
    others = (
        VerificationCompleted(at_ms, "quick", True, 3, 9, 0, random.random() < 0.5),
        DrillCompleted(at_ms, "dr_x", "cp_x", True, ("full-loss",), (), 1.0, 2.0, 3.0, "manual", "", "me", "e", "00"),
        CheckpointsRemoved(at_ms, ("cp_a",), 10, random.choice(["retention", "deleted"])),
        CheckpointsReplicated(at_ms, ("cp_a",), 1000),
        ReplicationStalled(at_ms, "storage", "no answer"),
        TicksMissed(at_ms, random.randrange(1, 9), "busy"),
        CacheAsked(at_ms, random.randrange(20), random.randrange(20)),
        EngineStarted(at_ms, "maos:/srv", 30.0),
    )
    return random.choice(others)
