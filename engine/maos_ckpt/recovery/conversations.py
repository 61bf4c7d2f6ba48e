"""How the transcripts of the live state stand to a checkpoint's: which hold a text, and which go on where others end.

A transcript is one conversation, so it is chosen and merged as a whole. Only lines that differ are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import groupby

from maos_ckpt.codec.values import RawText, decode_key
from maos_ckpt.model import Row, Value
from maos_ckpt.recovery.lookup import every
from maos_ckpt.recovery.touched import TRANSCRIPT_FILES, TRANSCRIPTS
from maos_ckpt.states import State
from maos_ckpt.tree.diff import differences
from maos_ckpt.tree.large import load_row

#: A line's text on both sides, None where it is not there or was not read.
_Lines = Iterator[tuple[Row | None, Row | None]]


class Standing(StrEnum):
    """Of two versions of a transcript, which one goes on where the other ends; `apart` where neither does."""

    CHECKPOINT_LONGER = "checkpoint longer"
    LIVE_LONGER = "live longer"
    APART = "apart"


def standings(live: State, target: State) -> dict[Value, Standing]:
    """Path → how the two versions stand to each other, of every transcript that differs."""
    return {path: _standing(lines) for path, lines in _by_path(live, target)}


def paths_holding(live: State, target: State, holds: Callable[[Row], bool]) -> frozenset[Value]:
    """The transcripts of which a line that differs, or the path, holds something on either side."""
    return frozenset(
        path
        for path, lines in _by_path(live, target)
        if holds((path,)) or any(row is not None and holds(row) for line in lines for row in line)
    )


def live_paths(live: State) -> frozenset[Value]:
    """The transcripts that are there live."""
    return frozenset(decode_key(key)[0] for key, _ in every(live, TRANSCRIPT_FILES))


def _by_path(live: State, target: State) -> Iterator[tuple[Value, _Lines]]:
    found = differences(live.stream(TRANSCRIPTS), target.stream(TRANSCRIPTS))
    for path, group in groupby(found, key=lambda one: decode_key(one[0])[0]):
        yield (
            path,
            (
                (None if old is None else load_row(old, live.get), None if new is None else load_row(new, target.get))
                for _, old, new in group
            ),
        )


def _standing(lines: _Lines) -> Standing:
    """What the lines that differ, in their order, amount to."""
    found: Standing | None = None
    for old, new in lines:
        before, after = _text(old), _text(new)
        if before is None or after is None:
            # One side was not read to its end, so nobody knows how it goes on.
            return Standing.APART
        if after.startswith(before):
            now = Standing.CHECKPOINT_LONGER
        elif before.startswith(after):
            now = Standing.LIVE_LONGER
        else:
            return Standing.APART
        if found not in (None, now):
            return Standing.APART
        found = now
    return found or Standing.APART


def _text(row: Row | None) -> bytes | None:
    """A line's bytes, b"" where it is not there; None where it stands for what could not be read."""
    if row is None:
        return b""
    value = row[0]
    if isinstance(value, str):
        return value.encode()
    return bytes(value.data) if isinstance(value, RawText) else None
