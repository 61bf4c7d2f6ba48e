"""Alerts: what an operator must be told of, how it stands, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class AlertName(StrEnum):
    """Every condition that raises an alert; at most one of each stands at a time."""

    CHECKPOINT_AGE = "checkpoint-age"
    SAVE_TIME = "save-time"
    ERROR_RATE = "error-rate"
    SPOOL_AGE = "spool-age"
    DISK_SPACE = "disk-space"
    INTEGRITY = "integrity"
    DRILL = "drill"


class AlertState(StrEnum):
    """`acknowledged`: somebody saw it, and no more is sent until it clears. `snoozed`: nothing is sent for a time."""

    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"


CRITICAL = "critical"
WARNING = "warning"
#: Of each alert: how bad it is.
SEVERITIES = {
    AlertName.CHECKPOINT_AGE: CRITICAL,
    AlertName.SAVE_TIME: WARNING,
    AlertName.ERROR_RATE: WARNING,
    AlertName.SPOOL_AGE: WARNING,
    AlertName.DISK_SPACE: CRITICAL,
    AlertName.INTEGRITY: CRITICAL,
    AlertName.DRILL: WARNING,
}
#: Of each alert: what to do, in the order in which to do it.
RUNBOOKS = {
    AlertName.CHECKPOINT_AGE: "Work since the last checkpoint is not protected. Read the last error in"
    " `maos-ckpt status`, run `maos-ckpt doctor` for source, disk and lease, then"
    " `maos-ckpt save`, which says what stops it.",
    AlertName.SAVE_TIME: "Look at `maos-ckpt metrics` for since when, and whether lock time or the whole save grew."
    " Let the codec be chosen (compression.codec = auto), lengthen interval_seconds, or raise"
    " performance.max_save_time_ms.",
    AlertName.ERROR_RATE: "`maos-ckpt events --since 2h` lists what failed and why; `maos-ckpt doctor` checks what most"
    " failures come from. What was committed is safe.",
    AlertName.SPOOL_AGE: "Checkpoints are safe on this machine alone. `maos-ckpt status` says why S3 lacks them, and"
    " `maos-ckpt doctor` tries it out. They are sent by themselves when it answers again.",
    AlertName.DISK_SPACE: "Saves fail when the disk is full. Delete the folder cache/ in the repository, which costs"
    " speed only; then `maos-ckpt prune --keep-last N`, or move the repository to a larger disk.",
    AlertName.INTEGRITY: "Stop deleting. `maos-ckpt verify --all` names what is damaged, and with --repair mends it"
    " from the other tier. Take a checkpoint: it stores anew what cannot be read. Then suspect the disk.",
    AlertName.DRILL: "`maos-ckpt drill --history` shows when the last one was and what failed. Hold one with"
    " `maos-ckpt drill`; a recovery that was not rehearsed is a hope.",
}


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert that stands. Times in milliseconds since 1970-01-01 UTC.

    Args:
        severity: `critical` or `warning`.
        message: what is wrong, in one sentence; may quote others (untrusted).
        since_ms: when it was raised.
        key: names this incident; the same however often it is sent.
        by: who acknowledged or snoozed it, "" where nobody did.
        until_ms: when a snoozed one is sent again, where it still stands.
        runbook: what to do.
    """

    name: str
    severity: str
    state: AlertState
    message: str
    since_ms: int
    key: str
    runbook: str
    by: str = ""
    until_ms: int | None = None
