"""What travels between the engine's threads, the client calls' threads and the screens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.message import Message

from maos_ckpt.errors import CkptError
from maos_ckpt.events import Event
from maos_ckpt.model import Progress


class EngineSpoke(Message):
    """The engine told of an event."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event


class ProgressMoved(Message):
    """A running operation moved on; only the newest counts."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self.progress = progress

    def can_replace(self, message: Message) -> bool:
        """See `Message.can_replace`."""
        return isinstance(message, ProgressMoved)


class CallFinished(Message, bubble=False):
    """A client call came back, with a result or one of the two kinds of error.

    `ticket` tells whether the screen still waits for this very call; `crash` is an error nobody meant to raise.
    """

    def __init__(
        self,
        group: str,
        ticket: int,
        then: Callable[[Any], None],
        failed: Callable[[CkptError], None] | None,
        quiet: bool = False,
        result: object = None,
        error: CkptError | None = None,
        crash: Exception | None = None,
    ) -> None:
        super().__init__()
        self.group = group
        self.ticket = ticket
        self.then = then
        self.failed = failed
        self.quiet = quiet
        self.result = result
        self.error = error
        self.crash = crash
