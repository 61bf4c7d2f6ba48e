"""A drill beside a MAOS at work: it is never stopped, and never locked out."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec

from maos_ckpt.config import Config
from maos_ckpt.model import Trigger
from maos_ckpt.operations import checkpoints, drills
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
from tests.lab.writers import LiveMaos


class StateWatch(threading.Thread):
    """Looks at a process's state all the time."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._path = Path(f"/proc/{pid}/stat")
        self._ended = threading.Event()
        self.seen: set[str] = set()
        self.looks = 0

    def run(self) -> None:
        while not self._ended.wait(0.002):
            self.seen.add(self._path.read_text().rpartition(")")[2].split()[0])
            self.looks += 1

    def end(self) -> None:
        self._ended.set()
        self.join()


def test_a_maos_at_work_beside_a_drill_is_never_stopped_and_meets_no_error(tmp_path: Path) -> None:
    config = msgspec.structs.replace(Config(), interval_seconds=3600.0)
    with LiveMaos(tmp_path / "team", tmp_path / "claude") as live:
        workspace = Workspace(tmp_path / "repository", f"maos:{live.directory}", live.claude_home, config, SYSTEM)
        checkpoints.save(workspace, Trigger.MANUAL, "", (), lambda step: None)
        # Its next writes are what would be lost, were the machine lost now.
        SYSTEM.clock.sleep(0.3)
        watch = StateWatch(live.pid)
        watch.start()
        report = drills.drill(workspace, drills.LATEST, (), drills.MANUAL, "", lambda step: None)
        watch.end()
        told = live.stop()
    assert report.passed, [(one.scenario, one.why) for one in report.scenarios]
    assert watch.looks > 50
    assert "T" not in watch.seen
    assert told["errors"] == []
    assert report.rpo_s is not None
    assert 0 < report.rpo_s < report.rpo_target_s
