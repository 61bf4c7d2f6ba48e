"""What a recovery takes, what it would change, and what it did."""

from __future__ import annotations

from dataclasses import dataclass

from maos_ckpt.model.changes import Counts, RecordChange
from maos_ckpt.model.findings import Finding, Severity
from maos_ckpt.model.selection import Selection


@dataclass(frozen=True, slots=True)
class Plan:
    """The record-level changes that turn the live state into the selected part of a checkpoint.

    `digest` (64 hex digits) covers checkpoint, selection and every touched live record: equal digest, equal plan.
    `changes` is bounded for display; `summary` counts all. An empty plan (summary.total == 0) means nothing to do.
    `kept`, `conflicts`: differing live records that the merge policy leaves as they are, and among the selected ones
    those for which it cannot tell; findings name the first of them.
    """

    checkpoint: str
    selection: Selection
    digest: str
    summary: Counts
    by_component: dict[str, Counts]
    changes: tuple[RecordChange, ...]
    truncated: bool
    findings: tuple[Finding, ...]
    write_bytes: int
    estimated_s: float
    running: tuple[str, ...] = ()
    kept: int = 0
    conflicts: int = 0


#: Kinds of findings that, unless they are mere information, say what a recovery leaves as it is though it is selected.
LEFT_OUT_KINDS = frozenset({"columns", "conflict", "keys", "retyped", "schema", "unread"})


@dataclass(frozen=True, slots=True)
class RecoveryResult:
    """What a recovery did. `verified`: planning again gave an empty plan. `resume_commands`: exact shell lines that
    continue agents whose transcript was put back. `skipped`: files left alone, each with the reason; also in `notes`.
    """

    plan: Plan
    applied: bool
    verified: bool
    safety_checkpoint: str | None
    duration_s: float
    stall_s: float = 0.0
    resume_commands: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def partial(self) -> bool:
        """Whether a part of the selection could not be put back; `skipped` and the plan's findings name it."""
        found = self.plan.findings
        return bool(self.skipped) or any(
            one.kind in LEFT_OUT_KINDS and one.severity is not Severity.INFO for one in found
        )
