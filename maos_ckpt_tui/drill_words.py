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
