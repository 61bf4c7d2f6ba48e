"""Which alerts stand, judged from facts alone; thresholds are the configuration's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from maos_ckpt.config import Config
from maos_ckpt.model import EngineStatus
from maos_ckpt.model.alerts import AlertName
from maos_ckpt.model.metrics import MetricsReport

#: A last success younger than this is none to worry about, however short the interval.
AGE_S_MIN = 30.0
#: Fewer saves than these say nothing of how long saves take, …
SAVES_MIN = 3
#: … and fewer failures nothing of an error rate.
FAILURES_MIN = 3


@dataclass(frozen=True, slots=True)
class Facts:
    """What is judged. `hour` are the metrics of the last hour; `started_ms` is when the engine took up its schedule;
    `free_bytes` of the repository's disk, None where that cannot be told; `damaged` counts checkpoints marked so."""

    now_ms: int
    started_ms: int
    status: EngineStatus
    hour: MetricsReport
    free_bytes: int | None
    damaged: int = 0


def judge(facts: Facts, config: Config) -> dict[AlertName, str]:
    """The alerts whose conditions hold, each with what is wrong in one sentence."""
    found = {}
    for name, rule in _RULES.items():
        message = "" if name in config.alerts.off else rule(facts, config)
        if message:
            found[name] = message
    return found


def checkpoint_age_bound_s(config: Config) -> float:
    """A last checkpoint that is older raises an alert."""
    return max(config.interval_seconds * config.alerts.checkpoint_age_intervals, AGE_S_MIN)


def _checkpoint_age(facts: Facts, config: Config) -> str:
    bound_s = checkpoint_age_bound_s(config)
    last = facts.status.last_success
    if last is None:
        waited_s = (facts.now_ms - facts.started_ms) / 1000
        return f"There is no checkpoint yet, after {_span(waited_s)}." if waited_s > bound_s else ""
    age_s = (facts.now_ms - last.created_at_ms) / 1000
    if age_s <= bound_s:
        return ""
    return f"The last checkpoint was {_span(age_s)} ago; one is due every {_span(config.interval_seconds)}."


def _save_time(facts: Facts, config: Config) -> str:
    p95_s, bound_s = facts.hour.save_time.p95_s, config.performance.max_save_time_ms / 1000
    if facts.hour.saves < SAVES_MIN or p95_s is None or p95_s <= bound_s:
        return ""
    return f"Of the last hour's saves one in twenty took {p95_s:.1f} s or longer; they should take {bound_s:g} s."


def _error_rate(facts: Facts, config: Config) -> str:
    hour = facts.hour
    if hour.errors < FAILURES_MIN or hour.error_rate is None or hour.error_rate <= config.alerts.error_rate:
        return ""
    why = f" The last one: {facts.status.last_error}" if facts.status.last_error else ""
    return f"{hour.error_rate:.0%} of the last hour's operations failed, {hour.errors} in all.{why}"


def _spool_age(facts: Facts, config: Config) -> str:
    held, bound_s = facts.hour.holding, config.alerts.spool_age_seconds
    age_s = held.spool_oldest_age_s
    if age_s is None or age_s <= bound_s:
        return ""
    what = "checkpoint waits" if held.spool_checkpoints == 1 else "checkpoints wait"
    return f"{held.spool_checkpoints} {what} for S3, the oldest for {_span(age_s)}."


def _disk_space(facts: Facts, config: Config) -> str:
    free, wanted = facts.free_bytes, config.alerts.disk_free_bytes
    if free is None or free >= wanted:
        return ""
    return f"{free / (1 << 20):,.0f} MiB are free on the repository's disk; {wanted / (1 << 20):,.0f} MiB should be."


def _integrity(facts: Facts, config: Config) -> str:
    status = facts.status
    parts = []
    if status.damaged_manifests:
        parts.append(f"{_count(len(status.damaged_manifests), 'checkpoint')} cannot be read")
    if facts.damaged:
        parts.append(f"{_count(facts.damaged, 'checkpoint')} marked as damaged")
    for tier in status.tiers:
        if tier.damaged:
            parts.append(f"{_count(len(tier.damaged), 'object')} damaged or missing in {tier.name}")
    return f"Stored data is damaged: {', '.join(parts)}." if parts else ""


def _drill(facts: Facts, config: Config) -> str:
    drill = facts.status.drill
    if drill is None:
        return ""
    if drill.failed:
        return f"The last drill failed: {', '.join(drill.failed)}."
    if drill.state == "overdue":
        return f"No complete drill was held in time; one is scheduled every {_span(drill.interval_s)}."
    return ""


_RULES: dict[AlertName, Callable[[Facts, Config], str]] = {
    AlertName.CHECKPOINT_AGE: _checkpoint_age,
    AlertName.SAVE_TIME: _save_time,
    AlertName.ERROR_RATE: _error_rate,
    AlertName.SPOOL_AGE: _spool_age,
    AlertName.DISK_SPACE: _disk_space,
    AlertName.INTEGRITY: _integrity,
    AlertName.DRILL: _drill,
}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _span(seconds: float) -> str:
    """A span of time as a person would say it."""
    for size_s, word in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size_s:
            return f"{seconds / size_s:.0f} {word}"
    return f"{seconds:g} s" if seconds < 10 else f"{seconds:.0f} s"
