"""The issue's must-show: an agent gone mad is recovered from what the screen says, in at most twelve keys."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.console.incident import KEYS_MAX, Scene, play, stage
from tests.console.terminal import Terminal


def _tasks(scene: Scene, names: list[str]) -> dict[str, tuple[str, str]]:
    marks = ",".join("?" * len(names))
    with closing(sqlite3.connect(scene.work / "maos.db")) as connection:
        rows = connection.execute(f"SELECT id, description, status FROM tasks WHERE id IN ({marks})", names)
        return {row[0]: (row[1], row[2]) for row in rows}


def test_one_mad_agent_is_recovered_in_twelve_keys_with_the_typed_id_counted(tmp_path: Path) -> None:
    scene = stage(tmp_path)
    own, others = scene.damage["tasks"], scene.damage["tasks_of_others_cancelled"]
    mad, cancelled = _tasks(scene, own), _tasks(scene, others)
    with Terminal(scene.command) as terminal:
        played = play(terminal, scene)
        terminal.type("q")
        assert terminal.wait(20.0)
    assert len(played.keys) <= KEYS_MAX
    assert scene.good.endswith(played.word)
    good = _tasks(scene, own)
    assert all(good[one] != mad[one] and good[one][1] != "failed" for one in own)
    # What was not asked for is as it was: the cancelled tasks of others have owners of their own.
    assert _tasks(scene, others) == cancelled
