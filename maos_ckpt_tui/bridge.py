"""The only crossing from the engine's threads to the event loop; it only posts messages."""

from __future__ import annotations

from collections.abc import Callable

from textual.message import Message

from maos_ckpt.client import EngineClient
from maos_ckpt.events import Event, OperationProgressed
from maos_ckpt.seams import Clock
from maos_ckpt_tui.messages import EngineSpoke, ProgressMoved


class Bridge:
    """Subscribes to an engine and posts what it says.

    `post` must be safe to call from any thread. Progress of one phase is thinned out here, on the engine's side, so
    that a flood never reaches the loop; a new phase always passes.
    """

    def __init__(self, client: EngineClient, post: Callable[[Message], bool], clock: Clock, interval_s: float) -> None:
        self._client = client
        self._post = post
        self._clock = clock
        self._leave: Callable[[], None] | None = None
        self._phase = ("", "")
        self._told_s = 0.0
        self._interval_s = interval_s
        self._open = False

    def open(self) -> None:
        """Begin to listen."""
        self._open = True
        self._leave = self._client.subscribe(self._hear)

    def close(self) -> None:
        """Stop listening; nothing is posted afterwards."""
        self._open = False
        if self._leave is not None:
            self._leave()
            self._leave = None

    def _hear(self, event: Event) -> None:
        if not self._open:
            return
        if isinstance(event, OperationProgressed):
            self._progress(event)
        else:
            self._send(EngineSpoke(event))

    def _progress(self, event: OperationProgressed) -> None:
        now_s = self._clock.monotonic_s()
        phase = (event.progress.operation, event.progress.phase)
        if phase == self._phase and now_s - self._told_s < self._interval_s:
            return
        self._phase, self._told_s = phase, now_s
        self._send(ProgressMoved(event.progress))

    def _send(self, message: Message) -> None:
        try:
            self._post(message)
        except RuntimeError:
            # The loop has just closed: nobody is left to tell.
            self._open = False
