"""How saves go, at a glance: the last value of each figure with its trend, held against its target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maos_ckpt.model import LOCAL_TIER, Checkpoint, EngineStatus, TierStatus
from maos_ckpt.model.metrics import MetricsReport, Targets
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.trends import NOTHING, bound, percent, ratio, told
from maos_ckpt_tui.widgets.lines import Line, Span

#: No wider terminal shows more of a trend.
TREND_MAX = 120


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure: `trend` oldest first, `target` in words with its tone (`< 5 s`, `over 5 s`)."""

    name: str
    trend: tuple[float | None, ...]
    value: str
    target: Span = ("", "plain")
    missed: bool = False
    logarithmic: bool = False

    @property
    def sign(self) -> Span:
        """Whether the target is kept; blank where there is none, or nothing to hold against it."""
        if not self.target[0] or self.value == NOTHING:
            return "  ", "plain"
        return ("!!", "warn") if self.missed else ("OK", "ok")


def measures(checkpoints: Sequence[Checkpoint], report: MetricsReport | None) -> tuple[Measure, ...]:
    """What is worth a glance. `checkpoints` are newest first; without a report what they do not tell is left open."""
    shown = list(checkpoints[:TREND_MAX])[::-1]
    newest = checkpoints[0] if checkpoints else None
    wanted = report.targets if report is not None else Targets()
    return (
        _time("save", [one.duration_s for one in shown], newest.duration_s if newest else None, wanted.save_time_s),
        _ratio(shown, report, wanted),
        _time(
            "lock", [one.capture.lock_s for one in shown], newest.capture.lock_s if newest else None, wanted.lock_time_s
        ),
        _errors(report, wanted),
        Measure(
            "stored",
            tuple(float(one.stored_bytes) for one in shown),
            fmt.size(newest.stored_bytes) if newest is not None else NOTHING,
            logarithmic=True,
        ),
        _recovery(report, wanted),
    )


def _time(name: str, trend: Sequence[float | None], value: float | None, target: float) -> Measure:
    missed = value is not None and value > target
    target_words = bound(fmt.duration, target, least=False, missed=missed)
    return Measure(name, tuple(trend), told(value, fmt.duration), target_words, missed)


def _ratio(shown: Sequence[Checkpoint], report: MetricsReport | None, wanted: Targets) -> Measure:
    value = report.compression_ratio if report is not None else None
    trend = tuple(one.logical_bytes / one.stored_bytes if one.stored_bytes else None for one in shown)
    missed = value is not None and value < wanted.compression_ratio
    target = bound(ratio, wanted.compression_ratio, least=True, missed=missed)
    return Measure("ratio", trend, told(value, ratio), target, missed, logarithmic=True)


def _errors(report: MetricsReport | None, wanted: Targets) -> Measure:
    """Of the report's window. None is the target; beyond the alert's threshold it is told so."""
    if report is None or report.error_rate is None:
        return Measure("errors", (), NOTHING)
    trend = tuple(None if one.value is None else 1.0 - one.value for one in report.success_rate_over_time)
    rate = report.error_rate
    limit = wanted.error_rate if rate > wanted.error_rate else 0.0
    target = (f"over {percent(limit)}", "warn") if rate > 0 else ("= 0 %", "dim")
    return Measure("errors", trend, percent(rate), target, rate > 0)


def _recovery(report: MetricsReport | None, wanted: Targets) -> Measure:
    if report is None:
        return Measure("recovery", (), NOTHING)
    trend = [one.value for one in report.recovery_time_trend]
    return _time("recovery", trend, report.average_recovery_time_s, wanted.recovery_time_s)


#: State of a tier → sign and tone; what is not named is fine.
_SIGNS = {
    "behind": ("..", "accent"),
    "full": ("!!", "warn"),
    "away": ("!!", "warn"),
    "held elsewhere": ("!!", "warn"),
    "refused": ("XX", "bad"),
    "foreign": ("XX", "bad"),
    "damaged": ("XX", "bad"),
}
_BREAKERS = {
    "open": "breaker open: left alone for now",
    "half_open": "breaker half open: one trial",
    "closed": "breaker closed",
}


def tier_sign(tier: TierStatus) -> Span:
    """Sign and tone of a tier's state."""
    return _SIGNS.get(tier.state, ("OK", "ok"))


def tier_lines(status: EngineStatus, now_ms: int) -> list[Line]:
    """Each tier in two or three lines: what it holds, what waits for it and how old that is, its circuit breaker."""
    lines: list[Line] = []
    for one in status.tiers:
        sign, tone = tier_sign(one)
        holds = f"{fmt.plural(one.checkpoints, 'checkpoint')}, {fmt.size(one.bytes)}"
        lines.append([(f" {sign} ", tone), (f"{one.name:<6}", "strong"), (f"{one.state}: {holds}", "plain")])
        lines += [[(" " * 10, "plain"), (text, told_tone)] for text, told_tone in _about(one, now_ms)]
    if status.tiers and all(one.name == LOCAL_TIER for one in status.tiers):
        lines.append([(" .. ", "dim"), ("no remote copy: ", "plain"), ("storage.s3.bucket sets one", "dim")])
    return lines


def _about(one: TierStatus, now_ms: int) -> list[Span]:
    if one.name == LOCAL_TIER:
        return [(one.location, "dim")]
    found: list[Span] = []
    if one.pending:
        text = f"spool: {fmt.plural(one.pending, 'checkpoint')} ({fmt.size(one.pending_bytes)})"
        if one.oldest_pending_at_ms is not None:
            text += f", oldest {fmt.minutes_ago(one.oldest_pending_at_ms, now_ms)}"
        found.append((text, "warn" if one.state not in ("ok", "behind") else "plain"))
    else:
        last = f", last sent {fmt.clock(one.last_success_at_ms)}" if one.last_success_at_ms is not None else ""
        found.append((f"spool: nothing waits{last}", "dim"))
    if one.breaker:
        again = f", next try {fmt.clock(one.next_try_ms)}" if one.next_try_ms is not None else ""
        text = _BREAKERS.get(one.breaker, f"breaker {one.breaker}") + again
        found.append((text, "dim" if one.breaker == "closed" else "warn"))
    return found


def tiers_in_short(status: EngineStatus | None) -> list[Span]:
    """The tiers in a few words for a heading: `here 9.1 MiB · s3 has all`."""
    parts: list[Span] = []
    for one in status.tiers if status is not None else ():
        sign, tone = tier_sign(one)
        if parts:
            parts.append((" · ", "faint"))
        if one.name == LOCAL_TIER:
            parts.append((f"here {fmt.size(one.bytes)}", "dim" if sign == "OK" else tone))
        else:
            waits = f"{fmt.count(one.pending)} wait" if one.pending else "has all"
            parts.append(
                (
                    f"{one.name} {waits}" if sign == "OK" else f"{sign} {one.name} {one.state}, {waits}",
                    tone if sign != "OK" else "dim",
                )
            )
    return parts
