"""A checkpoint that is damaged: what is not wanted does not matter, and for what is wanted something sound is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import Checkpoint, Selection
from maos_ckpt.operations.checkpoints import history
from maos_ckpt.operations.exports import export
from tests.recovery.conftest import Site


def spoil(site: Site, checkpoint: Checkpoint, path: str) -> None:
    """Flip a byte of the root node of one collection."""
    root = next(one.root for one in checkpoint.collections if one.path == path)
    assert root is not None
    site.spoil(root)


@pytest.fixture
def spoilt(site: Site) -> tuple[Site, Checkpoint, Checkpoint]:
    """A checkpoint whose tasks are damaged, and the one before, which is sound."""
    site.run("INSERT INTO tasks (id, description) VALUES ('t1', 'dig more')")
    sound = site.save()
    site.run("UPDATE tasks SET description = 'dig'")
    damaged = site.save()
    site.run("UPDATE tasks SET description = 'gone'", "UPDATE agents SET name = 'gone'")
    spoil(site, damaged, "tasks/tasks")
    return site, damaged, sound


def test_damage_in_a_part_that_is_not_wanted_does_not_matter(spoilt: tuple[Site, Checkpoint, Checkpoint]) -> None:
    site, damaged, _ = spoilt
    selection = Selection(components=("agents",), with_dependencies=True)
    plan = site.plan(damaged.id, selection)
    assert site.recover(damaged.id, selection, plan.digest).verified
    assert site.agents() == ["Ada", "Bob"]
    assert site.undo().verified
    assert site.agents() == ["gone", "gone"]


@pytest.mark.parametrize(
    ("selection", "sound"),
    [
        (Selection(components=("tasks",)), []),
        (Selection(components=("agents", "tasks")), ["agents"]),
        (Selection(records=("tasks/tasks/t*",)), []),
        (Selection(searches=("dig",)), ["agents", "memory", "queue", "system"]),
        (Selection(), ["agents", "memory", "queue", "system"]),
    ],
)
def test_damage_in_the_wanted_part_is_named_with_what_is_sound(
    spoilt: tuple[Site, Checkpoint, Checkpoint], selection: Selection, sound: list[str]
) -> None:
    site, damaged, intact = spoilt
    for attempt in (site.plan, site.recover):
        with pytest.raises(IntegrityError) as caught:
            attempt(damaged.id, selection)
        assert "tasks/tasks" in caught.value.message
        assert damaged.id in caught.value.message
        data = caught.value.data
        assert (data["damaged"], data["nearest"], data["sound"]) == (["tasks/tasks"], intact.id, sound)
        assert intact.id in caught.value.hint
        assert ("--component agents" in caught.value.hint) is bool(sound)
    assert site.agents() == ["gone", "gone"]
    # What is offered holds what it promises.
    assert site.recover(intact.id, selection).verified
    assert site.run("SELECT description FROM tasks") == [("dig more",)]


def test_where_every_checkpoint_is_damaged_in_that_part_none_is_offered(site: Site) -> None:
    site.run("INSERT INTO tasks (id, description) VALUES ('t1', 'dig')")
    one, two = site.save(), site.save()
    site.run("DELETE FROM tasks")
    spoil(site, one, "tasks/tasks")
    with pytest.raises(IntegrityError) as caught:
        site.plan(two.id, Selection(components=("tasks",)))
    assert caught.value.data["nearest"] is None
    assert "verify --all --repair" in caught.value.hint


def test_damage_of_the_checkpoint_that_equals_the_live_state_hinders_no_other(site: Site) -> None:
    site.run("INSERT INTO tasks (id, description) VALUES ('t1', 'dig')")
    old = site.save()
    site.run("UPDATE tasks SET description = 'dig more'")
    # The live state is as this one, so it would be read from it.
    spoil(site, site.save(), "tasks/tasks")
    plan = site.plan(old.id, Selection(components=("tasks",)))
    assert plan.summary.modified == 1
    assert site.recover(old.id, Selection(components=("tasks",)), plan.digest).verified
    assert site.run("SELECT description FROM tasks") == [("dig",)]
    assert site.undo().verified
    assert site.run("SELECT description FROM tasks") == [("dig more",)]


def test_an_older_checkpoint_is_offered_rather_than_a_newer_one_that_may_hold_the_incident(site: Site) -> None:
    saved = []
    for word in ("dig", "dig on", "gone"):
        site.run("INSERT OR REPLACE INTO tasks (id, description) VALUES ('t1', '" + word + "')")
        saved.append(site.save())
    spoil(site, saved[1], "tasks/tasks")
    with pytest.raises(IntegrityError) as caught:
        site.plan(saved[1].id)
    assert caught.value.data["nearest"] == saved[0].id


def test_an_export_of_a_damaged_checkpoint_says_what_is_sound(
    spoilt: tuple[Site, Checkpoint, Checkpoint], tmp_path: Path
) -> None:
    site, damaged, intact = spoilt
    with pytest.raises(IntegrityError) as caught:
        export(site.workspace, damaged.id, tmp_path / "out", lambda _: None)
    assert caught.value.kept == "Nothing was written."
    assert not (tmp_path / "out").exists()
    assert f"Export {intact.id}" in caught.value.hint
    assert f"restore {damaged.id} --to dir:DIR --component agents" in caught.value.hint


def test_a_history_is_told_around_a_damaged_checkpoint(spoilt: tuple[Site, Checkpoint, Checkpoint]) -> None:
    site, damaged, intact = spoilt
    site.save()
    found = history(site.workspace, "tasks/tasks/t1")
    assert found.unread == (damaged.id,)
    assert [one.checkpoint for one in found.versions][:1] == [intact.id]
    assert [field.after for one in found.versions[1:] for field in one.fields] == ["gone"]
