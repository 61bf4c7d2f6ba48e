"""Metrics of a repository: figures from its journal, and what it holds now."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path

from maos_ckpt.alerts.rules import checkpoint_age_bound_s
from maos_ckpt.config import Config
from maos_ckpt.doctor import disk
from maos_ckpt.journal import Journal, Position
from maos_ckpt.metrics import carried
from maos_ckpt.metrics.figures import Figures
from maos_ckpt.metrics.report import DEFAULT_TARGETS, checked_hours, report
from maos_ckpt.model import LOCAL_TIER, Ratios, TierStatus
from maos_ckpt.model.metrics import Holding, MetricsReport, Targets
from maos_ckpt.operations import state
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.sources.base import LOCK_BUDGET_S


class Ledger:
    """A journal's figures, kept up with it: what is new is folded in, and after a rotation that carried figures over
    everything is read again. Thread-safe; begins to read when it is first asked."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._mark: tuple[int, ...] | None = None
        self._figures = Figures()
        self._position = Position()

    def report(self, holding: Holding, now_ms: int, hours: int, targets: Targets = DEFAULT_TARGETS) -> MetricsReport:
        """The metrics now; raises UsageError as `report` does."""
        with self._lock:
            mark = self._carried_mark()
            if mark != self._mark:
                self._figures, self._position = self._journal.figures()
                self._mark = mark
            entries, self._position = self._journal.read(self._position)
            self._figures.add(entries)
            return report(self._figures, holding, now_ms, hours, targets)

    def _carried_mark(self) -> tuple[int, ...]:
        try:
            found = os.stat(self._journal.directory / carried.NAME)
        except OSError:
            return ()
        return found.st_ino, found.st_mtime_ns, found.st_size


def targets_of(config: Config) -> Targets:
    """What figures should be, from the configuration; the lock budget is MAOS's own patience."""
    wanted, alerts = config.performance, config.alerts
    return Targets(
        save_time_s=wanted.max_save_time_ms / 1000,
        recovery_time_s=wanted.max_recovery_time_ms / 1000,
        lock_time_s=LOCK_BUDGET_S,
        compression_ratio=wanted.compression_target,
        error_rate=alerts.error_rate,
        checkpoint_age_s=checkpoint_age_bound_s(config),
        spool_age_s=alerts.spool_age_seconds,
    )


def holding(
    place: Path, checkpoints: int, stored_bytes: int, ratios: Ratios, tiers: Iterable[TierStatus], now_ms: int
) -> Holding:
    """What a repository holds, from its state at a glance."""
    waiting = [tier for tier in tiers if tier.name != LOCAL_TIER]
    oldest_ms = min((one.oldest_pending_at_ms for one in waiting if one.oldest_pending_at_ms), default=None)
    return Holding(
        checkpoints=checkpoints,
        stored_bytes=stored_bytes,
        ratios=ratios,
        spool_checkpoints=sum(tier.pending for tier in waiting),
        spool_bytes=sum(tier.pending_bytes for tier in waiting),
        spool_oldest_age_s=None if oldest_ms is None else max(0.0, round((now_ms - oldest_ms) / 1000, 3)),
        free_bytes=disk(place, 0).free_bytes,
    )


def metrics(workspace: Workspace, hours: int) -> MetricsReport:
    """The metrics of a repository, all read anew.

    Raises:
        UsageError: `hours` is out of range.
        CkptError: the repository cannot be read.
    """
    checked_hours(hours)
    found, now_ms = state.repository_state(workspace), workspace.now_ms()
    held = holding(workspace.repository, found.checkpoints, found.stored_bytes, found.ratios, found.tiers, now_ms)
    return Ledger(workspace.journal).report(held, now_ms, hours, targets_of(workspace.config))
