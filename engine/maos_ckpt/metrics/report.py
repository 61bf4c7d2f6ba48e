"""From figures to a report: the formulas are those that `MetricsReport` states."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from maos_ckpt.errors import UsageError
from maos_ckpt.metrics.distribution import Distribution
from maos_ckpt.metrics.figures import SLOT_MS, Figures, Slot
from maos_ckpt.model.metrics import (
    HOURS_MAX,
    CacheUse,
    Cumulative,
    Holding,
    MetricsReport,
    Targets,
    Timings,
    Totals,
    TrendPoint,
    Within,
)

#: Buckets of a trend: an hour each for a day, and never less than a slot.
BUCKETS = 24
#: What failed or was done of these makes the error rate.
RATED = ("save", "restore", "undo", "rescue", "verify", "repair", "scrub", "drill")
RECOVERIES = ("restore", "undo", "rescue")
#: Bounds in seconds that durations are counted within for machines.
BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_HOUR_MS = 3_600_000
_DIGITS = 6
DEFAULT_TARGETS = Targets()


def checked_hours(hours: int) -> int:
    """`hours`, where a report can look back so far.

    Raises:
        UsageError: it cannot.
    """
    if isinstance(hours, bool) or not isinstance(hours, int) or not 1 <= hours <= HOURS_MAX:
        raise UsageError(
            f"Metrics look back from 1 to {HOURS_MAX} hours, not {hours!r:.40}.",
            kept="Nothing was changed.",
            hint="24 hours are the default.",
        )
    return hours


def report(
    figures: Figures, holding: Holding, now_ms: int, hours: int, targets: Targets = DEFAULT_TARGETS
) -> MetricsReport:
    """The metrics of the last `hours` (from 1 to `HOURS_MAX`) before the end of the present slot.

    Raises:
        UsageError: see `checked_hours`.
    """
    length = checked_hours(hours) * _HOUR_MS // SLOT_MS
    end = now_ms // SLOT_MS + 1
    first = end - length
    slot, total = figures.window(first, end), figures.total
    done, failed = _of(slot.done, RATED), _of(slot.failed, RATED)
    saves, saves_failed = slot.save.count, slot.failed.get("save", 0)
    step = max(length // BUCKETS, 1)
    buckets = [(at, figures.window(at, at + step)) for at in range(first, end, step)]
    return MetricsReport(
        hours=hours,
        from_ms=first * SLOT_MS,
        until_ms=end * SLOT_MS,
        since_ms=figures.since_ms,
        total_checkpoints=total.checkpoints,
        saves=saves,
        saves_failed=saves_failed,
        recoveries=slot.recovery.count,
        recoveries_failed=_of(slot.failed, RECOVERIES),
        errors=sum(slot.failed.values()),
        missed_ticks=slot.missed_ticks,
        success_rate=_share(saves, saves + saves_failed),
        average_save_time_s=slot.save.average_s,
        average_recovery_time_s=slot.recovery.average_s,
        storage_usage_bytes=holding.stored_bytes,
        compression_ratio=holding.ratios.whole,
        error_rate=_share(failed, failed + done),
        save_time=_timings(slot.save),
        recovery_time=_timings(slot.recovery),
        lock_time=_timings(slot.lock),
        cache=CacheUse(
            slot.cache_hits, slot.cache_misses, _share(slot.cache_hits, slot.cache_hits + slot.cache_misses)
        ),
        holding=holding,
        totals=_totals(total),
        bucket_s=step * SLOT_MS // 1000,
        save_time_trend=_trend(buckets, lambda one: (one.save.average_s, one.save.count)),
        success_rate_over_time=_trend(buckets, _success),
        compression_ratio_trend=_trend(buckets, lambda one: (_ratio(one), one.save.count)),
        recovery_time_trend=_trend(buckets, lambda one: (one.recovery.average_s, one.recovery.count)),
        lock_time_trend=_trend(buckets, lambda one: (one.lock.average_s, one.lock.count)),
        stored_bytes_trend=_trend(buckets, lambda one: (one.stored_bytes if one.save.count else None, one.save.count)),
        targets=targets,
    )


def _trend(
    buckets: Iterable[tuple[int, Slot]], value: Callable[[Slot], tuple[float | None, int]]
) -> tuple[TrendPoint, ...]:
    return tuple(TrendPoint(number * SLOT_MS, *value(slot)) for number, slot in buckets)


def _success(slot: Slot) -> tuple[float | None, int]:
    tried = slot.save.count + slot.failed.get("save", 0)
    return _share(slot.save.count, tried), tried


def _ratio(slot: Slot) -> float | None:
    return round(slot.logical_bytes / slot.stored_bytes, 3) if slot.stored_bytes else None


def _of(counts: dict[str, int], operations: Iterable[str]) -> int:
    return sum(counts.get(one, 0) for one in operations)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, _DIGITS) if whole else None


def _timings(found: Distribution) -> Timings:
    percentiles = (found.percentile_s(share) for share in (0.5, 0.95, 0.99))
    return Timings(found.count, found.average_s, *percentiles)


def _cumulative(found: Distribution) -> Cumulative:
    within = tuple(Within(bound_s, found.within(bound_s)) for bound_s in BOUNDS_S)
    return Cumulative(found.count, found.sum_us / 1_000_000, within)


def _totals(total: Slot) -> Totals:
    return Totals(
        checkpoints=total.checkpoints,
        unchanged=total.unchanged,
        missed_ticks=total.missed_ticks,
        logical_bytes=total.logical_bytes,
        stored_bytes=total.stored_bytes,
        replicated_bytes=total.replicated_bytes,
        cache_hits=total.cache_hits,
        cache_misses=total.cache_misses,
        done=dict(sorted(total.done.items())),
        failed=dict(sorted(total.failed.items())),
        save_time=_cumulative(total.save),
        recovery_time=_cumulative(total.recovery),
    )
