"""Every live MAOS of the engine's machine, and agents' processes whose MAOS is gone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from maos_ckpt.model import AgentProcess, MaosProcess, ProcessReport
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.modals.base import Modal
from maos_ckpt_tui.safe_text import safe_name
from maos_ckpt_tui.widgets.lines import Paragraphs, Span

_NAME_CELLS_MAX = 100
_LISTED_MAX = 50


def process_paragraphs(report: ProcessReport, now_ms: int) -> list[Span]:
    """The report as paragraphs."""
    lines: list[Span] = []
    for one in report.maos[:_LISTED_MAX]:
        lines += _maos(one, now_ms)
    if report.orphans:
        lines += [(f"!! {fmt.plural(len(report.orphans), 'process', 'processes')} whose MAOS is gone", "warn")]
        lines += [_agent(one, now_ms) for one in report.orphans[:_LISTED_MAX]]
    lines += [(note, "warn") for note in report.notes]
    return lines or [("No live MAOS was found.", "plain")]


def _maos(one: MaosProcess, now_ms: int) -> Iterable[Span]:
    stopped = ", stopped" if one.stopped else ""
    yield f"{_name(one.command)}{stopped}, started {fmt.ago(one.since_ms, now_ms)}", "strong"
    gone = "" if one.database_state == "open" else f", {one.database_state.upper()}"
    yield f"· database {_name(one.database)}{gone}", "warn" if gone else "plain"
    agents = ", ".join(f"{number:,} {_name(status)}" for status, number in one.agents.items())
    yield f"· agents {agents or one.problem or 'none'}", "warn" if one.problem else "plain"
    for child in one.children[:_LISTED_MAX]:
        yield _agent(child, now_ms)


def _agent(one: AgentProcess, now_ms: int) -> Span:
    agent = f"agent {_name(one.agent)}" if one.agent else "agent not known"
    session = f", session {_name(one.session)}" if one.session else ""
    return f"· {_name(one.command)}, started {fmt.ago(one.since_ms, now_ms)}: {agent}{session}", "dim"


def _name(text: str) -> str:
    return safe_name(text, _NAME_CELLS_MAX)


class ProcessesModal(Modal[bool]):
    """What runs."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space,q", "cancel", "Close", show=False)]

    def __init__(self, report: ProcessReport, now_ms: int) -> None:
        super().__init__("Who runs")
        self._lines = process_paragraphs(report, now_ms)

    def inside(self) -> Iterable[Widget]:
        """See `Modal.inside`."""
        yield Paragraphs(self._lines)

    def hints(self) -> tuple[tuple[str, str], ...]:
        """See `Modal.hints`."""
        return (("enter", "close"),)
