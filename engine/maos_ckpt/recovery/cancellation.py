"""Stopping a recovery at a safe point: before its commit it is taken back, from then on it is finished."""

from __future__ import annotations

from typing import Final

from maos_ckpt.client import ProgressSink
from maos_ckpt.errors import InterruptedByUserError
from maos_ckpt.model import Progress

#: Phases that are finished whoever asks.
_COMMITTING: Final = ("commit", "files", "verify")


class Cancellation:
    """Whether somebody asked a recovery to stop."""

    def __init__(self) -> None:
        self.asked = False
        self._committing = False

    def ask(self) -> None:
        """Stop at the next safe point; callable from a signal handler or thread."""
        self.asked = True

    def watch(self, sink: ProgressSink) -> ProgressSink:
        """`sink`, raising InterruptedByUserError at the next safe point where that was asked for."""

        def watched(progress: Progress) -> None:
            self._committing |= progress.phase in _COMMITTING
            if self.asked and not self._committing:
                raise InterruptedByUserError(
                    "Interrupted before anything was committed.",
                    kept="The live state is as it was, and every checkpoint is untouched.",
                    hint="Run it again when you are ready.",
                )
            sink(progress)

        return watched
