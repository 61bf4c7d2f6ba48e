"""How operations end: finished, stopped, or killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from maos_ckpt import wire
from maos_ckpt.engine.child import Child
from maos_ckpt.environment import child_environment
from maos_ckpt.errors import (
    CkptError,
    InterruptedByUserError,
)
from maos_ckpt.events import (
    CheckpointCreated,
    OperationFailed,
    OperationProgressed,
)
from maos_ckpt.local import LocalClient
from maos_ckpt.model import Trigger, VerifyLevel, VerifyResult
from maos_ckpt.operations import checkpoints
from maos_ckpt.operations.registry import VerifyArguments
from maos_ckpt.operations.workspace import Workspace
from tests.engine.support import WAIT_S, Events, names, running, wait_until
from tests.lab.build import build_state


def test_an_operation_outside_the_registry_is_refused_by_the_worker(workspace: Workspace) -> None:
    request = wire.Request("format disk", workspace.place, msgspec.Raw(wire.encode({})))
    with pytest.raises(CkptError, match="ended with status 2"):
        Child().run(request, VerifyResult, lambda progress: None)


# Endings and deaths


@pytest.fixture
def large(tmp_path: Path, workspace: Workspace) -> Workspace:
    """A state whose first save takes long enough to be caught in the act."""
    directory = tmp_path / "large"
    build_state(directory, tmp_path / "claude", 40 << 20, seed=2)
    return Workspace(
        directory / ".maos-ckpt", f"maos:{directory}", workspace.claude_home, workspace.config, workspace.seams
    )


def worker_of(parent: int) -> int | None:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                if int(stat[1]) == parent and b"maos_ckpt.worker" in (entry / "cmdline").read_bytes():
                    return int(entry.name)
    return None


def test_closing_lets_the_running_save_finish(large: Workspace) -> None:
    client, events = LocalClient(large), Events()
    client.subscribe(events)
    client.start()
    events.wait_for(OperationProgressed)
    assert client.status().running is not None
    assert client.close(WAIT_S)
    assert len(checkpoints.list_checkpoints(large, 10)) == 1
    assert len(events.of(CheckpointCreated)) == 1


def test_a_killed_worker_is_an_error_and_the_next_save_just_works(large: Workspace) -> None:
    client, events = LocalClient(large), Events()
    client.subscribe(events)
    client.start()
    try:
        events.wait_for(OperationProgressed)
        worker = worker_of(os.getpid())
        assert worker is not None
        os.kill(worker, signal.SIGKILL)
        failed = events.wait_for(OperationFailed)[0]
        assert isinstance(failed, OperationFailed)
        assert "killed by signal 9" in failed.message
        assert names(client) == []
        assert "killed" in client.status().last_error
        saved = client.save()
        assert names(client) == [saved.id]
        assert client.verify([], VerifyLevel.FULL).ok
    finally:
        assert client.close(WAIT_S)


def test_sigterm_lets_a_worker_finish_its_save(large: Workspace) -> None:
    client, events, saved = LocalClient(large), Events(), []
    client.subscribe(events)
    client.start()
    try:
        events.wait_for(OperationProgressed)
        worker = worker_of(os.getpid())
        assert worker is not None
        os.kill(worker, signal.SIGTERM)
        events.wait_for(CheckpointCreated)
        saved = names(client)
    finally:
        assert client.close(WAIT_S)
    assert len(saved) == 1


def test_a_reading_worker_stops_when_it_is_asked_to(large: Workspace) -> None:
    for _ in range(3):
        checkpoints.save(large, Trigger.MANUAL, "", (), lambda progress: None)
    child = Child()
    request = wire.Request("verify", large.place, msgspec.Raw(wire.encode(VerifyArguments((), VerifyLevel.FULL))))
    with pytest.raises(InterruptedByUserError, match="The verify was stopped"):
        child.run(request, VerifyResult, lambda progress: child.terminate())
    late = Child()
    late.terminate()
    with pytest.raises(InterruptedByUserError, match="before it began"):
        late.run(request, VerifyResult, lambda progress: None)


ENGINE = """
import sys
from pathlib import Path
from maos_ckpt.config import Config
from maos_ckpt.events import OperationProgressed
from maos_ckpt.local import LocalClient
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
repository, source, home = sys.argv[1:]
client = LocalClient(Workspace(Path(repository), source, Path(home), Config(), SYSTEM))
client.subscribe(lambda event: isinstance(event, OperationProgressed) and print("busy", flush=True))
client.start()
SYSTEM.clock.sleep(60)
"""


def test_a_killed_engine_leaves_its_save_to_be_finished(large: Workspace) -> None:
    arguments = [str(large.repository), large.source, str(large.claude_home)]
    with subprocess.Popen(
        [sys.executable, "-c", ENGINE, *arguments], stdout=subprocess.PIPE, env=child_environment()
    ) as engine:
        assert engine.stdout is not None
        assert engine.stdout.readline() == b"busy\n"
        engine.kill()
    wait_until(lambda: len(checkpoints.list_checkpoints(large, 10)) == 1, "the orphan's checkpoint")
    with running(large) as (client, _):
        assert client.status().role == "engine"
        assert client.verify([], VerifyLevel.FULL).ok
