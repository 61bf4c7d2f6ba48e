"""The planner of what is asked for."""

from __future__ import annotations

from collections.abc import Callable

from maos_ckpt.recovery.pinned import pinned_planner
from maos_ckpt.recovery.planner import Planner, computed_planner
from maos_ckpt.recovery.request import Request
from maos_ckpt.repository.repository import Repository
from maos_ckpt.states import State, StoredState


def requested(
    repository: Repository, request: Request, live: State, target: StoredState, beat: Callable[[], None] = lambda: None
) -> Planner:
    """Plans what `request` asks for; `beat` is called now and then where that is computed.

    Raises:
        NotFoundError: see `pinned_planner`.
    """
    if request.compute is not None:
        return computed_planner(live, target, request.compute(live, beat))
    return Planner(
        live,
        target,
        request.selection,
        request.extra,
        droppable=request.droppable,
        only=request.only,
        pinned=pinned_planner(repository, request.pinned, request.extra),
    )
