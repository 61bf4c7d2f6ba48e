"""The alerts of a repository, read and acknowledged; whether an engine runs does not matter."""

from __future__ import annotations

from maos_ckpt.alerts.book import AlertBook
from maos_ckpt.audit.actor import actor
from maos_ckpt.errors import UsageError
from maos_ckpt.events import AlertRaised
from maos_ckpt.hooks import heartbeat
from maos_ckpt.hooks.courier import Way, way_of
from maos_ckpt.hooks.senders import hooks_of
from maos_ckpt.model.alerts import Alert
from maos_ckpt.operations.audit import audited
from maos_ckpt.operations.workspace import Workspace


def standing(workspace: Workspace) -> tuple[Alert, ...]:
    """Those that stand, the worst first."""
    return AlertBook(workspace.journal.directory, workspace.seams).alerts()


def try_hooks(workspace: Workspace) -> dict[str, str]:
    """Send each hook that is configured an alert that is a test, once: name → what went wrong, or "". Nothing is
    written. The heartbeat is told that a save begins, which a monitor takes for no success.

    Raises:
        UsageError: no hook is configured.
    """
    hooks, now_ms = workspace.config.hooks, workspace.now_ms()
    fields: dict[str, object] = {
        "at_ms": now_ms,
        "alert": "test",
        "severity": "warning",
        "message": "This is a test; nothing is wrong.",
        "key": f"test-{now_ms}",
        "runbook": "Nothing is to be done.",
        "repeated": False,
    }
    entry = (AlertRaised.__name__, fields)
    found = {
        one.name: one.send(entry)
        for one in hooks_of(hooks, workspace.source, workspace.repository.parent, workspace.seams)
    }
    if hooks.heartbeat_url:
        found["heartbeat"] = heartbeat.ping(hooks.heartbeat_url, heartbeat.START)
    if not found:
        raise UsageError(
            "No hook is configured.",
            kept="Nothing was sent.",
            hint="Set hooks.webhook_url, hooks.command or hooks.heartbeat_url; `maos-ckpt config init` shows them.",
        )
    return found


def ways(workspace: Workspace) -> list[tuple[str, Way]]:
    """The hooks that are configured and have been used, by name, and how it goes with each."""
    hooks = workspace.config.hooks
    names = [name for name, used in (("webhook", hooks.webhook_url), ("command", hooks.command)) if used]
    found = ((name, way_of(workspace.journal.directory, name)) for name in names)
    return [(name, way) for name, way in found if way is not None]


def acknowledge(workspace: Workspace, alert: str, snooze_s: float = 0.0) -> Alert:
    """See `EngineClient.acknowledge`; the audit log says who did."""
    workspace.refuse_if_read_only("acknowledging an alert")
    verb = "alert snooze" if snooze_s else "alert acknowledge"
    who = actor()
    by = who.via or f"{who.login or who.user or who.uid}@{who.host}"
    with audited(workspace, verb, about=(alert,)):
        return AlertBook(workspace.journal.directory, workspace.seams).acknowledge(alert, by, snooze_s)
