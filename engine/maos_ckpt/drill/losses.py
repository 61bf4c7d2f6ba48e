"""Scenarios in which the whole state is gone: from this machine, or with it."""

from __future__ import annotations

from maos_ckpt.drill.afterwards import assert_recovered
from maos_ckpt.drill.stage import Stage
from maos_ckpt.errors import NotFoundError
from maos_ckpt.model import Selection
from maos_ckpt.replication.pull import make_home, pull


def full_loss(stage: Stage) -> None:
    """Database, transcripts and files are deleted."""
    stage.clone_base()
    files = stage.place.lose_state()
    stage.begin_fault(f"All {files} files of the state were deleted.")
    with stage.opened() as repository:
        checkpoint = repository.resolve(stage.origin.checkpoint.id)
        stage.recover(repository, checkpoint, Selection())
        assert_recovered(stage, repository, checkpoint, Selection())


def lost_machine(stage: Stage) -> None:
    """Nothing is left but the bucket and the key."""
    origin = stage.origin
    assert origin.remote is not None
    stage.place.make()
    stage.begin_fault("A machine with nothing on it: no state, no repository, no cache.")
    stage.notes += origin.key_notes
    stage.step("make a home from the bucket")
    made = make_home(stage.place.repository, origin.remote, origin.seams, origin.unlock)
    with stage.using(made) as repository:
        pull(repository, stage.quietly)
        same = repository.header.id == origin.identity
        stage.require("the bucket holds this repository", same, repository.remote_copy.location)
        try:
            checkpoint = repository.resolve(origin.asked)
        except NotFoundError as error:
            stage.require("the bucket holds the checkpoint", False, error.message)
            return
        behind = "" if checkpoint.id == origin.checkpoint.id else f"; {origin.checkpoint.id} is not there yet"
        stage.check("the bucket holds the checkpoint", True, checkpoint.id + behind)
        here = len(repository.backend.list("packs"))
        stage.check("no pack is on this machine before the recovery", here == 0, f"{here} packs")
        stage.recover(repository, checkpoint, Selection())
        assert_recovered(stage, repository, checkpoint, Selection(), tier=None)
