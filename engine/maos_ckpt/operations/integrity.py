"""What is known of the integrity of what is stored, without reading any of it; and mending it."""

from __future__ import annotations

import itertools

from maos_ckpt.client import ProgressSink
from maos_ckpt.events import VerificationCompleted
from maos_ckpt.journal import as_event
from maos_ckpt.model import LOCAL_TIER, REMOTE_TIER, VerifyLevel, VerifyResult
from maos_ckpt.model.integrity import Coverage, IntegrityReport, VerificationRun
from maos_ckpt.operations import checkpoints
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.scrub import EVERY_S, Round, load_rounds

#: How far back in the journal verifications are looked for.
_ENTRIES_MAX = 20_000


def integrity(workspace: Workspace, limit: int) -> IntegrityReport:
    """Coverage of each tier, and the newest `limit` verifications."""
    days = workspace.config.scrub_days
    with workspace.reading(news=False) as repository:
        rounds = load_rounds(repository)
    tiers = (LOCAL_TIER,) if workspace.remote is None else (LOCAL_TIER, REMOTE_TIER)
    return IntegrityReport(
        days, tuple(_coverage(name, rounds.get(name, Round()), days) for name in tiers), _runs(workspace, limit)
    )


def _coverage(tier: str, one: Round, days: int) -> Coverage:
    return Coverage(
        tier,
        one.at_ms or None,
        one.read,
        one.total,
        one.completed_at_ms,
        one.at_ms + int(EVERY_S * 1000) if one.at_ms and days else None,
        tuple(one.damaged),
    )


def _runs(workspace: Workspace, limit: int) -> tuple[VerificationRun, ...]:
    found: list[VerificationRun] = []
    for entry in itertools.islice(workspace.journal.newest_first(), _ENTRIES_MAX):
        if len(found) >= limit:
            break
        if entry[0] != VerificationCompleted.__name__:
            continue
        event = as_event(entry)
        if isinstance(event, VerificationCompleted):
            found.append(
                VerificationRun(
                    event.at_ms,
                    str(event.level),
                    event.ok,
                    event.objects,
                    event.bytes,
                    event.findings,
                    event.scrub,
                    event.checkpoints,
                    event.everything,
                )
            )
    return tuple(found)


def repair(workspace: Workspace, level: VerifyLevel, progress: ProgressSink) -> VerifyResult:
    """Check all checkpoints in every tier, and replace what is damaged or missing with what the other tier holds."""
    return checkpoints.verify(workspace, (), level, progress, repair=True)
