"""What every screen of Explore shares: a place in time, and what can be done with the thing in sight."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from maos_ckpt.errors import CkptError
from maos_ckpt.model.contents import History
from maos_ckpt.model.insight import FindResult
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.explore import things
from maos_ckpt_tui.explore.position import NEWER, OLDER, Position
from maos_ckpt_tui.explore.things import Thing
from maos_ckpt_tui.safe_text import safe_text
from maos_ckpt_tui.screens.base import ConsoleScreen
from maos_ckpt_tui.widgets.lines import Line, paragraph
from maos_ckpt_tui.widgets.time_strip import TimeStrip

if TYPE_CHECKING:
    from maos_ckpt.model import Checkpoint

_ON_A_THING = frozenset({"recover", "diff", "history", "copy", "export", "record", "open", "unfold"})
FOUND_MAX = 1000
_WORDS_CELLS_MAX = 60


def failure(error: CkptError, width: int = 76) -> list[Line]:
    """An error in a list's place: what happened, and what to do."""
    lines: list[Line] = [[("  XX ", "bad"), (error.message, "plain")], []]
    for words in (error.kept, error.hint):
        lines += paragraph(words, width, "dim", "  ") if words else []
    return lines


class ExploringScreen(ConsoleScreen):
    """Subclasses give `thing`, and `reload` what is shown for another place in time."""

    LOADING: ClassVar[str] = "Reading…"

    def __init__(self, position: Position) -> None:
        super().__init__()
        self.position = position
        #: What differs from the place before, in words; and the place that is shown, "" before the first.
        self.difference = ""
        self.shown_at = ""

    @property
    def thing(self) -> Thing | None:
        """What the actions are about; None where there is nothing."""
        return None

    def reload(self) -> None:
        """The place in time is another one."""

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint looked at; None for the live state."""
        return self.position.checkpoint(self.console.model)

    @property
    def held(self) -> frozenset[str]:
        """See `ConsoleScreen.held`."""
        return frozenset() if self.position.live or not self.position.id else frozenset({self.position.id})

    def offers(self, action: str) -> bool:
        """See `ConsoleScreen.offers`."""
        if action in ("recover", "diff") and self.position.live:
            return False
        return self.thing is not None or action not in _ON_A_THING

    def on_screen_resume(self) -> None:
        """A screen above may have moved in time."""
        super().on_screen_resume()
        if self.shown_at not in ("", self.position.id):
            self.reload()

    def model_changed(self) -> None:
        """Other checkpoints are there."""
        self.show_strip()

    def show_strip(self) -> None:
        """Draw the place in time."""
        model, now_ms = self.console.model, self.console.now_ms()
        self.query_one(TimeStrip).show(model, self.position, now_ms, self.difference)

    # --- time -------------------------------------------------------------------------------------------------

    def action_older(self) -> None:
        """The checkpoint before."""
        self._step(OLDER)

    def action_newer(self) -> None:
        """The next one, at last the live state."""
        self._step(NEWER)

    def action_older_change(self) -> None:
        """The next older checkpoint that holds something else of this."""
        self._leap(OLDER)

    def action_newer_change(self) -> None:
        """The next newer one, at last the live state."""
        self._leap(NEWER)

    def _leap(self, towards: int) -> None:
        if self.position.leap(self.console.model, towards, self.collections):
            self._moved()
        elif self.position.live:
            self.console.say("This is the live state: there is nothing newer.")
        else:
            self.console.say("Nothing of this differs in the older checkpoints that are listed.")

    @property
    def collections(self) -> frozenset[str]:
        """Paths of the collections that are shown; what tells whether a checkpoint holds something else."""
        thing = self.thing
        if thing is None:
            return frozenset()
        talk = {"memory/transcripts", "memory/sessions"} if thing.talks or thing.transcript else set()
        return frozenset({f"{thing.component}/{thing.collection}", *talk})

    def _moved(self) -> None:
        self.console.hold_shown()
        self.difference = ""
        self.show_strip()
        self.reload()
        self.refresh_bindings()

    def _step(self, towards: int) -> None:
        model = self.console.model
        if self.position.step(model, towards):
            self._moved()
        elif towards == NEWER:
            self.console.say("This is the live state: there is nothing newer.")
        elif model.complete:
            self.console.say("This is the oldest checkpoint there is.")
        else:
            self.console.load_more()
            self.console.say("Reading the list of older checkpoints; press the key again.")

    # --- the thing --------------------------------------------------------------------------------------------

    def _at_checkpoint(self, what: str) -> Checkpoint | None:
        one = self.checkpoint
        if one is None:
            why = (
                "this is the live state: ← goes to a checkpoint" if self.position.live else "it is not listed any more"
            )
            self.console.say(f"Nothing to {what}: {why}.", "warn")
        return one

    def _chosen(self) -> Thing | None:
        if (thing := self.thing) is None:
            self.console.say("There is nothing here to do that with.", "warn")
        return thing

    def action_recover(self) -> None:
        """Plan recovering this thing alone."""
        from maos_ckpt_tui.recovery import recover
        from maos_ckpt_tui.screens.plan import PlanScreen  # Loaded when first needed.

        if (thing := self._chosen()) is not None and (one := self._at_checkpoint("recover")) is not None:
            self.app.push_screen(PlanScreen(recover(self.console.client, one, thing.selection())))

    def action_diff(self) -> None:
        """What has changed of this thing since."""
        from maos_ckpt_tui.screens.part_changes import PartChangesScreen  # Loaded when first needed.

        if (thing := self._chosen()) is not None and (one := self._at_checkpoint("compare")) is not None:
            self.app.push_screen(PartChangesScreen(one, thing))

    def action_history(self) -> None:
        """The record's versions."""
        if (thing := self._chosen()) is not None:
            client = self.console.client
            self.console.say(f"Looking through all checkpoints for {safe_text(thing.words, _WORDS_CELLS_MAX)}…")
            self.ask(lambda: client.history(thing.path), self._told, group="history")

    def _told(self, found: History) -> None:
        from maos_ckpt_tui.screens.versions import VersionsScreen  # Loaded when first needed.

        self.console.say("")
        if self.is_current:
            self.app.push_screen(VersionsScreen(found))

    def action_copy(self) -> None:
        """Copy the key."""
        if (thing := self._chosen()) is not None:
            self.console.copy(thing.key)

    def action_export(self) -> None:
        """Ask where to, then write it."""
        if (thing := self._chosen()) is not None:
            self.ask_where(thing)

    def ask_where(self, thing: Thing) -> None:
        """Ask where to write a thing to, then write it."""
        from maos_ckpt_tui.modals.file_name import FileNameModal  # Loaded when first needed.

        place = self.position.id
        self.app.push_screen(FileNameModal(thing, place), lambda to: self._export(thing, place, to) if to else None)

    def _export(self, thing: Thing, place: str, to: str) -> None:
        client, path = self.console.client, Path(to).expanduser().absolute()
        self.console.say(f"Writing {path}…")

        def written(number: int) -> None:
            self.console.say(f"Written: {fmt.size(number)} to {path}", "ok")

        self.ask(lambda: things.export(client, place, thing, path), written, group="export")

    # --- searching everywhere ---------------------------------------------------------------------------------

    def action_find(self) -> None:
        """Ask for a text, then look for it in all checkpoints."""
        from maos_ckpt_tui.modals.prompt import PromptModal  # Loaded when first needed.

        intro = "Every text of every checkpoint is searched, whatever the case of letters; keys as well."
        self.app.push_screen(PromptModal("Find which text?", intro, "text", "search"), self._find)

    def _find(self, text: str | None) -> None:
        if not text:
            return
        client = self.console.client
        self.console.say("Searching all checkpoints…")
        self.ask(lambda: client.find(text, ignore_case=True, limit=FOUND_MAX), self._found, group="find")

    def _found(self, result: FindResult) -> None:
        from maos_ckpt_tui.screens.found import FoundScreen  # Loaded when first needed.

        self.console.say("")
        if self.is_current:
            self.app.push_screen(FoundScreen(result))
