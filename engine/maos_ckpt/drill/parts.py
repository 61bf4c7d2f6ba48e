"""Scenarios in which a part of the state is broken, and only that part is put back."""

from __future__ import annotations

from maos_ckpt.drill import faults, madness
from maos_ckpt.drill.afterwards import assert_recovered
from maos_ckpt.drill.stage import Stage
from maos_ckpt.model import Selection


def component_corrupted(stage: Stage) -> None:
    """The component with the most bytes is scribbled over, and put back; the others are not touched."""
    stage.clone_base()
    assert stage.database is not None
    with stage.opened() as repository:
        checkpoint = repository.resolve(stage.origin.checkpoint.id)
        found = faults.largest_component(repository, checkpoint, stage.database)
        component, tables = stage.require_found("there is a component to corrupt", found)
        rows = faults.corrupt_tables(stage.database, tables)
        what = f"{rows} rows of {', '.join(one.origin for one in tables)} were deleted or scribbled over"
        if component == "memory":
            what += f", and {faults.corrupt_transcripts(sorted(stage.place.claude.rglob('*.jsonl')))} transcripts cut"
        stage.begin_fault(f"The component {component} is corrupted: {what}.")
        selection = Selection(components=(component,), exact=True)
        stage.recover(repository, checkpoint, selection)
        assert_recovered(stage, repository, checkpoint, selection)


def mad_agent(stage: Stage) -> None:
    """One agent breaks its records while another one works on; the one is put back, the other's work stays."""
    stage.clone_base()
    assert stage.database is not None
    deeds = stage.require_found("there is an agent", madness.choose(stage.database))
    if deeds.other is None:
        stage.notes.append("There is no other agent whose later work could be lost.")
    else:
        madness.work_on(stage.database, deeds.other)
    with stage.opened() as repository:
        stage.step("the others work on")
        before = stage.save(repository, "just before the fault")
        what = madness.go_mad(stage.database, stage.place.claude / "projects", deeds)
        stage.begin_fault(what)
        checkpoint = repository.resolve(stage.origin.checkpoint.id)
        selection = Selection(records=tuple(deeds.patterns), exact=True)
        stage.recover(repository, checkpoint, selection)
        assert_recovered(stage, repository, checkpoint, selection, before)
