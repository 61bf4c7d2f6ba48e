"""What a recovery changed, found again at any time: its plan, made once more from the two checkpoints around it."""

from __future__ import annotations

from maos_ckpt.errors import NotFoundError
from maos_ckpt.recovery.completion import complete
from maos_ckpt.recovery.journal import Pinned
from maos_ckpt.recovery.planner import Planner
from maos_ckpt.repository.repository import Repository
from maos_ckpt.states import StoredState


def pinned_planner(
    repository: Repository, pinned: Pinned | None, extra: frozenset[tuple[str, bytes]]
) -> Planner | None:
    """The planner of that recovery; None where there is nothing to pin.

    Raises:
        NotFoundError: one of the two checkpoints is gone.
    """
    if pinned is None:
        return None
    try:
        safety, target = repository.resolve(pinned.safety), repository.resolve(pinned.checkpoint)
    except NotFoundError as error:
        raise NotFoundError(
            f"What the last recovery changed cannot be told any more: {error.message}",
            kept="Nothing was changed.",
            hint=f"Recover what you need from its safety checkpoint {pinned.safety}, with a plan of its own.",
        ) from error
    planner = Planner(
        StoredState(repository, safety),
        StoredState(repository, target),
        pinned.selection,
        extra,
        only=pinned.only,
        pinned=pinned_planner(repository, pinned.pinned, extra),
    )
    complete(planner)
    return planner
