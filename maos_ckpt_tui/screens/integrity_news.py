"""Screens that show when what is stored was read back ask again after every verification, whoever made it."""

from __future__ import annotations

from maos_ckpt.errors import CkptError
from maos_ckpt.model.integrity import IntegrityReport
from maos_ckpt_tui.screens.base import ConsoleScreen

#: Verifications of late that a console knows.
RUNS = 200
_NEWS = "VerificationCompleted"


class IntegrityNews(ConsoleScreen):
    """Subclasses take the report in `integrity_read`, and call `ask_integrity` where the model has changed."""

    def __init__(self) -> None:
        super().__init__()
        self.report: IntegrityReport | None = None
        self.not_read: CkptError | None = None
        self._known: object = None
        self._asked = False

    def ask_integrity(self) -> None:
        """Read what is known, if that is not what is known here already."""
        model = self.console.model
        newest = next((fields.get("at_ms") for name, fields in model.events if name == _NEWS), None)
        # A slice of the look at all objects that found nothing is no event.
        news = (newest, [tier.scrub_share for tier in model.status.tiers] if model.status is not None else [])
        if not model.loaded or (self._asked and news == self._known):
            return
        self._asked, self._known = True, news
        client = self.console.client
        self.ask(lambda: client.integrity(RUNS), self._took, group="integrity", failed=self._refused, quiet=True)

    def _took(self, report: IntegrityReport) -> None:
        self.report, self.not_read = report, None
        self.integrity_read()

    def _refused(self, error: CkptError) -> None:
        # What was known stays; the next news asks again.
        self.not_read, self._asked = error, False
        self.integrity_read()

    def integrity_read(self) -> None:
        """There is a report, or a reason why there is none."""
