"""What an engine tells others of by itself: the hooks that are configured."""

from __future__ import annotations

from maos_ckpt.events import Event
from maos_ckpt.hooks.courier import Courier
from maos_ckpt.hooks.heartbeat import Heartbeat
from maos_ckpt.hooks.senders import hooks_of
from maos_ckpt.operations.workspace import Workspace

#: How long the end of an engine waits for what is being sent; what is not gets sent when the next one begins.
END_S = 2.0


class Outgoing:
    """The hooks of one engine, from `start` to `close`. Nothing of it blocks or raises."""

    def __init__(self, workspace: Workspace) -> None:
        config, seams = workspace.config.hooks, workspace.seams
        self._couriers = [
            Courier(one.name, workspace.journal, seams, one.events, one.send, config.budget_seconds)
            for one in hooks_of(config, workspace.source, workspace.repository.parent, seams)
        ]
        self._heartbeat = Heartbeat(config.heartbeat_url) if config.heartbeat_url else None

    def start(self) -> None:
        """Begin."""
        for courier in self._couriers:
            courier.start()
        if self._heartbeat is not None:
            self._heartbeat.start()

    def tell(self, event: Event) -> None:
        """Something happened, progress included."""
        if self._heartbeat is not None:
            self._heartbeat.tell(event)

    def wake(self) -> None:
        """Something was written to the journal."""
        for courier in self._couriers:
            courier.wake()

    def close(self) -> None:
        """End."""
        for courier in self._couriers:
            courier.close(END_S)
        if self._heartbeat is not None:
            self._heartbeat.close(END_S)
