"""The nouns of the system as frozen values; standard library only, so that a remote console loads nothing else.

Units: sizes in bytes, times in milliseconds since 1970-01-01 UTC (`_ms`), durations in float seconds (`_s`).
"""

from __future__ import annotations

from maos_ckpt.model.changes import ChangeKind, Counts, DiffResult, FieldChange, RecordChange
from maos_ckpt.model.checkpoint import (
    COMPONENT_DATABASE,
    COMPONENT_OTHER,
    COMPONENTS,
    CaptureInfo,
    Checkpoint,
    CheckpointState,
    ChunkId,
    Collection,
    CollectionKind,
    Descriptor,
    MissingPart,
    Referrers,
    Row,
    Trigger,
    Value,
)
from maos_ckpt.model.findings import Finding, Severity
from maos_ckpt.model.insight import Advice, FindResult, Incident, Match, Recommendation, Sign
from maos_ckpt.model.recovery import LEFT_OUT_KINDS, Plan, RecoveryResult
from maos_ckpt.model.rescue import RESCUE, AgentProcess, MaosProcess, ProcessReport, ResumePoint
from maos_ckpt.model.selection import MergePolicy, Selection
from maos_ckpt.model.status import LOCAL_TIER, REMOTE_TIER, EngineStatus, Progress, RunningOperation, TierStatus
from maos_ckpt.model.upkeep import CompactResult, PruneResult, Ratios
from maos_ckpt.model.verification import ObjectRepair, TierRead, VerifyLevel, VerifyResult, VerifyTier

__all__ = [
    "Value",
    "Row",
    "ChunkId",
    "COMPONENTS",
    "COMPONENT_OTHER",
    "COMPONENT_DATABASE",
    "Trigger",
    "CheckpointState",
    "CollectionKind",
    "Descriptor",
    "Referrers",
    "Collection",
    "MissingPart",
    "CaptureInfo",
    "Checkpoint",
    "ChangeKind",
    "FieldChange",
    "RecordChange",
    "Counts",
    "DiffResult",
    "Severity",
    "Finding",
    "MergePolicy",
    "Selection",
    "Plan",
    "LEFT_OUT_KINDS",
    "RecoveryResult",
    "RESCUE",
    "ResumePoint",
    "AgentProcess",
    "MaosProcess",
    "ProcessReport",
    "VerifyLevel",
    "VerifyTier",
    "TierRead",
    "ObjectRepair",
    "VerifyResult",
    "PruneResult",
    "CompactResult",
    "Ratios",
    "Match",
    "FindResult",
    "Sign",
    "Incident",
    "Advice",
    "Recommendation",
    "Progress",
    "RunningOperation",
    "LOCAL_TIER",
    "REMOTE_TIER",
    "TierStatus",
    "EngineStatus",
]
