"""alerts: those that stand, with what to do; acknowledge or snooze one; try out who is told."""

from __future__ import annotations

from collections.abc import Sequence

from maos_ckpt.alerts.book import SNOOZE_S_MAX
from maos_ckpt.cli import shapes
from maos_ckpt.cli.alerts_text import alert_pairs, hook_pairs
from maos_ckpt.cli.context import Context
from maos_ckpt.cli.text import rfc3339
from maos_ckpt.engine.lock import engine_owner
from maos_ckpt.errors import ExitCode, UsageError
from maos_ckpt.hooks.courier import Way
from maos_ckpt.model.alerts import Alert
from maos_ckpt.operations import alerts as standing
from maos_ckpt.safe_text import safe_text


def alerts(context: Context) -> int:
    """`maos-ckpt alerts`."""
    arguments = context.arguments
    if arguments.action == "list":
        return _list(context)
    if arguments.action == "test":
        return _test(context)
    return tell_changed(context, standing.acknowledge(context.workspace, arguments.name, asked_snooze_s(context)))


def asked_snooze_s(context: Context) -> float:
    """For how long the alert that is named is to be left alone; 0 until it clears.

    Raises:
        UsageError: none is named, or for too long.
    """
    arguments = context.arguments
    if not arguments.name:
        raise UsageError(
            f"Name the alert to {arguments.action}.", kept="Nothing was changed.", hint="`maos-ckpt alerts` lists them."
        )
    snooze_s: float = arguments.for_s if arguments.action == "snooze" else 0.0
    if snooze_s > SNOOZE_S_MAX:
        raise UsageError("An alert can be snoozed for 30 days at most.", kept="Nothing was changed.")
    return snooze_s


def tell_changed(context: Context, changed: Alert) -> int:
    """An alert that was acknowledged or snoozed."""
    now_ms = context.seams.clock.now_ms()
    if context.out.as_json:
        context.out.document({"alert": shapes.alert(changed)})
    else:
        context.out.lines(_table(alert_pairs([changed], now_ms)))
    return ExitCode.DONE


def _test(context: Context) -> int:
    """Send every hook a test; code 6 where one of them did not take it."""
    found = standing.try_hooks(context.workspace)
    if context.out.as_json:
        context.out.document({name: {"ok": not failure, "failure": failure or None} for name, failure in found.items()})
    else:
        context.out.lines(_table([(name, failure or "it took the test") for name, failure in found.items()]))
    return ExitCode.UNAVAILABLE if any(found.values()) else ExitCode.DONE


def _list(context: Context) -> int:
    workspace = context.workspace
    return tell_alerts(context, standing.standing(workspace), standing.ways(workspace))


def tell_alerts(context: Context, found: Sequence[Alert], ways: Sequence[tuple[str, Way]] | None) -> int:
    """The alerts that stand, and how they are sent, where that is known."""
    now_ms = context.seams.clock.now_ms()
    if context.out.as_json:
        shape = {} if ways is None else {"hooks": {name: _way(way) for name, way in ways}}
        context.out.document({"alerts": [shapes.alert(one) for one in found], **shape})
        return ExitCode.DONE
    pairs = alert_pairs(found, now_ms) or [("none", "no alert stands")]
    if ways is not None and engine_owner(context.workspace.repository) is None:
        pairs.append(("note", "no engine runs here, so nothing is judged: this is how the last one left it"))
    context.out.lines(_table([*pairs, *hook_pairs(ways or (), now_ms, failing_only=False)]))
    return ExitCode.DONE


def _table(pairs: list[tuple[str, str]]) -> list[str]:
    return [f"{name:<16}{safe_text(text)}" for name, text in pairs]


def _way(way: Way) -> dict[str, object]:
    return {
        "sent": way.sent,
        "given_up": way.given_up,
        "last_sent_at": rfc3339(way.sent_ms) if way.sent_ms else None,
        "failing_since": rfc3339(way.failing_ms) if way.failing_ms else None,
        "failure": way.failure or None,
    }
