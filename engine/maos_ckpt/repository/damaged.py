"""A damaged pack, found by whoever read it: nothing may count on it any more, and the next save stores it anew."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from maos_ckpt.errors import IntegrityError, LeaseHeldError
from maos_ckpt.model import Checkpoint, CheckpointState
from maos_ckpt.repository.manifests import manifest_name
from maos_ckpt.repository.needed import needed_chunks
from maos_ckpt.repository.repository import Repository

_LOG = logging.getLogger(__name__)


def mark_damaged(repository: Repository, name: str) -> None:
    """Look which chunks of a pack cannot be read, and mark them and the checkpoints that need them.

    A save of a state that still holds them stores them anew then; a save on top of an unmarked checkpoint would take
    them over unread.
    """
    index = repository.index
    bad = {one.id for one in index.pack_chunks(name) if repository.chunks.fault(name, one) is not None}
    index.mark_damaged(name, bad, only=True)
    lost = {one for one in bad if not index.has(one)}
    if not lost:
        return
    touched = []
    for checkpoint in repository.checkpoints():
        needed: set[bytes] = set()
        faults: list[IntegrityError] = []
        needed_chunks(repository, checkpoint, needed, faults.append)
        if checkpoint.state is not CheckpointState.DAMAGED and (faults or lost & needed):
            touched.append((checkpoint, True))
    set_damaged(repository, touched)


def set_damaged(repository: Repository, found: Sequence[tuple[Checkpoint, bool]]) -> None:
    """Note of checkpoints whether they are damaged. Where somebody else holds the lease for too long, a warning says
    so: whoever looks next finds the same."""
    if not found:
        return
    try:
        with repository.marking():
            there = repository.backend.list("manifests")
            for checkpoint, damaged in found:
                # Retention may have taken it meanwhile.
                if manifest_name(checkpoint.seq) in there:
                    repository.set_marks(checkpoint, damaged=damaged)
    except LeaseHeldError as error:
        _LOG.warning("%s What was found out about %d checkpoints was not noted.", error.message, len(found))
