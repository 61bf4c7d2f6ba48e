"""How deep and where a verification reads, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from maos_ckpt.model.findings import Finding


class VerifyLevel(StrEnum):
    """How deep a verification reads: objects and sizes; each pack's checksum; each chunk decoded, roots rebuilt."""

    QUICK = "quick"
    STANDARD = "standard"
    FULL = "full"


class VerifyTier(StrEnum):
    """Where a verification reads: the local repository, the remote copy, or both."""

    LOCAL = "local"
    S3 = "s3"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class TierRead:
    """What was read of one tier, `local` or `s3`: objects and stored bytes; whether that went past the read cache."""

    tier: str
    objects: int
    bytes: int
    cache_bypassed: bool = True


@dataclass(frozen=True, slots=True)
class ObjectRepair:
    """A stored object that was repaired, put aside, or cannot be repaired; `detail` says how, where or why."""

    tier: str
    object: str
    detail: str


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What a verification read, found and repaired.

    `ok`: nothing is wrong, or not any more. `unrepaired`: objects that are damaged or missing still. `last_good`: where
    checkpoints are damaged, the newest one that is whole.
    """

    level: VerifyLevel
    ok: bool
    checkpoints: int
    objects: int
    bytes: int
    findings: tuple[Finding, ...]
    duration_s: float
    tiers: tuple[TierRead, ...] = ()
    repaired: tuple[ObjectRepair, ...] = ()
    quarantined: tuple[ObjectRepair, ...] = ()
    unrepaired: tuple[ObjectRepair, ...] = ()
    last_good: str = ""
