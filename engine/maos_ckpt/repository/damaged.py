"""A damaged pack, found by whoever read it: nothing may count on it any more, and the next save stores it anew."""

from __future__ import annotations

from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import CheckpointState
from maos_ckpt.repository.needed import needed_chunks
from maos_ckpt.repository.repository import Repository


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
    for checkpoint in repository.checkpoints():
        needed: set[bytes] = set()
        faults: list[IntegrityError] = []
        needed_chunks(repository, checkpoint, needed, faults.append)
        if checkpoint.state is not CheckpointState.DAMAGED and (faults or lost & needed):
            repository.set_marks(checkpoint, damaged=True)
