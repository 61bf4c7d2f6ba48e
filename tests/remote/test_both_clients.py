"""What a client of an engine does, whether the engine is embedded or in another process: one suite for both."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from pathlib import Path

import pytest

from maos_ckpt.errors import CkptError, ConflictError, NotFoundError, PlanMovedError, UsageError
from maos_ckpt.events import (
    CheckpointCreated,
    CheckpointMarked,
    CheckpointsRemoved,
    Event,
    OperationFailed,
    OperationProgressed,
    RecoveryCompleted,
    VerificationCompleted,
)
from maos_ckpt.model import RESCUE, MergePolicy, Selection, Trigger, VerifyLevel
from maos_ckpt.model.drills import DrillScenario
from maos_ckpt.operations.metrics import targets_of
from tests.engine.support import Events, wait_until
from tests.lab.mutate import mutate
from tests.lab.values import dump_exact
from tests.remote.conftest import Subject

UNKNOWN = "cp_0000000000000"


def test_the_engine_takes_its_first_checkpoint_and_says_how_it_stands(subject: Subject) -> None:
    status = subject.client.status()
    assert (status.role, status.source, status.owner) == ("engine", subject.workspace.source, "")
    assert status.repository == str(subject.workspace.repository)
    assert status.last_success is not None
    assert status.last_success.trigger is Trigger.SCHEDULE
    assert status.last_success == subject.client.checkpoint("latest")
    assert status.repository_bytes > 0
    assert status.tiers[0].name == "local"


def test_a_save_is_listed_and_told_with_its_progress(subject: Subject) -> None:
    saved = subject.client.save('before "the release" \x1b[1m', ["release", "ÄÖ"])
    assert subject.client.checkpoint(saved.id[-6:]) == saved == subject.client.checkpoints(1)[0]
    assert (saved.description, saved.tags) == ('before "the release" \x1b[1m', ("release", "ÄÖ"))
    assert isinstance(saved.digest, bytes)

    def told() -> list[int]:
        found = [one for one in subject.events.of(CheckpointCreated) if isinstance(one, CheckpointCreated)]
        return [one.records for one in found if one.checkpoint == saved.id]

    wait_until(lambda: bool(told()), "the event")
    assert told() == [saved.records]
    progressed = subject.events.of(OperationProgressed)
    assert any(isinstance(one, OperationProgressed) and one.progress.operation == "save" for one in progressed)


def test_differences_are_listed_up_to_the_limit(subject: Subject) -> None:
    changed = mutate(subject.database.parent, 0.05, seed=3)
    result = subject.client.diff("latest", "live", 5)
    assert result.summary.total >= sum(map(len, changed.values()))
    assert len(result.changes) == 5
    assert result.truncated
    everything = subject.client.diff("latest", "live", 100_000)
    assert len(everything.changes) == everything.summary.total
    assert any(one.fields for one in everything.changes)


def test_verifications_are_remembered_and_a_repair_is_one(subject: Subject) -> None:
    client = subject.client
    one = client.save("to be read back")
    assert not client.cancel_verification(), "none is under way"
    assert client.verify([one.id], VerifyLevel.STANDARD).ok
    mended = client.repair(VerifyLevel.QUICK)
    assert (mended.ok, mended.repaired) == (True, ())
    report = client.integrity(2)
    assert [(run.level, run.everything, run.checkpoints) for run in report.runs] == [
        ("quick", True, ()),
        ("standard", False, (one.id,)),
    ]
    assert report.runs[1].bytes > 0
    assert (report.scrub_days, [tier.tier for tier in report.coverage]) == (7, ["local"])


def test_verifying_pinning_and_deleting(subject: Subject) -> None:
    client, events = subject.client, subject.events
    one = client.save("to go")
    assert client.verify([one.id], VerifyLevel.FULL).ok
    assert client.set_pinned(one.id, True).pinned
    with pytest.raises(ConflictError, match="pinned") as caught:
        client.delete(one.id)
    assert caught.value.hint
    assert not client.set_pinned(one.id, False).pinned
    assert client.delete(one.id) == one.id
    with pytest.raises(NotFoundError):
        client.checkpoint(one.id)
    events.wait_for(VerificationCompleted)
    events.wait_for(CheckpointMarked, 2)
    removed = events.wait_for(CheckpointsRemoved)[-1]
    assert isinstance(removed, CheckpointsRemoved)
    assert removed.checkpoints == (one.id,)


def test_a_recovery_is_planned_applied_and_taken_back(subject: Subject) -> None:
    client = subject.client
    wanted = dump_exact(subject.database)
    point = client.save("the wanted state").id
    mutate(subject.database.parent, 0.1, seed=4)
    damaged = dump_exact(subject.database)
    selection = Selection(components=("agents", "tasks", "queue", "memory", "system"), exact=True)
    plan = client.plan(point, selection)
    assert plan.selection == selection
    assert plan.summary.total > 0
    with pytest.raises(PlanMovedError) as caught:
        client.recover(point, selection, digest="0" * 64, reason="wrong plan")
    assert caught.value.data["changes"] == plan.summary.total
    assert caught.value.kept
    result = client.recover(point, selection, digest=plan.digest, reason="a test")
    assert (result.applied, result.verified, result.plan.digest) == (True, True, plan.digest)
    assert dump_exact(subject.database) == wanted
    back = client.undo_plan()
    assert back.summary.total == plan.summary.total
    assert client.undo(digest=back.digest, reason="").verified
    assert dump_exact(subject.database) == damaged
    done = subject.events.wait_for(RecoveryCompleted, 2)
    assert [one.undo for one in done if isinstance(one, RecoveryCompleted)] == [False, True]
    name, fields = client.recent_events(1)[0]
    assert (name, fields["undo"], fields["reason"]) == ("RecoveryCompleted", True, "")
    assert not client.cancel_recovery()
    # A refused plan is an answer, not a failure of the system.
    assert not subject.events.of(OperationFailed)


def test_a_part_is_recovered_to_another_place(subject: Subject, tmp_path: Path) -> None:
    to = f"sqlite:{tmp_path}/part.db"
    only = Selection(components=("agents",), merge=MergePolicy.REPLACE)
    looked = subject.client.recover_to("latest", only, to, dry_run=True, limit=3)
    assert not looked.applied
    assert not (tmp_path / "part.db").exists()
    built = subject.client.recover_to("latest", only, to, digest=looked.plan.digest)
    assert built.verified
    with contextlib.closing(sqlite3.connect(tmp_path / "part.db")) as connection:
        assert connection.execute("SELECT count(*) FROM agents").fetchone()[0] > 0


def test_rescues_and_resume_points(subject: Subject) -> None:
    plan = subject.client.rescue_plan(3)
    assert plan.checkpoint == RESCUE
    with pytest.raises(CkptError) as caught:
        subject.client.resume_point("no-such-agent")
    assert caught.value.message
    # A damaged digest is refused before anything is read.
    with pytest.raises(UsageError):
        subject.client.rescue(digest="no digest", reason="")


def test_contents_are_read_page_by_page_and_exported(subject: Subject, tmp_path: Path) -> None:
    client = subject.client
    first = client.records("latest", component="agents", limit=1)
    second = client.records(first.checkpoint, component="agents", after=first.next, limit=1)
    assert {one.component for one in (*first.records, *second.records)} == {"agents"}
    assert first.records != second.records
    record = first.records[0]
    told = client.history(f"agents/{record.collection}/{record.key}", 2)
    assert told.versions[-1].key == record.key
    exported = client.export("latest", str(tmp_path / "files"))
    assert sum(one.records for one in exported.files) == client.checkpoint("latest").records


def test_the_live_state_is_read_page_by_page_as_well_and_long_values_are_clipped(subject: Subject) -> None:
    client = subject.client
    key = client.records("latest", record="agents/agents/*", limit=1).records[0].key
    with contextlib.closing(sqlite3.connect(subject.database)) as connection, connection:
        connection.execute("UPDATE agents SET name = ? WHERE id = ?", ("ä" * 50, key))
    path, kept = f"agents/agents/{key}", client.records("latest", record=f"agents/agents/{key}")
    live = client.records("live", record=path, clip=10)
    assert live.checkpoint == "live"
    clipped = {"$clipped": "ä" * 10, "of": "text", "length": 50}
    assert [json.loads(one.values_json)["name"] for one in live.records] == [clipped]
    assert json.loads(kept.records[0].values_json)["name"] != clipped
    pages = [client.records("live", record="tasks/tasks/*", limit=7)]
    while pages[-1].next:
        pages.append(client.records("live", record="tasks/tasks/*", after=pages[-1].next, limit=7))
    listed = [one.key for page in pages for one in page.records]
    assert listed == [one.key for one in client.records("latest", record="tasks/tasks/*", limit=1000).records]


def test_tags_metrics_and_alerts(subject: Subject) -> None:
    client = subject.client
    assert client.change_tags("latest", ["ä", "b"]).tags == ("ä", "b")
    assert client.change_tags("latest", remove=["b", "ä"]).tags == ()
    report = client.metrics(2)
    assert report.hours == 2
    assert report.saves >= 1
    assert report.targets == targets_of(subject.workspace.config)
    assert sum(one.count for one in report.lock_time_trend) == report.saves
    assert (report.holding.free_bytes or 0) > 0
    with pytest.raises(UsageError):
        client.metrics(0)
    assert client.alerts() == ()
    with pytest.raises(NotFoundError):
        client.acknowledge("no such alert")
    with pytest.raises(UsageError):
        client.save(trigger=Trigger.SAFETY)


def test_finding_and_recommending(subject: Subject) -> None:
    with contextlib.closing(sqlite3.connect(subject.database)) as connection:
        agent = connection.execute("SELECT id FROM agents LIMIT 1").fetchone()[0]
    found = subject.client.find(agent, component="agents", limit=3)
    assert found.matches
    assert found.matches[0].component == "agents"
    newest, oldest = subject.client.checkpoints()[0], subject.client.checkpoints()[-1]
    assert subject.client.find(agent.upper(), between=(oldest.id, newest.id), ignore_case=True, limit=1).matches
    advice = subject.client.recommend(newest.id)
    assert advice.asked is not None
    assert advice.asked.checkpoint == newest.id


def test_processes_and_drills(subject: Subject) -> None:
    assert isinstance(subject.client.processes().maos, tuple)
    report = subject.client.drill("latest", [DrillScenario.WRONG_KEY], reason="because")
    assert [one.scenario for one in report.scenarios] == ["wrong-key"]
    history = subject.client.drills(5)
    assert history.reports[0] == report


@pytest.mark.parametrize("name", ["checkpoint", "plan", "delete", "set_pinned"])
def test_a_name_that_does_not_exist_is_not_found_and_nothing_changes(subject: Subject, name: str) -> None:
    before = subject.client.checkpoints()
    more: dict[str, tuple[object, ...]] = {"plan": (Selection(),), "set_pinned": (True,)}
    with pytest.raises(NotFoundError) as caught:
        getattr(subject.client, name)(UNKNOWN, *more.get(name, ()))
    assert UNKNOWN in caught.value.message
    assert caught.value.hint
    assert subject.client.checkpoints() == before


def test_a_second_recovery_beside_a_running_one_is_refused(subject: Subject) -> None:
    """The first is held up by somebody who writes to the database."""
    client = subject.client
    point = client.save().id
    mutate(subject.database.parent, 0.05, seed=9)
    first: list[object] = []

    def recover() -> None:
        try:
            first.append(client.recover(point, Selection(), digest=None, reason="first"))
        except CkptError as error:
            first.append(error)

    blocker = sqlite3.connect(subject.database, isolation_level=None)
    with contextlib.closing(blocker):
        blocker.execute("BEGIN IMMEDIATE")
        thread = threading.Thread(target=recover)
        thread.start()
        while True:
            running = client.status().running
            if running is not None and running.operation == "restore":
                break
        with pytest.raises(ConflictError):
            client.recover(point, Selection(), digest=None, reason="second")
        blocker.execute("ROLLBACK")
    thread.join()
    assert not isinstance(first[0], CkptError), first[0]


def test_a_listener_may_leave_and_does_not_hear_any_more(subject: Subject) -> None:
    heard: list[Event] = []
    leave = subject.client.subscribe(heard.append)
    stays = Events()
    leave_too = subject.client.subscribe(stays)
    subject.client.set_pinned("latest", True)
    stays.wait_for(CheckpointMarked)
    leave()
    leave()
    number = len(heard)
    assert number
    subject.client.set_pinned("latest", False)
    stays.wait_for(CheckpointMarked, 2)
    leave_too()
    assert len(heard) == number


def test_what_is_on_the_screen_is_held(subject: Subject) -> None:
    from maos_ckpt.operations import keeping

    shown = subject.client.checkpoints()[-1].id

    def kept() -> dict[str, str]:
        return keeping.prune(subject.workspace, 1, True, lambda progress: None).kept

    subject.client.hold(frozenset({shown}))
    assert kept()[shown] == "shown on a console"
    subject.client.hold(frozenset())
    assert shown not in kept()
