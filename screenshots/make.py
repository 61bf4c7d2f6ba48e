"""Makes the screenshots: the real console over a real engine on the sample MAOS, which is then damaged and recovered.

`python screenshots/make.py [--out DIR] [--only NAME] [--seconds N] [--interval S]` writes an SVG of every picture in
`screenshots/shots.py`, of every mode at every size, and the steps of an incident recovered; with the `screenshots`
extra installed also PNG files, and the steps as one animation. Each picture's layout is checked as it is taken.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "engine"), str(ROOT)]

import msgspec  # noqa: E402
from textual.events import Key  # noqa: E402
from textual.pilot import Pilot  # noqa: E402

from maos_ckpt.config import Config  # noqa: E402
from maos_ckpt.local import LocalClient  # noqa: E402
from maos_ckpt.operations.workspace import Workspace  # noqa: E402
from maos_ckpt.seams import SYSTEM  # noqa: E402
from maos_ckpt_tui.console import ConsoleApp  # noqa: E402
from maos_ckpt_tui.modes import MODES  # noqa: E402
from screenshots.picture import animate, write_png  # noqa: E402
from screenshots.shots import CONFIRMED, INCIDENT, MODE_SIZES, SHOTS, Shot, Step  # noqa: E402
from tests.console.layout import faults  # noqa: E402

LONGEST_S = 60.0
NORMAL = (80, 24)


@contextmanager
def sample_maos(directory: Path, claude_home: Path) -> Iterator[None]:
    """A sample MAOS that writes for as long as the block runs."""
    arguments = ["--dir", str(directory), "--claude-home", str(claude_home), "--rate", "12", "--seed", "4"]
    process = _python("maos_ckpt.demo.sample", *arguments)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"ready", "the sample MAOS did not start"
        yield
    finally:
        process.terminate()
        process.wait()


def damage(directory: Path, claude_home: Path) -> None:
    """An agent gone mad."""
    process = _python("maos_ckpt.demo.incident", "--dir", str(directory), "--claude-home", str(claude_home))
    assert process.wait() == 0, "the incident did not happen"


def _python(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "engine")}
    return subprocess.Popen([sys.executable, "-m", module, *arguments], env=environment, stdout=subprocess.PIPE)


class Photographer:
    """Presses keys and takes pictures."""

    def __init__(self, app: ConsoleApp, pilot: Pilot[int], folder: Path) -> None:
        self._app, self._pilot, self._folder = app, pilot, folder
        self.wrong: list[str] = []
        self.taken: list[Path] = []

    async def press(self, *keys: str, wait_for: str = "") -> None:
        """Press, then wait until the screen says `wait_for`; `type:…` types a text."""
        for key in keys:
            if key == CONFIRMED:
                await self.type(self._word())
            elif key.startswith("type:"):
                await self.type(key.removeprefix("type:"))
            else:
                await self._pilot.press(key)
        await self.sees(wait_for)

    async def type(self, text: str) -> None:
        """A text, key by key."""
        for one in text:
            self._app.post_message(Key("space" if one == " " else one, one))
        await self._pilot.pause()

    async def sees(self, text: str) -> None:
        """Wait until the screen says it (one of several, where `|` divides them), and no longer that it loads."""
        wanted = text.split("|")
        for _ in range(int(LONGEST_S / 0.05)):
            screen = self.screen()
            if any(one in screen for one in wanted) and "Loading…" not in screen:
                await self._pilot.pause(0.3)
                return
            await asyncio.sleep(0.05)
        raise SystemExit(f"{text!r} never came:\n{self.screen()}")

    def screen(self) -> str:
        """What the terminal shows."""
        lines = self._app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in line) for line in lines)

    def take(self, name: str, *, sized: bool = True) -> None:
        """One picture."""
        columns, rows = self._app.size
        path = self._folder / (f"{name}-{columns}x{rows}.svg" if sized else f"{name}.svg")
        svg = self._app.export_screenshot(title="maos-ckpt")
        path.write_text(svg, encoding="utf-8")
        write_png(svg, path.with_suffix(".png"))
        self.taken.append(path.with_suffix(".png"))
        self.wrong += [f"{path.name}: {one}" for one in faults(self._app)]
        print(path.name, flush=True)

    def _word(self) -> str:
        return self.screen().partition("Type ")[2].partition(" to confirm")[0]


@asynccontextmanager
async def console(client: LocalClient, size: tuple[int, int], folder: Path) -> AsyncIterator[Photographer]:
    """The console at one size; the engine runs on beyond it."""
    app = ConsoleApp(client, start=False)
    async with app.run_test(size=size) as pilot:
        photographer = Photographer(app, pilot, folder)
        await photographer.sees("KiB")
        yield photographer
        if app.crash is not None:
            raise SystemExit(f"the console crashed: {app.crash!r}")
    if photographer.wrong:
        raise SystemExit("\n".join(photographer.wrong))


async def every_mode(client: LocalClient, folder: Path, only: str) -> None:
    """Each mode's own screen at every size."""
    for size in MODE_SIZES if any(only in mode.name for mode in MODES) else ():
        async with console(client, size, folder) as photographer:
            for mode in MODES:
                await photographer.press(mode.key, wait_for=f"{mode.key} ")
                await asyncio.sleep(0.5)
                if only in mode.name:
                    photographer.take(mode.name)


async def take_shots(client: LocalClient, folder: Path, shots: tuple[Shot, ...], only: str) -> None:
    """The pictures of the table, each from the start."""
    for shot in shots:
        if only not in shot.name:
            continue
        for size in shot.sizes:
            async with console(client, size, folder) as photographer:
                for keys, wait_for in shot.steps:
                    await photographer.press(*keys, wait_for=wait_for)
                photographer.take(shot.name)


async def incident(client: LocalClient, folder: Path, steps: tuple[Step, ...]) -> None:
    """An incident recovered, step by step, and the steps as one animation."""
    async with console(client, NORMAL, folder) as photographer:
        shown_ms = []
        for step in steps:
            if step.when in photographer.screen():
                await photographer.press(*step.keys, wait_for=step.wait_for)
                shown_ms.append(step.shown_ms)
                photographer.take(f"incident-{len(shown_ms):02d}-{step.name}", sized=False)
        animate(photographer.taken, shown_ms, folder / "incident.png")


async def make(folder: Path, seconds: float, interval_s: float, only: str) -> None:
    """All pictures."""
    with tempfile.TemporaryDirectory(prefix="maos-ckpt-") as name:
        directory, home = Path(name) / "team-alpha", Path(name) / "claude"
        config = msgspec.structs.replace(Config(), interval_seconds=interval_s, max_checkpoints=0)
        with sample_maos(directory, home):
            client = LocalClient(Workspace(directory / ".maos-ckpt", f"maos:{directory}", home, config, SYSTEM))
            client.start()
            try:
                await asyncio.sleep(seconds)
                await asyncio.to_thread(client.save, "before the incident", ["release"])
                await asyncio.to_thread(client.drill, "latest", reason="the weekly one")
                await every_mode(client, folder, only)
                damage(directory, home)
                await asyncio.to_thread(client.save)
                await take_shots(client, folder, SHOTS, only)
                if only in "incident":
                    await incident(client, folder, INCIDENT)
            finally:
                client.close(LONGEST_S)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--only", default="", help="only pictures whose name has this in it")
    parser.add_argument("--seconds", type=float, default=45.0, help="how long checkpoints are taken before")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between two of them")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    asyncio.run(make(arguments.out, arguments.seconds, arguments.interval, arguments.only))


if __name__ == "__main__":
    main()
