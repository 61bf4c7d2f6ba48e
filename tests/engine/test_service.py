"""The running service on a real MAOS state, with real worker processes."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from pathlib import Path

import pytest

from maos_ckpt.engine.workers import Workers
from maos_ckpt.errors import (
    ConflictError,
    NotFoundError,
    PermissionRefusedError,
    PlanMovedError,
    SourceError,
)
from maos_ckpt.events import (
    CheckpointCreated,
    CheckpointMarked,
    CheckpointsRemoved,
    EngineStarted,
    EngineStopped,
    OperationFailed,
    OperationProgressed,
    RecoveryCompleted,
    VerificationCompleted,
)
from maos_ckpt.local import LocalClient
from maos_ckpt.model import Checkpoint, Selection, Trigger, VerifyLevel
from maos_ckpt.operations import checkpoints, keeping
from maos_ckpt.operations.registry import PlanArguments, RecommendArguments
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
from tests.engine.conftest import MakeWorkspace
from tests.engine.support import WAIT_S, database, names, running, wait_until
from tests.lab.mutate import mutate
from tests.lab.values import dump_exact

FAR_S = 3600.0


def test_the_engine_takes_the_first_checkpoint_at_once_and_then_keeps_the_beat(configured: MakeWorkspace) -> None:
    with running(configured(interval_seconds=0.5)) as (client, events):
        events.wait_for(CheckpointCreated, 3)
        status = client.status()
        assert status.role == "engine"
        assert status.next_run_at_ms is not None
        assert status.last_success is not None
        assert status.last_success.trigger is Trigger.SCHEDULE
        assert status.repository_bytes > 0
    assert len(events.of(EngineStarted)) == len(events.of(EngineStopped)) == 1


def test_a_save_on_demand_is_listed_and_says_where_it_is(configured: MakeWorkspace) -> None:
    with running(configured(interval_seconds=FAR_S)) as (client, events):
        events.wait_for(CheckpointCreated)
        saved = client.save("before the release", ["release"])
        assert client.checkpoint("latest") == saved
        assert (saved.description, saved.tags, saved.trigger) == ("before the release", ("release",), Trigger.MANUAL)
        assert names(client)[0] == saved.id
        events.wait_for(CheckpointCreated, 2)
        assert events.of(OperationProgressed)


def test_diff_verify_pin_and_delete_work_beside_the_schedule(configured: MakeWorkspace) -> None:
    workspace = configured(interval_seconds=FAR_S)
    with running(workspace) as (client, events):
        first = events.wait_for(CheckpointCreated)[0]
        assert isinstance(first, CheckpointCreated)
        changed = mutate(database(workspace).parent, 0.05, seed=3)
        result = client.diff(first.checkpoint, "live")
        assert result.summary.total >= sum(map(len, changed.values()))
        assert client.verify([], VerifyLevel.FULL).ok
        assert client.set_pinned(first.checkpoint, True).pinned
        with pytest.raises(ConflictError, match="pinned"):
            client.delete(first.checkpoint)
        client.set_pinned(first.checkpoint, False)
        second = client.save()
        assert client.delete(first.checkpoint) == first.checkpoint
        assert names(client) == [second.id]
        events.wait_for(VerificationCompleted)
        events.wait_for(CheckpointMarked, 2)
        events.wait_for(CheckpointsRemoved)
        with pytest.raises(NotFoundError):
            client.checkpoint(first.checkpoint)


def test_a_recovery_is_planned_applied_and_taken_back(configured: MakeWorkspace) -> None:
    workspace = configured(interval_seconds=FAR_S)
    with running(workspace) as (client, events):
        first = _id(events.wait_for(CheckpointCreated)[0])
        wanted = dump_exact(database(workspace))
        mutate(database(workspace).parent, 0.1, seed=3)
        damaged = dump_exact(database(workspace))
        plan = client.plan(first, Selection())
        assert plan.summary.total > 0
        with pytest.raises(PlanMovedError):
            client.recover(first, Selection(), digest="0" * 64, reason="wrong plan")
        result = client.recover(first, Selection(), digest=plan.digest, reason="a test")
        assert (result.applied, result.verified) == (True, True)
        assert dump_exact(database(workspace)) == wanted
        back = client.undo_plan()
        assert back.summary.total == plan.summary.total
        assert client.undo(digest=back.digest, reason="").verified
        assert dump_exact(database(workspace)) == damaged
        done = events.wait_for(RecoveryCompleted, 2)
        assert [event.undo for event in done if isinstance(event, RecoveryCompleted)] == [False, True]
        names_, fields = client.recent_events(1)[0]
        assert (names_, fields["undo"]) == ("RecoveryCompleted", True)
    # A refused plan is an answer, not a failure of the system.
    assert not events.of(OperationFailed)


def test_a_source_that_goes_away_is_told_and_forgiven_when_it_comes_back(configured: MakeWorkspace) -> None:
    workspace = configured(interval_seconds=0.5)
    with running(workspace) as (client, events):
        events.wait_for(CheckpointCreated)
        away = database(workspace).with_suffix(".away")
        database(workspace).rename(away)
        failed = events.wait_for(OperationFailed)[0]
        assert isinstance(failed, OperationFailed)
        assert (failed.operation, failed.kind) == ("save", "source")
        wait_until(lambda: bool(client.status().last_error), "the error in the status")
        with pytest.raises(SourceError):
            client.save()
        count = len(events.of(CheckpointCreated))
        assert "restore" in failed.message or "gone" in failed.message
        away.rename(database(workspace))
        events.wait_for(CheckpointCreated, count + 1)
        wait_until(lambda: not client.status().last_error, "the error to be forgiven")


def test_the_status_is_right_after_a_restart(configured: MakeWorkspace) -> None:
    workspace = configured(interval_seconds=FAR_S)
    with running(workspace) as (client, events):
        events.wait_for(CheckpointCreated)
        before = client.status().last_success
    away = database(workspace).with_suffix(".away")
    database(workspace).rename(away)
    with pytest.raises(SourceError):
        checkpoints.save(workspace, Trigger.MANUAL, "", (), lambda progress: None)
    with running(workspace) as (client, events):
        status = client.status()
        assert status.last_success == before
        assert "maos.db" in status.last_error
        assert status.last_error_at_ms is not None


def test_a_second_engine_observes_and_takes_over_when_the_first_ends(configured: MakeWorkspace) -> None:
    first = LocalClient(configured(interval_seconds=FAR_S))
    first.start()
    with running(configured(interval_seconds=0.3)) as (second, events):
        status = second.status()
        assert status.role == "observer"
        assert f"process {os.getpid()}" in status.owner
        assert status.interval_s == FAR_S
        saved = first.save("by the first")
        wait_until(lambda: saved.id in [_id(event) for event in events.of(CheckpointCreated)], "the observer to notice")
        by_second = second.save("by the second")
        assert first.checkpoints()[0].id == by_second.id
        assert first.close(WAIT_S)
        wait_until(lambda: second.status().role == "engine", "the take-over")
        count = len(names(second))
        wait_until(lambda: len(names(second)) > count, "a scheduled save")


def _id(event: object) -> str:
    assert isinstance(event, CheckpointCreated)
    return event.checkpoint


def test_what_other_processes_do_is_announced_once(configured: MakeWorkspace) -> None:
    workspace = configured(interval_seconds=FAR_S)
    with running(workspace) as (client, events):
        events.wait_for(CheckpointCreated)
        by_hand = checkpoints.save(workspace, Trigger.MANUAL, "", (), lambda progress: None)
        # Its journal line is lost, as on a full disk; the manifest is there all the same.
        journal = workspace.journal.path
        events.wait_for(CheckpointCreated, 2)
        journal.rename(journal.with_suffix(".aside"))
        checkpoints.save(workspace, Trigger.MANUAL, "", (), lambda progress: None)
        journal.unlink()
        events.wait_for(CheckpointCreated, 3)
        SYSTEM.clock.sleep(1.2)
        announced = [_id(event) for event in events.of(CheckpointCreated)]
        assert announced == list(reversed(names(client)))
        assert by_hand.id in announced


def test_retention_is_applied_after_saves_and_spares_what_is_pinned(configured: MakeWorkspace) -> None:
    workspace = configured(interval_seconds=FAR_S, max_checkpoints=3)
    with running(workspace) as (client, events):
        events.wait_for(CheckpointCreated)
        pinned = client.set_pinned("latest", True)
        saved = [client.save(str(number)).id for number in range(5)]
        assert names(client) == [*reversed(saved[-3:]), pinned.id]
        events.wait_for(CheckpointsRemoved, 2)
        assert client.verify([], VerifyLevel.FULL).ok


def test_retention_leaves_what_is_on_a_screen_until_it_is_not(configured: MakeWorkspace) -> None:
    """Also where another process does the pruning; and a console that closes holds nothing any more."""
    workspace = configured(interval_seconds=FAR_S, max_checkpoints=2)
    with running(workspace) as (client, events):
        shown = _id(events.wait_for(CheckpointCreated)[0])
        client.hold(frozenset({shown}))
        saved = [client.save(str(number)).id for number in range(3)]
        assert names(client) == [*reversed(saved[-2:]), shown]
        kept = keeping.prune(workspace, 1, True, lambda progress: None).kept
        assert kept[shown] == "shown on a console"
        client.hold(frozenset({saved[-1]}))
        saved.append(client.save().id)
        assert names(client) == [*reversed(saved[-2:])]
        client.hold(frozenset({saved[-2]}))
    assert keeping.prune(workspace, 1, False, lambda progress: None).removed == (saved[-2],)


def test_a_plan_keeps_its_checkpoint_from_the_retention_of_the_next_saves(configured: MakeWorkspace) -> None:
    workspace = configured(interval_seconds=FAR_S, max_checkpoints=1)
    with running(workspace) as (client, events):
        first = _id(events.wait_for(CheckpointCreated)[0])
        mutate(database(workspace).parent, 0.1, seed=3)
        plan = client.plan(first, Selection())
        client.save()
        client.save()
        assert client.recover(first, Selection(), digest=plan.digest, reason="").verified


def test_the_status_names_manifests_that_cannot_be_read(configured: MakeWorkspace) -> None:
    workspace = configured(interval_seconds=FAR_S)
    for _ in range(2):
        checkpoints.save(workspace, Trigger.MANUAL, "", (), lambda progress: None)
    newest = max((workspace.repository / "manifests").iterdir())
    newest.write_bytes(b"garbage")
    with running(workspace) as (client, _):
        assert client.status().damaged_manifests == (f"manifests/{newest.name}",)


def test_saves_without_an_engine_remove_nothing(workspace: Workspace, configured: MakeWorkspace) -> None:
    few = configured(max_checkpoints=1)
    for _ in range(3):
        checkpoints.save(few, Trigger.MANUAL, "", (), lambda progress: None)
    assert len(checkpoints.list_checkpoints(workspace, 100)) == 3


def test_read_only_looks_but_does_not_touch(configured: MakeWorkspace, workspace: Workspace) -> None:
    checkpoints.save(workspace, Trigger.MANUAL, "", (), lambda progress: None)
    with running(configured(read_only=True, interval_seconds=0.2)) as (client, events):
        status = client.status()
        assert (status.role, status.read_only, status.next_run_at_ms) == ("observer", True, None)
        assert client.diff("latest", "live").summary.total == 0
        with pytest.raises(PermissionRefusedError):
            client.save()
        with pytest.raises(PermissionRefusedError):
            client.delete("latest")
        SYSTEM.clock.sleep(0.5)
        assert len(names(client)) == 1
    assert not events.of(EngineStarted)


def test_no_source_and_no_repository_is_a_clear_refusal(tmp_path: Path, workspace: Workspace) -> None:
    gone = Workspace(tmp_path / "r", f"maos:{tmp_path}/gone", workspace.claude_home, workspace.config, SYSTEM)
    client = LocalClient(gone)
    with pytest.raises(SourceError):
        client.start()
    assert client.close(WAIT_S)
    assert not (tmp_path / "r").exists()


def test_operations_from_many_threads_all_get_their_answer(configured: MakeWorkspace) -> None:
    with running(configured(interval_seconds=FAR_S, max_checkpoints=0)) as (client, events):
        events.wait_for(CheckpointCreated)
        saved: list[Checkpoint] = []
        threads = [threading.Thread(target=lambda: saved.append(client.save())) for _ in range(4)]
        for thread in threads:
            thread.start()
        assert client.diff("latest", "live").summary.total == 0
        for thread in threads:
            thread.join(WAIT_S)
        assert len({one.id for one in saved}) == 4
        assert len(names(client)) == 5


def test_a_locked_out_writer_is_not_felt_by_the_sources_owner(configured: MakeWorkspace) -> None:
    workspace = configured(interval_seconds=0.2, max_checkpoints=0)
    with running(workspace) as (_, events):
        connection = sqlite3.connect(database(workspace), timeout=1.0)
        with contextlib.closing(connection):
            for number in range(200):
                with connection:
                    connection.execute("UPDATE agents SET status = ?", (str(number),))
        events.wait_for(CheckpointCreated, 3)
        assert not events.of(OperationFailed)


def test_a_plan_does_not_wait_for_advice_that_nobody_waits_for(workspace: Workspace) -> None:
    checkpoints.save(workspace, Trigger.MANUAL, "", (), lambda step: None)
    workers = Workers(workspace, progressed=lambda step: None, failed=lambda name, error: None, done=lambda: None)
    held = threading.Event()
    busy = threading.Thread(target=lambda: workers.drills.submit("drill", held.wait).result())
    busy.start()
    wait_until(lambda: workers.drills.running is not None, "the lane to be busy")
    advised: list[object] = []
    asking = threading.Thread(target=lambda: advised.append(workers.run("recommend", RecommendArguments(None))))
    asking.start()
    try:
        assert workers.run("plan", PlanArguments("latest", Selection(), 10)).summary.total == 0
        assert not advised
    finally:
        held.set()
        asking.join(WAIT_S)
        busy.join(WAIT_S)
        workers.close(writer_stops=True)
        assert workers.join(WAIT_S)
    assert len(advised) == 1
