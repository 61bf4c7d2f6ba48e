"""metrics: what was measured over a window of time, with trends, in figures and as lines of text."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from maos_ckpt.cli.context import Context
from maos_ckpt.cli.text import count, duration, moment, rfc3339, size, span, sparkline
from maos_ckpt.errors import ExitCode, NotFoundError
from maos_ckpt.model.metrics import MetricsReport, Timings, TrendPoint
from maos_ckpt.operations import metrics as measured

_NOTHING = "nothing yet"


def metrics(context: Context) -> int:
    """`maos-ckpt metrics`."""
    if not context.workspace.journal.directory.is_dir():
        raise NotFoundError(
            f"There is no repository at {context.workspace.repository}.",
            hint="Run `maos-ckpt save` to make one, or name another with --repo.",
            repository=str(context.workspace.repository),
        )
    return tell_metrics(context, measured.metrics(context.workspace, context.arguments.hours))


def tell_metrics(context: Context, report: MetricsReport) -> int:
    """What was measured."""
    if context.out.as_json:
        context.out.document(document(report))
    else:
        context.out.lines(_lines(report, context.seams.clock.now_ms()))
    return ExitCode.DONE


# JSON


def document(one: MetricsReport) -> dict[str, object]:
    """The report with the names of the REST API in snake_case; durations in seconds, sizes in bytes."""
    held = one.holding
    return {
        "hours": one.hours,
        "from": rfc3339(one.from_ms),
        "until": rfc3339(one.until_ms),
        "since": None if one.since_ms is None else rfc3339(one.since_ms),
        "total_checkpoints": one.total_checkpoints,
        "success_rate": one.success_rate,
        "average_save_time": one.average_save_time_s,
        "average_recovery_time": one.average_recovery_time_s,
        "storage_usage": one.storage_usage_bytes,
        "compression_ratio": one.compression_ratio,
        "error_rate": one.error_rate,
        "saves": one.saves,
        "saves_failed": one.saves_failed,
        "recoveries": one.recoveries,
        "recoveries_failed": one.recoveries_failed,
        "errors": one.errors,
        "missed_ticks": one.missed_ticks,
        "save_time": dataclasses.asdict(one.save_time),
        "recovery_time": dataclasses.asdict(one.recovery_time),
        "lock_time": dataclasses.asdict(one.lock_time),
        "ratios": dataclasses.asdict(held.ratios),
        "free_bytes": held.free_bytes,
        "cache": dataclasses.asdict(one.cache),
        "checkpoints": held.checkpoints,
        "spool": {
            "pending": held.spool_checkpoints,
            "bytes": held.spool_bytes,
            "oldest_age_s": held.spool_oldest_age_s,
        },
        "totals": dataclasses.asdict(one.totals),
        "trends": {
            "bucket_s": one.bucket_s,
            "save_time_trend": _points(one.save_time_trend),
            "success_rate_over_time": _points(one.success_rate_over_time),
            "compression_ratio_trend": _points(one.compression_ratio_trend),
            "recovery_time_trend": _points(one.recovery_time_trend),
            "lock_time_trend": _points(one.lock_time_trend),
            "stored_bytes_trend": _points(one.stored_bytes_trend),
        },
        "targets": dataclasses.asdict(one.targets),
    }


def _points(trend: Sequence[TrendPoint]) -> list[dict[str, object]]:
    return [{"at": rfc3339(one.at_ms), "value": one.value, "count": one.count} for one in trend]


# Text


def _lines(one: MetricsReport, now_ms: int) -> list[str]:
    held, ratios = one.holding, one.holding.ratios
    saves = f"{one.saves:,} of {one.saves + one.saves_failed:,} succeeded" if one.saves + one.saves_failed else _NOTHING
    pairs = [
        ("window", f"{one.hours} h, from {rfc3339(one.from_ms)[:16]}Z"),
        (
            "checkpoints",
            f"{one.total_checkpoints:,} ever, {held.checkpoints:,} kept in {size(one.storage_usage_bytes)}",
        ),
        ("saves", saves + _percent(one.success_rate)),
        ("save time", _timings(one.save_time)),
        ("recovery time", _timings(one.recovery_time)),
        ("lock time", _timings(one.lock_time)),
        ("errors", f"{count(one.errors, 'failure')}{_percent(one.error_rate, 'error rate ')}"),
    ]
    if one.missed_ticks:
        pairs.append(("missed", count(one.missed_ticks, "scheduled save")))
    if ratios.whole and ratios.codec and ratios.dedup:
        parts = f"codec {ratios.codec:,.1f}, deduplication {ratios.dedup:,.1f}"
        pairs.append(("compression", f"{ratios.whole:,.1f} : 1 ({parts})"))
    if one.cache.hit_ratio is not None:
        asked = one.cache.hits + one.cache.misses
        pairs.append(("cache", f"{one.cache.hit_ratio:.1%} of {count(asked, 'read')} from S3 answered"))
    if held.spool_checkpoints:
        pairs.append(("spool", f"{count(held.spool_checkpoints, 'checkpoint')} ({size(held.spool_bytes)}) wait"))
    since = "nothing was recorded yet" if one.since_ms is None else moment(one.since_ms, now_ms)
    trends = [
        ("save time", _trend(one.save_time_trend, duration)),
        ("success rate", _trend(one.success_rate_over_time, lambda value: f"{value:.1%}")),
        ("compression", _trend(one.compression_ratio_trend, lambda value: f"{value:,.1f} : 1")),
    ]
    head = f"Trends, a sign for each {span(one.bucket_s)}, and from lowest to highest:"
    return [*_table([*pairs, ("recorded", f"since {since}")]), "", head, *_table(trends)]


def _table(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{name:<15}{text}" for name, text in pairs]


def _percent(share: float | None, before: str = "") -> str:
    return "" if share is None else f" ({before}{share:.2%})"


def _timings(one: Timings) -> str:
    if one.average_s is None or one.p50_s is None or one.p95_s is None or one.p99_s is None:
        return _NOTHING
    shown = ", ".join(f"{name} {duration(value)}" for name, value in (("p50", one.p50_s), ("p95", one.p95_s)))
    return f"{duration(one.average_s)} on average, {shown}, p99 {duration(one.p99_s)}"


def _trend(points: Sequence[TrendPoint], words: Callable[[float], str]) -> str:
    known = [one.value for one in points if one.value is not None]
    shown = sparkline([one.value for one in points])
    return f"{shown}  {words(min(known))} to {words(max(known))}" if known else _NOTHING
