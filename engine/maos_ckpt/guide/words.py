"""Advice as sentences. Every number and name in them is from the data; keys are untrusted."""

from __future__ import annotations

import datetime

from maos_ckpt.model import Incident, Sign
from maos_ckpt.safe_text import clipped

_SIGNS_TOLD = 4
_EXAMPLE_CHARACTERS_MAX = 60
_NOUNS = {"agents": "agent", "tasks": "task", "messages": "message", "sessions": "session", "transcripts": "transcript"}


def at(at_ms: int) -> str:
    """A wall time."""
    try:
        moment = datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return f"{at_ms} ms"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def between(from_ms: int, to_ms: int) -> str:
    """A span of wall time, its date told once where it has one."""
    start, end = at(from_ms), at(to_ms)
    return f"{start.removesuffix(' UTC')} to {end[11:] if start[:10] == end[:10] else end}"


def span(seconds: float) -> str:
    """A span of time in its largest units."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min" + (f" {rest} s" if rest and minutes < 10 else "")
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def number(count: int, noun: str) -> str:
    """`1 task`, `2,000 tasks`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def told(sign: Sign) -> str:
    """A sign: `3 agents turned failed (a-1, a-2, a-3)`."""
    records = number(sign.count, _NOUNS.get(sign.collection, f"record of {sign.component}/{sign.collection}"))
    if sign.collection not in _NOUNS and sign.count != 1:
        records = f"{sign.count:,} records of {sign.component}/{sign.collection}"
    one = sign.count == 1
    if sign.what == "failed":
        text = f"{records} turned {clipped(sign.detail, _EXAMPLE_CHARACTERS_MAX)}"
    elif sign.what == "removed":
        all_of = sign.total and sign.count >= sign.total
        text = f"all {records} went" if all_of else f"{records} of {sign.total:,} {'is' if one else 'are'} gone"
    elif sign.what == "rewritten":
        text = f"the {sign.detail} of {records} was rewritten"
    elif sign.what == "turns lost":
        text = f"{records} lost turns of {'its' if one else 'their'} conversation"
    elif sign.what == "lines lost":
        text = f"{number(sign.count, 'transcript')} lost lines, or had them replaced"
    else:
        text = f"{records} reported an error"
    examples = ", ".join(clipped(one, _EXAMPLE_CHARACTERS_MAX) for one in sign.examples)
    return f"{text} ({examples}{', …' if sign.count > len(sign.examples) else ''})"


def what_happened(incident: Incident) -> str:
    """An incident: `3 agents turned failed (…), …`."""
    parts = [told(one) for one in incident.signs[:_SIGNS_TOLD]]
    more = len(incident.signs) - len(parts)
    if more > 0:
        parts.append(number(more, "more sign"))
    return "; ".join(parts)


def lost_words(lost: dict[str, int], lost_s: float) -> str:
    """What going back costs: `3 min of work: 14 turns, 2 new tasks`."""
    kinds = ", ".join(f"{count:,} {kind.removesuffix('s') if count == 1 else kind}" for kind, count in lost.items())
    return f"{span(lost_s)} of work would be lost: {kinds}" if kinds else "No work would be lost"
