"""What has been measured: figures of a window of time, totals since the journal began, and trends.

Times are milliseconds since 1970-01-01 UTC, durations float seconds, sizes bytes. A figure is None where nothing
happened that it could be worked out from.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from maos_ckpt.model.upkeep import Ratios

#: Hours that a report may look back.
HOURS_MAX = 168
HOURS = 24


@dataclass(frozen=True, slots=True)
class Timings:
    """How long something took, over `count` times.

    Args:
        average_s: the sum divided by `count`, exact to the microsecond.
        p50_s, p95_s, p99_s: nearest-rank percentiles, each within 0.8 % of a duration that was measured.
    """

    count: int = 0
    average_s: float | None = None
    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One bucket of a trend: when it begins, its value, and of how many events that is."""

    at_ms: int
    value: float | None
    count: int


@dataclass(frozen=True, slots=True)
class CacheUse:
    """Questions to the cache of what was read from the remote copy; `hit_ratio` is hits ÷ (hits + misses)."""

    hits: int = 0
    misses: int = 0
    hit_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Within:
    """How many durations were at most `bound_s`."""

    bound_s: float
    count: int


@dataclass(frozen=True, slots=True)
class Cumulative:
    """Durations ever measured: how many, their sum, and how many were within each of some bounds."""

    count: int = 0
    sum_s: float = 0.0
    within: tuple[Within, ...] = ()


@dataclass(frozen=True, slots=True)
class Totals:
    """What happened since the journal began, which only ever grows. `done` and `failed` count by operation."""

    checkpoints: int = 0
    unchanged: int = 0
    missed_ticks: int = 0
    logical_bytes: int = 0
    stored_bytes: int = 0
    replicated_bytes: int = 0
    cache_hits: int = 0
    cache_misses: int = 0
    done: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    save_time: Cumulative = field(default_factory=Cumulative)
    recovery_time: Cumulative = field(default_factory=Cumulative)


@dataclass(frozen=True, slots=True)
class Holding:
    """What the repository holds now, and what of it waits for the remote copy.

    Args:
        stored_bytes: of packs and manifests in the local repository.
        spool_oldest_age_s: age of the oldest checkpoint that waits.
        free_bytes: on the repository's disk, None where that cannot be told.
    """

    checkpoints: int = 0
    stored_bytes: int = 0
    ratios: Ratios = field(default_factory=Ratios)
    spool_checkpoints: int = 0
    spool_bytes: int = 0
    spool_oldest_age_s: float | None = None
    #: Moves by itself: two reports that differ in this alone are equal.
    free_bytes: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Targets:
    """What figures are held against: the configuration's wishes, and the bounds of its alerts.

    Args:
        save_time_s, recovery_time_s, lock_time_s: none should take longer.
        compression_ratio: at least this, over the whole repository.
        error_rate, checkpoint_age_s, spool_age_s: beyond these an alert is raised.
    """

    save_time_s: float = 5.0
    recovery_time_s: float = 60.0
    lock_time_s: float = 0.5
    compression_ratio: float = 10.0
    error_rate: float = 0.1
    checkpoint_age_s: float = 150.0
    spool_age_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class MetricsReport:
    """The metrics of the window from `from_ms` (included) to `until_ms` (excluded), which ends with the present ten
    minutes; everything but `totals`, `total_checkpoints` and `holding` is of the window alone.

    Args:
        since_ms: the first event that is known, None before there is one.
        total_checkpoints: ever committed, those included that recoveries took for safety and those removed since.
        saves, saves_failed: checkpoints taken on schedule or demand, and attempts at one that failed.
        success_rate: saves ÷ (saves + saves_failed).
        average_save_time_s: of `save_time`. A save's time is its manifest's: from the begin of the cut to the commit.
        average_recovery_time_s: of `recovery_time`: recoveries, rescues and undos, safety checkpoint and verification
            included.
        error_rate: failed ÷ (failed + done) over saves, recoveries, verifications and drills.
        storage_usage_bytes: `holding.stored_bytes`.
        compression_ratio: `holding.ratios.whole`: logical bytes of all checkpoints that are kept ÷ the bytes of all
            packs and manifests.
        lock_time: longest time that each save held a lock on the source.
        save_time_trend: average save time in each bucket, in seconds.
        success_rate_over_time: success rate in each bucket.
        compression_ratio_trend: what the saves of each bucket captured ÷ what they added: Σ logical ÷ Σ stored bytes.
        recovery_time_trend, lock_time_trend: averages in each bucket, in seconds.
        stored_bytes_trend: what the saves of each bucket added.
        targets: what these figures should be.
    """

    hours: int
    from_ms: int
    until_ms: int
    since_ms: int | None
    total_checkpoints: int
    saves: int
    saves_failed: int
    recoveries: int
    recoveries_failed: int
    errors: int
    missed_ticks: int
    success_rate: float | None
    average_save_time_s: float | None
    average_recovery_time_s: float | None
    storage_usage_bytes: int
    compression_ratio: float | None
    error_rate: float | None
    save_time: Timings
    recovery_time: Timings
    lock_time: Timings
    cache: CacheUse
    holding: Holding
    totals: Totals
    bucket_s: int
    save_time_trend: tuple[TrendPoint, ...] = ()
    success_rate_over_time: tuple[TrendPoint, ...] = ()
    compression_ratio_trend: tuple[TrendPoint, ...] = ()
    recovery_time_trend: tuple[TrendPoint, ...] = ()
    lock_time_trend: tuple[TrendPoint, ...] = ()
    stored_bytes_trend: tuple[TrendPoint, ...] = ()
    targets: Targets = Targets()
