"""Integrity: what was read back when and how deep, what is wrong, and mending it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from maos_ckpt.errors import CkptError, InterruptedByUserError
from maos_ckpt.model import LOCAL_TIER, Finding, VerifyLevel, VerifyResult
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.commands import INTEGRITY, bindings_for
from maos_ckpt_tui.export_file import write_new
from maos_ckpt_tui.integrity_view import result_findings, standing_findings
from maos_ckpt_tui.modals.choice import Choice, ChoiceModal
from maos_ckpt_tui.modals.finding import FindingModal, RunModal
from maos_ckpt_tui.screens.actions import LEVELS
from maos_ckpt_tui.screens.integrity_news import IntegrityNews
from maos_ckpt_tui.viewmodel import short
from maos_ckpt_tui.widgets.integrity_lists import CoverageView, FindingTable, RunTable
from maos_ckpt_tui.widgets.key_bar import KeyBar
from maos_ckpt_tui.widgets.mode_bar import ModeBar
from maos_ckpt_tui.widgets.operation_bar import OperationBar
from maos_ckpt_tui.widgets.title_bar import TitleBar

_VERIFY, _REPAIR = "verify", "repair"
_NEWEST = "latest"


class IntegrityScreen(IntegrityNews):
    """Coverage above, findings and verifications below; a verification goes on while one is in another mode."""

    PLACE = INTEGRITY
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(INTEGRITY)]
    AUTO_FOCUS = "#findings"

    def __init__(self) -> None:
        super().__init__()
        self.result: VerifyResult | None = None
        self._mine = ""

    def compose(self) -> ComposeResult:
        """Coverage, two lists, keys."""
        yield TitleBar("Integrity")
        yield ModeBar("integrity")
        yield CoverageView()
        yield FindingTable()
        yield RunTable()
        yield OperationBar()
        yield KeyBar(INTEGRITY)

    @property
    def _findings(self) -> FindingTable:
        return self.query_one(FindingTable)

    @property
    def _runs(self) -> RunTable:
        return self.query_one(RunTable)

    def model_changed(self) -> None:
        """See `ConsoleScreen.model_changed`."""
        self.ask_integrity()
        self.integrity_read()
        self.refresh_bindings()

    def tick(self) -> None:
        """See `ConsoleScreen.tick`."""
        super().tick()
        self.query_one(CoverageView).tick(self.console.now_ms())

    def integrity_read(self) -> None:
        """See `IntegrityNews.integrity_read`."""
        model, now_ms = self.console.model, self.console.now_ms()
        trouble = f"XX {self.not_read.message} {self.not_read.hint}" if self.not_read is not None else ""
        self.query_one(CoverageView).show(self.report, trouble, model.checkpoints, now_ms)
        self._runs.show(self.report.runs if self.report is not None else (), now_ms)
        self._show_findings()

    def _show_findings(self) -> None:
        result = self.result
        if result is not None:
            nothing = [("OK This verification found nothing wrong.", "ok")]
            self._findings.show(result_findings(result), (f"of the last {result.level.value} run here", "dim"), nothing)
            return
        model = self.console.model
        nothing = [
            ("OK Nothing is known to be damaged.", "ok"),
            ("That says only as much as was read back, see above: v reads back as much as you want.", "dim"),
        ]
        found = standing_findings(model.checkpoints, model.status, self.report)
        self._findings.show(found, ("known damage", "dim"), nothing)

    # Runs

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """One at a time, and only what runs can be stopped."""
        if action in ("verify", "mend") and self._mine:
            return False
        if action == "stop" and self._under_way() != _VERIFY:
            return False
        return super().check_action(action, parameters)

    def _under_way(self) -> str:
        """What runs here, or in the engine for somebody else."""
        status = self.console.model.status
        running = status.running.operation if status is not None and status.running is not None else ""
        return self._mine or running

    def action_verify(self) -> None:
        """Ask what to read back, then how deep."""
        marked = self._marked()
        choices: list[Choice[tuple[str, ...]]] = [
            Choice(
                (), "everything", f"All {fmt.plural(len(self.console.model.checkpoints), 'checkpoint')}, every tier."
            )
        ]
        if marked:
            title = f"the {fmt.plural(len(marked), 'marked checkpoint')}"
            choices.append(Choice(marked, title, "Those that are marked in the list of mode 2."))
        if self.console.model.checkpoints:
            newest = self.console.model.checkpoints[0]
            choices.append(Choice((newest.id,), f"the newest, {short(newest.id)}", "The one that was taken last."))
        self.app.push_screen(ChoiceModal("Read back what?", choices), self._how_deep)

    def _marked(self) -> tuple[str, ...]:
        from maos_ckpt_tui.screens.checkpoints import CheckpointsScreen  # Loaded when first needed.

        for one in self.console.open_screens:
            if isinstance(one, CheckpointsScreen) and one.is_mounted:
                return tuple(each.id for each in one.marked)
        return ()

    def _how_deep(self, names: tuple[str, ...] | None) -> None:
        if names is None:
            return
        client = self.console.client

        def begin(level: VerifyLevel | None) -> None:
            if level is not None:
                self._begin(_VERIFY, lambda: client.verify(names, level), f"Verifying ({level.value})…")

        self.app.push_screen(ChoiceModal("How deep?", LEVELS), begin)

    def action_mend(self) -> None:
        """Say what it does, then repair."""
        status = self.console.model.status
        tiers = [one.name for one in status.tiers if one.name != LOCAL_TIER] if status is not None else []
        source = (
            f"What is damaged here is replaced with what {tiers[0]} holds, and the other way round."
            if tiers
            else "!! There is no remote copy to take anything from: what is good in a damaged pack is saved into a new "
            "one, and what is lost counts as not stored, so that the next save stores it again where it is live still."
        )
        intro = [
            ("Everything is read, and what is damaged or missing is mended. " + source, "plain"),
            ("Nothing is deleted: what was replaced is kept aside. The live state is not touched.", "dim"),
        ]
        client = self.console.client

        def begin(level: VerifyLevel | None) -> None:
            if level is not None:
                self._begin(_REPAIR, lambda: client.repair(level), f"Repairing ({level.value})…")

        self.app.push_screen(ChoiceModal("!! Repair: how deep to look?", LEVELS[1:], intro, "warn", "cancel"), begin)

    def _begin(self, operation: str, work: Callable[[], VerifyResult], words: str) -> None:
        self._mine = operation
        self.console.say(words)
        self.refresh_bindings()
        self.ask(work, self._done, group="verify", failed=self._failed)

    def _done(self, result: VerifyResult) -> None:
        self._mine, self.result = "", result
        words = "OK Nothing is wrong." if result.ok else "XX Faults were found: enter shows one in full."
        if result.repaired:
            words = f"{fmt.plural(len(result.repaired), 'object')} mended. {words}"
        self.console.say(words, "ok" if result.ok else "bad")
        self.query_one(CoverageView).show_result(result)
        self._findings.cursor = 0
        self._show_findings()
        self.refresh_bindings()
        self.console.refresh_soon()

    def _failed(self, error: CkptError) -> None:
        self._mine = ""
        self.refresh_bindings()
        if isinstance(error, InterruptedByUserError):
            self.console.say("Stopped: nothing was marked by it.", "warn")
        else:
            self.console.show_error(error)

    def action_stop(self) -> None:
        """Ask the engine to stop the verification."""
        self.ask(self.console.client.cancel_verification, self._stopping, group="stop", quiet=True)

    def _stopping(self, asked: bool) -> None:
        self.console.say("It stops…" if asked else "No verification runs now.", "plain" if asked else "warn")

    # What is selected

    def action_open(self) -> None:
        """A finding, or a verification, in full."""
        if self._runs.has_focus:
            if (run := self._runs.selected) is not None:
                self.app.push_screen(RunModal(run))
        elif (finding := self._findings.selected) is not None:
            self.app.push_screen(FindingModal(finding), lambda name: self._go(name) if name else None)

    def _go(self, checkpoint: str) -> None:
        from maos_ckpt_tui.screens.detail import DetailScreen  # Loaded when first needed.

        if (one := self.console.model.find(checkpoint)) is not None:
            self.app.push_screen(DetailScreen(one))

    def action_switch(self) -> None:
        """The other list."""
        (self._findings if self._runs.has_focus else self._runs).focus()

    def action_copy(self) -> None:
        """The selected finding and what it touches."""
        if (one := self._findings.selected) is None:
            self.console.say("There is no finding to copy.", "warn")
        else:
            self.console.copy(" ".join(part for part in (one.message, one.object, *one.affected[:20]) if part))

    def action_export(self) -> None:
        """What is known of the integrity, as JSON."""
        findings: list[Finding] = self._findings.findings
        told = {
            "at": fmt.utc(self.console.now_ms()),
            "known": asdict(self.report) if self.report is not None else None,
            "lastRun": asdict(self.result) if self.result is not None else None,
            "findings": [asdict(one) for one in findings],
        }
        name = f"maos-ckpt-integrity-{fmt.stamp(self.console.now_ms())}.json"
        text = json.dumps(told, indent=2, ensure_ascii=True) + "\n"
        self.ask(lambda: write_new(Path(name), text), self._written, group="export", quiet=True)

    def _written(self, path: Path) -> None:
        self.console.say(f"Written: {path.name} in {path.parent}", "ok")
