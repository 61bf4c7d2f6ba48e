"""An operator's incident, from the start of the console to one agent recovered and verified, key by key.

`python -m tests.console.incident [--live]` plays it in a real terminal, prints each key with the second at which it was
pressed, and what came of it; with `--live` over the demo's team at work, else over a state that stands still.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maos_ckpt.cli.sample import SampleMaos
from maos_ckpt.config import Config
from maos_ckpt.environment import child_environment
from maos_ckpt.model import Trigger
from maos_ckpt.operations import checkpoints
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.seams import SYSTEM
from tests.console.real import build_lab
from tests.console.terminal import Terminal

REASON = "it rewrote its tasks"
#: The issue's bound: key presses beyond the typed reason, those of the typed short id included.
KEYS_MAX = 12
TIMEOUT_S = 30.0
_LIVE_PAUSE_S = 1.0


@dataclass
class Scene:
    """A MAOS of which an agent has gone mad, with checkpoints from before and after."""

    work: Path
    home: Path
    repository: Path
    damage: dict[str, Any]
    good: str

    @property
    def command(self) -> list[str]:
        place = ["--source", f"maos:{self.work}", "--claude-home", str(self.home), "--repo", str(self.repository)]
        return ["-m", "maos_ckpt_tui", *place]


@dataclass
class Played:
    """Keys with the second at which each was pressed; the reason's letters stand apart."""

    keys: list[tuple[str, float]] = field(default_factory=list)
    verified_s: float = 0.0
    word: str = ""


def stage(folder: Path, live: SampleMaos | None = None) -> Scene:
    """Checkpoints, an agent that goes mad, and a checkpoint of what it did."""
    if live is None:
        lab = build_lab(folder)
        work, home = lab.state.directory, lab.state.claude_home
    else:
        work, home = folder / "work", folder / "claude"
    workspace = Workspace(folder / "repository", f"maos:{work}", home, Config(), SYSTEM)

    def save(times: int) -> str:
        for _ in range(times):
            time.sleep(_LIVE_PAUSE_S if live is not None else 0.0)
            saved = checkpoints.save(workspace, Trigger.SCHEDULE, "", (), lambda _: None)
        return saved.id

    good = save(3)
    place = ["--dir", str(work), "--claude-home", str(home)]
    words = [sys.executable, "-P", "-m", "maos_ckpt.demo.incident", *place]
    done = subprocess.run(words, env=child_environment(), capture_output=True, check=True, timeout=60)
    save(2)
    return Scene(work, home, folder / "repository", json.loads(done.stdout), good)


def play(terminal: Terminal, scene: Scene) -> Played:
    """What an operator does who reads nothing but the screen."""
    played = Played()

    def press(keys: str, name: str = "") -> None:
        played.keys += [(name or key, time.monotonic() - terminal.started_s) for key in ([keys] if name else keys)]
        terminal.type(keys)

    terminal.until("Recover", TIMEOUT_S)
    terminal.until("SAFE", TIMEOUT_S)
    press("6")
    terminal.until("Looks wrong", TIMEOUT_S)
    press("\r", "enter")
    terminal.until("What to recover", TIMEOUT_S)
    terminal.until(f"plans agent {scene.damage['agent_id'][:12]}", TIMEOUT_S)
    press("\r", "enter")
    terminal.until("a apply", TIMEOUT_S)
    press("a")
    terminal.until("to confirm", TIMEOUT_S)
    terminal.until("why this is done", TIMEOUT_S)
    terminal.type(REASON)
    found = re.search(r"Type (\w+) to confirm", terminal.words)
    assert found is not None
    played.word = found[1]
    press("\r", "enter")
    terminal.until("The id is not typed yet", TIMEOUT_S)
    press(played.word)
    terminal.until("press enter", TIMEOUT_S)
    press("\r", "enter")
    if _comes(terminal, "MAOS moved on", "Recovered and verified"):
        press("a")
    played.verified_s = terminal.until("Recovered and verified", TIMEOUT_S)
    return played


def _comes(terminal: Terminal, wanted: str, other: str) -> bool:
    """Whether the one comes, before the other does."""
    end_s = time.monotonic() + TIMEOUT_S
    while wanted not in terminal.words and other not in terminal.words:
        assert time.monotonic() < end_s
        terminal.pump(0.02)
    return wanted in terminal.words


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main(arguments: list[str] | None = None) -> int:
    """Play it, and tell each key."""
    parser = argparse.ArgumentParser(prog="python -m tests.console.incident", description=__doc__)
    parser.add_argument("--live", action="store_true", help="over the demo's team at work")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder, live = Path(place), None
        if options.live:
            live = SampleMaos(folder / "work", folder / "claude", None)
            live.start()
            stack.callback(live.stop)
        scene = stage(folder, live)
        with Terminal(scene.command) as terminal:
            played = play(terminal, scene)
            terminal.type("q")
            terminal.wait(TIMEOUT_S)
    for key, at_s in played.keys:
        tell(f"{at_s:6.1f} s  {key}")
    tell(f"{played.verified_s:6.1f} s  recovered and verified: agent {scene.damage['agent_id']}")
    beside = len(played.keys) - len(played.word)
    tell(f"{len(played.keys)} keys, {len(played.word)} of them the typed short id ({beside} without it)")
    return 0 if len(played.keys) <= KEYS_MAX else 1


if __name__ == "__main__":
    sys.exit(main())
