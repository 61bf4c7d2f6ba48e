"""Metrics worked out the plain way, from a list of all events: what the folded figures are compared with."""

from __future__ import annotations

import math
from collections.abc import Iterable

from maos_ckpt.journal import Entry
from maos_ckpt.model.metrics import MetricsReport

MINUTES_10_MS = 600_000
RATED = {"save", "restore", "undo", "rescue", "verify", "repair", "scrub", "drill"}


def _of(entries: Iterable[Entry], name: str) -> list[dict[str, object]]:
    return [fields for kind, fields in entries if kind == name]


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _close(found: float | None, wanted: float | None, relative: float = 1e-4) -> bool:
    if found is None or wanted is None:
        return found is wanted
    return math.isclose(found, wanted, rel_tol=relative, abs_tol=2e-6)


def _rank(values: list[float], share: float) -> float | None:
    ordered = sorted(values)
    return ordered[max(1, math.ceil(share * len(ordered))) - 1] if ordered else None


def _seconds(rows: list[dict[str, object]], key: str) -> list[float]:
    return [float(str(row[key])) for row in rows]


def _sum(rows: list[dict[str, object]], key: str) -> int:
    return sum(int(str(row[key])) for row in rows)


def assert_report(report: MetricsReport, everything: list[Entry], now_ms: int) -> None:
    """That a report says of these events, which are all that there ever were, what is true."""
    until_ms = (now_ms // MINUTES_10_MS + 1) * MINUTES_10_MS
    from_ms = until_ms - report.hours * 3_600_000
    assert (report.from_ms, report.until_ms) == (from_ms, until_ms)
    inside = [one for one in everything if from_ms <= int(str(one[1]["at_ms"])) < until_ms]
    saves, failures = _of(inside, "CheckpointCreated"), _of(inside, "OperationFailed")
    recoveries = _of(inside, "RecoveryCompleted")
    failed_saves = [one for one in failures if one["operation"] == "save"]
    verified, drills = _of(inside, "VerificationCompleted"), _of(inside, "DrillCompleted")
    done = len(saves) + len(recoveries) + len(verified) + len(drills)
    failed = sum(one["operation"] in RATED for one in failures)
    assert report.total_checkpoints == len(_of(everything, "CheckpointCreated")) + sum(
        bool(one["safety_checkpoint"]) for one in _of(everything, "RecoveryCompleted")
    )
    assert (report.saves, report.saves_failed) == (len(saves), len(failed_saves))
    assert (report.recoveries, report.errors) == (
        len(recoveries),
        len(failures) + len(_of(inside, "ReplicationStalled")),
    )
    tried = len(saves) + len(failed_saves)
    assert _close(report.success_rate, len(saves) / tried if tried else None)
    assert _close(report.error_rate, failed / (failed + done) if failed + done else None)
    assert _close(report.average_save_time_s, _mean(_seconds(saves, "duration_s")))
    assert _close(report.average_recovery_time_s, _mean(_seconds(recoveries, "duration_s")))
    for timings, values in (
        (report.save_time, _seconds(saves, "duration_s")),
        (report.lock_time, _seconds(saves, "lock_s")),
        (report.recovery_time, _seconds(recoveries, "duration_s")),
    ):
        assert timings.count == len(values)
        for share, found in ((0.5, timings.p50_s), (0.95, timings.p95_s), (0.99, timings.p99_s)):
            assert _close(found, _rank(values, share), 0.008)
    asked = _of(inside, "CacheAsked")
    assert (report.cache.hits, report.cache.misses) == (_sum(asked, "hits"), _sum(asked, "misses"))
    assert report.missed_ticks == _sum(_of(inside, "TicksMissed"), "count")
    _assert_trends(report, inside)


def _assert_trends(report: MetricsReport, inside: list[Entry]) -> None:
    step_ms = report.bucket_s * 1000
    starts = list(range(report.from_ms, report.until_ms, step_ms))
    more = (report.recovery_time_trend, report.lock_time_trend, report.stored_bytes_trend)
    for trend in (report.save_time_trend, report.success_rate_over_time, report.compression_ratio_trend, *more):
        assert [one.at_ms for one in trend] == starts
    for number, start_ms in enumerate(starts):
        here = [one for one in inside if start_ms <= int(str(one[1]["at_ms"])) < start_ms + step_ms]
        saves = _of(here, "CheckpointCreated")
        failed = sum(one["operation"] == "save" for one in _of(here, "OperationFailed"))
        tried, stored = len(saves) + failed, _sum(saves, "stored_bytes")
        time, rate, ratio = (
            trend[number]
            for trend in (report.save_time_trend, report.success_rate_over_time, report.compression_ratio_trend)
        )
        assert (time.count, rate.count) == (len(saves), tried)
        assert _close(time.value, _mean(_seconds(saves, "duration_s")))
        assert _close(rate.value, len(saves) / tried if tried else None)
        recovery, lock, added = (trend[number] for trend in more)
        recoveries = _of(here, "RecoveryCompleted")
        assert (recovery.count, lock.count, added.count) == (len(recoveries), len(saves), len(saves))
        assert _close(recovery.value, _mean(_seconds(recoveries, "duration_s")))
        assert _close(lock.value, _mean(_seconds(saves, "lock_s")))
        assert added.value == (stored if saves else None)
        assert _close(ratio.value, _sum(saves, "logical_bytes") / stored if stored else None, 1e-3)
