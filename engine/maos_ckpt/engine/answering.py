"""What an engine's process answers when a worker asks for the part of the state that lives in it."""

from __future__ import annotations

import msgspec

from maos_ckpt import wire
from maos_ckpt.errors import CkptError
from maos_ckpt.sources.provider.host import Host, HostSession


class Answering:
    """One worker's questions. `close` lets the system go on, however the worker ended."""

    def __init__(self, host: Host | None) -> None:
        self._host = host
        self._session: HostSession | None = None

    def answer(self, ask: wire.AskFrame) -> wire.ResultFrame | wire.ErrorFrame:
        """Do what is asked, and tell what came of it."""
        try:
            return wire.ResultFrame(msgspec.Raw(wire.encode(self._carry_out(ask))))
        except CkptError as error:
            return wire.error_frame(error)
        except OSError as error:
            return wire.error_frame(CkptError(f"The engine's process cannot do that: {error.strerror or error}."))

    def _carry_out(self, ask: wire.AskFrame) -> object:
        if self._host is None:
            raise CkptError("This engine has no part of the state.")
        if self._session is None:
            self._session = self._host.session()
        session = self._session
        match ask.method:
            case "hold":
                session.hold(recovery=bool(ask.argument))
                return None
            case "let_go":
                return session.let_go()
            case "capture":
                return session.capture(ask.argument)
            case "restore":
                return session.restore(ask.argument)
        raise CkptError("A worker asked for something unknown.")

    def close(self) -> None:
        """End the talk; safe to call twice."""
        if self._session is not None:
            self._session.close()
