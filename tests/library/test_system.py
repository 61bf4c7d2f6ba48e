"""An embedded engine with managers: its worker processes ask this one, whatever becomes of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import maos_ckpt
from benchmarks.barrier import recover, system_of, take
from maos_ckpt import CheckpointSystem, create_checkpoint_system, set_log_level
from maos_ckpt.environment import child_environment
from maos_ckpt.errors import CkptError, ConfigError, ConflictError, UsageError
from maos_ckpt.events import CheckpointCreated, Event
from tests.library.ledger import Ledger
from tests.library.managers import AsyncManager, Manager

#: The engine's own saves only disturb what is looked at here.
QUIET = {"intervalSeconds": 86_400, "scrubDays": 0}


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 60))


def kill_worker() -> None:
    """Kill the worker process that this engine waits for."""
    for pid in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split() + _of_threads():
        with contextlib.suppress(OSError):
            if b"maos_ckpt.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(int(pid), signal.SIGKILL)


def _of_threads() -> list[str]:
    found: list[str] = []
    for task in Path(f"/proc/{os.getpid()}/task").iterdir():
        with contextlib.suppress(OSError):
            found += (task / "children").read_text().split()
    return found


def test_an_invariant_over_managers_and_maos_holds_in_every_checkpoint_under_the_hooks(tmp_path: Path) -> None:
    """The short version of `python -m benchmarks.barrier`."""
    ledger = Ledger(tmp_path / "team", tmp_path / "claude")
    ledger.start()
    try:
        taken, bad = asyncio.run(take(ledger, tmp_path / "repository", 4, hooks=True))

        async def while_it_writes() -> None:
            async with system_of(ledger, tmp_path / "repository", hooks=True) as system:
                assert (await system.recover_from_checkpoint(checkpoint_id=taken[0].id)).verified

        run(while_it_writes())
    finally:
        ledger.stop()
    assert bad == 0
    assert all(one.capture.held and one.capture.pause_s > 0 for one in taken)
    assert ledger.errors == []
    done = asyncio.run(recover(ledger, tmp_path / "repository", taken[1], ("memory", "")))
    assert done == {"memory": True, "everything": True}


def test_a_system_that_was_stopped_stays_so_and_says_it_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        for used in (True, False):
            system = create_checkpoint_system(QUIET, {"agents": Manager(a=1)}, directory=tmp_path)
            if used:
                await system.start()
            assert await system.stop()
            threads = threading.active_count()
            for again in (system.initialize, system.start, system.create_checkpoint):
                with pytest.raises(ConflictError, match="was stopped"):
                    await again()
            assert await system.stop()
            assert threading.active_count() <= threads

    run(scenario())


def test_a_second_system_on_a_repository_says_that_another_takes_the_checkpoints(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with create_checkpoint_system(QUIET, {"agents": Manager(a=1)}, directory=tmp_path):
            assert caplog.messages == []
            async with create_checkpoint_system(QUIET, {"agents": Manager(a=1)}, directory=tmp_path):
                (said,) = caplog.messages
                assert said.startswith(f"process {os.getpid()} on ")

    run(scenario())


def test_a_worker_that_dies_while_the_system_is_held_lets_it_go(tmp_path: Path) -> None:
    steps: list[str] = []

    def quiesce() -> None:
        steps.append("quiesce")
        if steps == ["quiesce"]:
            kill_worker()

    async def scenario() -> None:
        manager = Manager(a=1)
        system = create_checkpoint_system(
            QUIET, {"agents": manager}, directory=tmp_path, quiesce=quiesce, resume=lambda: steps.append("resume")
        )
        async with system:
            with contextlib.suppress(CkptError):
                await system.create_checkpoint()
            assert steps[:2] == ["quiesce", "resume"]
            assert (await system.create_checkpoint()).capture.held

    run(scenario())


def test_a_recovery_whose_worker_dies_at_the_restore_is_finished_by_the_next_operation(tmp_path: Path) -> None:
    class Deadly(Manager):
        armed = False

        def restore(self, items: dict[Any, Any]) -> None:
            if self.armed:
                self.armed = False
                kill_worker()
                raise RuntimeError("the worker is gone")
            super().restore(items)

    async def scenario() -> None:
        manager = Deadly(a=1)
        async with create_checkpoint_system(QUIET, {"agents": manager}, directory=tmp_path) as system:
            one = await system.create_checkpoint()
            manager.state, manager.armed = {"a": 2}, True
            with pytest.raises(CkptError, match="killed by signal 9"):
                await system.recover_from_checkpoint(checkpoint_id=one.id)
            assert manager.state == {"a": 2}
            assert "interrupted" in (await asyncio.to_thread(system.client.status)).unfinished_recovery
            two = await system.create_checkpoint()
            assert manager.state == {"a": 1}
            assert two.digest == one.digest

    run(scenario())


def test_coroutines_of_managers_and_hooks_run_on_the_programs_own_loop(tmp_path: Path) -> None:
    async def scenario() -> None:
        loops: list[object] = []

        async def note() -> None:
            loops.append(asyncio.get_running_loop())

        manager = AsyncManager(a=1)
        system = create_checkpoint_system(QUIET, {"tasks": manager}, directory=tmp_path, quiesce=note, resume=note)
        async with system:
            one = await system.create_checkpoint()
            assert not one.partial
            manager.state = {}
            result = await system.recover_from_checkpoint(partial=True)
            assert result.verified
            assert manager.state == {"a": 1}
        assert set(loops) | set(manager.loops) == {asyncio.get_running_loop()}

    run(scenario())


def test_events_reach_callbacks_coroutines_and_iterators_and_count_in_the_metrics(tmp_path: Path) -> None:
    async def scenario() -> None:
        heard: list[tuple[str, Event]] = []

        async def later(event: Event) -> None:
            await asyncio.sleep(0)
            heard.append(("coroutine", event))

        def failing(event: Event) -> None:
            raise RuntimeError("a listener's own fault")

        system = create_checkpoint_system(QUIET, {"agents": {"a": 1}}, directory=tmp_path)
        leave = system.on("checkpointCreated", lambda event: heard.append(("callback", event)))
        system.on("checkpoint_created", later)
        system.on("CheckpointCreated", failing)
        for wrong in ("checkpointMade", "", "on"):
            with pytest.raises(UsageError, match="no event"):
                system.on(wrong, failing)
        async with system:
            follow = asyncio.ensure_future(_first(system, CheckpointCreated))
            one = await system.create_checkpoint("said", ["x"])
            assert await asyncio.wait_for(follow, 20)
            await _until(lambda: {kind for kind, event in heard if _is_of(event, one.id)} == {"callback", "coroutine"})
            leave()
            found = await system.get_metrics()
            trends = await asyncio.to_thread(system.metrics.get_performance_trends, 24)
            assert found.total_checkpoints >= 1
            assert sum(point.count for point in trends.save_time_trend) == found.saves
            assert trends.success_rate_over_time == found.success_rate_over_time
            with pytest.raises(UsageError):
                await system.get_metrics(0)
        with pytest.raises(ConflictError, match="was stopped"):
            await system.create_checkpoint()

    logging.getLogger("maos_ckpt.library.system").setLevel(logging.CRITICAL + 1)
    run(scenario())


async def _first(system: CheckpointSystem, kind: type[Event]) -> Event:
    async for event in system.events():
        if isinstance(event, kind):
            return event
    raise AssertionError("the events ended")


def _is_of(event: Event, checkpoint: str) -> bool:
    return isinstance(event, CheckpointCreated) and event.checkpoint == checkpoint


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come")


def test_wrong_calls_are_told_before_anything_is_made(tmp_path: Path) -> None:
    for arguments in (
        ({"intervalSecond": 5},),
        ({"intervalSeconds": "often"},),
        ({}, {"agentManager": 7}),
        ({}, {"agentManager": {}, "agents": {}}),
        ({}, {"../x": {}}),
        ({"sources": ["provider:os:environ"]}, {"agents": {}}),
        ({},),
    ):
        with pytest.raises((UsageError, ConfigError)):
            create_checkpoint_system(*arguments, directory=tmp_path)
    with pytest.raises(UsageError):
        set_log_level("loud")
    assert list(tmp_path.iterdir()) == []

    async def too_early() -> None:
        with pytest.raises(CkptError, match="has not been started"):
            await create_checkpoint_system({}, {"agents": {}}, directory=tmp_path).create_checkpoint()

    run(too_early())


def test_the_log_level_is_that_of_this_library_alone() -> None:
    before = logging.getLogger().level, logging.getLogger("maos_ckpt").level
    try:
        set_log_level("debug")
        assert logging.getLogger("maos_ckpt.engine").isEnabledFor(logging.DEBUG)
        assert logging.getLogger().level == before[0]
    finally:
        logging.getLogger("maos_ckpt").setLevel(before[1])


def test_importing_the_package_loads_the_standard_library_alone() -> None:
    code = "import sys, maos_ckpt; print([m for m in ('msgspec', 'asyncio', 'starlette') if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=child_environment(), check=True, timeout=60
    )
    assert found.stdout == "[]\n"
    assert set(maos_ckpt.__all__) <= set(dir(maos_ckpt)) | {
        name for name in maos_ckpt.__all__ if getattr(maos_ckpt, name)
    }
    with pytest.raises(AttributeError):
        _ = maos_ckpt.no_such_name  # type: ignore[attr-defined,unused-ignore]
