"""Builds MAOS state made to measure: a database of a given size by direct SQL, and transcripts beside it.

`python -m tests.lab.build DIR --mb 500 --seed 1 [--claude-home D --transcript-mb N] [--family F]` builds;
`python -m tests.lab.build DIR --mutate 0.01 --seed 2` changes one record in a hundred, with
`--newest` the last hundredth of each table. One JSON line on stdout.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from maos_ckpt.demo import vocabulary as words
from maos_ckpt.demo.project import write_project_files
from maos_ckpt.demo.transcripts import TranscriptWriter
from tests.lab.mutate import mutate
from tests.lab.prose import Prose
from tests.lab.rows import EPOCH, MAX_TRANSCRIPTS, UNIT_BYTES, AgentRef, Rows
from tests.lab.schemas import COLUMNS, FAMILIES, Family, create_schema

DATABASE_NAME: Final = "maos.db"
MAX_DB_BYTES: Final = 64 << 30
PAGE_CACHE_KIB: Final = 64 << 10
MEAN_TRANSCRIPT_BYTES: Final = 300_000
MIB: Final = 1 << 20


@dataclass(frozen=True)
class BuiltState:
    """What was built. Sizes are those on disk, in bytes; `records` counts rows by table."""

    directory: Path
    database: Path
    claude_home: Path
    family: Family
    seed: int
    db_bytes: int
    transcript_bytes: int
    transcripts: tuple[Path, ...]
    records: dict[str, int]
    duration_s: float

    @property
    def record_count(self) -> int:
        """All rows of all tables."""
        return sum(self.records.values())


def build_state(
    directory: Path | str,
    claude_home: Path | str,
    db_bytes: int,
    *,
    seed: int,
    transcript_bytes: int = 0,
    family: Family = "0.9",
) -> BuiltState:
    """Builds `directory/maos.db` of about `db_bytes` and, under `claude_home`, transcripts of about `transcript_bytes`.

    The database depends on `db_bytes`, `seed` and `family` alone, byte for byte (for one SQLite version); transcripts
    also name the directory. Memory stays below some 150 MB whatever the size. Raises FileExistsError when there is a
    database already, ValueError for a size out of range.
    """
    began = time.monotonic()
    if not 0 < db_bytes <= MAX_DB_BYTES or transcript_bytes < 0:
        raise ValueError(f"cannot build {db_bytes} bytes of database and {transcript_bytes} of transcripts")
    directory, home = Path(directory).resolve(), Path(claude_home).resolve()
    database = directory / DATABASE_NAME
    if database.exists():
        raise FileExistsError(f"{database} exists already")
    directory.mkdir(parents=True, exist_ok=True)
    home.mkdir(parents=True, exist_ok=True)
    write_project_files(directory)
    rows = Rows(seed)
    records = _fill(database, rows, db_bytes, family)
    transcripts = write_transcripts(home, directory, rows.first_agents, transcript_bytes, seed)
    return BuiltState(
        directory,
        database,
        home,
        family,
        seed,
        database.stat().st_size,
        sum(p.stat().st_size for p in transcripts),
        transcripts,
        records,
        time.monotonic() - began,
    )


def _fill(database: Path, rows: Rows, db_bytes: int, family: Family) -> dict[str, int]:
    connection = sqlite3.connect(database, isolation_level=None)
    try:
        # nobody else has this file yet, and a half-built one is thrown away: no journal, no fsync
        settings = ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", f"cache_size=-{PAGE_CACHE_KIB}")
        for pragma in settings:
            connection.execute(f"PRAGMA {pragma}")
        page_bytes = int(connection.execute("PRAGMA page_size").fetchone()[0])
        create_schema(connection, family)
        tables = [table for table in COLUMNS if table != "orchestrations" or family != "0.3"]
        inserts = {
            table: f"INSERT INTO {table} ({', '.join(COLUMNS[table])}) VALUES ({', '.join('?' * len(COLUMNS[table]))})"
            for table in tables
        }
        records = dict.fromkeys(tables, 0)
        max_units = 100 + 4 * (db_bytes // UNIT_BYTES)
        for _ in range(max_units):
            missing_bytes = db_bytes - page_bytes * int(connection.execute("PRAGMA page_count").fetchone()[0])
            if missing_bytes <= 0:
                break
            # units shrink towards the end, so that the size is met
            scale = min(1.0, max(0.01, missing_bytes / (2 * UNIT_BYTES)))
            unit = rows.unit(scale, large_sessions=missing_bytes > UNIT_BYTES)
            connection.execute("BEGIN")
            for table in tables:
                connection.executemany(inserts[table], unit[table])
                records[table] += len(unit[table])
            connection.execute("COMMIT")
        return records
    finally:
        connection.close()


def write_transcripts(
    claude_home: Path, cwd: Path, agents: Sequence[AgentRef], total_bytes: int, seed: int
) -> tuple[Path, ...]:
    """Writes transcripts of about `total_bytes` for the first of `agents`; returns their paths (none for 0 bytes)."""
    if total_bytes == 0:
        return ()
    prose = Prose(seed + 1)
    count = min(len(agents), MAX_TRANSCRIPTS, max(1, total_bytes // MEAN_TRANSCRIPT_BYTES))
    written: list[Path] = []
    left_bytes = total_bytes
    for position, agent in enumerate(agents[:count]):
        share_bytes = left_bytes // (count - position)
        quota_bytes = share_bytes if position == count - 1 else int(share_bytes * prose.rng.uniform(0.3, 1.7))
        clock = _steady_clock(EPOCH + timedelta(minutes=position))
        writer = TranscriptWriter(claude_home, str(cwd), agent.session_id, rng=prose.rng, now=clock.__next__)
        _one_transcript(writer, prose, agent, quota_bytes)
        left_bytes -= writer.path.stat().st_size
        written.append(writer.path)
    return tuple(written)


def _steady_clock(begin: datetime) -> Iterator[datetime]:
    while True:
        yield begin
        begin += timedelta(seconds=7, milliseconds=311)


def _one_transcript(writer: TranscriptWriter, prose: Prose, agent: AgentRef, size_bytes: int) -> None:
    rng = prose.rng
    with writer.batch():
        writer.append_user(agent.task)
        while writer.size_bytes < size_bytes:
            writer.append_assistant(prose.text(rng.randrange(2, 9)))
            path = f"{rng.choice(words.DIRECTORIES)}/{rng.choice(words.STEMS)}.py"
            call = writer.append_tool_use(rng.choice(words.TOOLS), {"file_path": path, "reason": prose.text(1)})
            listing = "".join(f"{line:6}\t# {prose.text(1)}\n" for line in range(1, rng.randrange(4, 40)))
            writer.append_tool_result(call, listing, is_error=rng.random() < 0.04)
            if rng.random() < 0.2:
                writer.append_user(prose.text(2))
        writer.append_summary(agent.task)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; see the module's text. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.build", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--mb", type=float, help="size of the database in MiB")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--claude-home", type=Path, help="home of the transcripts (default: DIRECTORY/.claude-home)")
    parser.add_argument("--transcript-mb", type=float, default=0.0, help="size of all transcripts in MiB")
    parser.add_argument("--family", choices=FAMILIES, default="0.9")
    parser.add_argument("--mutate", type=float, metavar="FRACTION", help="change this fraction of the records instead")
    parser.add_argument("--newest", action="store_true", help="with --mutate: the rows inserted last, not any")
    options = parser.parse_args(arguments)
    if (options.mb is None) == (options.mutate is None):
        parser.error("give one of --mb and --mutate")
    if options.mutate is not None:
        began = time.monotonic()
        changed = mutate(options.directory, options.mutate, options.seed, newest=options.newest)
        counts = {table: len(keys) for table, keys in changed.items()}
        sys.stdout.write(json.dumps({"changed": counts, "duration_s": round(time.monotonic() - began, 3)}) + "\n")
        return 0
    home = options.claude_home or options.directory / ".claude-home"
    built = build_state(
        options.directory,
        home,
        int(options.mb * MIB),
        seed=options.seed,
        transcript_bytes=int(options.transcript_mb * MIB),
        family=options.family,
    )
    sys.stdout.write(json.dumps(asdict(built) | {"transcripts": len(built.transcripts)}, default=str) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
