"""The metrics as one reads them: a series for each figure, with target, percentiles and words; totals; growth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from maos_ckpt.model.metrics import MetricsReport, Timings, TrendPoint
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.plots import Plot
from maos_ckpt_tui.widgets.lines import Span

#: What one can look back on.
WINDOWS_H = (1, 6, 24, 168)
_DAY_S = 86_400
#: A shorter time says nothing of growth.
GROWTH_AFTER_S = 3600.0
NOTHING = "-"


def ratio(value: float) -> str:
    """`14:1`; with a decimal where it is small."""
    return f"{value:,.0f}:1" if value >= 9.95 else f"{value:.1f}:1"


def percent(value: float) -> str:
    """A share: `100 %`, `99.2 %`; never rounded up to all or down to nothing."""
    if value in (0.0, 1.0):
        return f"{value:.0%}".replace("%", " %")
    return f"{min(max(value * 100, 0.1), 99.9):.1f} %"


def size(value: float) -> str:
    """Bytes."""
    return fmt.size(round(value))


def window_name(hours: int) -> str:
    """`1 h`, `24 h`, `7 d`."""
    return f"{hours} h" if hours <= 24 else f"{hours // 24} d"


@dataclass(frozen=True, slots=True)
class Series:
    """One figure over time.

    Args:
        now: its value over the whole window.
        bound: `< 5 s`, or "" where there is no target.
        unit: what a bucket's number of events counts.
    """

    name: str
    title: str
    points: tuple[TrendPoint, ...]
    words: Callable[[float], str]
    now: float | None
    unit: str
    target: float | None = None
    least: bool = False
    whole: bool = False
    timings: Timings | None = None

    @property
    def plot(self) -> Plot:
        """As it is drawn."""
        return Plot(tuple(one.value for one in self.points), self.words, self.target, self.least, self.whole)

    @property
    def missed(self) -> bool:
        """Whether the window as a whole misses the target: with its 95th percentile where that is known."""
        judged = self.timings.p95_s if self.timings is not None and self.timings.p95_s is not None else self.now
        return judged is not None and self.plot.misses(judged)

    @property
    def bound(self) -> Span:
        """The target in words, and whether it is kept: `< 5 s`, `over 5 s`."""
        return bound(self.words, self.target, least=self.least, missed=self.missed)

    @property
    def sign(self) -> Span:
        """`OK`, `!!`, or blank where there is no target or nothing was measured."""
        if self.target is None or self.now is None:
            return "  ", "plain"
        return ("!!", "warn") if self.missed else ("OK", "ok")


def bound(words: Callable[[float], str], target: float | None, *, least: bool, missed: bool) -> Span:
    """A target in words: `< 5 s`, `>= 10:1`; where it is missed `over 5 s`, `under 10:1`."""
    if target is None:
        return "", "plain"
    if missed:
        return f"{'under' if least else 'over'} {words(target)}", "warn"
    return f"{'>=' if least else '<'} {words(target)}", "dim"


def series(report: MetricsReport) -> tuple[Series, ...]:
    """All figures of a report, in the order of importance."""
    wanted = report.targets
    done = report.save_time.count
    added = sum(one.value or 0.0 for one in report.stored_bytes_trend)
    return (
        Series(
            "save",
            "Save time",
            report.save_time_trend,
            fmt.duration,
            report.average_save_time_s,
            "save",
            wanted.save_time_s,
            timings=report.save_time,
        ),
        Series(
            "recovery",
            "Recovery time",
            report.recovery_time_trend,
            fmt.duration,
            report.average_recovery_time_s,
            "recovery",
            wanted.recovery_time_s,
            timings=report.recovery_time,
        ),
        Series(
            "success",
            "Success rate",
            report.success_rate_over_time,
            percent,
            report.success_rate,
            "save",
            1.0 - wanted.error_rate,
            least=True,
            whole=True,
        ),
        Series(
            "ratio",
            "Compression",
            report.compression_ratio_trend,
            ratio,
            report.compression_ratio,
            "save",
            wanted.compression_ratio,
            least=True,
        ),
        Series("stored", "Bytes stored", report.stored_bytes_trend, size, added if done else None, "save"),
        Series(
            "lock",
            "Lock time",
            report.lock_time_trend,
            fmt.duration,
            report.lock_time.average_s,
            "save",
            wanted.lock_time_s,
            timings=report.lock_time,
        ),
    )


def told(value: float | None, words: Callable[[float], str]) -> str:
    """A value in words, `-` where there is none."""
    return NOTHING if value is None else words(value)


def totals(report: MetricsReport) -> list[tuple[str, str, str]]:
    """(name, value, tone): the reference's seven figures, and growth."""
    wanted, rate = report.targets, report.error_rate
    missed = report.compression_ratio is not None and report.compression_ratio < wanted.compression_ratio
    found = [
        (
            "checkpoints",
            f"{fmt.count(report.total_checkpoints)} ever, {fmt.count(report.holding.checkpoints)} kept",
            "",
        ),
        ("success", told(report.success_rate, percent), ""),
        ("save", told(report.average_save_time_s, fmt.duration), ""),
        ("recovery", told(report.average_recovery_time_s, fmt.duration), ""),
        ("storage", fmt.size(report.storage_usage_bytes), ""),
        ("compression", told(report.compression_ratio, ratio), "warn" if missed else ""),
        ("errors", f"{told(rate, percent)} ({fmt.count(report.errors)})", "warn" if rate else ""),
    ]
    if report.missed_ticks:
        found.append(("missed", fmt.plural(report.missed_ticks, "save"), "warn"))
    return [*found, *growth(report)]


def growth(report: MetricsReport) -> list[tuple[str, str, str]]:
    """What saves add in a day at the window's pace, and when that fills the disk if nothing is removed; nothing of
    either before there is an hour to judge by."""
    if report.since_ms is None or not report.saves:
        return []
    span_s = (report.until_ms - max(report.from_ms, report.since_ms)) / 1000
    if span_s < GROWTH_AFTER_S:
        return []
    a_day = sum(one.value or 0.0 for one in report.stored_bytes_trend) / span_s * _DAY_S
    found = [("growth", f"{size(a_day)} a day", "")]
    free = report.holding.free_bytes
    if free is not None and a_day > 0:
        days = free / a_day
        words = "over a year" if days > 365 else f"{days:,.0f} d" if days >= 2 else f"{days * 24:,.0f} h"
        found.append(("disk full in", f"{words} ({fmt.size(free)} free)", "warn" if days < 7 else ""))
    return found


def stretch(report: MetricsReport, at_ms: int) -> str:
    """When a bucket is: `09:00 to 10:00 UTC`, with its date where the window is longer than a day."""
    end_ms = min(at_ms + report.bucket_s * 1000, report.until_ms)
    return f"{_label(report, at_ms)} to {fmt.clock(end_ms)[:5]} UTC"


def _label(report: MetricsReport, at_ms: int) -> str:
    return fmt.utc(at_ms)[5:16] if report.hours > 24 else fmt.clock(at_ms)[:5]


def axis_labels(report: MetricsReport) -> list[tuple[int, str]]:
    """(index of a bucket, when it begins) for a time axis; more than fit."""
    points = report.save_time_trend
    return [(index, _label(report, one.at_ms)) for index, one in enumerate(points)]
