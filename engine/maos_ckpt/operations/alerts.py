"""The alerts of a repository, read and acknowledged; whether an engine runs does not matter."""

from __future__ import annotations

from maos_ckpt.alerts.book import AlertBook
from maos_ckpt.audit.actor import actor
from maos_ckpt.model.alerts import Alert
from maos_ckpt.operations.audit import audited
from maos_ckpt.operations.workspace import Workspace


def standing(workspace: Workspace) -> tuple[Alert, ...]:
    """Those that stand, the worst first."""
    return AlertBook(workspace.journal.directory, workspace.seams).alerts()


def acknowledge(workspace: Workspace, alert: str, snooze_s: float = 0.0) -> Alert:
    """See `EngineClient.acknowledge`; the audit log says who did."""
    workspace.refuse_if_read_only("acknowledging an alert")
    verb = "alert snooze" if snooze_s else "alert acknowledge"
    who = actor()
    by = f"{who.login or who.user or who.uid}@{who.host}"
    with audited(workspace, verb, about=(alert,)):
        return AlertBook(workspace.journal.directory, workspace.seams).acknowledge(alert, by, snooze_s)
