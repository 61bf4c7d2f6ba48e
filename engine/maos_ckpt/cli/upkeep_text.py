"""What keeps the tiers up, a line each for `status`: the spool, the circuit breaker, the lease, the scrub."""

from __future__ import annotations

from collections.abc import Iterable

from maos_ckpt.cli.text import age, count, moment, size
from maos_ckpt.config import Config
from maos_ckpt.model import LOCAL_TIER, TierStatus
from maos_ckpt.operations.outcome import Outcome

_DAY_MS = 86_400_000
_OBJECTS_NAMED = 3


def upkeep_lines(
    tiers: Iterable[TierStatus], outcome: Outcome | None, config: Config, now_ms: int
) -> list[tuple[str, str]]:
    """Names of lines with what they say."""
    found = list(tiers)
    lines = []
    for tier in found:
        if tier.name != LOCAL_TIER:
            lines.append(("spool", _spool(tier, config, now_ms)))
            lines.append(("breaker", _breaker(tier, outcome, now_ms)))
            lines.append(("lease", _lease(outcome, now_ms)))
    lines.append(("scrub", "; ".join(_scrub(tier, config.scrub_days, now_ms) for tier in found)))
    return [line for line in lines if line[1]]


def scrub_due_ms(tier: TierStatus, scrub_days: float) -> int | None:
    """When every object of a tier should have been read again; None where that was never so, or is not asked for."""
    if not scrub_days or tier.scrubbed_at_ms is None:
        return None
    return tier.scrubbed_at_ms + round(scrub_days * _DAY_MS)


def _spool(tier: TierStatus, config: Config, now_ms: int) -> str:
    bound = size(config.storage.spool_size_bytes)
    if not tier.pending or tier.oldest_pending_at_ms is None:
        return f"empty (room for {bound})"
    what = f"{size(tier.pending_bytes)} of {bound} in {count(tier.pending, 'checkpoint')}"
    return f"{what}, the oldest taken {age(tier.oldest_pending_at_ms, now_ms)}"


def _breaker(tier: TierStatus, outcome: Outcome | None, now_ms: int) -> str:
    if outcome is None or not outcome.breaker:
        return ""
    words = {"open": "open, requests are held back", "half_open": "half open, one request is tried"}
    text = words.get(outcome.breaker, "closed, requests pass")
    if outcome.breaker_since_ms:
        text += f", since {moment(outcome.breaker_since_ms, now_ms)}"
    if outcome.trying_ms:
        text += f"; a replication is under way, begun {age(outcome.trying_ms, now_ms)}"
    elif tier.next_try_ms is not None and tier.next_try_ms > now_ms:
        text += f"; next try {age(tier.next_try_ms, now_ms)}"
    return text


def _lease(outcome: Outcome | None, now_ms: int) -> str:
    if outcome is None:
        return ""
    if not outcome.writer:
        return "held by nobody, as far as is known"
    since = f", since {moment(outcome.writer_since_ms, now_ms)}" if outcome.writer_since_ms else ""
    return f"held by {outcome.writer}{since}"


def _scrub(tier: TierStatus, scrub_days: float, now_ms: int) -> str:
    if not scrub_days:
        return f"{tier.name}: off (scrub_days is 0)"
    due_ms = scrub_due_ms(tier, scrub_days)
    if due_ms is None or tier.scrubbed_at_ms is None:
        text = f"{tier.name}: no full round yet, {tier.scrub_share:.0%} of the first one read"
    else:
        late = " (overdue)" if due_ms < now_ms else ""
        text = f"{tier.name}: all read {age(tier.scrubbed_at_ms, now_ms)}, again due {age(due_ms, now_ms)}{late}"
    if tier.damaged:
        named = ", ".join(tier.damaged[:_OBJECTS_NAMED])
        more = ", …" if len(tier.damaged) > _OBJECTS_NAMED else ""
        text += f"; {count(len(tier.damaged), 'object')} damaged or missing ({named}{more})"
    return text
