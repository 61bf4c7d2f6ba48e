"""The first line of every screen: where one is, and how safe the live state is."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.drill_words import flag
from maos_ckpt_tui.viewmodel import (
    ConsoleModel,
    Health,
    alert_trouble,
    health,
    next_run,
    next_try,
    remote_trouble,
    remote_words,
)
from maos_ckpt_tui.widgets.lines import Line, LineView, Span, fit, line_width, paragraph, spread

if TYPE_CHECKING:
    from maos_ckpt_tui.console import ConsoleApp

#: Smaller terminals show one line that says so; the breakpoints of the application are the same.
COLUMNS_MIN, ROWS_MIN = 40, 12
_TROUBLE_LINES_MAX = 3
_REMOTE_LINES_MAX = 2
_ALERT_LINES_MAX = 3
_ALERT_ROWS_MIN = 20


class TitleBar(LineView):
    """Program and place at the left, health at the right; `detail` shows source and schedule instead."""

    def __init__(self, title: str, *, overview: bool = False) -> None:
        super().__init__(id="title")
        self._title = title
        self._overview = overview
        self._model: ConsoleModel | None = None
        self._now_ms = 0

    def show(self, model: ConsoleModel, now_ms: int) -> None:
        """Draw again for this moment."""
        self._model, self._now_ms = model, now_ms
        self.changed()

    def retitle(self, title: str) -> None:
        """Another title."""
        self._title = title
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        size = self.app.size
        if size.width < COLUMNS_MIN or size.height < ROWS_MIN:
            return paragraph(
                f"Enlarge this terminal: {COLUMNS_MIN} columns and {ROWS_MIN} rows are the least.", width, "warn"
            )
        left: Line = [(" maos-ckpt ", "badge"), (f" {self._title}", "strong")]
        if self._model is None:
            return [fit(left, width)]
        right = self._schedule(width) if self._overview else self._health(width)
        return [spread(left, [*self._kind(width), *right], width)]

    def _kind(self, width: int) -> Line:
        """What this console is unlike others in."""
        console = cast("ConsoleApp", self.app)
        slow = "LOW BANDWIDTH " if width >= 70 else "SLOW "
        line: Line = [("READ ONLY ", "warn")] if console.read_only else []
        return [*line, (slow, "accent")] if console.looks.low_bandwidth else line

    def _health(self, width: int) -> Line:
        assert self._model is not None
        now = health(self._model, self._now_ms)
        line: Line = [(f"{now.sign} {now.word}", now.tone), (f" {now.sentence} " if width >= 100 else " ", "dim")]
        return line

    def _schedule(self, width: int) -> Line:
        assert self._model is not None
        status = self._model.status
        if status is None:
            return [("… ", "dim")]
        words = [f"every {fmt.duration(status.interval_s)}"] if status.interval_s > 0 else ["no schedule"]
        words += [fmt.plural(status.checkpoints, "checkpoint")]
        words += [fmt.size(status.repository_bytes) + " kept"] if width >= 100 else []
        words += ["observing"] if status.role != "engine" else []
        words += ["attached"] if self._model.attached else []
        line: Line = [(" · ".join(words) + " ", "dim")]
        return line if line_width(line) < width else []


class StatusLine(LineView):
    """Health in a sentence and the countdown to the next save; the one line that changes every second."""

    def __init__(self) -> None:
        super().__init__(id="status")
        self._model = ConsoleModel()
        self._now_ms = 0

    def show(self, model: ConsoleModel, now_ms: int) -> None:
        """Draw again for this moment."""
        self._model, self._now_ms = model, now_ms
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        now = health(self._model, self._now_ms)
        status = self._model.status
        line: Line = [
            (f" {now.sign} {now.word} ", now.tone),
            (f" {now.sentence[:1].upper()}{now.sentence[1:]}", "plain"),
        ]
        upcoming = next_try(self._model, self._now_ms) or next_run(status, self._now_ms)
        right: Line = [(upcoming + " ", "accent")] if upcoming else []
        for extra in self._extras():
            if line_width(line) + line_width([extra]) + line_width(right) + 2 <= width:
                line.append(extra)
        trouble = paragraph(now.trouble, width, now.tone, " ")[:_TROUBLE_LINES_MAX] if now.trouble else []
        told = [*self._remote(width), *self._alert(width), *self._unreadable(width)]
        return [spread(line, right, width), *trouble, *told]

    def _remote(self, width: int) -> list[Line]:
        now = remote_trouble(self._model.status, self._now_ms)
        return _bounded(now, width, _REMOTE_LINES_MAX)

    def _alert(self, width: int) -> list[Line]:
        now = alert_trouble(self._model.status)
        # Where only a line or two of the list would be left, what the alert is stands there without what to do.
        return _bounded(now, width, _ALERT_LINES_MAX if self.app.size.height >= _ALERT_ROWS_MIN else 1)

    def _unreadable(self, width: int) -> list[Line]:
        names = self._model.status.damaged_manifests if self._model.status is not None else ()
        if not names:
            return []
        verb = "is" if len(names) == 1 else "are"
        words = f" !! {fmt.plural(len(names), 'checkpoint')} cannot be read and {verb} not listed: "
        return [fit([(words, "warn"), ("v", "key"), (" verifies, and names what is damaged", "plain")], width)]

    def _extras(self) -> list[Span]:
        status = self._model.status
        if status is None:
            return []
        extras: list[Span] = []
        if status.last_success is not None:
            extras.append((f"  {fmt.utc(status.last_success.created_at_ms)}", "dim"))
        if status.missed_ticks:
            extras.append((f"  {fmt.plural(status.missed_ticks, 'save')} missed", "warn"))
        if (drill := flag(status.drill)) is not None:
            extras.append((f"  {drill[0]}", drill[1]))
        words = remote_words(status) if remote_trouble(status, self._now_ms) is None else ""
        if words:
            extras.append((f"  {words}", "dim"))
        return extras


def _bounded(now: Health | None, width: int, lines_max: int) -> list[Line]:
    """What is wrong, in at most so many lines."""
    if now is None:
        return []
    between = " " if now.sentence.endswith(".") else ": "
    words = f"{now.sign} {now.word} {now.sentence}" + (f"{between}{now.trouble}" if now.trouble else "")
    lines = paragraph(words, width, now.tone, " ")
    if len(lines) > lines_max:
        cut = "".join(text for line in lines[lines_max - 1 :] for text, _ in line)
        lines[lines_max - 1 :] = [fit([(cut, now.tone)], width - 1)]
    return lines
