"""Checkpoints and recoveries of providers, carried out in this process as a command does it."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest

from maos_ckpt import create_checkpoint_system
from maos_ckpt.errors import ForeignRepositoryError, NotFoundError, SourceError
from maos_ckpt.model import Checkpoint, Progress, RecoveryResult, Selection, Trigger
from maos_ckpt.operations import checkpoints, exports, recoveries
from maos_ckpt.operations.workspace import Workspace
from tests.lab.build import build_state
from tests.library.managers import Manager, Raising


def silent(_: Progress) -> None:
    """Nobody watches."""


def workspace_of(directory: Path, managers: dict[str, Any], **config: Any) -> Workspace:
    return create_checkpoint_system(config, managers, directory=directory).workspace


def save(workspace: Workspace) -> Checkpoint:
    return checkpoints.save(workspace, Trigger.MANUAL, "", (), silent)


def recover(workspace: Workspace, name: str, *components: str, exact: bool = False) -> RecoveryResult:
    selection = Selection(components, exact=exact)
    return recoveries.recover(workspace, name, selection, None, "", 1000, silent)


@pytest.fixture
def managers() -> dict[str, Any]:
    return {"agents": Manager(a=1, b={"deep": [1, 2]}), "tasks": Manager(t=b"\0")}


@pytest.fixture
def maos(tmp_path: Path) -> Path:
    directory = tmp_path / "team"
    build_state(directory, tmp_path / "claude", 50_000, seed=1, transcript_bytes=10_000)
    return directory


def test_a_partial_checkpoint_says_so_and_leaves_alone_what_it_does_not_know(
    tmp_path: Path, managers: dict[str, Any]
) -> None:
    whole = save(workspace_of(tmp_path, managers))
    assert not whole.partial
    workspace = workspace_of(tmp_path, {**managers, "tasks": Raising()})
    one = save(workspace)
    assert [(gone.path, gone.reason.split(":")[0]) for gone in one.capture.missing] == [
        ("tasks/provider.managers", "capture() raised ConnectionError")
    ]
    assert checkpoints.show(workspace, one.id) == one
    assert one.components == ("agents",)
    # What it knows comes back; of the rest it is said why it does not.
    healthy = workspace_of(tmp_path, managers)
    managers["agents"].state = {}
    managers["tasks"].state = {"other": 1}
    result = recover(healthy, one.id)
    assert (result.applied, result.verified, result.partial) == (True, True, True)
    assert any("tasks/provider.managers could not be captured" in finding.message for finding in result.plan.findings)
    assert managers["agents"].state == {"a": 1, "b": {"deep": [1, 2]}}
    assert managers["tasks"].state == {"other": 1}
    with pytest.raises(NotFoundError, match="partial one and holds nothing of tasks"):
        recover(healthy, one.id, "tasks")
    difference = checkpoints.diff(healthy, whole.id, one.id, 100, silent)
    assert difference.summary.total == 0
    assert [finding.kind for finding in difference.findings] == ["unread"]


def test_a_provider_that_fails_now_is_no_target_of_a_recovery(tmp_path: Path, managers: dict[str, Any]) -> None:
    whole = save(workspace_of(tmp_path, managers))
    managers["agents"].state = {}
    raising = Raising(x=1)
    result = recover(workspace_of(tmp_path, {**managers, "tasks": raising}), whole.id)
    assert result.partial
    assert managers["agents"].state == {"a": 1, "b": {"deep": [1, 2]}}
    assert raising.state == {"x": 1}


def test_by_policy_there_is_no_partial_checkpoint(tmp_path: Path, managers: dict[str, Any]) -> None:
    workspace = workspace_of(tmp_path, {**managers, "tasks": Raising()}, barrier={"partial": "refuse"})
    with pytest.raises(SourceError, match=r"tasks/provider\.managers cannot be captured"):
        save(workspace)
    assert checkpoints.list_checkpoints(workspace, 10) == []


def test_a_part_is_put_back_and_taken_back_without_touching_the_rest(tmp_path: Path, managers: dict[str, Any]) -> None:
    workspace = workspace_of(tmp_path, managers)
    whole = save(workspace)
    managers["agents"].state = {"b": {"deep": [1, 3]}, "new": 1}
    managers["tasks"].state = {}
    result = recover(workspace, whole.id, "agents")
    assert result.verified
    assert managers["agents"].state == {"b": {"deep": [1, 2]}, "new": 1, "a": 1}
    assert (managers["tasks"].state, managers["tasks"].restored) == ({}, 0)
    assert recover(workspace, whole.id, "agents", exact=True).verified
    assert managers["agents"].state == {"b": {"deep": [1, 2]}, "a": 1}
    undone = recoveries.undo(workspace, None, "", 100, silent)
    assert undone.verified
    assert managers["agents"].state == {"b": {"deep": [1, 2]}, "a": 1, "new": 1}
    assert not recover(workspace, whole.id, "agents").applied


def test_one_that_does_not_take_its_state_back_keeps_what_it_had(tmp_path: Path, managers: dict[str, Any]) -> None:
    class Refusing(Manager):
        def restore(self, items: dict[Any, Any]) -> None:
            super().restore(items)
            if "t" in items:
                raise ValueError("not that one")

    managers["tasks"] = Refusing(t=1)
    managers["queue"] = lambda: [("q", 1)]
    workspace = workspace_of(tmp_path, managers)
    whole = save(workspace)
    managers["tasks"].state = {"other": 1}
    managers["agents"].state = {}
    managers["queue"] = lambda: [("q", 2)]
    workspace = workspace_of(tmp_path, managers)
    result = recover(workspace, whole.id)
    assert (result.applied, result.verified, result.partial) == (True, False, True)
    assert sorted(result.skipped) == [
        "queue/provider.managers was left as it was: it has no restore().",
        "tasks/provider.managers was left as it was: restore() failed (ValueError: not that one); it was given back"
        " what it held.",
    ]
    assert managers["tasks"].state == {"other": 1}
    assert managers["agents"].state == {"a": 1, "b": {"deep": [1, 2]}}


def test_a_system_that_is_let_go_on_during_a_recovery_is_told_of(tmp_path: Path) -> None:
    class Slow(Manager):
        def restore(self, items: dict[Any, Any]) -> None:
            time.sleep(0.4)
            super().restore(items)

    steps: list[str] = []
    manager = Slow(a=1)
    workspace = create_checkpoint_system(
        {"barrier": {"recoveryHoldTimeoutS": 0.3}},
        {"agents": manager},
        directory=tmp_path,
        quiesce=lambda: steps.append("quiesce"),
        resume=lambda: steps.append("resume"),
    ).workspace
    whole = save(workspace)
    manager.state = {}
    result = recover(workspace, whole.id)
    assert (manager.state, steps) == ({"a": 1}, ["quiesce", "resume"] * 2)
    assert any("let go on after 0." in note for note in result.notes)


def test_one_that_moves_between_plan_and_restore_is_left_as_it_is(tmp_path: Path, managers: dict[str, Any]) -> None:
    class Moving(Manager):
        calls = 0

        def capture(self) -> dict[Any, Any]:
            # A recovery reads it for the safety checkpoint, and once more before it is given anything.
            self.calls += 1
            return self.state if self.calls == 1 else {"a": 100 + self.calls}

    managers["agents"] = moving = Moving(a=1)
    workspace = workspace_of(tmp_path, managers)
    whole = save(workspace)
    moving.state, moving.calls = {"a": 2}, 0
    result = recover(workspace, whole.id, "agents")
    assert result.skipped == ("agents/provider.managers was left as it was: 'a' moved since the plan was made.",)
    assert managers["agents"].restored == 0


def test_objects_stand_beside_a_maos_in_one_checkpoint(maos: Path, tmp_path: Path, managers: dict[str, Any]) -> None:
    config = {"sources": [f"maos:{maos}"], "claudeHome": str(tmp_path / "claude")}
    workspace = workspace_of(maos, managers, **config)
    assert workspace.source == f"maos:{maos} + provider:managers"
    both = save(workspace)
    names = {one.path for one in both.collections}
    assert {"agents/agents", "agents/provider.managers", "memory/transcripts", "tasks/provider.managers"} <= names
    # The same directory without the managers, as a command in another terminal sees it: it goes on with the rest.
    alone = workspace_of(maos, {}, **config)
    assert alone.source == f"maos:{maos}"
    bare = save(alone)
    assert {one.path for one in bare.collections} == {name for name in names if "provider" not in name}
    result = recover(alone, both.id)
    assert result.plan.summary.total == 0
    assert any("taken without that provider" in one.message for one in result.plan.findings)
    # And a checkpoint of the rest takes nothing from the managers.
    managers["agents"].state["a"] = 5
    assert recover(workspace, bare.id).plan.summary.total == 0
    assert managers["agents"].state["a"] == 5
    result = recover(workspace, both.id)
    assert (result.verified, result.plan.summary.modified) == (True, 1)
    assert managers["agents"].state["a"] == 1


def test_unchanged_objects_store_nothing(tmp_path: Path, managers: dict[str, Any]) -> None:
    workspace = workspace_of(tmp_path, managers)
    first, second = save(workspace), save(workspace)
    assert first.digest == second.digest
    assert second.stored_bytes == 0


def test_another_program_can_look_and_not_touch(tmp_path: Path, managers: dict[str, Any]) -> None:
    workspace = workspace_of(tmp_path, managers)
    one = save(workspace)
    outside = dataclasses.replace(workspace, host=None)
    assert [each.id for each in checkpoints.list_checkpoints(outside, 5)] == [one.id]
    assert sum(1 for _ in checkpoints.records(outside, one.id, "agents", None)) == 2
    assert exports.export(outside, one.id, tmp_path / "exported", silent)
    for act in (lambda: save(outside), lambda: recover(outside, one.id)):
        with pytest.raises(SourceError, match="lives in another program"):
            act()
    with pytest.raises(ForeignRepositoryError):
        save(create_checkpoint_system({}, managers, name="others", directory=tmp_path).workspace)


def test_objects_go_into_plain_files_and_into_no_other_place(
    maos: Path, tmp_path: Path, managers: dict[str, Any]
) -> None:
    config = {"sources": [f"maos:{maos}"], "claudeHome": str(tmp_path / "claude")}
    workspace = workspace_of(maos, managers, **config)
    one = save(workspace)

    def to(place: str) -> RecoveryResult:
        return recoveries.recover_to(workspace, one.id, Selection(), place, None, 100, silent)

    files = to(f"dir:{tmp_path}/files")
    assert "agents" in files.plan.by_component
    assert (tmp_path / "files" / "agents" / "provider.managers.jsonl").exists()
    elsewhere = to(f"maos:{tmp_path}/elsewhere")
    assert any("provider.managers" in finding.message for finding in elsewhere.plan.findings)
