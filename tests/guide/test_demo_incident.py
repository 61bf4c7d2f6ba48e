"""The demo's incident in a real MAOS under load: the checkpoint from right before it is the recommended one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maos_ckpt.cli.sample import SampleMaos
from maos_ckpt.config import Config
from maos_ckpt.environment import child_environment
from maos_ckpt.model import Checkpoint, Recommendation, Selection, Trigger
from maos_ckpt.operations import checkpoints, insights, recoveries
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM

PAUSE_S = 0.25


class Team:
    """A MAOS at work, checkpoints of it, and an agent of it that goes mad."""

    def __init__(self, folder: Path) -> None:
        self.work, self.home = folder / "work", folder / "claude"
        self.sample = SampleMaos(self.work, self.home, None)
        self.sample.start()
        self.workspace = Workspace(folder / "repository", f"maos:{self.work}", self.home, Config(), SYSTEM)

    def save(self, times: int) -> Checkpoint:
        """Checkpoints, each after some work; the last one."""
        for _ in range(times):
            time.sleep(PAUSE_S)
            saved = checkpoints.save(self.workspace, Trigger.MANUAL, "", (), lambda _: None)
        return saved

    def incident(self, kind: str) -> dict[str, Any]:
        place = ["--dir", str(self.work), "--claude-home", str(self.home), "--kind", kind]
        words = [sys.executable, "-P", "-m", "maos_ckpt.demo.incident", *place]
        done = subprocess.run(words, env=child_environment(), capture_output=True, check=True, timeout=60)
        damage: dict[str, Any] = json.loads(done.stdout)
        return damage

    def guide(self, name: str | None = None) -> Recommendation:
        return insights.recommend(self.workspace, name, lambda _: None)


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    made = Team(tmp_path)
    yield made
    made.sample.stop()


@pytest.mark.parametrize("kind", ["tasks", "memory", "queue"])
def test_the_last_checkpoint_before_the_incident_is_recommended(team: Team, kind: str) -> None:
    good = team.save(3)
    damage = team.incident(kind)
    newest = team.save(3)
    result = team.guide(newest.id)
    assert result.recommended is not None
    assert result.asked is not None
    assert result.incident is not None
    assert result.recommended.checkpoint == good.id
    reason = result.recommended.reasons[0]
    assert reason.startswith("The last one before it went wrong (")
    signs = {(one.what, one.collection): one for one in result.incident.signs}
    if kind == "tasks":
        rewritten = signs["rewritten", "tasks"]
        assert rewritten.count == len(damage["tasks"])
        assert set(rewritten.examples) <= set(damage["tasks"])
    if kind == "queue":
        # One that was new since the last checkpoint is not known by another text.
        assert 0 < signs["rewritten", "messages"].count <= len(damage["messages_overwritten"])
        assert {int(one) for one in signs["rewritten", "messages"].examples} <= set(damage["messages_overwritten"])
    else:
        assert signs["lines lost", "transcripts"].examples[0] in "".join(damage["transcripts"])
        assert set(signs["turns lost", "sessions"].examples) == set(damage["sessions"])
    assert any("work would be lost: " in one for one in result.recommended.reasons)
    assert any(one.startswith("It holds the damage") for one in result.asked.warnings)
    assert result.recommended.lost["transcript lines"] > 0


def test_nothing_is_wrong_while_the_team_works_and_after_the_damage_was_made_good(team: Team) -> None:
    newest = team.save(5)
    result = team.guide()
    assert result.incident is None, result.incident
    assert result.recommended is not None
    assert result.recommended.checkpoint == newest.id
    assert "in the last 5 checkpoints nothing looks wrong" in result.recommended.reasons[0]
    team.incident("tasks")
    # Not saved yet: the live state itself holds what is wrong.
    found = team.guide().recommended
    assert found is not None
    assert found.checkpoint == newest.id
    assert found.reasons[0].startswith("The last one before it went wrong")
    recoveries.recover(team.workspace, newest.id, Selection(), None, "mad", 10, lambda _: None)
    after = team.save(2)
    result = team.guide()
    assert result.incident is None, result.incident
    assert result.recommended is not None
    assert result.recommended.checkpoint == after.id
