"""Alerts and hooks as lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from maos_ckpt.cli.text import age, count, moment
from maos_ckpt.hooks.courier import Way
from maos_ckpt.model.alerts import Alert, AlertState


def alert_pairs(alerts: Iterable[Alert], now_ms: int) -> list[tuple[str, str]]:
    """Two lines for each: what is wrong, and what to do."""
    pairs = []
    for one in alerts:
        pairs.append((f"{one.severity.upper()}", f"{one.name}, raised {age(one.since_ms, now_ms)}: {one.message}"))
        pairs.append(("  " + one.state.value, how(one, now_ms) + one.runbook))
    return pairs


def how(one: Alert, now_ms: int) -> str:
    """Who has seen it, and until when nothing is sent."""
    if one.state is AlertState.FIRING:
        return ""
    until = f" until {moment(one.until_ms, now_ms)}" if one.until_ms is not None else ""
    return f"by {one.by}{until}. "


def hook_pairs(ways: Sequence[tuple[str, Way]], now_ms: int, *, failing_only: bool) -> list[tuple[str, str]]:
    """A line for each hook that takes events from the journal."""
    pairs = []
    for name, way in ways:
        if way.failing_ms:
            last = f"; the last one {age(way.sent_ms, now_ms)}" if way.sent_ms else ""
            pairs.append((name, f"nothing arrives since {moment(way.failing_ms, now_ms)}: {way.failure}{last}"))
        elif not failing_only:
            lost = f", {way.given_up:,} given up" if way.given_up else ""
            last = f", the last one {age(way.sent_ms, now_ms)}" if way.sent_ms else ""
            pairs.append((name, f"{count(way.sent, 'event')} sent{lost}{last}"))
    return pairs
