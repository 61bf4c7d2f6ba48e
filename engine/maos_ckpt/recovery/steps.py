"""The steps of a recovery, in the order in which it takes them; killed behind any of them, it is settled exactly."""

from __future__ import annotations

from enum import StrEnum


class Step(StrEnum):
    """Reported through `Seams.steps` when it is done. Up to `MARKED` nothing live has changed."""

    QUIESCED = "quiesced"
    HELD = "held"
    SAVED = "safety checkpoint taken"
    INTENDED = "intent noted"
    WRITTEN = "rows written"
    CHECKED = "rows read back"
    #: In the transaction, or in a new file that has no name yet.
    MARKED = "commit marked"
    COMMITTED = "committed"
    #: Once for each file.
    FILE = "file put back"
    FILES = "all files put back"
    VERIFIED = "verified"
    #: The intent is still there beside it.
    DONE = "done noted"
    FORGOTTEN = "intent forgotten"
    RELEASED = "fence released"
    RESUMED = "resumed"
