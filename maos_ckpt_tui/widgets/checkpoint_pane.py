"""The selected checkpoint beside the table, where the screen is wide: growth, capture, integrity."""

from __future__ import annotations

from maos_ckpt.model import Checkpoint, CheckpointState
from maos_ckpt.model.integrity import VerificationRun
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.checkpoint_view import growth, state_words
from maos_ckpt_tui.viewmodel import short
from maos_ckpt_tui.widgets.component_pane import COLUMNS, HEADINGS, growth_cells, largest_growth
from maos_ckpt_tui.widgets.lines import Line, LineView, facts, rule
from maos_ckpt_tui.widgets.row_list import table_line

Facts = list[tuple[str, str, str]]
_LEVELS = {
    "quick": "objects and sizes looked at",
    "standard": "every pack's checksum read",
    "full": "every chunk decoded, the digest compared",
}


def integrity_facts(one: Checkpoint, run: VerificationRun | None, now_ms: int) -> Facts:
    """When it was last read back, and how deep."""
    if one.state is CheckpointState.DAMAGED:
        told, tone = "XX a verification found a fault in it: 5 shows which", "bad"
    elif run is None:
        told, tone = "not read back since it was taken, as far as the journal tells: v verifies", "dim"
    else:
        told = f"OK {run.level}, {fmt.minutes_ago(run.at_ms, now_ms)}: {_LEVELS.get(run.level, run.level)}"
        tone = "ok" if run.level == "full" else "plain"
    missing = [("missing", f"!! {part.path}: {part.reason}", "warn") for part in one.capture.missing]
    return [("verified", told, tone), *missing]


def capture_facts(one: Checkpoint) -> Facts:
    """How the cut was taken."""
    if one.capture.unchanged:
        told = "nothing had changed: the source was not read"
    else:
        told = f"lock {fmt.duration(one.capture.lock_s)}, skew {fmt.duration(one.capture.skew_s)}"
    if one.capture.held:
        told += f", held still for {fmt.duration(one.capture.pause_s)}"
    return [("capture", told, "plain"), *(("note", note, "warn") for note in one.capture.notes)]


class CheckpointPane(LineView):
    """Empty until `show`."""

    def __init__(self) -> None:
        super().__init__(id="selected")
        self._checkpoint: Checkpoint | None = None
        self._before: Checkpoint | None = None
        self._run: VerificationRun | None = None
        self._now_ms = 0

    def show(
        self, checkpoint: Checkpoint | None, parent: Checkpoint | None, run: VerificationRun | None, now_ms: int
    ) -> None:
        """Another selection; `run` is the deepest verification of it."""
        self._checkpoint, self._before, self._run, self._now_ms = checkpoint, parent, run, now_ms
        self.changed()

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        one = self._checkpoint
        if one is None:
            return [rule("Selected", width), [("  nothing selected", "dim")]]
        state, tone = state_words(one)
        pairs: Facts = [
            ("taken", f"{fmt.utc(one.created_at_ms)}, {fmt.minutes_ago(one.created_at_ms, self._now_ms)}", "plain"),
            ("why", one.trigger.value + (f": {one.description}" if one.description else ""), "plain"),
            ("tags", ", ".join(one.tags), "key"),
            ("state", state, tone),
            *integrity_facts(one, self._run, self._now_ms),
            ("size", f"{fmt.plural(one.records, 'record')}, {fmt.size(one.logical_bytes)}", "plain"),
            ("stored", f"{fmt.size(one.stored_bytes)} in {fmt.duration(one.duration_s)}", "plain"),
            *capture_facts(one),
        ]
        lines = [rule(f"Selected {short(one.id)}", width), *facts((pair for pair in pairs if pair[1]), width - 1), []]
        lines.append([(" ", "plain"), *table_line(COLUMNS, HEADINGS, width - 2)])
        rows = growth(one, self._before)
        if len(lines) + len(rows) > self.size.height:
            # Half a list would look like a whole one; `enter` shows the collections.
            rows = [row for row in rows if row.depth == 0]
        largest = largest_growth(rows)
        return lines + [[(" ", "plain"), *table_line(COLUMNS, growth_cells(row, largest), width - 2)] for row in rows]
