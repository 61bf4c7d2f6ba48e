"""The console in a real pseudo-terminal, against what is promised: `python -m benchmarks.console [--out FILE]`.

First paint; opening a repository with 100,000 checkpoints and paging through it; key to paint in each mode, at rest and
while a state of 500 MB is saved; processor and bytes at rest in each mode, and those of a slow line. A key is answered
when the first byte of the change arrives. Prints a Markdown table, and writes the figures as JSON.
`--state DIR --claude-home DIR` takes a state that is there already (it is copied).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.figures import Figure, cpu_s, key_figures, percentile_ms, resident_mb
from maos_ckpt.environment import child_environment
from maos_ckpt_tui.modes import MODES, Mode
from tests.console.terminal import Terminal
from tests.lab.build import build_state
from tests.lab.mutate import mutate
from tests.lab.past import build_past

MB = 1_000_000
PAGE_DOWN, PAGE_UP = "\x1b[6~", "\x1b[5~"
#: What is there once something of the repository is shown.
SHOWN = "iB "
PAINTS = 7
_SETTLED_S = 1.5
_LONGEST_S = 120.0
_SAVES_TRIED = 3


@dataclass(frozen=True)
class Place:
    """A state, its repository, and the options of the command line for both."""

    folder: Path
    state: Path
    claude: Path

    @property
    def options(self) -> list[str]:
        """Of the command line."""
        config = self.folder / "config.toml"
        config.write_text("interval_seconds = 3600\nmax_checkpoints = 0\n", encoding="ascii")
        places = ["--source", f"maos:{self.state}", "--repo", str(self.folder / "repository")]
        return [*places, "--claude-home", str(self.claude), "--config", str(config)]

    def run(self, *words: str) -> subprocess.Popen[bytes]:
        """The command line, beside the console."""
        command = [sys.executable, "-m", "maos_ckpt_tui", *words, *self.options]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=child_environment())

    def save(self) -> None:
        """One checkpoint; a busy machine may make the source's lock too long, then again."""
        for _ in range(_SAVES_TRIED):
            if self.run("save").wait() == 0:
                return
        raise SystemExit(f"{self.state} cannot be saved; `maos-ckpt save {' '.join(self.options)}` says why")


@contextmanager
def console(place: Place, size: tuple[int, int], *more: str) -> Iterator[Terminal]:
    """A console over `place`, ended in order."""
    with Terminal(["-m", "maos_ckpt_tui", *place.options, *more], *size, HOME=str(place.folder)) as terminal:
        yield terminal
        terminal.signal(15)
        terminal.wait(_LONGEST_S)


def quiet(terminal: Terminal, for_s: float = 0.02) -> None:
    """Read until nothing was painted for so long."""
    before = -1
    while len(terminal.output) != before:
        before = len(terminal.output)
        terminal.pump(for_s)


def key(terminal: Terminal, keys: str, timeout_s: float = 5.0) -> float:
    """Seconds from a key to the first byte painted."""
    quiet(terminal)
    before, began_s = len(terminal.output), time.perf_counter()
    terminal.type(keys)
    if not terminal.first_byte(timeout_s):
        raise SystemExit(f"the key {keys!r} was not answered")
    assert len(terminal.output) > before
    return time.perf_counter() - began_s


def help_keys(terminal: Terminal, until: Callable[[int], bool]) -> list[float]:
    """Open and close the help, which every screen has, again and again."""
    taken: list[float] = []
    while not until(len(taken)):
        taken += [key(terminal, "?"), key(terminal, "?")]
    return taken


def first_paint(place: Place, size: tuple[int, int]) -> list[Figure]:
    """From the start of the process to the first whole screen: its last line is there."""
    taken, busy = [], []
    for _ in range(PAINTS):
        with console(place, size) as terminal:
            taken.append(terminal.until("quit"))
            busy.append(cpu_s(terminal.pid))
            quiet(terminal, 0.3)
    taken.sort()
    about = f"best {taken[0]:.2f} s, longest {taken[-1]:.2f} s of {PAINTS}; load {os.getloadavg()[0]:.1f}"
    return [
        Figure("first paint, median", taken[PAINTS // 2], 0.6, "s", about),
        Figure(
            "first paint, least processor time", min(busy), 0.6, "s", "what it takes on a machine with nothing else"
        ),
    ]


def past(folder: Path, size: tuple[int, int], number: int) -> list[Figure]:
    """A repository with a long past: opened by a console attached to its engine, and by one with an engine of its own.

    Of the first the time from the first paint to the list is taken: what the repository's size adds.
    """
    place = Place(folder, folder / "maos", folder / "claude")
    build_past(folder, number)
    found = []
    engine = place.run("--headless")
    try:
        began_s = time.perf_counter()
        while not list((folder / "repository").glob("*.sock*")) and time.perf_counter() - began_s < _LONGEST_S:
            time.sleep(0.1)
        for _ in range(2):  # The first one may wait for the engine's own look at everything.
            with console(place, size) as terminal:
                painted_s = terminal.until("quit")
                opened_s = terminal.until(SHOWN, _LONGEST_S) - painted_s
                attached_mb = resident_mb(terminal.pid)
                if "attached" not in terminal.words:
                    raise SystemExit("the console has an engine of its own")
                taken = [key(terminal, PAGE_DOWN) for _ in range(200)]
        about = f"console {attached_mb:.0f} MB, engine {resident_mb(engine.pid):.0f} MB"
        found.append(Figure(f"{number:,} checkpoints, attached: first paint to list", opened_s, 0.3, "s", about))
        found += key_figures(f"a page down among {number:,} checkpoints", taken, 50)
    finally:
        engine.terminate()
        engine.wait()
    with console(place, size) as terminal:
        painted_s = terminal.until("quit")
        opened_s = terminal.until(SHOWN, _LONGEST_S) - painted_s
        about = f"console with engine {resident_mb(terminal.pid):.0f} MB"
    found.append(Figure(f"{number:,} checkpoints, own engine: first paint to list", opened_s, 0.3, "s", about))
    return found


def modes_at_rest(place: Place, size: tuple[int, int], seconds: float, keys: int) -> list[Figure]:
    """Each mode: keys, then nothing for so long."""
    found = []
    for mode in MODES:
        with console(place, size) as terminal:
            terminal.until(SHOWN, 30)
            terminal.type(mode.key)
            terminal.pump(_SETTLED_S)
            found += key_figures(f"{mode.name}: key to paint at rest", help_keys(terminal, lambda n: n >= keys), 50)
            terminal.pump(_SETTLED_S)
            found += _at_rest(mode.name, terminal, seconds)
    return found


def _at_rest(what: str, terminal: Terminal, seconds: float) -> list[Figure]:
    before_bytes, before_cpu_s, began_s = len(terminal.output), cpu_s(terminal.pid), time.perf_counter()
    terminal.pump(seconds)
    took_s = time.perf_counter() - began_s
    share = (cpu_s(terminal.pid) - before_cpu_s) / took_s
    sent = (len(terminal.output) - before_bytes) / took_s / 1000
    about = f"over {took_s:.0f} s"
    return [
        Figure(f"{what}: processor at rest", share * 100, 1.0, "%", about + ", engine included"),
        Figure(f"{what}: sent at rest", sent, 1.0, "kB/s", about),
    ]


def slow_line(place: Place, size: tuple[int, int], seconds: float) -> list[Figure]:
    """What the switch for slow lines leaves."""
    with console(place, size, "--low-bandwidth") as terminal:
        terminal.until(SHOWN, 30)
        terminal.pump(_SETTLED_S)
        painted = Figure("low bandwidth: first screen", len(terminal.output) / 1000, None, "kB")
        return [painted, *_at_rest("low bandwidth", terminal, seconds)]


def during_saves(place: Place, size: tuple[int, int], modes: tuple[Mode, ...]) -> list[Figure]:
    """Keys in each mode while everything that a fifth of the records holds is saved by the console's own engine."""
    found, everything = [], []
    for seed, mode in enumerate(modes):
        mutate(place.state, 0.2, seed)
        with console(place, size) as terminal:
            terminal.until("quit")
            terminal.until(SHOWN, _LONGEST_S)
            saving = threading.Event()
            watcher = threading.Thread(target=_watch_save, args=(place, saving), daemon=True)
            terminal.type("c")
            quiet(terminal, 0.2)
            watcher.start()
            terminal.type("\r")
            terminal.pump(0.2)
            terminal.type(mode.key)
            terminal.pump(0.3)
            taken = help_keys(terminal, lambda n, saving=saving: saving.is_set() or n >= 2000)  # type: ignore[misc]
        found.append(Figure(f"{mode.name}: key to paint during a save, p99", percentile_ms(taken, 0.99), 100, "ms"))
        everything += taken
    return [*found, *key_figures("all modes: key to paint during a save", everything, 100)]


def _watch_save(place: Place, over: threading.Event) -> None:
    manifests = place.folder / "repository" / "manifests"
    before, began_s = len(list(manifests.iterdir())), time.perf_counter()
    while len(list(manifests.iterdir())) == before and time.perf_counter() - began_s < _LONGEST_S:
        time.sleep(0.02)
    over.set()


def measure(arguments: argparse.Namespace, folder: Path) -> Iterator[list[Figure]]:
    """Group by group."""
    size = tuple(map(int, arguments.size.split("x")))
    wanted = set(arguments.only.split(",")) if arguments.only else None

    def asked(name: str) -> bool:
        return wanted is None or name in wanted

    small = Place(folder / "small", folder / "small" / "maos", folder / "small" / "claude")
    build_state(small.state, small.claude, MB, seed=1, transcript_bytes=MB // 10)
    small.save()
    if asked("paint"):
        yield first_paint(small, size)
    if asked("rest"):
        yield modes_at_rest(small, size, arguments.seconds, arguments.keys)
        yield slow_line(small, size, arguments.seconds)
    if asked("past"):
        (folder / "past").mkdir()
        yield past(folder / "past", size, arguments.checkpoints)
    if asked("save"):
        large = Place(folder / "large", folder / "large" / "maos", folder / "large" / "claude")
        if arguments.state:
            shutil.copytree(arguments.state, large.state)
            shutil.copytree(arguments.claude_home, large.claude)
        else:
            build_state(large.state, large.claude, arguments.mb * MB, seed=2)
        large.save()
        yield during_saves(large, size, MODES)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=500)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--claude-home", type=Path)
    parser.add_argument("--size", default="120x40")
    parser.add_argument("--seconds", type=float, default=30.0, help="at rest, in each mode")
    parser.add_argument("--keys", type=int, default=200, help="in each mode")
    parser.add_argument("--checkpoints", type=int, default=100_000)
    parser.add_argument("--only", default="", help="some of paint,rest,past,save")
    parser.add_argument("--out", type=Path, help="where the figures go as JSON")
    arguments = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        print("| what | measured | promised | held | about |\n|---|---|---|---|---|", flush=True)
        for group in measure(arguments, Path(folder)):
            print("\n".join(one.row for one in group), flush=True)
            figures += group
    if arguments.out:
        load = os.getloadavg()[0]
        arguments.out.write_text(json.dumps({"load": load, "figures": [asdict(one) for one in figures]}, indent=2))


if __name__ == "__main__":
    main()
