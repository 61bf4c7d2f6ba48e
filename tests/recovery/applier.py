"""Applies the changes between two database files, to be killed while it does.

`python -m tests.recovery.applier LIVE WANTED` prints `ready` when the changes are known, waits for a line, applies them
and prints `done`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from maos_ckpt.seams import SYSTEM
from maos_ckpt.sources.sqlite.live import hold
from maos_ckpt.sources.sqlite.write import apply_changes
from tests.sources.changes import changes_between


def main(live: Path, wanted: Path) -> None:
    changes = changes_between(live, wanted)
    _say("ready")
    sys.stdin.readline()
    with hold(live, SYSTEM) as held:
        # So small a cache spills pages into the file long before the commit.
        held.connection.execute("PRAGMA cache_size = 20")
        apply_changes(held.connection, changes, sequences="set")
        held.mark("r1")
    _say("done")


def _say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
