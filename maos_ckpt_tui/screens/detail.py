"""One checkpoint in full: when and why, what it holds, how it was captured, how sound it is."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from maos_ckpt.errors import CkptError, NotFoundError
from maos_ckpt.model import Checkpoint
from maos_ckpt.model.integrity import VerificationRun
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.checkpoint_order import Verified
from maos_ckpt_tui.checkpoint_view import change_words, state_words
from maos_ckpt_tui.commands import DETAIL, bindings_for
from maos_ckpt_tui.screens.actions import CheckpointActions, kept_with_parent
from maos_ckpt_tui.screens.integrity_news import IntegrityNews
from maos_ckpt_tui.viewmodel import short
from maos_ckpt_tui.widgets.checkpoint_pane import capture_facts, integrity_facts
from maos_ckpt_tui.widgets.component_pane import GrowthList
from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.lines import Line, LineView, facts, rule
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.title_bar import TitleBar


class DetailFacts(LineView):
    """The checkpoint's own facts."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(id="facts")
        self._checkpoint = checkpoint
        self._before: Checkpoint | None = None
        self._before_words = ""
        self._run: VerificationRun | None = None
        self._now_ms = checkpoint.created_at_ms

    def show(
        self,
        checkpoint: Checkpoint,
        before: Checkpoint | None,
        before_words: str,
        run: VerificationRun | None,
        now_ms: int,
    ) -> None:
        """Another state of it; `before` is its parent, named by `before_words`, `run` the deepest look at it."""
        self._checkpoint, self._before, self._before_words, self._now_ms = checkpoint, before, before_words, now_ms
        self._run = run
        self.changed()

    def _changed_words(self) -> str:
        words, _ = change_words(self._checkpoint, self._before)
        if words == ["first"]:
            return "everything: there was none before it"
        text = ", ".join({"same": "nothing", "?": "not known"}.get(word, word) for word in words)
        return f"{text}, against {self._before_words}"

    def build(self, width: int) -> list[Line]:
        """See `LineView.build`."""
        one = self._checkpoint
        state, tone = state_words(one)
        pairs = [
            ("state", state, tone),
            ("taken", f"{fmt.utc(one.created_at_ms)}, {fmt.ago(one.created_at_ms, self._now_ms)}", "plain"),
            ("why", one.trigger.value + (f": {one.description}" if one.description else ""), "plain"),
            ("tags", ", ".join(one.tags), "key"),
            ("holds", f"{fmt.plural(one.records, 'record')}, {fmt.size(one.logical_bytes)}", "plain"),
            ("stored", f"{fmt.size(one.stored_bytes)} by this save, in {fmt.duration(one.duration_s)}", "plain"),
            ("changed", self._changed_words(), "plain"),
            *integrity_facts(one, self._run, self._now_ms),
            *capture_facts(one),
            ("sha-512", one.digest.hex() if width >= 150 else one.digest.hex()[:32] + "…", "dim"),
        ]
        return [rule(one.id, width), *facts((pair for pair in pairs if pair[1]), width), []]


class DetailScreen(CheckpointActions, IntegrityNews):
    """Facts above, components below."""

    PLACE = DETAIL
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(DETAIL)]
    AUTO_FOCUS = "#growth"

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._before: Checkpoint | None = None
        self._before_lost = ""

    def compose(self) -> ComposeResult:
        """Facts, components, keys."""
        yield TitleBar(f"Checkpoint {short(self._checkpoint.id)}")
        yield DetailFacts(self._checkpoint)
        yield GrowthList()
        yield OperationBar()
        yield KeyBar(DETAIL)

    def on_mount(self) -> None:
        """Fetch the parent, where there is one."""
        self._draw()
        if (name := self._checkpoint.parent) is not None:
            self.ask(lambda: self.console.client.checkpoint(name), self._found, group="parent", failed=self._lost)

    @property
    def target(self) -> Checkpoint | None:
        """See `CheckpointActions.target`."""
        return self._checkpoint

    @property
    def held(self) -> frozenset[str]:
        """See `ConsoleScreen.held`."""
        return kept_with_parent(self._checkpoint)

    def _found(self, parent: Checkpoint) -> None:
        self._before = parent
        self._draw()

    def _lost(self, error: CkptError) -> None:
        gone = isinstance(error, NotFoundError)
        self._before_lost = "which is no longer kept" if gone else "which cannot be read now"
        self._draw()

    def model_changed(self) -> None:
        """Pin, tags and state may have changed."""
        self._checkpoint = self.console.model.find(self._checkpoint.id) or self._checkpoint
        self.ask_integrity()
        self._draw()

    def integrity_read(self) -> None:
        """See `IntegrityNews.integrity_read`."""
        self._draw()

    def tick(self) -> None:
        """See `ConsoleScreen.tick`; the age of the checkpoint is of this second too."""
        super().tick()
        self._draw_facts()

    def _draw_facts(self) -> None:
        run = Verified(self.report).of(self._checkpoint)
        facts = self.query_one(DetailFacts)
        facts.show(self._checkpoint, self._before, self._parent_words(), run, self.console.now_ms())

    def _draw(self) -> None:
        self._draw_facts()
        self.query_one(GrowthList).show(self._checkpoint, self._before)

    def _parent_words(self) -> str:
        if self._before is not None:
            seconds = (self._checkpoint.created_at_ms - self._before.created_at_ms) / 1000
            return f"{short(self._before.id)}, {fmt.duration(float(int(max(0.0, seconds))))} before"
        name = short(self._checkpoint.parent or "")
        return f"{name}, {self._before_lost}" if self._before_lost else name

    def _deleted(self, checkpoint_id: str) -> None:
        super()._deleted(checkpoint_id)
        if self.is_current:
            self.app.pop_screen()

    def action_diff_parent(self) -> None:
        """What this checkpoint changed."""
        from maos_ckpt_tui.screens.diff import BEFORE, DiffScreen  # Loaded when first needed.

        self.app.push_screen(DiffScreen(self._checkpoint, BEFORE))
