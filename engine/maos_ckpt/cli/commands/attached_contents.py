"""records, history, metrics and alerts of an engine that is reached with --connect."""

from __future__ import annotations

import json

from maos_ckpt.cli.attaching import attached, progress_shown
from maos_ckpt.cli.commands.alerts import asked_snooze_s, tell_alerts, tell_changed
from maos_ckpt.cli.commands.contents import tell_history, tell_record
from maos_ckpt.cli.commands.metrics import tell_metrics
from maos_ckpt.cli.context import Context
from maos_ckpt.cli.options import needs_repository
from maos_ckpt.errors import ExitCode
from maos_ckpt.history import VERSIONS_TOLD
from maos_ckpt.operations.contents import PAGE_RECORDS_MAX


def records(context: Context) -> int:
    """`maos-ckpt records`: page by page, so that any number fits."""
    a = context.arguments
    shown, name, after = 0, a.id, ""
    with attached(context) as client:
        while True:
            limit = min(PAGE_RECORDS_MAX, a.limit - shown) if a.limit else PAGE_RECORDS_MAX
            page = client.records(name, component=a.component, record=a.record, after=after, limit=limit)
            for one in page.records:
                shape = {"component": one.component, "collection": one.collection, "key": one.key}
                tell_record(context, {**shape, "value": json.loads(one.values_json)})
            shown += len(page.records)
            # `latest` may be another one by the next page.
            name, after = page.checkpoint, page.next
            if not after or shown == a.limit:
                break
    if not shown and not context.out.as_json:
        context.out.notice("No record matches.")
    return ExitCode.DONE


def history(context: Context) -> int:
    """`maos-ckpt history`."""
    a = context.arguments
    with attached(context) as client, progress_shown(context, client):
        found = client.history(a.key, a.limit or VERSIONS_TOLD)
    return tell_history(context, found)


def metrics(context: Context) -> int:
    """`maos-ckpt metrics`."""
    with attached(context) as client:
        return tell_metrics(context, client.metrics(context.arguments.hours))


def alerts(context: Context) -> int:
    """`maos-ckpt alerts`; how they are sent is the engine's own matter."""
    if context.arguments.action == "test":
        raise needs_repository("alerts test")
    with attached(context) as client:
        if context.arguments.action == "list":
            return tell_alerts(context, client.alerts(), None)
        return tell_changed(context, client.acknowledge(context.arguments.name, asked_snooze_s(context)))
