"""audit: who changed what, when and why; whether that record is whole."""

from __future__ import annotations

from maos_ckpt.audit.entries import Entry
from maos_ckpt.cli import shapes
from maos_ckpt.cli.context import Context
from maos_ckpt.cli.text import clip, count, rfc3339
from maos_ckpt.errors import ExitCode
from maos_ckpt.model import Severity
from maos_ckpt.operations import audit as auditing

#: Entries shown where --limit names no number.
ENTRIES_SHOWN = 100
_DIGEST_DIGITS = 12


def audit(context: Context) -> int:
    """`maos-ckpt audit`."""
    limit = context.arguments.limit or ENTRIES_SHOWN
    with context.workspace.reading(news=False) as repository:
        found = auditing.findings(context.workspace, repository)
    entries = auditing.recent(context.workspace, limit)[::-1]
    ok = not any(one.severity is Severity.ERROR for one in found)
    if context.out.as_json:
        shape = {
            "ok": ok,
            "entries": [_shape(one) for one in entries],
            "findings": [shapes.finding(one) for one in found],
        }
        context.out.document(shape)
    else:
        context.out.lines([line for one in entries for line in _lines(one)])
        context.out.lines(f"{one.severity.value}: {clip(one.message, 1000)}" for one in found)
        context.out.notice(f"{count(len(entries), 'act')} shown; the chain is {'whole' if ok else 'BROKEN'}")
    return ExitCode.DONE if ok else ExitCode.INTEGRITY


def _shape(one: Entry) -> dict[str, object]:
    who = one.who
    return {
        "seq": one.seq,
        "at": rfc3339(one.at_ms),
        "verb": one.verb,
        "result": one.result,
        "detail": one.detail,
        "reason": one.reason,
        "digest": one.digest,
        "about": one.about,
        "who": {
            "user": who.user,
            "uid": who.uid,
            "login": who.login,
            "host": who.host,
            "pid": who.pid,
            "tty": who.tty,
            "ssh": who.ssh,
            "via": who.via,
        },
        "before": one.before,
    }


def _lines(one: Entry) -> list[str]:
    who = one.who
    name = f"{who.login} as {who.user}" if who.login else who.user or str(who.uid)
    via = who.via and f"for {who.via}"
    place = ", ".join(part for part in (via, who.tty, who.ssh and f"from {who.ssh}", f"pid {who.pid}") if part)
    what = " ".join(part for part in (one.verb, ", ".join(one.about[:3]), one.result) if part)
    more = f" and {len(one.about) - 3} more" if len(one.about) > 3 else ""
    lines = [
        f"{one.seq:>6}  {rfc3339(one.at_ms)}  {clip(what, 200)}{more}",
        f"        by {clip(name)}@{clip(who.host)} ({clip(place)})",
    ]
    plan = f"plan {one.digest[:_DIGEST_DIGITS]}" if one.digest else ""
    told = "; ".join(part for part in (one.reason, one.detail, plan) if part)
    return [*lines, f"        {clip(told, 300)}"] if told else lines
