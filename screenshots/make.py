"""Makes the screenshots: the real console over a real engine on the sample MAOS, which is then damaged and recovered.

`python screenshots/make.py [--out DIR] [--seconds N] [--interval S]` writes SVG files, and PNG files where `resvg_py`
is installed (a need of this script alone: `pip install resvg_py`; its font is DejaVu Sans Mono).
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

SMALL, NORMAL, WIDE, LARGE = (60, 20), (80, 24), (120, 40), (200, 60)
FONT_IN_SVG, FONT_FOR_PNG = "Fira Code", "DejaVu Sans Mono"
LONGEST_S = 60.0


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

    async def press(self, *keys: str, wait_for: str = "") -> None:
        """Press, then wait until the screen says `wait_for`."""
        for key in keys:
            await self._pilot.press(key)
        await self.sees(wait_for)

    async def type(self, text: str) -> None:
        """A text, key by key."""
        for one in text:
            self._app.post_message(Key("space" if one == " " else one, one))
        await self._pilot.pause()

    async def sees(self, text: str) -> None:
        """Wait until the screen says it."""
        for _ in range(int(LONGEST_S / 0.05)):
            if text in self._screen():
                await self._pilot.pause(0.2)
                return
            await asyncio.sleep(0.05)
        raise SystemExit(f"{text!r} never came:\n{self._screen()}")

    def _screen(self) -> str:
        lines = self._app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in line) for line in lines)

    def take(self, name: str) -> None:
        """One picture."""
        columns, rows = self._app.size
        path = self._folder / f"{name}-{columns}x{rows}.svg"
        svg = self._app.export_screenshot(title="maos-ckpt")
        path.write_text(svg, encoding="utf-8")
        write_png(svg, path.with_suffix(".png"))
        print(path.name)

    def short_id(self) -> str:
        """The six characters that the confirmation wants."""
        plan = getattr(self._app.screen, "plan", None)
        return plan.checkpoint[-6:] if plan is not None else ""


def write_png(svg: str, path: Path) -> None:
    """The picture as PNG, where the renderer is installed."""
    try:
        import resvg_py  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return
    path.write_bytes(bytes(resvg_py.svg_to_bytes(svg_string=svg.replace(FONT_IN_SVG, FONT_FOR_PNG))))


@asynccontextmanager
async def console(client: LocalClient, size: tuple[int, int], folder: Path) -> AsyncIterator[Photographer]:
    """The console at one size; the engine runs on beyond it."""
    app = ConsoleApp(client, start=False)
    async with app.run_test(size=size) as pilot:
        photographer = Photographer(app, pilot, folder)
        await photographer.sees("STORED")
        await photographer.sees("KiB")
        yield photographer


async def overviews(client: LocalClient, folder: Path) -> None:
    """The first screen at every size."""
    for size in (SMALL, NORMAL, WIDE, LARGE):
        async with console(client, size, folder) as photographer:
            await photographer.press("down", "down", "up", "up")
            photographer.take("overview")


async def recovery(client: LocalClient, folder: Path, size: tuple[int, int]) -> None:
    """The whole way from the difference to the undone recovery."""
    async with console(client, size, folder) as photographer:
        await photographer.press("slash")
        await photographer.type("before the incident")
        await photographer.press("enter", "enter", wait_for="Components")
        photographer.take("checkpoint")
        await photographer.press("d", wait_for="changes ")
        photographer.take("diff")
        await photographer.press("r", wait_for="ADDED SINCE")
        await asyncio.sleep(1.0)
        photographer.take("choose")
        await photographer.press("enter", wait_for="safety checkpoint")
        photographer.take("plan")
        await photographer.press("a", wait_for="to confirm")
        await photographer.type("an agent went mad and overwrote tasks")
        await photographer.press("tab")
        await photographer.type(photographer.short_id() or _word(photographer))
        photographer.take("confirm")
        await photographer.press("enter", "enter")
        await _outcome(photographer)
        photographer.take("recovered")
        await photographer.press("escape", "question_mark", wait_for="Help")
        photographer.take("help")


def _word(photographer: Photographer) -> str:
    return photographer._screen().partition("Type ")[2].partition(" to confirm")[0]


async def _outcome(photographer: Photographer) -> None:
    # The sample writes all the time: the plan is hardly ever still the one that was shown.
    await photographer.sees("moved on")
    photographer.take("moved")
    await photographer.press("a", wait_for="takes this back")


async def make(folder: Path, seconds: float, interval_s: float) -> None:
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
                await overviews(client, folder)
                damage(directory, home)
                await recovery(client, folder, NORMAL)
            finally:
                client.close(LONGEST_S)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument(
        "--seconds", type=float, default=45.0, help="how long checkpoints are taken before the pictures"
    )
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between two of them")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    asyncio.run(make(arguments.out, arguments.seconds, arguments.interval))


if __name__ == "__main__":
    main()
