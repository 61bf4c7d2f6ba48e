"""Killed behind every step of a recovery and of an undo, and while that is settled: exactly before or exactly after."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from maos_ckpt.errors import SourceError
from maos_ckpt.recovery.steps import Step
from maos_ckpt.seams import SYSTEM
from tests.lab.values import dump_exact
from tests.recovery.conftest import Site
from tests.recovery.killed import BEFORE_PUBLISHED, BEFORE_RENAMED, PUBLISHED, KillAt, run_killed

State = tuple[object, dict[str, bytes]]
#: Steps by which nothing live has changed yet, and those from which on everything is to be finished.
BEFORE = (Step.HELD, Step.SAVED, Step.INTENDED, Step.WRITTEN, Step.CHECKED, Step.MARKED)
FILES = (Step.COMMITTED, BEFORE_RENAMED, Step.FILE, Step.FILES, Step.VERIFIED)
AFTER = (*FILES, Step.DONE, Step.RELEASED, Step.FORGOTTEN)
KILLS = 8
#: Where an intent lies for the next command to settle.
INTENT = tuple(one for one in (*BEFORE[2:], *AFTER) if one is not Step.FORGOTTEN)


def state(site: Site) -> State:
    """Every table, and every byte of every other file: what a kill leaves behind would be among them.

    SQLite's own journal, which the next writer takes over, is read by SQLite with the tables.
    """
    folders = (site.folder / "work", site.folder / "claude")
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    tables = dump_exact(site.database) if site.database.exists() else None
    return tables, {str(path): path.read_bytes() for path in sorted(files) if not path.name.startswith("maos.db")}


def spoil(site: Site) -> None:
    """Rows, lines and files change, come and go."""
    site.run(
        "UPDATE agents SET name = 'Eve' WHERE id = 'a-0000000a'",
        "DELETE FROM agents WHERE id = 'b-0000000b'",
        "INSERT INTO tasks (id, description, status) VALUES ('late', 'x', 'pending')",
    )
    site.transcript("one", "{}", '{"a": 2}', '{"a": 3}')
    site.transcript("late", "{}")
    site.transcript("two", "{}").unlink()
    (site.layout.directory / ".maos.yml").write_text("spoilt: true\n")


def settle(site: Site, *, told: bool) -> None:
    """The next command settles it, and says so where there was something."""
    before = settled(site)
    site.save()
    assert not (site.workspace.repository / "recovery" / "intent.json").exists()
    assert settled(site) - before == told


def settled(site: Site) -> int:
    return [name for name, _ in site.workspace.journal.newest_first()].count("RecoveryResumed")


def kill_and_settle(site: Site, operation: str, name: str, before: State, after: State, step: str) -> None:
    assert run_killed(site.workspace, operation, KillAt(step), name)
    settle(site, told=step in INTENT)
    assert state(site) == (after if step in AFTER else before), f"{operation} killed at {step}"


def test_killed_at_every_step_the_state_is_before_or_after(spoilt: Site) -> None:
    good, wanted = spoilt.save().id, state(spoilt)
    spoil(spoilt)
    damaged = state(spoilt)
    for step in (*BEFORE, *AFTER):
        kill_and_settle(spoilt, "restore", good, damaged, wanted, step)
        if step in AFTER:
            # The kill of an undo goes on from there: what it takes back is the recovery that was just settled.
            kill_and_settle(spoilt, "undo", "", wanted, damaged, step)
        else:
            assert spoilt.recover(good).verified
            kill_and_settle(spoilt, "undo", "", wanted, damaged, step)
            assert spoilt.undo().verified
        assert state(spoilt) == damaged


def test_killed_while_it_is_settled_it_is_settled_again(spoilt: Site) -> None:
    good, wanted = spoilt.save().id, state(spoilt)
    spoil(spoilt)
    damaged = state(spoilt)
    for step in (BEFORE_RENAMED, Step.FILE, Step.FILES, Step.DONE, Step.RELEASED):
        assert run_killed(spoilt.workspace, "restore", KillAt(Step.COMMITTED), good)
        assert run_killed(spoilt.workspace, "save", KillAt(step))
        settle(spoilt, told=True)
        assert state(spoilt) == wanted, step
        assert spoilt.undo().verified
        assert state(spoilt) == damaged


def test_killed_at_random_moments_the_state_is_before_or_after(spoilt: Site) -> None:
    """`python -m benchmarks.kills --recoveries` does this at length."""
    rng = random.Random(4)
    good, wanted = spoilt.save().id, state(spoilt)
    spoil(spoilt)
    damaged = state(spoilt)
    began_s = SYSTEM.clock.monotonic_s()
    assert not run_killed(spoilt.workspace, "restore", KillAt("never"), good)
    took_s = SYSTEM.clock.monotonic_s() - began_s
    for _ in range(KILLS):
        before = state(spoilt)
        operation = "undo" if before == wanted else "restore"
        run_killed(spoilt.workspace, operation, KillAt("never"), good, after_s=rng.uniform(0, took_s))
        spoilt.save()
        assert state(spoilt) in (wanted, damaged)


def lost(site: Site) -> None:
    site.database.unlink()


def damaged(site: Site) -> None:
    site.database.write_bytes(b"no database" * 1000)


@pytest.mark.parametrize("disaster", [lost, damaged])
def test_killed_while_a_database_is_built_the_old_one_or_the_new_one_stands(
    spoilt: Site, disaster: Callable[[Site], None]
) -> None:
    good, wanted = spoilt.save().id, dump_exact(spoilt.database)
    disaster(spoilt)
    kept = spoilt.folder / "kept"
    shutil.copytree(spoilt.folder / "work", kept)
    for step in (Step.INTENDED, Step.MARKED, BEFORE_PUBLISHED, PUBLISHED, Step.COMMITTED, Step.DONE):
        assert run_killed(spoilt.workspace, "restore", KillAt(step), good)
        if step in (Step.INTENDED, Step.MARKED, BEFORE_PUBLISHED):
            if disaster is damaged:
                with pytest.raises(SourceError):
                    spoilt.save()
            else:
                spoilt.save()
            assert not (spoilt.workspace.repository / "recovery" / "intent.json").exists()
            assert contents(spoilt.folder / "work") == contents(kept), step
            continue
        settle(spoilt, told=True)
        assert dump_exact(spoilt.database) == wanted, step
        beside = {path.name for path in spoilt.folder.joinpath("work").iterdir() if path.name.startswith(".maos.db")}
        assert beside == set()
        shutil.rmtree(spoilt.folder / "work")
        shutil.copytree(kept, spoilt.folder / "work")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_step_is_one_at_which_a_recovery_can_be_killed() -> None:
    assert {*BEFORE, *AFTER} - {BEFORE_RENAMED} == set(Step) - {Step.QUIESCED, Step.RESUMED}
