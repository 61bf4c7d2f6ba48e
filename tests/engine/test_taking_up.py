"""An engine takes up its duties whole or not at all, and never while it ends."""

from __future__ import annotations

import pytest

from maos_ckpt.engine import service
from maos_ckpt.engine.duties import Duties
from maos_ckpt.engine.lock import engine_owner
from maos_ckpt.engine.service import Engine
from maos_ckpt.errors import StorageError
from maos_ckpt.events import CheckpointCreated, EngineStarted
from tests.engine.conftest import MakeWorkspace
from tests.engine.support import WAIT_S, Events, running, wait_until


def test_duties_that_cannot_be_taken_up_leave_no_trace_of_an_engine(
    configured: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = configured(interval_seconds=3600.0)
    with running(workspace) as (_, events):
        events.wait_for(CheckpointCreated)

    def refuse(*_: object, **__: object) -> Duties:
        raise StorageError("as the test ordered")

    with monkeypatch.context() as patched:
        patched.setattr(service, "Duties", refuse)
        engine, heard = Engine(workspace), Events()
        engine.subscribe(heard)
        with pytest.raises(StorageError, match="as the test ordered"):
            engine.start()
        assert engine_owner(workspace.repository) is None
        assert engine.close(WAIT_S)
        assert heard.of(EngineStarted) == []
    with running(workspace) as (client, events):
        assert client.status().role == "engine"
        assert len(events.wait_for(EngineStarted)) == 1


def test_who_ends_takes_up_nothing_any_more(configured: MakeWorkspace) -> None:
    workspace = configured(interval_seconds=3600.0)
    with running(workspace) as (_, events):
        events.wait_for(CheckpointCreated)
        observer = Engine(workspace)
        observer.start()
        assert observer.status().role == "observer"
        assert observer.close(WAIT_S)
    wait_until(lambda: engine_owner(workspace.repository) is None, "the engine's end")
    observer._take_up(1)
    assert engine_owner(workspace.repository) is None
