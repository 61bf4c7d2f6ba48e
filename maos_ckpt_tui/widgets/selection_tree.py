"""The tree of what can be recovered, with a mark before each row and what has changed since behind it."""

from __future__ import annotations

from maos_ckpt.model import Counts
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.choosing import AGENT, ORCHESTRATION, TEXT, Choosing, Mark, Node
from maos_ckpt_tui.safe_text import pad, safe_name, safe_text
from maos_ckpt_tui.widgets.change_list import counts_spans
from maos_ckpt_tui.widgets.lines import Line, Span, fit, line_width, rule, spread
from maos_ckpt_tui.widgets.row_list import RowList

_RECORDS_CELLS, _SIZE_CELLS = 12, 9
_KINDS = {AGENT: "agent ", ORCHESTRATION: "orchestration ", TEXT: "what contains "}


class SelectionTree(RowList):
    """Draws a `Choosing`; the screen changes it and says so with `rows_changed`."""

    def __init__(self, choosing: Choosing) -> None:
        super().__init__(id="choosing")
        self.choosing = choosing
        self._since: dict[str, Counts] | None = None
        self._waiting = True

    @property
    def row_count(self) -> int:
        """See `RowList.row_count`."""
        return len(self.choosing.rows)

    @property
    def current(self) -> Node | None:
        """The row under the cursor."""
        return self.choosing.rows[self.cursor] if self.choosing.rows else None

    def stay_at(self, node: Node | None) -> None:
        """The rows are others: the cursor keeps to this one."""
        if node is not None and node in self.choosing.rows:
            self.cursor = self.choosing.rows.index(node)
        self.rows_changed()

    def show_since(self, since: dict[str, Counts] | None) -> None:
        """Changes by component since the checkpoint; None where they cannot be told."""
        self._since, self._waiting = since, False
        self.refresh()

    def heading(self, width: int) -> list[Line]:
        """See `RowList.heading`."""
        note = "comparing with live…" if self._waiting else "+ ~ - since then, live" if self._since is not None else ""
        return [rule("What to recover", width, [(note, "dim")] if note else [])]

    def row(self, index: int, width: int) -> Line:
        """See `RowList.row`."""
        node = self.choosing.rows[index]
        mark = self.choosing.mark(node)
        fold = ("▾ " if node.opened else "▸ ") if node.foldable else "  "
        head: Line = [("  " * node.level, "plain")]
        blank = node.group and mark is Mark.NONE
        head.append(("    ", "plain") if blank else (f"{mark.value} ", "dim" if mark is Mark.NONE else "key"))
        head.append((fold, "faint"))
        kind = _KINDS.get(node.id[0], "") if len(node.id) > 1 and not node.group and node.level == 0 else ""
        head.append((kind, "plain"))
        tone = "plain" if mark is Mark.NONE and not node.suggested else "strong"
        if node.suggested:
            name = safe_name(node.title, max(8, width - line_width(head) - 4))
            return fit([*head, (name, "strong"), ("  !! ", "warn"), (node.note, "warn")], width)
        tail = self._figures(node, width)
        name = safe_name(node.title, max(4, width - line_width(head) - line_width(tail) - 1))
        more: Line = [("  … ", "dim"), ("m", "key"), (" reads more", "dim")] if node.opened and node.next else []
        return spread([*head, (name, tone), *more], tail, width)

    def _figures(self, node: Node, width: int) -> Line:
        if not node.records:
            return []
        since: list[Span] = []
        if self._since is not None and len(node.id) == 2 and not node.group:
            counts = self._since.get(node.title, Counts())
            since = counts_spans(counts) or [(" unchanged", "dim")]
        elif self._since is not None and len(node.id) == 1 and not node.group:
            since = counts_spans(_sum(self._since)) or [(" unchanged", "dim")]
        words = fmt.plural(node.records, "record") if not node.group else fmt.count(node.records)
        if len(words) > _RECORDS_CELLS:
            words = fmt.count(node.records)
        figures: Line = [*since, ("  ", "plain"), (pad(safe_text(words), _RECORDS_CELLS, right=True), "dim")]
        if node.bytes and width >= 70:
            figures += [(" ", "plain"), (pad(fmt.size(node.bytes), _SIZE_CELLS, right=True), "dim")]
        return figures


def _sum(since: dict[str, Counts]) -> Counts:
    return Counts(
        sum(one.added for one in since.values()),
        sum(one.modified for one in since.values()),
        sum(one.removed for one in since.values()),
    )
