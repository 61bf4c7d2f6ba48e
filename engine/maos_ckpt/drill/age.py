"""When the live state last changed, by the times of its files alone: nothing is opened, nothing is locked."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from maos_ckpt.errors import CkptError
from maos_ckpt.sources.maos.layout import Layout
from maos_ckpt.sources.maos.transcripts import list_transcripts
from maos_ckpt.sources.several import database_spec

#: Files of a SQLite database that change when it does.
_SUFFIXES = ("", "-wal", "-journal")


def newest_change_ms(spec: str, claude_home: Path) -> int:
    """Wall time of the newest change to database or transcripts of a source; 0 where there is nothing to be seen."""
    kind, _, rest = database_spec(spec).partition(":")
    times_ns: list[int] = []
    database = Path(rest)
    if kind == "maos":
        layout = Layout.of(database, claude_home)
        database = layout.database
        with contextlib.suppress(OSError, CkptError):
            times_ns += [one.mtime_ns for one in list_transcripts(layout)]
    for suffix in _SUFFIXES:
        with contextlib.suppress(OSError):
            times_ns.append(os.stat(f"{database}{suffix}").st_mtime_ns)
    return max(times_ns, default=0) // 1_000_000
