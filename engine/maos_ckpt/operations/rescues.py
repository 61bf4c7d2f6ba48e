"""Planning and carrying out a rescue: what a crashed MAOS left behind, mended."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from maos_ckpt.client import ProgressSink
from maos_ckpt.model import Plan, RecoveryResult, ResumePoint, Trigger
from maos_ckpt.operations import checkpoints, recoveries
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.recovery.open_plan import OpenPlan
from maos_ckpt.recovery.request import checked_digest
from maos_ckpt.recovery.rescue import carry_out, resume
from maos_ckpt.repository.repository import Repository
from maos_ckpt.sources.base import Source
from maos_ckpt.states import live_state

_FIRST = "before the first rescue"


def plan(workspace: Workspace, limit: int, progress: ProgressSink) -> Plan:
    """The plan of `open_plan`, with at most `limit` of its changes."""
    with open_plan(workspace, limit, progress) as opened:
        return opened.plan


@contextlib.contextmanager
def open_plan(workspace: Workspace, limit: int, progress: ProgressSink) -> Iterator[OpenPlan]:
    """What a rescue would change now; changes nothing live. Raises as `open_rescue_plan`.

    Where there is no checkpoint yet, one is saved first: a crash is a poor moment to go without.
    """
    _save_first(workspace, progress)
    with workspace.reading() as repository:
        source = workspace.live_source(repository, allow_missing=True)
        with carry_out.open_rescue_plan(
            repository,
            source,
            repository.resolve("latest"),
            limit=limit,
            progress=progress,
            seams=workspace.seams,
            records_per_s=recoveries.records_per_s(workspace),
        ) as opened:
            yield opened


def rescue(workspace: Workspace, digest: str | None, reason: str, limit: int, progress: ProgressSink) -> RecoveryResult:
    """Mend what a crash left behind, exactly as the plan of that digest says, or, where it is None, as it is then.

    Raises:
        UsageError: see `checked_digest`; raised before anything is looked at.
    """
    digest = checked_digest(digest)
    workspace.refuse_if_read_only("rescue")
    _save_first(workspace, progress)

    def apply(repository: Repository, source: Source, sink: ProgressSink) -> RecoveryResult:
        return carry_out.rescue(
            repository,
            source,
            repository.resolve("latest"),
            digest=digest,
            reason=reason,
            limit=limit,
            progress=sink,
            seams=workspace.seams,
        )

    return recoveries.carry_out(workspace, "rescue", reason, apply, progress, digest=digest)


def resume_point(workspace: Workspace, agent: str, at: str, progress: ProgressSink) -> ResumePoint:
    """Where to continue an agent: at the checkpoint that `at` names, or, where that is "", where its transcript was
    last. Raises as `resume.resume_point`, and UsageError where the source is no MAOS.
    """
    _save_first(workspace, progress)
    with workspace.reading() as repository:
        source = carry_out.maos_source(workspace.live_source(repository, allow_missing=True))
        checkpoint = repository.resolve(at) if at else None
        with live_state(repository, source, progress, "rescue") as live:
            return resume.resume_point(repository, live, agent, checkpoint, source.layout, workspace.seams.processes)


def _save_first(workspace: Workspace, progress: ProgressSink) -> None:
    if workspace.repository.is_dir() or workspace.config.read_only:
        with workspace.reading(news=False) as repository:
            if repository.latest() is not None:
                return
    checkpoints.save(workspace, Trigger.MANUAL, _FIRST, (), progress)
