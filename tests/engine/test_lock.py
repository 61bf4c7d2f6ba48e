"""One engine per repository, whatever becomes of the other one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from maos_ckpt.engine.lock import FILE_NAME, EngineLock, engine_owner
from maos_ckpt.environment import child_environment
from maos_ckpt.errors import StorageError
from maos_ckpt.seams import SYSTEM

HOLD = (
    "import sys, time; from pathlib import Path\n"
    "from maos_ckpt.engine.lock import EngineLock\n"
    "from maos_ckpt.seams import SYSTEM\n"
    "print(EngineLock(Path(sys.argv[1]), SYSTEM).acquire(30.0), flush=True)\n"
    "time.sleep(60)\n"
)


def test_the_second_engine_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    first, second = EngineLock(tmp_path, SYSTEM), EngineLock(tmp_path, SYSTEM)
    assert engine_owner(tmp_path) is None
    assert first.acquire(30.0)
    assert not second.acquire(5.0)
    owner = engine_owner(tmp_path)
    assert owner is not None
    assert (owner.pid, owner.interval_s) == (os.getpid(), 30.0)
    assert abs(owner.since_ms - SYSTEM.clock.now_ms()) < 60_000
    first.release()
    first.release()
    assert engine_owner(tmp_path) is None
    assert second.acquire(5.0)
    second.release()


def test_those_who_ask_do_not_keep_an_engine_from_starting(tmp_path: Path) -> None:
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            engine_owner(tmp_path)
            SYSTEM.clock.sleep(0.001)

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    try:
        for _ in range(50):
            lock = EngineLock(tmp_path, SYSTEM)
            assert lock.acquire(1.0)
            lock.release()
    finally:
        ended.set()
        for asker in askers:
            asker.join()


def test_the_lock_ends_with_its_process_also_by_sigkill(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, env=child_environment()
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        owner = engine_owner(tmp_path)
        assert owner is not None
        assert owner.pid == process.pid
        process.send_signal(signal.SIGKILL)
    assert engine_owner(tmp_path) is None
    lock = EngineLock(tmp_path, SYSTEM)
    assert lock.acquire(1.0)
    lock.release()


def test_a_damaged_note_still_says_that_an_engine_runs(tmp_path: Path) -> None:
    lock = EngineLock(tmp_path, SYSTEM)
    lock.acquire(1.0)
    (tmp_path / FILE_NAME).write_bytes(b'{"pid": "x"')
    owner = engine_owner(tmp_path)
    assert owner is not None
    assert owner.pid == 0
    lock.release()


def test_a_repository_that_is_gone_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        EngineLock(tmp_path / "gone", SYSTEM).acquire(1.0)
    assert engine_owner(tmp_path / "gone") is None
