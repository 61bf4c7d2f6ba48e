"""Actions on one checkpoint that several screens offer."""

from __future__ import annotations

from maos_ckpt.model import Checkpoint, ProcessReport, ResumePoint, VerifyLevel, VerifyResult
from maos_ckpt_tui.modals.choice import Choice, ChoiceModal
from maos_ckpt_tui.modals.confirm import delete_modal
from maos_ckpt_tui.modals.report import VerifyReport
from maos_ckpt_tui.screens.base import ConsoleScreen
from maos_ckpt_tui.viewmodel import short

#: How deep a verification may look.
LEVELS = (
    Choice(VerifyLevel.QUICK, "Quick", "objects are there and of the right size; reads nothing else"),
    Choice(VerifyLevel.STANDARD, "Standard", "every pack's checksum; reads all stored bytes of the checkpoint"),
    Choice(VerifyLevel.FULL, "Full", "every chunk decoded, all roots rebuilt, the SHA-512 digest compared"),
)

_ON_A_CHECKPOINT = frozenset({"open", "diff", "recover", "pin", "verify", "copy", "delete", "filter"})


def kept_with_parent(checkpoint: Checkpoint) -> frozenset[str]:
    """A checkpoint's id, and its parent's where it has one."""
    return frozenset(one for one in (checkpoint.id, checkpoint.parent) if one)


class CheckpointActions(ConsoleScreen):
    """Mix of pin, verify, copy, delete, recover and diff for screens that have a `target`."""

    @property
    def target(self) -> Checkpoint | None:
        """The checkpoint that the actions are about; None where there is none."""
        return None

    def offers(self, action: str) -> bool:
        """See `ConsoleScreen.offers`."""
        return self.target is not None or action not in _ON_A_CHECKPOINT

    def _chosen(self) -> Checkpoint | None:
        # A key that does nothing must say why.
        if (one := self.target) is None:
            self.console.say("There is no checkpoint to do that with.", "warn")
        return one

    def action_pin(self) -> None:
        """Pin or unpin."""
        if (one := self._chosen()) is not None:
            client = self.console.client
            self.ask(lambda: client.set_pinned(one.id, not one.pinned), self._pinned, group="mark")

    def _pinned(self, checkpoint: Checkpoint) -> None:
        word = "pinned: no pruning removes it" if checkpoint.pinned else "unpinned"
        self.console.say(f"{short(checkpoint.id)} is {word}.", "ok")
        self.console.refresh_soon()

    def action_copy(self) -> None:
        """Copy the id; it is shown as well, since a terminal does not tell whether it took it."""
        if (one := self._chosen()) is not None:
            self.console.copy(one.id)

    def action_verify(self) -> None:
        """Ask how deep, then verify."""
        if (one := self._chosen()) is not None:
            modal = ChoiceModal(f"Verify {short(one.id)}: how deep?", LEVELS)
            self.app.push_screen(modal, lambda level: self._verify(one, level))

    def _verify(self, checkpoint: Checkpoint, level: VerifyLevel | None) -> None:
        if level is None:
            return
        client = self.console.client
        self.console.say(f"Verifying {short(checkpoint.id)} ({level.value})…")
        self.ask(lambda: client.verify([checkpoint.id], level), self._verified, group="verify")

    def _verified(self, result: VerifyResult) -> None:
        self.console.say("Verified." if result.ok else "Verification found faults.", "ok" if result.ok else "bad")
        self.app.push_screen(VerifyReport(result))
        self.console.refresh_soon()

    def action_delete(self) -> None:
        """Ask for the typed short id, then delete."""
        if (one := self._chosen()) is not None:
            self.app.push_screen(delete_modal(one), lambda sure: self._delete(one) if sure is not None else None)

    def _delete(self, checkpoint: Checkpoint) -> None:
        client = self.console.client
        self.ask(lambda: client.delete(checkpoint.id), self._deleted, group="mark")

    def _deleted(self, checkpoint_id: str) -> None:
        self.console.say(f"{short(checkpoint_id)} is deleted.", "plain")
        self.console.refresh_soon()

    def action_recover(self) -> None:
        """Begin a recovery of the checkpoint."""
        from maos_ckpt_tui.screens.recover import (
            RecoverScreen,
        )  # Loaded when first needed: keeps the first paint short.

        if (one := self._chosen()) is not None:
            self.app.push_screen(RecoverScreen(one))

    def action_undo(self) -> None:
        """Plan taking the last recovery back."""
        from maos_ckpt_tui.screens.undo import undo_screen  # See `action_recover`.

        self.app.push_screen(undo_screen(self.console.client, self.console.now_ms()))

    def action_rescue(self) -> None:
        """Plan what mends a state that a crash left behind."""
        from maos_ckpt_tui.recovery import mend
        from maos_ckpt_tui.screens.plan import PlanScreen  # See `action_recover`.

        self.app.push_screen(PlanScreen(mend(self.console.client)))

    def action_resume(self) -> None:
        """Ask which agent, then say how to continue it."""
        from maos_ckpt_tui.modals.prompt import PromptModal  # See `action_recover`.

        intro = "Its conversation goes on from where its transcript was last: live, or in the newest checkpoint of it."
        self.app.push_screen(PromptModal("Continue which agent?", intro, "the agent's id", "look"), self._resume)

    def _resume(self, agent: str | None) -> None:
        client = self.console.client
        if agent:
            self.ask(lambda: client.resume_point(agent), self._resumable, group="resume")

    def _resumable(self, point: ResumePoint) -> None:
        if point.checkpoint:
            from maos_ckpt_tui.recovery import go_on
            from maos_ckpt_tui.screens.plan import PlanScreen  # See `action_recover`.

            self.app.push_screen(PlanScreen(go_on(self.console.client, point)))
        else:
            from maos_ckpt_tui.modals.resume import ResumeModal  # See `action_recover`.

            self.app.push_screen(ResumeModal(point))

    def action_processes(self) -> None:
        """Show every live MAOS of the engine's machine."""
        self.console.say("Looking at the processes…")
        self.ask(self.console.client.processes, self._show_processes, group="processes")

    def _show_processes(self, report: ProcessReport) -> None:
        self.console.say("")
        from maos_ckpt_tui.modals.processes import ProcessesModal  # See `action_recover`.

        self.app.push_screen(ProcessesModal(report, self.console.now_ms()))

    def action_diff(self) -> None:
        """Against the live state."""
        from maos_ckpt_tui.screens.diff import DiffScreen  # See `action_recover`.

        if (one := self._chosen()) is not None:
            self.app.push_screen(DiffScreen(one))

    def action_open(self) -> None:
        """The selected checkpoint in full."""
        from maos_ckpt_tui.screens.detail import DetailScreen  # See `action_recover`.

        if (one := self._chosen()) is not None:
            self.app.push_screen(DetailScreen(one))

    def action_save(self) -> None:
        """Ask for a description, then save."""
        from maos_ckpt_tui.modals.prompt import PromptModal  # See `action_recover`.

        modal = PromptModal(
            "Checkpoint now",
            "It is taken beside the schedule and kept like the others.",
            "description (may stay empty)",
            "take it",
        )
        self.app.push_screen(modal, self._save)

    def _save(self, description: str | None) -> None:
        if description is None:
            return
        client = self.console.client
        self.console.say("Taking a checkpoint…")
        self.ask(lambda: client.save(description), self._saved, group="save")

    def _saved(self, checkpoint: Checkpoint) -> None:
        self.console.say(f"Checkpoint {short(checkpoint.id)} is taken.", "ok")
        self.console.refresh_soon()
