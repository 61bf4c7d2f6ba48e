"""Hostile names and payloads through every mode of the console, in a real pseudo-terminal, over a real MAOS state.

`python -m tests.console.fuzz_terminal --names 1000 --seed 1 [--steps 400] [--size 120x40]`. In every mode each key that
is declared for its screen is pressed, what opens is walked through, then come random keys. Everything that the console
sends is read as a terminal would: nothing but its own sequences may be in it. One JSON line on stdout.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from maos_ckpt_tui.commands import APP, COMMANDS, Level, commands_for
from maos_ckpt_tui.modes import MODES, Mode
from tests.console.hostile import hostile_texts, tag_of
from tests.console.hostile_state import HostileState, build_hostile
from tests.console.sent import sent
from tests.console.stream import foreign
from tests.console.terminal import Terminal, strip

#: Leaving is what the end is for.
_LEAVING = frozenset({"leave", "stop_engine"})
#: What is done in whatever a key has opened.
WALK = ("j", "\r", "\x1b[6~", "\t", "\r", "k", "\x1b", "\x1b[B", "?", "\x1b", "\x1b", "\x1b")
#: Lists that open out of lists.
_DEPTH = 4
_QUIET_S = 0.03
#: An escape key followed sooner by another is taken for one key with alt.
_ESCAPE_S = 0.12
_GOES_MAX = 8
#: What reads a whole state before it shows anything gets so long.
_LOADED_S = 3.0
_LONGEST_S = 3.0
_PANIC = "hit an error of its own"
_LEFT = "\x1b[?1049l"


class FoundError(AssertionError):
    """The console crashed, or sent what it must not."""


@dataclass
class Report:
    """What was driven through, and what came of it."""

    names: int
    seed: int
    keys: int = 0
    bytes_read: int = 0
    seconds: float = 0.0
    #: Tags of names that stood on the screen, by mode.
    seen: dict[str, set[str]] = field(default_factory=dict)

    def told(self) -> dict[str, object]:
        """As JSON says it."""
        everywhere = set[str]().union(*self.seen.values()) if self.seen else set()
        return {
            "names": self.names,
            "seed": self.seed,
            "keys": self.keys,
            "bytes_read": self.bytes_read,
            "seconds": round(self.seconds, 1),
            "names_shown": len(everywhere),
            "names_shown_by_mode": {mode: len(tags) for mode, tags in self.seen.items()},
            "problems": 0,
        }


class Driver:
    """Presses keys in a console and reads all that it answers."""

    def __init__(self, terminal: Terminal, columns: int, rows: int, report: Report) -> None:
        self._terminal = terminal
        self._size = columns, rows
        self._report = report
        self._checked = 0
        self._last: list[str] = []
        self.mode = ""

    def press(self, keys: str, load_s: float = 0.0) -> None:
        """One key or sequence; reads what it brings, see `wait`."""
        self._last = [*self._last[-19:], keys]
        self._report.keys += 1
        try:
            self._terminal.type(keys)
        except OSError as error:
            raise FoundError(f"the console is gone after {self._last}: {error}") from error
        self.wait(max(load_s, _ESCAPE_S if keys == "\x1b" else 0.0))

    def wait(self, load_s: float) -> None:
        """Read for `load_s` and until the console is quiet, and check what it said."""
        self._terminal.pump(load_s)
        self.settle()

    def go_to(self, mode: Mode) -> None:
        """Out of whatever is open, and into a mode; its name in brackets says that one is there."""
        other = MODES[0] if mode != MODES[0] else MODES[-1]
        for _ in range(_GOES_MAX):
            before = len(self._terminal.output)
            for key in ("\x1b", "\x1b", other.key, mode.key):
                self.press(key)
            if f"[{mode.key} {mode.title}]" in strip(self._terminal.output[before:].decode("utf-8", "replace")):
                return
        raise FoundError(f"there is no way to {mode.name} after {self._last}")

    def settle(self) -> None:
        """Read until nothing comes for a moment."""
        end_s = time.monotonic() + _LONGEST_S
        while time.monotonic() < end_s:
            before = len(self._terminal.output)
            self._terminal.pump(_QUIET_S)
            if len(self._terminal.output) == before:
                break
        self.check()

    def check(self) -> None:
        """Look at what was painted since the last look."""
        output = self._terminal.output
        # A sequence may be torn at the end of what has been read: everything from the last escape on waits.
        end = output.rfind(b"\x1b", max(self._checked, len(output) - 64))
        end = len(output) if end <= self._checked else end
        text = output[self._checked : end].decode("utf-8", "replace")
        self._checked = end
        columns, rows = self._size
        if found := foreign(text, columns, rows):
            raise FoundError(f"in {self.mode}, after {self._last}: {found[:5]}")
        if _LEFT in text or _PANIC in text:
            raise FoundError(f"the console left its screen in {self.mode}, after {self._last}:\n{text[-1500:]}")
        seen = self._report.seen.setdefault(self.mode, set())
        seen.update(text[at : at + 6] for at in _positions(text, "zq"))


def _positions(text: str, wanted: str) -> Iterator[int]:
    at = text.find(wanted)
    while at >= 0:
        yield at
        at = text.find(wanted, at + 1)


def place_of(mode: Mode) -> str:
    """Where a mode's own screen takes its actions from."""
    module, _, name = mode.screen.partition(":")
    return str(getattr(import_module(f"maos_ckpt_tui.screens.{module}"), name).PLACE)


def keys_of(place: str) -> list[str]:
    """The first key of every action of a place, leaving apart."""
    found = [sent(one.keys.split(",")[0]) for one in commands_for(place) if one.action not in _LEAVING]
    return [one for one in found if one]


def walk_lists(driver: Driver, mode: Mode, pages: int) -> None:
    """Through a mode's lists, and those that open out of them."""
    driver.mode = mode.name
    driver.go_to(mode)
    for _ in range(_DEPTH):
        driver.wait(_LOADED_S)
        for _ in range(pages):
            driver.press("\x1b[6~")
        # The first row is often the lab's own: the second one's is hostile.
        for key in ("\x1b[H", "j", "\r"):
            driver.press(key)


def walk_keys(driver: Driver, mode: Mode, chance: random.Random, keys_max: int) -> None:
    """Each of a mode's keys (`keys_max` of them, drawn by chance), and what that opens."""
    driver.mode = mode.name
    driver.go_to(mode)
    keys = keys_of(place_of(mode))
    # From the first row and from the last; where only one key is asked for, from the first alone.
    for start in ("\x1b[H", "\x1b[F")[:keys_max]:
        driver.press(start)
        for key in chance.sample(keys, min(keys_max, len(keys))):
            driver.press(key)
            for step in WALK:
                driver.press(step)
            driver.press(mode.key)


def random_keys(driver: Driver, mode: Mode, steps: int, chance: random.Random) -> None:
    """Whatever keys there are, in whatever order; a mode's own key and esc now and then."""
    declared = [one for one in COMMANDS if one.action not in _LEAVING and one.level is not Level.DANGER]
    keys = [sent(key) for one in declared for key in one.keys.split(",") if one.place != APP]
    keys = [one for one in keys if one] + ["\r", "\r", "j", "j", "\x1b[6~", "\t", "\x1b", "/", "00", "?"]
    driver.press(mode.key)
    for _ in range(steps):
        driver.press("\x1b" if chance.random() < 0.15 else chance.choice(keys))


def fuzz(
    state: HostileState,
    names: int,
    seed: int,
    steps: int,
    size: tuple[int, int] = (120, 40),
    pages: int = 4,
    keys_max: int = 99,
) -> Report:
    """Drive the console over `state` through all modes.

    Raises:
        FoundError: it crashed, or sent what it must not.
    """
    columns, rows = size
    report, chance = Report(names, seed), random.Random(seed)
    began_s = time.monotonic()
    arguments = ["-m", "maos_ckpt_tui", *state.arguments]
    # What keys export goes there as well.
    folder = state.directory.parent
    with Terminal(arguments, columns, rows, folder, HOME=str(folder)) as terminal:
        terminal.until("maos-ckpt")
        terminal.until("KiB", 30)
        driver = Driver(terminal, columns, rows, report)
        driver.mode = "start"
        driver.settle()
        for mode in MODES if pages else ():
            walk_lists(driver, mode, pages)
        for mode in MODES:
            walk_keys(driver, mode, chance, keys_max)
            random_keys(driver, mode, steps, chance)
        driver.mode = "end"
        driver.go_to(MODES[0])
        terminal.type("q")
        if not terminal.wait(30):
            raise FoundError("the console does not leave")
        if terminal.exit_code != 0:
            raise FoundError(f"the console ended with {terminal.exit_code}:\n{terminal.words[-1500:]}")
        report.bytes_read = len(terminal.output)
    report.seconds = time.monotonic() - began_s
    tags = {tag_of(number) for number in range(names)}
    report.seen = {mode: found & tags for mode, found in report.seen.items() if found & tags}
    return report


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=200, help="random keys in each mode")
    parser.add_argument("--pages", type=int, default=40, help="pages down in each mode's list")
    parser.add_argument("--keys-max", type=int, default=99, help="declared keys in each mode, drawn by chance")
    parser.add_argument("--size", default="120x40")
    parser.add_argument("--line-mb", type=float, default=10.0, help="length of the longest line of a transcript")
    arguments = parser.parse_args()
    columns, rows = map(int, arguments.size.split("x"))
    # Exports go where they harm nothing.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        texts = hostile_texts(arguments.names, arguments.seed)
        state = build_hostile(Path(folder), texts, line_bytes=int(arguments.line_mb * 1e6))
        try:
            size, keys_max = (columns, rows), arguments.keys_max
            steps, pages = arguments.steps, arguments.pages
            report = fuzz(state, arguments.names, arguments.seed, steps, size, pages=pages, keys_max=keys_max)
        except FoundError as error:
            print(error, file=sys.stderr)
            return 1
    print(json.dumps(report.told()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
