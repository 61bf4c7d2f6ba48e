"""A sample MAOS in a process of its own: a team of agents that keeps writing through maos-cli's own classes.

`python -m maos_ckpt.demo.sample --dir DIR --claude-home DIR` prints the one line `ready` once its first state is there,
then writes until SIGTERM, SIGINT or the end of `--seconds`, and leaves a report. It may be stopped and continued.
Exit codes: 0 done, 1 MAOS failed to start, 2 wrong usage or maos-cli is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from maos_ckpt.demo.maos_access import DATABASE_NAME, MISSING_EXIT_CODE, MaosMissingError, Persistence, open_persistence
from maos_ckpt.demo.project import write_project_files
from maos_ckpt.demo.recorder import Recorder
from maos_ckpt.demo.story import MAX_AGENTS, Story
from maos_ckpt.demo.team import Team, TeamBuilder
from maos_ckpt.demo.workload import Pace, Workload

DEFAULT_RATE_PER_S: Final = 8.0
DEFAULT_AGENTS: Final = 12
MAX_RATE_PER_S: Final = 5_000.0
MAX_CONCURRENCY: Final = 64


@dataclass(frozen=True)
class Settings:
    """One run of the sample. `seconds` None: until a signal."""

    directory: Path
    claude_home: Path
    pace: Pace
    agents: int
    seed: int
    seconds: float | None
    oplog: Path | None
    report: Path | None


async def run(settings: Settings, persistence: Persistence) -> int:
    """Runs the sample to its end; returns the exit code. The report is written whatever happens after the start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    recorder = Recorder(settings.oplog)
    try:
        return await _work(settings, persistence, recorder, stop)
    finally:
        try:
            await persistence.close()
        except Exception as error:  # noqa: BLE001 — MAOS may raise anything, and the report is to say so
            recorder.note_error("close", error)
        recorder.close()
        if settings.report:
            recorder.write_report(settings.report)


async def _work(settings: Settings, persistence: Persistence, recorder: Recorder, stop: asyncio.Event) -> int:
    try:
        await persistence.initialize()
        story, builder, team = await _team(settings, persistence, recorder)
    except Exception as error:  # noqa: BLE001 — MAOS wraps what SQLite raises in classes of its own
        recorder.note_error("start", error)
    if recorder.errors:
        sys.stderr.write(f"The sample MAOS could not start: {recorder.errors[0]['message']}\n")
        return 1
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if settings.seconds is not None:
        asyncio.get_running_loop().call_later(settings.seconds, stop.set)
    await Workload(persistence, recorder, story, builder, team, settings.pace).run(stop)
    return 0


async def _team(settings: Settings, persistence: Persistence, recorder: Recorder) -> tuple[Story, TeamBuilder, Team]:
    counted = await persistence.execute_query("SELECT coalesce(max(id), 0) AS last_message FROM messages", [])
    # a later run in the same directory must not draw the identifiers of the earlier one again
    story = Story(f"{settings.seed}:{counted[0]['last_message']}")
    builder = TeamBuilder(persistence, recorder, story, settings.claude_home, settings.directory)
    team = await builder.adopt(settings.agents) or await builder.create(settings.agents)
    return story, builder, team


def settings_from(arguments: Sequence[str] | None) -> Settings:
    """Reads the command line; exits with code 2 on wrong usage. Makes the two directories."""
    parser = argparse.ArgumentParser(
        prog="python -m maos_ckpt.demo.sample", description="A sample MAOS under live load."
    )
    parser.add_argument("--dir", type=Path, required=True, help="working directory; the database is DIR/maos.db")
    parser.add_argument("--claude-home", type=Path, required=True, help="home of the transcripts, as ~/.claude")
    parser.add_argument(
        "--rate", type=float, default=DEFAULT_RATE_PER_S, metavar="W/S", help="writes per second in all"
    )
    parser.add_argument("--concurrency", type=int, default=4, metavar="N", help="coroutines that write")
    parser.add_argument("--seconds", type=float, help="end after this long (default: until a signal)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--agents", type=int, default=DEFAULT_AGENTS, metavar="N")
    parser.add_argument("--churn", action="store_true", help="create new agents and tasks while running")
    parser.add_argument("--oplog", type=Path, help="one JSON line per completed call")
    parser.add_argument("--report", type=Path, help="JSON report, written at the end")
    options = parser.parse_args(arguments)
    if not 0 < options.rate <= MAX_RATE_PER_S:
        parser.error(f"--rate must be above 0 and at most {MAX_RATE_PER_S:g}")
    if not 1 <= options.concurrency <= MAX_CONCURRENCY:
        parser.error(f"--concurrency must be 1 to {MAX_CONCURRENCY}")
    if not 1 <= options.agents <= MAX_AGENTS:
        parser.error(f"--agents must be 1 to {MAX_AGENTS}")
    if options.seconds is not None and options.seconds < 0:
        parser.error("--seconds must not be negative")
    directory, claude_home = options.dir.resolve(), options.claude_home.resolve()
    for folder in (directory, claude_home):
        folder.mkdir(parents=True, exist_ok=True)
    pace = Pace(options.rate, options.concurrency, options.churn)
    return Settings(
        directory, claude_home, pace, options.agents, options.seed, options.seconds, options.oplog, options.report
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    settings = settings_from(arguments)
    try:
        persistence = open_persistence(settings.directory / DATABASE_NAME)
    except MaosMissingError as error:
        sys.stderr.write(f"{error}\n")
        return MISSING_EXIT_CODE
    write_project_files(settings.directory)
    return asyncio.run(run(settings, persistence))


if __name__ == "__main__":
    sys.exit(main())
