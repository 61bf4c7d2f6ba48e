"""Taking back the last recovery: a recovery of its safety checkpoint, planned, shown and undoable like any other."""

from __future__ import annotations

import contextlib

from maos_ckpt.client import EVERYTHING
from maos_ckpt.errors import NotFoundError
from maos_ckpt.model import Finding, RecoveryResult, Selection, Severity
from maos_ckpt.recovery import journal
from maos_ckpt.recovery.apply import recover
from maos_ckpt.recovery.plan import OpenPlan, PlanRequest, open_plan
from maos_ckpt.recovery.prepare import ProgressSink
from maos_ckpt.recovery.request import Request
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import Source


def open_undo_plan(
    repository: Repository,
    source: Source,
    *,
    only: Selection = EVERYTHING,
    limit: int,
    progress: ProgressSink,
    seams: Seams,
) -> contextlib.AbstractContextManager[OpenPlan]:
    """What taking back the last recovery, or `only` a part of it, would change now.

    Raises:
        NotFoundError: there was no recovery, or its safety checkpoint is gone.
    """
    last = _last(repository)
    request = PlanRequest(
        repository.resolve(last.safety),
        last.undo_selection,
        limit,
        extra=last.extra_keys,
        droppable=frozenset(last.created),
        only=_narrowed(last, only),
        undo=True,
        pinned=last.pins,
        findings=_about(last),
    )
    return open_plan(repository, source, request, progress, seams)


def undo(
    repository: Repository,
    source: Source,
    *,
    only: Selection = EVERYTHING,
    digest: str | None,
    reason: str,
    limit: int,
    progress: ProgressSink,
    seams: Seams,
) -> RecoveryResult:
    """Take back the last recovery, or `only` a part of it; the caller holds the lease.

    Raises as `recover` and `undo_plan` do.
    """
    last = _last(repository)
    request = Request(
        checkpoint=repository.resolve(last.safety),
        selection=last.undo_selection,
        digest=digest,
        reason=reason,
        limit=limit,
        undo=True,
        extra=last.extra_keys,
        droppable=frozenset(last.created),
        only=_narrowed(last, only),
        findings=_about(last),
        pinned=last.pins,
    )
    return recover(repository, source, request, progress, seams)


def _narrowed(last: journal.Intent, only: Selection) -> tuple[Selection, ...]:
    """What was left of the recovery when it was done, and the part of that which is asked for now."""
    return last.only if only.whole else (*last.only, only)


def _about(last: journal.Intent) -> tuple[Finding, ...]:
    """What taking back a recovery that made the database cannot do."""
    if not last.builds:
        return ()
    if not last.aside:
        text = "There was no database before that recovery: taking it back empties the one that it made."
        return (Finding(Severity.INFO, "damaged", text),)
    text = f"That recovery moved a damaged database to {last.aside}; taking it back empties the new one and leaves the"
    text += " damaged one there. To have it back, stop MAOS and move it into place yourself."
    return (Finding(Severity.WARNING, "damaged", text, last.aside),)


def _last(repository: Repository) -> journal.Intent:
    last = journal.last_done(repository)
    if last is None:
        raise NotFoundError(
            "There is no recovery to take back.",
            kept="Nothing was changed.",
            hint="`maos-ckpt list` shows the checkpoints you can restore.",
        )
    return last
