"""Spans of time as they are typed: `90s`, `30m`, `2h`, `1d`."""

from __future__ import annotations

import argparse
import re

_SPAN = re.compile(r"(\d{1,9})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def span_seconds(text: str) -> int | None:
    """The seconds in a span; None for anything else."""
    found = _SPAN.fullmatch(text)
    return int(found[1]) * _SECONDS[found[2]] if found else None


def span(text: str) -> float:
    """A span longer than nothing, as an option's value."""
    found = span_seconds(text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no span of time such as 90s, 30m, 2h or 1d")
    return float(found)
