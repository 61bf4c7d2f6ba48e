"""Sizes, times and tables for people. Everything untrusted passes `safe_text` here."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from maos_ckpt.safe_text import safe_text

#: A table's column is cut to this width.
COLUMN_CHARACTERS_MAX = 60


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


def rfc3339(at_ms: int) -> str:
    """A wall time as RFC 3339 in UTC with milliseconds."""
    try:
        moment = datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return f"{at_ms} ms"
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def moment(at_ms: int, now_ms: int) -> str:
    """A wall time for people: absolute in UTC, and how long ago."""
    absolute = rfc3339(at_ms)[:19].replace("T", " ") + " UTC"
    age_s = (now_ms - at_ms) / 1000
    if age_s < 0:
        return f"{absolute} (in {duration(-age_s)})"
    return f"{absolute} ({duration(age_s)} ago)"


def count(number: int, noun: str) -> str:
    """`1 record`, `2,000 records`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def clip(text: str, width: int = COLUMN_CHARACTERS_MAX) -> str:
    """Safe text of at most `width` characters."""
    shown = safe_text(text[: width * 2])
    return shown if len(shown) <= width and len(text) <= width * 2 else shown[: width - 1] + "…"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()) -> list[str]:
    """Aligned lines; columns in `right` are aligned to the right."""
    cells = [list(head), *([clip(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = []
    for row in cells:
        parts = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(parts).rstrip())
    return lines
