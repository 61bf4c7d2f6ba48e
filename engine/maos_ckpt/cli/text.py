"""Sizes, times and tables for people. Everything untrusted passes `safe_text` here."""

from __future__ import annotations

from collections.abc import Sequence

from maos_ckpt.safe_text import safe_text
from maos_ckpt.times import rfc3339 as rfc3339

#: A table's column is cut to this width.
COLUMN_CHARACTERS_MAX = 60
#: The last column of a table that has to fit a terminal keeps at least so much.
LAST_COLUMN_CHARACTERS_MIN = 16
_BARS = "▁▂▃▄▅▆▇█"
#: A longer name is cut, and its length told.
NAME_CHARACTERS_MAX = 200


def size(number: int) -> str:
    """Bytes as people read them, in powers of 1024."""
    import humanize

    return humanize.naturalsize(number, binary=True, format="%.1f")


def duration(seconds: float) -> str:
    """A span of time in at most two units."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, whole = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {whole} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def moment(at_ms: int, now_ms: int) -> str:
    """A wall time for people: absolute in UTC, and how long ago."""
    absolute = rfc3339(at_ms)[:19].replace("T", " ") + " UTC"
    return f"{absolute} ({age(at_ms, now_ms)})"


def age(at_ms: int, now_ms: int) -> str:
    """How long ago a wall time is."""
    seconds = round((now_ms - at_ms) / 1000)
    if not seconds:
        return "just now"
    shown = span(abs(seconds))
    return f"in {shown}" if seconds < 0 else f"{shown} ago"


def span(seconds: float) -> str:
    """A span of time in whole seconds: `12 s`, `3 min 4 s`."""
    return f"{max(0, round(seconds))} s" if seconds < 60 else duration(seconds)


def count(number: int, noun: str) -> str:
    """`1 record`, `2,000 records`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def sparkline(values: Sequence[float | None]) -> str:
    """A bar for each value, from the lowest to the highest; a blank where there is none."""
    known = [one for one in values if one is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    steps = len(_BARS) - 1
    return "".join(
        " " if one is None else _BARS[round((one - low) / (high - low) * steps) if high > low else steps // 2]
        for one in values
    )


def clip(text: str, width: int = COLUMN_CHARACTERS_MAX) -> str:
    """Safe text of at most `width` characters."""
    shown = safe_text(text[: width * 2])
    return shown if len(shown) <= width and len(text) <= width * 2 else shown[: width - 1] + "…"


def name(text: str) -> str:
    """A record's or checkpoint's name as safe text; a long one is cut, and its length told."""
    if len(text) <= NAME_CHARACTERS_MAX:
        return safe_text(text)
    return f"{safe_text(text[:NAME_CHARACTERS_MAX])}… ({len(text):,} characters)"


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: frozenset[int] = frozenset(),
    width: int | None = None,
    droppable: Sequence[str] = (),
) -> list[str]:
    """Aligned lines; columns in `right` are aligned to the right.

    Where they are wider than `width`, empty columns go, then `droppable` ones in that order; the last is cut to fit.
    """
    cells = [list(head), *([clip(cell) for cell in row] for row in rows)]
    columns = list(range(len(head)))
    widths = [max(len(row[column]) for row in cells) for column in columns]

    def missing(last: int) -> int:
        """How many characters too wide it is, were the last column of at most `last`."""
        used = sum(widths[column] + 2 for column in columns[:-1])
        return 0 if width is None else used + min(widths[columns[-1]], last) - width

    if missing(COLUMN_CHARACTERS_MAX) > 0:
        columns = [column for column in columns if any(row[column] for row in cells[1:])]
        for dropped in droppable:
            if missing(LAST_COLUMN_CHARACTERS_MIN) > 0:
                columns = [column for column in columns if head[column] != dropped]
        last = columns[-1]
        widths[last] = max(widths[last] - max(missing(COLUMN_CHARACTERS_MAX), 0), 1)
    lines = []
    for row in cells:
        shown = [(column, clip(row[column], widths[column])) for column in columns]
        parts = [
            cell.rjust(widths[column]) if column in right else cell.ljust(widths[column]) for column, cell in shown
        ]
        lines.append("  ".join(parts).rstrip())
    return lines
