"""Actions on all marked checkpoints, or on the selected one where none is marked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from maos_ckpt.errors import CkptError, EngineUnreachableError
from maos_ckpt.model import Checkpoint, Finding, Severity, VerifyLevel
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.modals.bulk import DeleteMarkedModal
from maos_ckpt_tui.modals.choice import ChoiceModal
from maos_ckpt_tui.modals.prompt import PromptModal
from maos_ckpt_tui.modals.report import FindingsModal
from maos_ckpt_tui.screens.actions import LEVELS, CheckpointActions
from maos_ckpt_tui.viewmodel import short

#: So many are done before one hears of it, and before `escape` stops the rest.
CHUNK = 10
#: Ids in the clipboard.
_COPIED_MAX = 1000


def _carry_out(names: Sequence[str], work: Callable[[str], object]) -> tuple[int, list[Finding]]:
    """How many went through, and what was wrong with the others."""
    failed: list[Finding] = []
    for name in names:
        try:
            work(name)
        except EngineUnreachableError:
            raise
        except CkptError as error:
            failed.append(Finding(Severity.ERROR, error.kind, f"{short(name)}: {error.message} {error.hint}".strip()))
    return len(names) - len(failed), failed


class MarkedActions(CheckpointActions):
    """Subclasses give `marked`; what takes many calls goes on in small steps, and `stop_rest` ends it."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[str] = []
        self._done = 0
        self._failed_ones: list[Finding] = []

    @property
    def marked(self) -> list[Checkpoint]:
        """The marked checkpoints, newest first."""
        return []

    # Many calls

    def _each(self, names: Sequence[str], work: Callable[[str], object], words: str) -> None:
        """`work` for each; `words` is what happened to them, as `is deleted` follows a number."""
        if self._waiting:
            self.console.say("Something is still being done to those marked before.", "warn")
            return
        self._waiting, self._done, self._failed_ones = list(names), 0, []
        self._step(work, words)

    def _step(self, work: Callable[[str], object], words: str) -> None:
        chunk, rest = self._waiting[:CHUNK], self._waiting[CHUNK:]
        total = self._done + len(self._failed_ones) + len(self._waiting)
        if rest:
            self.console.say(f"{fmt.count(total - len(self._waiting))} of {fmt.count(total)} {words}; esc stops.")

        def then(outcome: tuple[int, list[Finding]]) -> None:
            self._done += outcome[0]
            self._failed_ones += outcome[1]
            # Where it was stopped meanwhile, nothing waits any more.
            self._waiting = self._waiting[len(chunk) :]
            if self._waiting:
                self._step(work, words)
            else:
                self._ended(words)

        def failed(error: CkptError) -> None:
            self._waiting = []
            self.console.show_error(error)
            self.console.refresh_soon()

        self.ask(lambda: _carry_out(chunk, work), then, group="marked", failed=failed)

    def _ended(self, words: str) -> None:
        failed = len(self._failed_ones)
        tail = f", {fmt.count(failed)} could not be" if failed else ""
        self.console.say(f"{fmt.plural(self._done, 'checkpoint')} {words}{tail}.", "warn" if failed else "ok")
        if failed:
            self.app.push_screen(FindingsModal(self._failed_ones))
        self.console.refresh_soon()

    def stop_rest(self) -> bool:
        """What is not begun is left alone; False where nothing waits."""
        if not self._waiting:
            return False
        self.console.say(f"Stopped: {fmt.plural(len(self._waiting), 'checkpoint')} at most stay as they were.", "warn")
        self._waiting = []
        return True

    # Actions

    def action_pin(self) -> None:
        """Pin all marked; where they all are, unpin them."""
        if not (marked := self.marked):
            super().action_pin()
            return
        client, pinned = self.console.client, not all(one.pinned for one in marked)
        names = [one.id for one in marked if one.pinned != pinned]
        self._each(names, lambda name: client.set_pinned(name, pinned), "pinned" if pinned else "unpinned")

    def action_tag(self) -> None:
        """Ask for tags, then add or take them away."""
        about = self.marked or ([one] if (one := self._chosen()) is not None else [])
        if not about:
            return
        tags = sorted({tag for one in about for tag in one.tags})
        intro = f"Now: {', '.join(tags)}." if tags else "No tag is on them yet."
        title = f"Tag {short(about[0].id)}" if len(about) == 1 else f"Tag {len(about):,} checkpoints"
        modal = PromptModal(title, f"{intro} Several stand apart by blanks.", "name adds it, -name takes it away", "do")
        self.app.push_screen(modal, lambda text: self._tag([one.id for one in about], text))

    def _tag(self, names: list[str], text: str | None) -> None:
        words = (text or "").split()
        add = [one.removeprefix("+") for one in words if not one.startswith("-")]
        remove = [one[1:] for one in words if one.startswith("-")]
        if not any((*add, *remove)):
            return
        client = self.console.client
        self._each(names, lambda name: client.change_tags(name, add, remove), "tagged")

    def action_verify(self) -> None:
        """Ask how deep, then verify all marked in one go."""
        if not (marked := self.marked):
            super().action_verify()
            return
        modal = ChoiceModal(f"Verify {fmt.plural(len(marked), 'checkpoint')}: how deep?", LEVELS)
        self.app.push_screen(modal, lambda level: self._verify_all([one.id for one in marked], level))

    def _verify_all(self, names: list[str], level: VerifyLevel | None) -> None:
        if level is None:
            return
        client = self.console.client
        self.console.say(f"Verifying {fmt.plural(len(names), 'checkpoint')} ({level.value})…")
        self.ask(lambda: client.verify(names, level), self._verified, group="verify")

    def action_delete(self) -> None:
        """Ask for the typed number, then delete those that are not pinned."""
        if not (marked := self.marked):
            super().action_delete()
            return
        going = [one for one in marked if not one.pinned]
        if not going:
            self.console.say("All that are marked are pinned: p unpins them first.", "warn")
            return
        client, names = self.console.client, [one.id for one in going]
        self.app.push_screen(
            DeleteMarkedModal(going, len(marked) - len(going)),
            lambda sure: self._each(names, client.delete, "deleted") if sure is not None else None,
        )

    def action_copy(self) -> None:
        """The ids of all marked, one a line."""
        if marked := self.marked:
            self.console.copy("\n".join(one.id for one in marked[:_COPIED_MAX]))
        else:
            super().action_copy()

    def action_diff(self) -> None:
        """Two marked against each other, else the selected one against the live state."""
        marked = self.marked
        if len(marked) not in (0, 2):
            self.console.say(f"Mark two to compare them; {fmt.count(len(marked))} marked now.", "warn")
        elif marked:
            from maos_ckpt_tui.screens.diff import DiffScreen  # Loaded when first needed.

            older, newer = sorted(marked, key=lambda one: one.seq)
            self.app.push_screen(DiffScreen(older, newer.id))
        else:
            super().action_diff()
