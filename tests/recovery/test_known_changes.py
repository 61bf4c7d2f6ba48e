"""What a save knows of its own changes is what comparing both trees finds, and a plan made of it is the same plan."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from maos_ckpt.capture.known_changes import KnownChanges
from maos_ckpt.capture.save import SaveRequest, save_checkpoint
from maos_ckpt.model import Trigger
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
from maos_ckpt.states import StoredState
from maos_ckpt.tree.diff import differences
from tests.engine.conftest import workspace  # noqa: F401 - a fixture
from tests.lab.mutate import mutate


def change(directory: Path, rng: random.Random) -> None:
    """Rows of all tables change, some go, some come."""
    mutate(directory, rng.choice((0.01, 0.2)), rng.randrange(1000))
    with closing(sqlite3.connect(directory / "maos.db")) as connection, connection:
        connection.execute("DELETE FROM messages WHERE id % 13 = ?", (rng.randrange(13),))
        for number in range(rng.randrange(4)):
            name = f"new-{rng.random()}-{number}"
            connection.execute("INSERT INTO tasks (id, description, status) VALUES (?, ?, 'x')", (name, name * 9000))


def test_what_is_known_is_what_differs(workspace: Workspace) -> None:  # noqa: F811
    rng = random.Random(2)
    directory = Path(workspace.source.removeprefix("maos:"))
    known_collections = 0
    with workspace.writing("save", create=True) as (repository, source):
        request = SaveRequest(Trigger.MANUAL)
        parent = save_checkpoint(repository, source, request, lambda step: None, SYSTEM)
        for _ in range(6):
            change(directory, rng)
            with closing(KnownChanges()) as known:
                saved = save_checkpoint(repository, source, request, lambda step: None, SYSTEM, known=known)
                before, after = StoredState(repository, parent), StoredState(repository, saved)
                for name in after.descriptors():
                    found = known.since(name, before.root(name))
                    if found is not None:
                        known_collections += 1
                        wanted = list(differences(before.stream(name), after.stream(name)))
                        assert [tuple(one) for one in found] == wanted
                    assert known.since(name, b"another") is None
            parent = saved
    assert known_collections > 30


def test_a_plan_is_the_same_however_it_is_found(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    from maos_ckpt.model import Selection
    from maos_ckpt.operations import checkpoints, recoveries

    directory = Path(workspace.source.removeprefix("maos:"))
    saved = checkpoints.save(workspace, Trigger.MANUAL, "", (), lambda step: None)
    change(directory, random.Random(5))
    plan = recoveries.plan(workspace, saved.id, Selection(), 10, lambda step: None)
    asked: list[bool] = []
    since = KnownChanges.since

    def told(self: KnownChanges, *arguments: object) -> object:
        found = since(self, *arguments)  # type: ignore[arg-type]
        asked.append(found is not None)
        return found

    monkeypatch.setattr(KnownChanges, "since", told)
    done = recoveries.recover(workspace, saved.id, Selection(), plan.digest, "", 10, lambda step: None)
    assert done.verified
    assert any(asked), "the plan was made of what the safety checkpoint knew"
