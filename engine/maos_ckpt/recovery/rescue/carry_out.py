"""Planning a rescue and carrying it out, by the machinery of every recovery."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from maos_ckpt.client import ProgressSink
from maos_ckpt.errors import NotFoundError, UsageError
from maos_ckpt.model import Checkpoint, RecoveryResult
from maos_ckpt.recovery.apply import recover
from maos_ckpt.recovery.computed import Compute, Computed
from maos_ckpt.recovery.open_plan import OpenPlan, open_plan
from maos_ckpt.recovery.plan import RECORDS_PER_S
from maos_ckpt.recovery.planner import KEYS_ONLY
from maos_ckpt.recovery.request import Request
from maos_ckpt.recovery.rescue.diagnosis import diagnose
from maos_ckpt.recovery.rescue.living import look
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import Source
from maos_ckpt.sources.maos.source import MaosSource
from maos_ckpt.sources.several import SeveralSource
from maos_ckpt.states import State


def open_rescue_plan(
    repository: Repository,
    source: Source,
    latest: Checkpoint,
    *,
    limit: int,
    progress: ProgressSink,
    seams: Seams,
    records_per_s: float = RECORDS_PER_S,
) -> AbstractContextManager[OpenPlan]:
    """What a rescue would change now; writes nothing. `latest`: any checkpoint of the repository.

    Raises:
        UsageError: the source is no MAOS.
        NotFoundError: there is no database, or none that a MAOS wrote.
        ConflictError: a MAOS is running, and nothing but what is its own could be mended.
    """
    request = Request(latest, KEYS_ONLY, limit=limit, compute=_compute(source, seams))
    return open_plan(repository, source, request, progress, seams, records_per_s=records_per_s)


def rescue(
    repository: Repository,
    source: Source,
    latest: Checkpoint,
    *,
    digest: str | None,
    reason: str,
    limit: int,
    progress: ProgressSink,
    seams: Seams,
) -> RecoveryResult:
    """Carry a rescue out; the caller holds the lease. Errors as those of `open_rescue_plan` and `recover`."""
    request = Request(latest, KEYS_ONLY, digest, reason, limit, compute=_compute(source, seams))
    return recover(repository, source, request, progress, seams)


def maos_source(source: Source) -> MaosSource:
    """The source as a MAOS.

    Raises:
        UsageError: it is none.
    """
    base = source.base if isinstance(source, SeveralSource) else source
    if not isinstance(base, MaosSource):
        raise UsageError(
            f"{source.spec} is no MAOS, and only what a MAOS left behind can be rescued.",
            kept="Nothing was changed.",
            hint="Name a MAOS working directory with --source maos:DIR.",
        )
    return base


def _compute(given: Source, seams: Seams) -> Compute:
    source = maos_source(given)
    if not source.database.exists():
        raise NotFoundError(
            f"There is no database in {source.layout.directory} to rescue.",
            kept="Nothing was changed.",
            hint="`maos-ckpt restore latest` brings it back from a checkpoint.",
        )

    def compute(live: State, beat: Callable[[], None]) -> Computed:
        # Processes are looked at anew each time: a MAOS may have been started since the plan was shown.
        return diagnose(live, look(source.layout, seams), beat)

    return compute
