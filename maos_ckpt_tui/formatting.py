"""Numbers and times as people read them; every absolute time is UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400


@lru_cache(maxsize=4096)
def size(number: int) -> str:
    """Bytes in binary units, at most eight characters: `14.2 MiB`, `142 MiB`, `1023 KiB`."""
    import humanize  # Not needed for the first paint.

    if number < 1024:
        return f"{number} B"
    power = min(10, (number.bit_length() - 1) // 10)
    digits = "%.1f" if number / 1024**power < 99.95 else "%.0f"
    return humanize.naturalsize(number, binary=True, format=digits)


def count(number: int) -> str:
    """A whole number with thousands apart: `12,345`."""
    return f"{number:,}"


def plural(number: int, noun: str, nouns: str = "") -> str:
    """A counted noun: `1 record`, `12 records`."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def signed(number: int) -> str:
    """A difference: `+12`, `-3`, `±0`."""
    return f"{number:+,}" if number else "±0"


def signed_size(number: int) -> str:
    """A difference in bytes: `+3.2 KiB`."""
    return ("+" if number > 0 else "-") + size(abs(number)) if number else "±0"


def utc(at_ms: int) -> str:
    """`2026-11-23 09:14:30 UTC`."""
    return _moment(at_ms).isoformat(" ", "seconds")[:19] + " UTC"


def clock(at_ms: int) -> str:
    """Time of day in UTC: `09:14:30`."""
    return f"{_moment(at_ms):%H:%M:%S}"


def when(at_ms: int, now_ms: int) -> str:
    """Time of day where it was today, else month, day and minute: `09:14:30`, `11-22 09:14`."""
    moment, now = _moment(at_ms), _moment(now_ms)
    return f"{moment:%H:%M:%S}" if moment.date() == now.date() else f"{moment:%m-%d %H:%M}"


def _moment(at_ms: int) -> datetime:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)


def span(seconds: float) -> str:
    """An age in its one or two largest units, at most five characters: `12s`, `3m`, `2h05`, `4d`."""
    whole = max(0, int(seconds))
    if whole < _MINUTE_S:
        return f"{whole}s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S}m"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S}h{whole % _HOUR_S // _MINUTE_S:02d}"
    return f"{whole // _DAY_S}d"


def ago(at_ms: int, now_ms: int) -> str:
    """An age in words: `12 s ago`, `3 min ago`."""
    seconds = max(0, now_ms - at_ms) / 1000
    return f"{duration(float(int(seconds)))} ago" if seconds >= 1 else "just now"


def minutes(at_ms: int, now_ms: int) -> str:
    """A span in words that changes every second only while it is short: `12 s`, `3 min`."""
    seconds = max(0, now_ms - at_ms) // 1000
    return duration(float(seconds if seconds < _MINUTE_S else seconds // _MINUTE_S * _MINUTE_S))


def minutes_ago(at_ms: int, now_ms: int) -> str:
    """An age in words that changes every second only while it is short: `12 s ago`, `3 min ago`."""
    if now_ms - at_ms < _MINUTE_S * 1000:
        return ago(at_ms, now_ms)
    return f"{minutes(at_ms, now_ms)} ago"


def duration(seconds: float) -> str:
    """A duration: `12 ms`, `0.21 s`, `42 s`, `3 min 4 s`, `2 h 5 min`."""
    if seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return _two(whole // _MINUTE_S, "min", whole % _MINUTE_S, "s")
    if whole < _DAY_S:
        return _two(whole // _HOUR_S, "h", whole % _HOUR_S // _MINUTE_S, "min")
    return _two(whole // _DAY_S, "d", whole % _DAY_S // _HOUR_S, "h")


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"


def ratio(logical: int, stored: int) -> str:
    """How many times smaller the stored form is: `14:1`; empty where there is nothing to compare."""
    return f"{logical / stored:,.0f}:1" if logical and stored and logical >= stored else ""


def stamp(at_ms: int) -> str:
    """A time for a file's name: `20261123T091430Z`."""
    return f"{_moment(at_ms):%Y%m%dT%H%M%SZ}"
