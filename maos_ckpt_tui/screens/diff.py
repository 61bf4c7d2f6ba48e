"""What differs between any two states: checkpoints, or a checkpoint and the live state."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from maos_ckpt.errors import CkptError, IntegrityError
from maos_ckpt.model import ChangeKind, Checkpoint, CheckpointState, DiffResult
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.changes import ChangeTree
from maos_ckpt_tui.commands import DIFF, bindings_for
from maos_ckpt_tui.diff_export import JSON, MARKDOWN, as_json, as_markdown
from maos_ckpt_tui.export_file import write_new
from maos_ckpt_tui.modals.choice import Choice, ChoiceModal
from maos_ckpt_tui.modals.pick import LIVE, PickModal
from maos_ckpt_tui.screens.actions import CheckpointActions
from maos_ckpt_tui.screens.change_screen import ChangeScreen
from maos_ckpt_tui.viewmodel import short
from maos_ckpt_tui.widgets.change_list import ChangeList
from maos_ckpt_tui.widgets.diff_summary import DiffSummary
from maos_ckpt_tui.widgets.filter_line import FilterLine
from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.lines import Line, Span
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.title_bar import TitleBar

#: For `side`: against the one before it.
BEFORE = "before"
CHANGES_LISTED = 1000
#: `m` lists ten times as many, up to here; the command line has no such bound.
CHANGES_LISTED_MAX = 100_000
#: The live state moves on: older than this, a comparison says when it was read, and `l` reads again.
LIVE_FRESH_MS = 60_000
_KINDS = (None, ChangeKind.ADDED, ChangeKind.MODIFIED, ChangeKind.REMOVED)
_FILES = (
    Choice(MARKDOWN, "Markdown", "for people: counts, then every change that is listed; long values cut"),
    Choice(JSON, "JSON", "for machines: everything that is listed, values whole"),
)


class DiffScreen(ChangeScreen, CheckpointActions):
    """A tree of changes; comparing with the live state reads it, so it runs in a thread.

    Args:
        checkpoint: the side before; of `BEFORE` the side after.
        side: `live`, `BEFORE`, or the id of the side after.
    """

    PLACE = DIFF
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(DIFF)]

    def __init__(self, checkpoint: Checkpoint | None, side: str = LIVE) -> None:
        super().__init__()
        self._sides = ("", LIVE)
        if checkpoint is not None:
            self._sides = (checkpoint.parent or "", checkpoint.id) if side == BEFORE else (checkpoint.id, side)
        #: What was known of a side stays known where it is pruned.
        self._known = {checkpoint.id: checkpoint} if checkpoint is not None else {}
        self._limit = CHANGES_LISTED
        self._result: DiffResult | None = None
        #: When the comparison in view began to read, in ms of the wall clock; None while it is read.
        self._read_ms: int | None = None
        self._stale = False

    def _find(self, name: str) -> Checkpoint | None:
        found = self.console.model.find(name) or self._known.get(name)
        if found is not None:
            self._known[name] = found
        return found

    @property
    def target(self) -> Checkpoint | None:
        """See `CheckpointActions.target`: the newer of the two sides that are no live state."""
        found = [one for name in self._sides if (one := self._find(name)) is not None]
        return max(found, key=lambda one: one.seq, default=None)

    @property
    def held(self) -> frozenset[str]:
        """See `ConsoleScreen.held`; the one before is a key away."""
        one = self.target
        return frozenset(name for name in (*self._sides, one.parent if one else "") if name and name != LIVE)

    def compose(self) -> ComposeResult:
        """Summary, tree, keys."""
        yield TitleBar("Differences")
        yield from self.above()
        yield DiffSummary()
        yield ChangeList()
        yield FilterLine()
        yield OperationBar()
        yield KeyBar(DIFF)

    def above(self) -> ComposeResult:
        """What stands below the title."""
        return iter(())

    def on_mount(self) -> None:
        """Compare at once."""
        if self._sides[0]:
            self._compare()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what makes sense with this comparison."""
        one = self.target
        if action == "live":
            return LIVE not in self._sides or self._stale
        if action == "before":
            return one is not None and one.parent is not None and self._sides != (one.parent, one.id)
        if action == "more":
            return self._result is not None and self._result.truncated and self._limit < CHANGES_LISTED_MAX
        if action in ("kinds", "export", "filter"):
            return self._result is not None and self._result.summary.total > 0
        return super().check_action(action, parameters)

    def _compare(self) -> None:
        (before, after), limit, client = self._sides, self._limit, self.console.client
        self._result, self._read_ms, self._stale = None, None, False
        began_ms = self.console.now_ms()
        what = "Reading the live state and comparing…" if LIVE in self._sides else "Comparing…"
        self.query_one(TitleBar).retitle(f"Differences {_name(before)} → {_name(after)}")
        self.query_one(DiffSummary).show(*self._sides_words(), None)
        self.changes.show(ChangeTree(), "Changes", [], [[(f"  {what} Nothing is written.", "dim")]])
        self.refresh_bindings()
        self.console.hold_shown()
        compared = partial(self._compared, began_ms)
        self.ask(lambda: client.diff(before, after, limit), compared, group="diff", failed=self._failed)

    def _sides_words(self) -> tuple[str, str]:
        return self._words(self._sides[0]), self._words(self._sides[1])

    def _words(self, name: str) -> str:
        if name == LIVE:
            if self._read_ms is None or not self._stale:
                return "live state now"
            return f"live state, read {fmt.minutes_ago(self._read_ms, self.console.now_ms())}"
        one = self._find(name)
        if one is None:
            return short(name)
        damaged = ", XX DAMAGED" if one.state is CheckpointState.DAMAGED else ""
        return f"{short(name)} of {fmt.utc(one.created_at_ms)}{damaged}"

    def tick(self) -> None:
        """See `ConsoleScreen.tick`; a live state that was read a while ago is not the one of now."""
        super().tick()
        self._age()

    def _age(self) -> None:
        read_ms = self._read_ms
        if LIVE not in self._sides or read_ms is None or self.console.now_ms() - read_ms <= LIVE_FRESH_MS:
            return
        if not self._stale:
            self._stale = True
            self.refresh_bindings()
        self.query_one(DiffSummary).show(*self._sides_words(), self._result)

    def _compared(self, began_ms: int, result: DiffResult) -> None:
        kind = self.changes.changes.kind
        self._result, self._read_ms = result, began_ms
        self.query_one(DiffSummary).show(*self._sides_words(), result)
        listed, total = len(result.changes), result.summary.total
        note: list[Span] = []
        if result.truncated:
            note = [
                (f"!! only {fmt.count(listed)} of {fmt.count(total)} are listed, ", "warn"),
                ("m", "key"),
                (" more", "dim"),
            ]
        empty: list[Line] = [[("  Nothing differs: ", "plain"), (self._equal_words(), "plain")]]
        tree = ChangeTree(result.changes, result.by_component, truncated=result.truncated)
        tree.only(kind)
        self.changes.show(tree, "Changes", note, empty)
        self.refresh_bindings()

    def _equal_words(self) -> str:
        if LIVE in self._sides:
            return "the live state is what it was then."
        one = self.target
        if one is not None and self._sides == (one.parent, one.id):
            return "this save found no change."
        return "both hold the same records."

    def _failed(self, error: CkptError) -> None:
        self._stale = LIVE in self._sides
        self.refresh_bindings()
        lines: list[Line] = [[("  XX ", "bad"), (error.message, "plain")]]
        if isinstance(error, IntegrityError):
            lines += [
                [("  A side of this comparison is damaged: what it held cannot all be read any more.", "plain")],
                [("  ", "plain"), ("A", "key"), (" or ", "plain"), ("B", "key"), (" chooses another one; ", "plain"),
                 ("5", "key"), (" shows what is damaged and can mend it.", "plain")],
            ]  # fmt: skip
        self.changes.show(ChangeTree(), "Changes", [], lines)
        self.console.show_error(error)

    # Sides

    def _choose(self, side: int) -> None:
        console = self.console
        console.load_all()
        title = f"{'AB'[side]}: the side {'before' if side == 0 else 'after'}, now {self._words(self._sides[side])}"
        modal = PickModal(title, console.model.checkpoints, console.now_ms())
        self.app.push_screen(modal, lambda name: self._take(side, name))

    def _take(self, side: int, name: str | None) -> None:
        if name is None:
            return
        other = self._sides[1 - side]
        if name == other:
            # Both the same would say nothing; who picks the other side means to swap them.
            self.action_swap()
        else:
            self._go((name, other) if side == 0 else (other, name))

    def _go(self, sides: tuple[str, str]) -> None:
        self._sides, self._limit = sides, CHANGES_LISTED
        self._compare()

    def action_choose_a(self) -> None:
        """Another state before."""
        self._choose(0)

    def action_choose_b(self) -> None:
        """Another state after."""
        self._choose(1)

    def action_swap(self) -> None:
        """The other way round."""
        self._go((self._sides[1], self._sides[0]))

    def action_live(self) -> None:
        """Against the live state; against that of now, where it was read a while ago."""
        if LIVE in self._sides:
            self._compare()
        elif (one := self._chosen()) is not None:
            self._go((one.id, LIVE))

    def action_before(self) -> None:
        """Against the one before."""
        if (one := self._chosen()) is not None:
            self._go((one.parent or "", one.id))

    # The list

    def action_more(self) -> None:
        """List ten times as many."""
        self._limit = min(CHANGES_LISTED_MAX, self._limit * 10)
        self._compare()

    def action_kinds(self) -> None:
        """The next kind of change alone; after the last one all of them."""
        now = _KINDS.index(self.changes.changes.kind)
        self.changes.only(_KINDS[(now + 1) % len(_KINDS)])

    def action_export(self) -> None:
        """Ask for the form, then write a file."""
        if self._result is not None:
            self.app.push_screen(ChoiceModal("Write the differences as", _FILES), self._export)

    def _export(self, form: str | None) -> None:
        result = self._result
        if form is None or result is None:
            return
        sides = "-".join(_name(one) for one in self._sides)
        path = Path(f"maos-ckpt-diff-{sides}-{fmt.stamp(self.console.now_ms())}.{form}")
        shape = as_json if form == JSON else as_markdown
        self.ask(lambda: write_new(path, shape(result)), self._written, group="export", quiet=True)

    def _written(self, path: Path) -> None:
        self.console.say(f"Written: {path.name} in {path.parent}", "ok")


def _name(name: str) -> str:
    return LIVE if name == LIVE else short(name)
