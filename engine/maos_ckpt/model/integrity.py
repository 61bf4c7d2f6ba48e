"""How far what is stored has been read back: the look at all objects in turn, and the verifications of late."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Coverage:
    """The look at all stored objects of one tier in turn, each checked against its checksum.

    Args:
        tier: `local` or `s3`.
        looked_at_ms: when the last slice was read, None before the first.
        read_bytes, total_bytes: stored bytes read in the round under way, and of the tier as the round knows it.
        completed_at_ms: when the last whole round ended.
        next_at_ms: when the next slice is due, None where it is not known or nothing is scheduled.
        damaged: objects found damaged or missing and not found well since.
    """

    tier: str
    looked_at_ms: int | None = None
    read_bytes: int = 0
    total_bytes: int = 0
    completed_at_ms: int | None = None
    next_at_ms: int | None = None
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VerificationRun:
    """A verification that ended, as the journal tells of it.

    `checkpoints` are those that were named, `everything` says that all were checked; with `scrub` it was the end of a
    round of the look at all objects, or a slice that found something.
    """

    at_ms: int
    level: str
    ok: bool
    objects: int
    bytes: int
    findings: int
    scrub: bool = False
    checkpoints: tuple[str, ...] = ()
    everything: bool = False


@dataclass(frozen=True, slots=True)
class IntegrityReport:
    """How far what is stored has been read back. `scrub_days`: each object comes by once in so many days, 0: never.
    `runs` are the newest verifications, newest first."""

    scrub_days: int
    coverage: tuple[Coverage, ...] = ()
    runs: tuple[VerificationRun, ...] = ()
