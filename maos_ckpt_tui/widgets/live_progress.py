"""A running recovery: its phase, how much of it is done, how fast, how long still, and whether one may leave."""

from __future__ import annotations

from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.progress import ProgressMeter
from maos_ckpt_tui.widgets.lines import Line, facts, paragraph
from maos_ckpt_tui.widgets.operation_bar import PHASES, bar

#: What the engine calls a recovery, an undo and a rescue in its progress, from the start to the end.
OPERATIONS = frozenset({"recovery", "restore", "undo", "rescue"})
_BAR_CELLS_MAX = 40
#: In the order in which a recovery goes through them; others are shown by their own name.
_ORDER = ("plan", "stop writers", "quiesce", "diagnosis", "write", "check", "commit", "files", "verify")
_WORDS = {
    "starting": "starting",
    "stop writers": "asking MAOS to hold still",
    "quiesce": "waiting for MAOS to hold still",
    "diagnosis": "finding out who holds the database",
    "verify": "reading back, and planning again",
}
GOES_ON = (
    "It goes on if you disconnect or leave: mode 6 shows it again. One that a crash cuts off is completed or taken "
    "back at the next start."
)


def phase_words(phase: str) -> str:
    """A phase as an operator says it."""
    return _WORDS.get(phase) or PHASES.get(phase, phase)


def is_recovery(meter: ProgressMeter | None) -> bool:
    """Whether what runs is a recovery, whoever began it."""
    return meter is not None and meter.last is not None and meter.last.operation in OPERATIONS


def progress_lines(meter: ProgressMeter | None, width: int) -> list[Line]:
    """A running recovery's figures."""
    if meter is None or meter.last is None:
        return facts([("phase", "waiting for the engine", "plain")], width)
    last = meter.last
    step = f"{_ORDER.index(last.phase) + 1} of {len(_ORDER)}: " if last.phase in _ORDER else ""
    items = f"{fmt.count(last.done)} of {fmt.count(last.total)}" if last.total else fmt.count(last.done)
    rows = [
        ("phase", step + phase_words(last.phase), "strong"),
        ("items", items if last.done or last.total else "", "plain"),
        ("bytes", fmt.size(last.bytes) if last.bytes else "", "plain"),
        ("rate", meter.rate(), "plain"),
        ("left", meter.left(), "plain"),
        ("since", fmt.duration(meter.age_s), "dim"),
    ]
    lines = facts([row for row in rows if row[1]], width)
    drawn = bar(meter.fraction, min(_BAR_CELLS_MAX, width - 10))
    return [*lines, [(" ", "plain"), *drawn]] if drawn else lines


def goes_on_lines(width: int) -> list[Line]:
    """That one may leave."""
    return paragraph(GOES_ON, width, "dim", " ")
