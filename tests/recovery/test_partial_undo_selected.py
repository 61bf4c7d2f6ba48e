"""An undo of a part that is named by what it holds: that part goes back and comes again, whatever it holds by then."""

from __future__ import annotations

import pytest

from maos_ckpt.errors import InterruptedByUserError, NotFoundError, PartialError, UsageError
from maos_ckpt.model import MergePolicy, Progress, Selection
from maos_ckpt.operations import recoveries
from maos_ckpt.operations.keeping import needed_by_recoveries
from maos_ckpt.recovery import apply, undo
from maos_ckpt.recovery.json_path import common, parse_field
from tests.recovery.conftest import Site
from tests.recovery.test_selecting import SESSION, A, B, fill, ruin

AGENT = Selection(agents=(A,))
MESSAGES = "SELECT id, message FROM messages ORDER BY id"
GONE = [(1, "gone"), (2, "gone"), (3, "gone")]
SAVED = [(1, "Hello World"), (2, "hi"), (3, "invoice 17")]


@pytest.fixture
def recovered(site: Site) -> Site:
    """Everything was changed, and a whole recovery has taken it back."""
    fill(site)
    site.save()
    ruin(site)
    assert site.recover().verified
    assert site.run(MESSAGES) == SAVED
    return site


def transcript(site: Site) -> str:
    return (site.layout.projects / site.layout.slugs[0] / f"{SESSION}.jsonl").read_text()


def test_one_agent_is_taken_back_and_comes_again_though_its_records_are_anothers_by_then(recovered: Site) -> None:
    plan = recovered.undo_plan(AGENT)
    assert recovered.undo(plan.digest, AGENT).verified
    assert recovered.run(MESSAGES) == [*GONE[:2], SAVED[2]]
    assert '"gone"' in transcript(recovered)
    recovered.run(
        f"UPDATE messages SET from_agent = '{B}', to_agent = NULL",
        f"UPDATE messages SET from_agent = '{A}', message = 'new' WHERE id = 3",
        "UPDATE agents SET session_id = 'another'",
    )
    again = recovered.undo()
    assert again.verified
    assert recovered.run(MESSAGES) == [*SAVED[:2], (3, "new")]
    assert '"gone"' not in transcript(recovered)
    # And once more: what the undo of the undo changed, and nothing else.
    assert recovered.undo().verified
    assert recovered.run(MESSAGES) == [*GONE[:2], (3, "new")]
    assert '"gone"' in transcript(recovered)


def test_a_part_of_an_agent_that_was_recovered_is_what_both_name(site: Site) -> None:
    fill(site)
    site.save()
    ruin(site)
    assert site.recover(selection=AGENT).verified
    assert site.undo_plan(Selection(("tasks",))).summary.total == 2
    assert site.undo_plan(Selection(agents=(B,))).summary.total == 2, "a task and a message of both"
    assert site.undo(only=Selection(agents=(B,), records=("agents/agents/analyst*",))).verified
    assert site.run(MESSAGES) == [SAVED[0], GONE[1], GONE[2]]
    assert site.undo(only=Selection(("queue",))).verified
    assert site.run(MESSAGES) == [*SAVED[:2], GONE[2]]
    with site.workspace.reading() as repository:
        ids = {one.id for one in repository.checkpoints()}
        assert set(needed_by_recoveries(repository)) == ids, "each of them tells a part of what was changed"
    assert site.undo().verified
    assert site.run(MESSAGES) == [SAVED[0], GONE[1], GONE[2]]


def test_all_of_a_long_undo_can_be_read(recovered: Site) -> None:
    with recoveries.open_undo_plan(recovered.workspace, 1, lambda step: None, only=AGENT) as opened:
        changes = list(opened.changes())
        assert (len(opened.plan.changes), opened.plan.truncated) == (1, True)
    assert len(changes) == opened.plan.summary.total
    assert opened.plan.digest == recovered.undo_plan(AGENT).digest


def test_one_field_of_a_recovery_is_taken_back(recovered: Site) -> None:
    recovered.run(f"UPDATE agents SET status = 'later' WHERE id = '{A}'")
    only = Selection(fields=(f"agents/agents/{A}:name",))
    assert recovered.undo(only=only).verified
    found = f"SELECT name, status FROM agents WHERE id = '{A}'"
    assert recovered.run(found) == [("gone", "later")]
    assert recovered.undo().verified
    assert recovered.run(found) == [("Ana", "later")]


def test_a_field_of_a_record_that_the_recovery_brought_is_no_reason_to_take_the_record(site: Site) -> None:
    fill(site)
    site.save()
    site.run("DELETE FROM messages WHERE id = 1")
    assert site.recover().verified
    plan = site.undo_plan(Selection(fields=("queue/messages/1:message",)))
    assert (plan.summary.total, plan.conflicts) == (0, 1)


def test_what_nobody_has_and_too_long_a_chain_are_refused(recovered: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError):
        recovered.undo_plan(Selection(agents=("analist-0000000a",)))
    with pytest.raises(NotFoundError):
        recovered.undo(only=Selection(searches=("nobody says this",)))
    monkeypatch.setattr(undo, "NARROWED_MAX", 1)
    assert recovered.undo(only=AGENT).verified
    with pytest.raises(UsageError, match="in a row"):
        recovered.undo_plan(AGENT)
    assert recovered.undo_plan().summary.total


def test_an_undo_of_an_agent_that_was_cut_short_is_finished_by_what_was_planned(recovered: Site) -> None:
    before = transcript(recovered)
    # The database tells of this session only until the undo has written it over.
    recovered.run(f"UPDATE agents SET session_id = 'another' WHERE id = '{A}'")

    def stop(step: Progress) -> None:
        if step.phase == "files":
            raise InterruptedByUserError("stopped")

    with pytest.raises(PartialError):
        recoveries.undo(recovered.workspace, None, "test", 10, stop, only=AGENT)
    recovered.save()
    assert '"gone"' in transcript(recovered)
    assert recovered.undo().verified
    assert transcript(recovered) == before


@pytest.mark.parametrize(
    "selection",
    [
        Selection(fields=(f"agents/agents/{A}:name",)),
        Selection(("agents", "tasks", "memory"), merge=MergePolicy.ADD_MISSING),
        Selection(merge=MergePolicy.KEEP_NEWER),
    ],
)
def test_what_stays_partly_as_it_was_live_is_proven_without_reading_everything(
    site: Site, selection: Selection, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(site)
    site.run(f"UPDATE agents SET last_active = '2026-01-02 00:00:00' WHERE id = '{A}'")
    site.save()
    ruin(site)
    site.run(
        f"UPDATE agents SET status = 'live', last_active = '2026-01-01 00:00:00' WHERE id = '{A}'",
        f"DELETE FROM tasks WHERE id = 'task-{A}'",
    )
    proven: list[bool] = []
    check = apply.only_as_planned

    def told(*arguments: object) -> bool:
        proven.append(check(*arguments))  # type: ignore[arg-type]
        return proven[-1]

    monkeypatch.setattr(apply, "only_as_planned", told)
    done = site.recover(selection=selection)
    assert (done.applied, done.verified) == (True, True)
    assert proven == [True]


def test_what_two_choices_of_fields_have_in_common() -> None:
    whole, inner, other = (parse_field(f"c/t/k:{one}") for one in ("a", "a.b[0]", "a.b[1]"))
    assert common((), ()) == ()
    assert common((), (inner,)) == common((whole,), (inner,)) == common((inner,), ()) == (inner,)
    assert common((inner,), (other,)) is None
    assert common((inner,), None) is None
    assert common((), None) is None
    assert common((whole,), (inner, other)) == (inner, other)
