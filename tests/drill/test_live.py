"""A drill beside a MAOS at work: never stopped, never locked out, never opened."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import msgspec

from maos_ckpt.config import Config
from maos_ckpt.model import Progress, Trigger
from maos_ckpt.operations import checkpoints, drills
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
from tests.drill.conftest import Protected
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


def open_files(below: Path) -> dict[str, bool]:
    """Files below a folder that this process has open, and whether for writing."""
    found = {}
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
            info = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
        except OSError:
            continue
        if path.startswith(f"{below}/"):
            flags = next(int(line.split()[1], 8) for line in info.splitlines() if line.startswith("flags:"))
            found[path] = flags & os.O_ACCMODE != os.O_RDONLY
    return found


def test_no_live_file_is_ever_open_for_writing_and_the_state_is_not_opened_at_all(protected: Protected) -> None:
    folders = (protected.team, protected.claude, protected.repository)
    # The saves of other tests keep the database open.
    before = [path for folder in folders for path in open_files(folder)]
    steps: set[tuple[str, str]] = set()
    opened: dict[str, bool] = {}

    def look(step: Progress) -> None:
        if (step.phase, step.detail) not in steps:
            steps.add((step.phase, step.detail))
            for folder in folders:
                opened.update(open_files(folder))

    workspace = protected.workspace
    report = drills.drill(workspace, drills.LATEST, (), drills.MANUAL, "", look)
    assert report.passed
    assert len(steps) > 40
    for path in before:
        opened.pop(path, None)
    own = str(protected.repository / "drills")
    assert [path for path in opened if not path.startswith(f"{protected.repository}/")] == []
    assert [path for path, writing in opened.items() if writing and not path.startswith(own)] == []
