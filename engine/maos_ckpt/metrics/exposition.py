"""Metrics as the text that Prometheus reads, in a registry of their own.

Counters and histograms are since the journal began and so never go back at a restart; gauges are of now, or of the
report's window where their name says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from maos_ckpt import __version__
from maos_ckpt.model import EngineStatus
from maos_ckpt.model.alerts import SEVERITIES, Alert, AlertState
from maos_ckpt.model.metrics import Cumulative, MetricsReport

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
PREFIX = "maos_ckpt_"


def exposition(report: MetricsReport, status: EngineStatus, alerts: Iterable[Alert]) -> bytes:
    """The text, in UTF-8. It holds no state content, no path and no secret."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(report, status, tuple(alerts)))
    return generate_latest(registry)


class _Collector(Collector):
    """One scrape."""

    def __init__(self, report: MetricsReport, status: EngineStatus, alerts: tuple[Alert, ...]) -> None:
        self._report = report
        self._status = status
        self._alerts = alerts

    def collect(self) -> Iterator[Metric]:
        """All metrics; those of which nothing is known are left out."""
        yield from _counters(self._report)
        yield from _gauges(self._report)
        yield from _of_status(self._status)
        yield _of_alerts(self._alerts)


def _counters(report: MetricsReport) -> Iterator[Metric]:
    totals = report.totals
    for name, text, value in (
        ("checkpoints_created", "Checkpoints committed.", totals.checkpoints),
        ("checkpoints_unchanged", "Checkpoints of a state that had not changed.", totals.unchanged),
        ("ticks_missed", "Scheduled saves that did not happen.", totals.missed_ticks),
        ("captured_bytes", "Logical bytes of the states that were saved.", totals.logical_bytes),
        ("stored_bytes", "Bytes that saves added to the repository.", totals.stored_bytes),
        ("replicated_bytes", "Bytes sent to the remote copy.", totals.replicated_bytes),
    ):
        yield CounterMetricFamily(PREFIX + name, text, value)
    text = "Operations by what they did and how they ended."
    operations = CounterMetricFamily(PREFIX + "operations", text, labels=["operation", "outcome"])
    for outcome, counts in (("done", totals.done), ("failed", totals.failed)):
        # Both outcomes of an operation are there from its first, so that a rate of failures is 0 and not absent.
        for operation in sorted({*totals.done, *totals.failed, "save"}):
            operations.add_metric([operation, outcome], counts.get(operation, 0))
    yield operations
    reads = CounterMetricFamily(PREFIX + "cache_reads", "Reads of the remote copy's objects.", labels=["answer"])
    reads.add_metric(["hit"], totals.cache_hits)
    reads.add_metric(["miss"], totals.cache_misses)
    yield reads
    yield _histogram("save_duration_seconds", "How long saves took.", totals.save_time)
    yield _histogram("recovery_duration_seconds", "How long recoveries took.", totals.recovery_time)


def _histogram(name: str, text: str, found: Cumulative) -> HistogramMetricFamily:
    buckets = [(f"{one.bound_s:g}", float(one.count)) for one in found.within]
    return HistogramMetricFamily(PREFIX + name, text, [*buckets, ("+Inf", float(found.count))], found.sum_s)


def _gauges(report: MetricsReport) -> Iterator[Metric]:
    held = report.holding
    values: Mapping[str, tuple[str, float | None]] = {
        "checkpoints": ("Checkpoints in the repository.", held.checkpoints),
        "repository_bytes": ("Bytes of packs and manifests in the local repository.", held.stored_bytes),
        "spool_checkpoints": ("Checkpoints that the remote copy does not have yet.", held.spool_checkpoints),
        "spool_bytes": ("Bytes that wait to be sent.", held.spool_bytes),
        "spool_oldest_age_seconds": ("Age of the oldest checkpoint that waits.", held.spool_oldest_age_s or 0.0),
        "window_success_ratio": ("Saves that succeeded, of all in the window.", report.success_rate),
        "window_error_ratio": ("Operations that failed, of all in the window.", report.error_rate),
        "window_save_p99_seconds": ("99th percentile of save times in the window.", report.save_time.p99_s),
        "window_lock_p99_seconds": ("99th percentile of lock times in the window.", report.lock_time.p99_s),
        "window_seconds": ("Length of the window.", report.hours * 3600.0),
    }
    for name, (text, value) in values.items():
        if value is not None:
            yield GaugeMetricFamily(PREFIX + name, text, value)
    ratios = GaugeMetricFamily(PREFIX + "compression_ratio", "Logical by stored bytes.", labels=["part"])
    for part, ratio in (("codec", held.ratios.codec), ("dedup", held.ratios.dedup), ("whole", held.ratios.whole)):
        if ratio is not None:
            ratios.add_metric([part], ratio)
    yield ratios


def _of_status(status: EngineStatus) -> Iterator[Metric]:
    yield InfoMetricFamily(PREFIX + "engine", "This engine.", {"version": __version__, "role": status.role})
    last, drill = status.last_success, status.drill
    values: Mapping[str, tuple[str, float | None]] = {
        "interval_seconds": ("Seconds from one scheduled checkpoint to the next.", status.interval_s),
        "last_success_timestamp_seconds": (
            "When the newest checkpoint was taken.",
            None if last is None else last.created_at_ms / 1000,
        ),
        "damaged_manifests": ("Checkpoints that cannot be read.", len(status.damaged_manifests)),
        "recovery_unfinished": ("Whether a recovery was interrupted.", float(bool(status.unfinished_recovery))),
    }
    if drill is not None and drill.last_at_ms is not None:
        values = {
            **values,
            "drill_last_timestamp_seconds": ("When the last drill was held.", drill.last_at_ms / 1000),
            "drill_failed_scenarios": ("Scenarios that failed when last rehearsed.", len(drill.failed)),
            "drill_recovery_seconds": ("Recovery time of the last drill.", drill.rto_s),
        }
    for name, (text, value) in values.items():
        if value is not None:
            yield GaugeMetricFamily(PREFIX + name, text, value)
    well = GaugeMetricFamily(PREFIX + "tier_ok", "Whether a tier is in order.", labels=["tier"])
    damaged = GaugeMetricFamily(PREFIX + "tier_damaged_objects", "Objects found damaged or missing.", labels=["tier"])
    for tier in status.tiers:
        well.add_metric([tier.name], float(tier.state == "ok"))
        damaged.add_metric([tier.name], len(tier.damaged))
    yield well
    yield damaged


def _of_alerts(alerts: tuple[Alert, ...]) -> Metric:
    firing = {one.name for one in alerts if one.state is AlertState.FIRING}
    text = "Whether an alert stands that nobody has acknowledged or snoozed."
    found = GaugeMetricFamily(PREFIX + "alert_firing", text, labels=["alert", "severity"])
    for name, severity in SEVERITIES.items():
        found.add_metric([name.value, severity], float(name.value in firing))
    return found
