"""Taking back the last recovery: a recovery of its safety checkpoint, planned, shown and undoable like any other."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Final

from maos_ckpt.client import EVERYTHING, ProgressSink
from maos_ckpt.errors import NotFoundError, UsageError
from maos_ckpt.model import Finding, RecoveryResult, Selection, Severity
from maos_ckpt.recovery import journal
from maos_ckpt.recovery.apply import recover
from maos_ckpt.recovery.open_plan import OpenPlan, open_plan
from maos_ckpt.recovery.plan import RECORDS_PER_S
from maos_ckpt.recovery.request import Request
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import Source

#: Undos in part, each of a part of the one before; every one of them keeps two checkpoints.
NARROWED_MAX: Final = 16


def open_undo_plan(
    repository: Repository,
    source: Source,
    *,
    only: Selection = EVERYTHING,
    limit: int,
    progress: ProgressSink,
    seams: Seams,
    records_per_s: float = RECORDS_PER_S,
) -> AbstractContextManager[OpenPlan]:
    """What taking back the last recovery, or `only` a part of it, would change now.

    Raises:
        NotFoundError: there was no recovery, or its safety checkpoint is gone, or a part of `only` names nothing.
        UsageError: more than `NARROWED_MAX` undos, each of a part of the one before.
    """
    request = _request(repository, only, None, "", limit)
    return open_plan(repository, source, request, progress, seams, records_per_s=records_per_s)


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

    Raises as `recover` and `open_undo_plan` do.
    """
    return recover(repository, source, _request(repository, only, digest, reason, limit), progress, seams)


def _request(repository: Repository, only: Selection, digest: str | None, reason: str, limit: int) -> Request:
    last = _last(repository)
    return Request(
        checkpoint=repository.resolve(last.safety),
        selection=last.undo_selection,
        digest=digest,
        reason=reason,
        limit=limit,
        undo=True,
        extra=last.extra_keys,
        droppable=frozenset(last.created),
        only=_narrowed(last, only),
        pinned=last.pins,
        findings=_about(last),
    )


def _narrowed(last: journal.Intent, only: Selection) -> tuple[Selection, ...]:
    """What was left of the recovery when it was done, and the part of that which is asked for now."""
    if only.all_records:
        return last.undo_only
    if len(last.undo_only) + (len(last.pins.chain) if last.pins is not None else 0) >= NARROWED_MAX:
        raise UsageError(
            f"This would be the {NARROWED_MAX}th undo in a row that takes back a part of the one before.",
            kept="Nothing was changed.",
            hint="Undo the last one as a whole, or recover what you need with a plan of its own.",
        )
    return (*last.undo_only, only)


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
