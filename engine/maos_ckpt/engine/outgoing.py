"""What an engine tells others of by itself: the hooks that are configured."""

from __future__ import annotations

from maos_ckpt.config.alerting import Hooks
from maos_ckpt.events import EVENT_TYPES, Event, public_name
from maos_ckpt.hooks import command, webhook
from maos_ckpt.hooks.courier import Courier, Send
from maos_ckpt.hooks.heartbeat import Heartbeat
from maos_ckpt.operations.workspace import Workspace

#: How long the end of an engine waits for what is being sent; what is not gets sent when the next one begins.
END_S = 2.0


class Outgoing:
    """The hooks of one engine, from `start` to `close`. Nothing of it blocks or raises."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        hooks, source, seams = workspace.config.hooks, workspace.source, workspace.seams
        self._couriers: list[Courier] = []
        if hooks.webhook_url:
            self._add(
                hooks, "webhook", hooks.webhook_events, lambda entry: webhook.send(hooks, entry, source, seams.clock)
            )
        if hooks.command:
            place, processes = workspace.repository, seams.processes
            self._add(
                hooks,
                "command",
                hooks.command_events,
                lambda entry: command.run(hooks, entry, source, place, processes),
            )
        self._heartbeat = Heartbeat(hooks.heartbeat_url) if hooks.heartbeat_url else None

    def _add(self, hooks: Hooks, name: str, events: tuple[str, ...], send: Send) -> None:
        named = [one for one in EVENT_TYPES if public_name(one) in events]
        workspace = self._workspace
        self._couriers.append(Courier(name, workspace.journal, workspace.seams, named, send, hooks.budget_seconds))

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
