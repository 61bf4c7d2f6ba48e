"""How a scenario stands, in words and tones; what is running of it."""

from __future__ import annotations

from maos_ckpt.model.drills import DrillHistory, DrillScenario, DrillStatus, ScenarioResult, ScenarioTrend
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.widgets.lines import Span

SCENARIOS = tuple(DrillScenario)


def last_result(history: DrillHistory, scenario: DrillScenario) -> tuple[ScenarioResult, int, str] | None:
    """The last result of a scenario, when it was (wall milliseconds), and where the evidence lies; None for none."""
    for report in history.reports:
        for one in report.scenarios:
            if one.scenario == scenario:
                return one, report.started_at_ms, report.evidence
    return None


def trend_of(history: DrillHistory, scenario: DrillScenario) -> ScenarioTrend | None:
    """A scenario's trend; None before the history was read."""
    return next((one for one in history.trends if one.scenario == scenario), None)


def sign(result: ScenarioResult | None) -> Span:
    """Two characters that say how it went."""
    if result is None:
        return "··", "dim"
    if not result.applicable:
        return "--", "dim"
    return ("OK", "ok") if result.passed else ("XX", "bad")


def seconds(value: float | None) -> str:
    """A duration, or a dash where there is none."""
    return "-" if value is None else fmt.duration(value)


def stopwatch(elapsed_s: float) -> str:
    """`00:04.2`."""
    minutes, rest = divmod(max(0.0, elapsed_s), 60)
    return f"{int(minutes):02d}:{rest:04.1f}"


def standing(status: DrillStatus, now_ms: int) -> Span:
    """How drills stand: the last one, and whether the next is overdue."""
    if status.last_at_ms is None:
        words = "a drill is scheduled, and none was held yet" if status.interval_s else "no drill was held yet"
        return f"!! {words[:1].upper()}{words[1:]}", "warn"
    when = fmt.ago(status.last_at_ms, now_ms)
    if status.failed:
        return f"XX Drill FAILED, last {when}: {', '.join(status.failed)}", "bad"
    words = f"Last drill passed {when}, RTO {seconds(status.rto_s)}"
    return (f"!! {words}; the next is overdue", "warn") if status.state == "overdue" else (f"OK {words}", "ok")


def flag(status: DrillStatus | None) -> Span | None:
    """What an overview must not keep quiet about; None where all is well or drills are not in use."""
    flags = {"failed": ("drill FAILED", "bad"), "overdue": ("drill overdue", "warn")}
    return None if status is None else flags.get(status.state)


_BARS = "▁▂▃▄▅▆▇█"
#: Times of the last drills that a trend shows.
TREND_MAX = 14
#: A change of the newest time against the median of those before that is worth a word.
_MOVED = 0.25


def ordered(history: DrillHistory) -> tuple[DrillScenario, ...]:
    """The scenarios, those that failed last first, then those never rehearsed."""

    def rank(scenario: DrillScenario) -> int:
        found = last_result(history, scenario)
        if found is None:
            return 1
        result = found[0]
        return 3 if not result.applicable else 2 if result.passed else 0

    return tuple(sorted(SCENARIOS, key=rank))


def against(value: float | None, target_s: float, reached: bool) -> str:
    """A measured time beside its target: `2.40 s of at most 1 min`."""
    if value is None:
        return "not measured" if reached else "not reached"
    words = f"{seconds(value)} of at most {seconds(target_s)}"
    return words if value <= target_s else f"{words}: TOO LONG"


def sparkline(values: tuple[float, ...]) -> str:
    """Oldest first, as high as they are long; the longest is the highest."""
    most = max(values, default=0.0)
    return "".join(_BARS[min(len(_BARS) - 1, int(one / most * (len(_BARS) - 1)) if most > 0 else 0)] for one in values)


def scenario_times(history: DrillHistory, scenario: DrillScenario) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(recovery times, recovery points) of the last drills, oldest first, in seconds."""
    found = [one for report in reversed(history.reports) for one in report.scenarios if one.scenario == scenario]
    rtos = tuple(one.rto_s for one in found if one.rto_s is not None)
    rpos = tuple(one.rpo_s for one in found if one.rpo_s is not None)
    return rtos[-TREND_MAX:], rpos[-TREND_MAX:]


def trend_words(values: tuple[float, ...], target_s: float) -> Span:
    """`▂▃█ 2.40 s, slower than the 1.10 s before, below 1 min`."""
    if not values:
        return "not measured yet", "dim"
    newest, before = values[-1], sorted(values[:-1])
    words = [seconds(newest)]
    if before:
        middle = before[len(before) // 2]
        moved = (newest - middle) / middle if middle > 0 else 0.0
        how = "steady" if abs(moved) <= _MOVED else "longer" if moved > 0 else "shorter"
        words.append("steady" if how == "steady" else f"{how} than the {seconds(middle)} before")
    within = newest <= target_s
    words.append(f"{'within' if within else 'ABOVE'} the target of {seconds(target_s)}")
    line = f"{sparkline(values)} " if len(values) > 1 else ""
    return f"{'OK' if within else 'XX'} {line}{', '.join(words)}", "plain" if within else "bad"


def next_words(status: DrillStatus, now_ms: int) -> Span:
    """When the next scheduled drill is due."""
    if not status.interval_s:
        return "none scheduled (drill.interval_hours)", "dim"
    every = f"every {fmt.duration(status.interval_s)}"
    if status.complete_at_ms is None:
        return f"!! none was complete yet; {every}", "warn"
    due_ms = status.complete_at_ms + int(status.interval_s * 1000)
    if due_ms <= now_ms:
        return f"!! due since {fmt.minutes(due_ms, now_ms)}; {every}", "warn"
    return f"in {fmt.minutes(now_ms, due_ms)}; {every}", "plain"
