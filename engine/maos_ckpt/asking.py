"""The worker's end of its talk with the process that has a part of the state."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any, Final

import msgspec

from maos_ckpt import wire
from maos_ckpt.errors import SourceError
from maos_ckpt.sources.base import Pause
from maos_ckpt.sources.provider.host import Captured, Restored

#: No answer takes longer: every hook and provider is given up long before.
ANSWER_S_MAX: Final = 600.0


class EngineHost:
    """See `Host`: the process that started this one.

    Args:
        send: sends a frame; `answers` gives the bodies of those that come back, None when there will be no more.
    """

    def __init__(self, send: Callable[[wire.AskFrame], None], answers: queue.SimpleQueue[bytes | None]) -> None:
        self._send = send
        self._answers = answers
        self._gone = False

    def session(self) -> EngineHost:
        """See `Host.session`: a worker has one operation."""
        return self

    def hold(self, *, recovery: bool = False) -> None:
        """See `HostSession.hold`."""
        self._ask("hold", "recovery" if recovery else "", type(None))

    def let_go(self) -> Pause:
        """See `HostSession.let_go`; whoever is gone holds nothing."""
        if self._gone:
            return Pause(held=True, expired=True)
        found: Pause = self._ask("let_go", "", Pause)
        return found

    def capture(self, directory: str) -> Captured:
        """See `HostSession.capture`."""
        found: Captured = self._ask("capture", directory, Captured)
        return found

    def restore(self, path: str) -> Restored:
        """See `HostSession.restore`."""
        found: Restored = self._ask("restore", path, Restored)
        return found

    def close(self) -> None:
        """See `HostSession.close`: the end of this process ends it."""

    def _ask(self, method: str, argument: str, kind: Any) -> Any:
        body: bytes | None = None
        if not self._gone:
            self._send(wire.AskFrame(method, argument))
            try:
                body = self._answers.get(timeout=ANSWER_S_MAX)
            except queue.Empty:
                body = None
        if body is None:
            self._gone = True
            raise SourceError(
                "The process that the providers live in has ended, or does not answer.",
                kept="Every checkpoint committed before is untouched.",
                hint="Start it again; a recovery that was committed is finished then.",
            )
        frame = wire.decode_frame(body)
        if isinstance(frame, wire.ErrorFrame):
            raise wire.as_error(frame)
        assert isinstance(frame, wire.ResultFrame)
        return msgspec.msgpack.decode(frame.result, type=kind)
