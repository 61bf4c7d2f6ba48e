"""An error that nobody foresaw ends no thread in silence: whoever waits gets it, and the background goes on."""

from __future__ import annotations

import sqlite3

import pytest

from maos_ckpt.config.types import S3Storage, Storage
from maos_ckpt.engine import replicator as replicators
from maos_ckpt.engine.duties import Duties
from maos_ckpt.engine.replicator import PAUSE_S, Replicator
from maos_ckpt.events import CheckpointCreated, Event, ReplicationStalled
from maos_ckpt.model import Trigger
from maos_ckpt.operations import checkpoints, tiers
from maos_ckpt.operations.workspace import Workspace
from tests.engine.conftest import MakeWorkspace
from tests.engine.support import running

NOWHERE = Storage(s3=S3Storage(bucket="nowhere", endpoint_url="http://127.0.0.1:9"))


@pytest.fixture
def saved(workspace: Workspace, configured: MakeWorkspace) -> Workspace:
    """A repository with a checkpoint and a bucket that nothing is asked of."""
    checkpoints.save(workspace, Trigger.MANUAL, "", (), lambda _: None)
    return configured(storage=NOWHERE)


def broken(*_: object) -> None:
    raise sqlite3.DatabaseError("as the test ordered")


def test_a_replication_that_a_command_waits_for_ends_with_its_own_error(
    saved: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiers, "push", broken)
    with pytest.raises(sqlite3.DatabaseError, match="as the test ordered"):
        tiers.replicate_now(saved)


@pytest.mark.parametrize("where", ["replicate", "bring_home"])
def test_replication_in_the_background_goes_on_and_tells(
    saved: Workspace, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    told: list[Event] = []
    monkeypatch.setattr(replicators, "replicate", lambda *_: tiers.Pushed())
    monkeypatch.setattr(replicators, where, broken)
    tested = Replicator(saved.open_repository(), saved.seams, told.append, whole_bytes_max=0)
    assert 0 < tested.step() <= PAUSE_S
    (stalled,) = told
    assert isinstance(stalled, ReplicationStalled)
    assert "DatabaseError" in stalled.message
    tested._repository.close()


def test_the_watch_goes_on(configured: MakeWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Duties, "look", broken)
    workspace = configured(interval_seconds=3600.0)
    with running(workspace) as (_, events):
        events.wait_for(CheckpointCreated)
        for number in (2, 3):
            checkpoints.save(workspace, Trigger.MANUAL, "", (), lambda _: None)
            events.wait_for(CheckpointCreated, number)
