"""Whatever happens to disk and database meanwhile: a clear error, nothing lost, nothing half."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from maos_ckpt.errors import InterruptedByUserError, PartialError, PlanMovedError, SourceError, StorageError, UsageError
from maos_ckpt.fs import SystemFilesystem
from maos_ckpt.model import Progress, Selection
from maos_ckpt.operations import recoveries
from maos_ckpt.recovery import journal
from maos_ckpt.recovery.steps import Step
from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.maos.source import MaosSource
from tests.lab.values import dump_exact
from tests.recovery.conftest import Site
from tests.recovery.test_kills_at_steps import spoil, state

Damage = Callable[[Site], None]


class At:
    """Does something to the site when a step is reached."""

    def __init__(self, site: Site, step: Step, act: Damage) -> None:
        self._site, self._step, self._act = site, step, act

    def reached(self, step: str) -> None:
        if step == self._step:
            self._act(self._site)


class Disk(SystemFilesystem):
    """The repository's disk, which is full after so many writes."""

    def __init__(self, writes: int) -> None:
        self.left = writes

    def write(self, fd: int, data: bytes | memoryview) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(fd, data)

    def fill(self) -> None:
        self.left = 0


def replaced(site: Site) -> None:
    """Another database takes the name, as a restore by other means would do it."""
    other = site.folder / "other.db"
    with contextlib.closing(sqlite3.connect(other)) as connection, connection:
        connection.execute("CREATE TABLE t (x)")
        connection.execute("INSERT INTO t VALUES ('mine')")
    os.replace(other, site.database)


def removed(site: Site) -> None:
    site.database.unlink()


@pytest.mark.parametrize("act", [replaced, removed])
def test_a_database_that_is_replaced_or_removed_after_the_plan_makes_another_plan(spoilt: Site, act: Damage) -> None:
    wanted = dump_exact(spoilt.database)
    spoil(spoilt)
    digest = spoilt.plan().digest
    act(spoilt)
    before = state(spoilt)
    with pytest.raises(PlanMovedError):
        spoilt.recover(digest=digest)
    assert state(spoilt) == before
    if act is removed:
        assert spoilt.recover(digest=spoilt.plan().digest).verified
        assert dump_exact(spoilt.database) == wanted


@pytest.mark.parametrize("act", [replaced, removed])
@pytest.mark.parametrize("step", [Step.HELD, Step.INTENDED, Step.MARKED])
def test_a_database_that_is_replaced_or_removed_meanwhile_is_not_touched(spoilt: Site, step: Step, act: Damage) -> None:
    spoil(spoilt)
    files = state(spoilt)[1]
    normal = spoilt.workspace
    spoilt.workspace = replace(normal, seams=replace(SYSTEM, steps=At(spoilt, step, act)))
    # Right behind the lock, the plan itself is still made from what is there by then.
    with pytest.raises((SourceError, PlanMovedError)) as caught:
        spoilt.recover()
    assert "replaced or removed" in caught.value.message or step is Step.HELD
    spoilt.workspace = normal
    assert state(spoilt)[1] == files
    assert not (normal.repository / "recovery" / "intent.json").exists()
    if act is replaced:
        assert spoilt.run("SELECT x FROM t") == [("mine",)]
    else:
        assert not spoilt.database.exists()


@pytest.mark.parametrize("writes", [0, 1, 5, 9])
def test_a_repository_whose_disk_is_full_before_the_intent_changes_nothing(spoilt: Site, writes: int) -> None:
    good = spoilt.save().id
    spoil(spoilt)
    damaged = state(spoilt)
    normal, spoilt.workspace = spoilt.workspace, replace(spoilt.workspace, seams=replace(SYSTEM, fs=Disk(writes)))
    with pytest.raises(StorageError, match="No space left") as caught:
        spoilt.recover(good)
    assert "Nothing live was changed" in caught.value.kept
    assert state(spoilt) == damaged
    assert not (normal.repository / "recovery" / "intent.json").exists()
    spoilt.workspace = normal
    assert spoilt.recover(good).verified


class Stuck(SystemFilesystem):
    """A disk from which nothing can be removed any more."""

    def unlink(self, path: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_what_ended_a_recovery_is_told_also_where_its_traces_cannot_be_removed(spoilt: Site) -> None:
    good = spoilt.save().id
    spoil(spoilt)
    damaged, normal = state(spoilt), spoilt.workspace

    def stop(step: Progress) -> None:
        if step.phase == "write":
            raise InterruptedByUserError("stopped")

    spoilt.workspace = replace(normal, seams=replace(SYSTEM, fs=Stuck()))
    with pytest.raises(InterruptedByUserError, match="stopped"):
        recoveries.recover(spoilt.workspace, good, Selection(), None, "", 10, stop)
    spoilt.workspace = normal
    assert state(spoilt) == damaged
    spoilt.save()
    assert not (normal.repository / "recovery" / "intent.json").exists()
    assert state(spoilt) == damaged


@pytest.mark.parametrize("step", [Step.INTENDED, Step.COMMITTED, Step.VERIFIED])
def test_a_repository_whose_disk_fills_up_later_is_told_and_what_is_left_is_done_later(
    spoilt: Site, step: Step
) -> None:
    good, wanted = spoilt.save().id, state(spoilt)
    spoil(spoilt)
    damaged, disk, normal = state(spoilt), Disk(1000), spoilt.workspace
    full = At(spoilt, step, lambda site: disk.fill())
    spoilt.workspace = replace(normal, seams=replace(SYSTEM, fs=disk, steps=full))
    with pytest.raises(PartialError, match="No space left"):
        spoilt.recover(good)
    spoilt.workspace = normal
    spoilt.save()
    assert state(spoilt) == wanted
    assert spoilt.undo().verified
    assert state(spoilt) == damaged


def test_a_recovery_that_cannot_be_read_back_is_done_and_says_so(spoilt: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = state(spoilt)
    spoil(spoilt)

    def slow(*_: object) -> object:
        raise SourceError("Copying took longer than its owner can be made to wait.")

    steps = At(spoilt, Step.FILES, lambda site: monkeypatch.setattr(MaosSource, "open_cut", slow))
    normal, spoilt.workspace = spoilt.workspace, replace(spoilt.workspace, seams=replace(SYSTEM, steps=steps))
    done = spoilt.recover()
    spoilt.workspace = normal
    assert (done.applied, done.verified) == (True, False)
    assert any("could not be read back" in note for note in done.notes)
    assert not (spoilt.workspace.repository / "recovery" / "intent.json").exists()
    monkeypatch.undo()
    assert state(spoilt) == wanted
    assert spoilt.undo().verified


def test_a_recovery_whose_note_nobody_could_read_is_not_begun(spoilt: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    spoilt.run("INSERT INTO tasks (id, description, parent_task_id) VALUES ('up', 'x', NULL), ('down', 'x', 'up')")
    good = spoilt.save().id
    spoil(spoilt)
    spoilt.run("DELETE FROM tasks")
    damaged = state(spoilt)
    selection = Selection(records=("tasks/tasks/down",), with_dependencies=True)
    monkeypatch.setattr(journal, "INTENT_BYTES_MAX", 300)
    with pytest.raises(UsageError, match="more than 300"):
        spoilt.recover(good, selection)
    assert state(spoilt) == damaged
    assert not (spoilt.workspace.repository / "recovery" / "intent.json").exists()
    monkeypatch.undo()
    assert spoilt.recover(good, selection).verified


@contextlib.contextmanager
def small_disk(place: Path, size: int) -> Iterator[Path]:
    """A file system of a size in bytes of its own; skips where this user may not mount one."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_under_the_database_takes_everything_back(tmp_path: Path) -> None:
    site = Site(tmp_path / "first")
    site.run("CREATE TABLE big (id INTEGER PRIMARY KEY, text)")
    site.run(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)"
        " INSERT INTO big SELECT i, hex(randomblob(1000)) FROM n"
    )
    with small_disk(tmp_path / "small", 4 << 20) as disk:
        shutil.copytree(site.folder / "work", disk / "work")
        live = Site.__new__(Site)
        live.__dict__.update(site.__dict__)
        live.layout = replace(site.layout, directory=disk / "work")
        live.database = live.layout.database
        live.workspace = replace(site.workspace, source=f"maos:{disk / 'work'}")
        wanted = dump_exact(live.database)
        live.save()
        live.run("DELETE FROM big", "VACUUM")
        before = dump_exact(live.database)
        (disk / "filler").write_bytes(bytes((4 << 20) - (1 << 20)))
        with pytest.raises(SourceError) as caught:
            live.recover()
        assert "No space left" in caught.value.message
        assert dump_exact(live.database) == before
        (disk / "filler").unlink()
        assert live.recover().verified
        assert dump_exact(live.database) == wanted
