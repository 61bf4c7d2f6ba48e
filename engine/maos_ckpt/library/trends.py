"""What an embedded engine has measured."""

from __future__ import annotations

from dataclasses import dataclass

from maos_ckpt.client import EngineClient
from maos_ckpt.model.metrics import MetricsReport, TrendPoint


@dataclass(frozen=True, slots=True)
class PerformanceTrends:
    """Trends in buckets of `bucket_s` seconds, oldest first; a value is None where a bucket has nothing to tell."""

    hours: int
    bucket_s: int
    save_time_trend: tuple[TrendPoint, ...]
    success_rate_over_time: tuple[TrendPoint, ...]
    compression_ratio_trend: tuple[TrendPoint, ...]
    recovery_time_trend: tuple[TrendPoint, ...]
    lock_time_trend: tuple[TrendPoint, ...]
    stored_bytes_trend: tuple[TrendPoint, ...]


class MetricsCollector:
    """The metrics of an engine; they come from the journal, so that a restart changes nothing of them.

    Both methods block for moments, and raise CkptError where the repository cannot be read.
    """

    def __init__(self, client: EngineClient) -> None:
        self._client = client

    def get_metrics(self, hours: int = 24) -> MetricsReport:
        """What was measured in the last `hours`, from 1 to 168, and in all."""
        return self._client.metrics(hours)

    def get_performance_trends(self, hours: int = 24) -> PerformanceTrends:
        """How saves went over the last `hours`, from 1 to 168."""
        found = self._client.metrics(hours)
        return PerformanceTrends(
            found.hours,
            found.bucket_s,
            found.save_time_trend,
            found.success_rate_over_time,
            found.compression_ratio_trend,
            found.recovery_time_trend,
            found.lock_time_trend,
            found.stored_bytes_trend,
        )
