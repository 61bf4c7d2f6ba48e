"""Lines of toned text: the only thing that this console draws.

A line is a list of (text, tone) pairs. `draw` is where text becomes terminal output, and it passes every piece through
`safe_text`: no markup is ever parsed, and nothing that an agent wrote reaches the terminal as a command.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from maos_ckpt_tui.commands import APP, commands_for, shown_key
from maos_ckpt_tui.safe_text import CHARACTERS_PER_CELL, clip, pad, safe_text, wrap

Span = tuple[str, str]
Line = list[Span]

TONES = ("plain", "dim", "faint", "head", "key", "strong", "ok", "warn", "bad", "accent", "before", "after", "badge")
TONE_CLASSES = {f"tone-{tone}" for tone in TONES}
#: A paragraph ends here, and says how much is left out: a value has a screen of its own.
PARAGRAPH_CHARACTERS_MAX = 4000


def line_width(line: Line) -> int:
    """Cells a line takes; its pieces must be safe already."""
    return sum(cell_len(text) for text, _ in line)


def fit(line: Line, width: int) -> Line:
    """The line cut to `width` cells, with an ellipsis where something is missing."""
    result: Line = []
    for position, (text, tone) in enumerate(line):
        # Far more than fits is not even looked at.
        text = safe_text(text[: (width + 1) * CHARACTERS_PER_CELL])
        needed = cell_len(text)
        if needed > width or (needed == width and any(rest for rest, _ in line[position + 1 :])):
            result.append((clip(text, width, force=True), tone))
            return result
        result.append((text, tone))
        width -= needed
    return result


def spread(left: Line, right: Line, width: int) -> Line:
    """`left` at the left edge and `right` at the right one; the left is cut where both do not fit."""
    right = fit(right, width)
    room = width - line_width(right)
    left = fit(left, max(0, room - 1))
    return [*left, (" " * (room - line_width(left)), "plain"), *right]


def rule(title: str, width: int, note: Iterable[Span] = ()) -> Line:
    """A section's heading over its whole width, with an optional note at the right."""
    tail: Line = [(" ", "plain"), *note, (" ", "plain")] if note else []
    head: Line = [("── ", "faint"), (title, "head"), (" ", "plain")]
    room = width - line_width(head)
    tail = fit(tail, max(0, room - 2))
    return [
        *head,
        ("─" * max(0, room - line_width(tail) - (2 if tail else 0)), "faint"),
        *tail,
        ("──" if tail else "", "faint"),
    ]


def paragraph(text: str, width: int, tone: str = "plain", indent: str = "") -> list[Line]:
    """Untrusted text as wrapped lines."""
    return [[(indent + part, tone)] for part in wrap(_bounded(text), max(8, width - cell_len(indent)))]


def _bounded(text: str) -> str:
    more = len(text) - PARAGRAPH_CHARACTERS_MAX
    return text if more <= 0 else f"{text[:PARAGRAPH_CHARACTERS_MAX]}… ({more:,} more characters)"


def flow(parts: Iterable[Line], width: int, indent: Line) -> list[Line]:
    """Pieces side by side, three blanks apart, as many to a line as fit; `indent` opens the first line."""
    blank: Line = [(" " * line_width(indent), "plain")]
    lines: list[Line] = [indent]
    empty = True
    for part in parts:
        if not empty and line_width(lines[-1]) + 3 + line_width(part) > width:
            lines.append(blank)
            empty = True
        lines[-1] = [*lines[-1], *([] if empty else [("   ", "plain")]), *part]
        empty = False
    return lines


def facts(pairs: Iterable[tuple[str, str, str]], width: int) -> list[Line]:
    """(label, value, tone) triples as aligned lines; values wrap under themselves."""
    rows = list(pairs)
    label_width = max((cell_len(label) for label, _, _ in rows), default=0) + 2
    result: list[Line] = []
    for label, value, tone in rows:
        for number, part in enumerate(wrap(_bounded(value), max(8, width - label_width - 1))):
            result.append([(pad(f" {label}" if number == 0 else "", label_width + 1), "dim"), (part, tone)])
    return result


class KeysInForce:
    """Mixed into widgets that look up themselves which keys are in force."""


def changed_keys(widget: Widget) -> dict[str, str]:
    """Of what can be done on the widget's screen and has another key than declared: that key → the one in force."""
    looks = getattr(widget.app, "looks", None)
    place = getattr(widget.screen, "PLACE", None)
    if looks is None or not looks.keys or place is None:
        return {}
    return {
        shown_key(one.keys.split(",")[0]): shown_key(looks.keys[one.id].split(",")[0])
        for one in (*commands_for(APP), *commands_for(place))
        if one.id in looks.keys
    }


def _in_force(text: str, changed: dict[str, str]) -> str:
    key = text.strip()
    return text.replace(key, changed[key]) if key in changed else text


def draw(widget: Widget, line: Line, width: int, over: Style | None = None, *, flat: bool = False) -> Strip:
    """One line as terminal output in the widget's styles; `over` lies above all tones, `flat` leaves the tones out."""
    base = widget.rich_style
    segments = []
    changed = {} if isinstance(widget, KeysInForce) else changed_keys(widget)
    if changed:
        line = [(_in_force(text, changed), tone) if tone == "key" else (text, tone) for text, tone in line]
    for text, tone in fit(line, width):
        style = base if flat else base + widget.get_component_rich_style(f"tone-{tone}", partial=True)
        segments.append(Segment(text, style + over if over else style))
    return Strip(segments).adjust_cell_length(width, base + over if over else base)


class LineView(Widget):
    """A block of lines as high as it needs; subclasses implement `build`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = TONE_CLASSES

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._built: list[Line] = []
        self._built_width = -1
        self._built_height = 0

    def build(self, width: int) -> list[Line]:
        """The lines for this width; none until a subclass says otherwise."""
        return []

    def changed(self) -> None:
        """Draw again what differs; nothing is sent to the terminal where nothing does."""
        if not self.is_mounted or self._built_width < 0:
            return
        old, width = self._built, self._built_width
        new = self._built = self.build(width)
        if len(new) != len(old):
            self.refresh(layout=True)
            return
        for y, (before, after) in enumerate(zip(old, new, strict=True)):
            if before != after:
                self.refresh(Region(0, y, width, 1))

    def _ensure(self, width: int) -> list[Line]:
        # Some blocks show more on a higher terminal.
        height = self.app.size.height
        if (width, height) != (self._built_width, self._built_height):
            self._built, self._built_width, self._built_height = self.build(width), width, height
        return self._built

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """As wide as there is room."""
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as `build` gives."""
        return len(self._ensure(width))

    def render_line(self, y: int) -> Strip:
        """One line of the block."""
        width = self.content_size.width
        lines = self._ensure(width)
        return draw(self, lines[y] if y < len(lines) else [], width)


class Paragraphs(LineView):
    """Wrapped paragraphs of (text, tone), all behind `indent`; an empty text is a blank line."""

    def __init__(
        self, paragraphs: Iterable[Span] = (), *, indent: str = "", id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._paragraphs = list(paragraphs)
        self._indent = indent

    def show(self, paragraphs: Iterable[Span]) -> None:
        """Replace the text."""
        self._paragraphs = list(paragraphs)
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        return [line for text, tone in self._paragraphs for line in paragraph(text, width, tone, self._indent)]
