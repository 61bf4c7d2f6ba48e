"""Taking back the last recovery: a recovery of its safety checkpoint, planned, shown and undoable like any other."""

from __future__ import annotations

from maos_ckpt.errors import NotFoundError
from maos_ckpt.model import Plan, RecoveryResult
from maos_ckpt.recovery import journal
from maos_ckpt.recovery.apply import ProgressSink, Request, recover
from maos_ckpt.recovery.plan import make_plan
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import Source


def undo_plan(repository: Repository, source: Source, *, limit: int, progress: ProgressSink, seams: Seams) -> Plan:
    """What taking back the last recovery would change now.

    Raises:
        NotFoundError: there was no recovery, or its safety checkpoint is gone.
    """
    last = _last(repository)
    return make_plan(
        repository,
        source,
        repository.resolve(last.safety),
        last.undo_selection,
        limit=limit,
        progress=progress,
        seams=seams,
        extra=last.extra_keys,
    )


def undo(
    repository: Repository,
    source: Source,
    *,
    digest: str | None,
    reason: str,
    limit: int,
    progress: ProgressSink,
    seams: Seams,
) -> RecoveryResult:
    """Take back the last recovery; the caller holds the lease. Errors as `recover`'s and `undo_plan`'s."""
    last = _last(repository)
    request = Request(
        checkpoint=repository.resolve(last.safety),
        selection=last.undo_selection,
        digest=digest,
        reason=reason,
        limit=limit,
        undo=True,
        extra=last.extra_keys,
    )
    return recover(repository, source, request, progress, seams)


def _last(repository: Repository) -> journal.Intent:
    last = journal.last_done(repository)
    if last is None:
        raise NotFoundError(
            "There is no recovery to take back.",
            kept="Nothing was changed.",
            hint="`maos-ckpt list` shows the checkpoints you can restore.",
        )
    return last
