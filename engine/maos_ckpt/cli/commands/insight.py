"""find, guide."""

from __future__ import annotations

from maos_ckpt.cli.context import Context
from maos_ckpt.cli.text import clip, count, moment, name, rfc3339, size
from maos_ckpt.errors import ExitCode
from maos_ckpt.insight import FindResult, Match
from maos_ckpt.operations import insights
from maos_ckpt.search.find import MATCHES_LISTED

_EXCERPT_CHARACTERS = 160


def find(context: Context) -> int:
    """`maos-ckpt find`."""
    a = context.arguments
    context.stop_on_signals()
    with context.progress() as progress:
        result = insights.find(
            context.workspace,
            a.text,
            progress,
            between=tuple(a.between) if a.between else None,
            component=a.component,
            ignore_case=a.ignore_case,
            limit=a.limit or MATCHES_LISTED,
        )
    if context.out.as_json:
        context.out.document(
            {
                "text": result.text,
                "matches": (_match_shape(one) for one in result.matches),
                "truncated": result.truncated,
                "checkpoints": result.checkpoints,
                "bytes": result.bytes,
                "unread": list(result.unread),
            }
        )
    else:
        now_ms = context.seams.clock.now_ms()
        context.out.lines(line for one in result.matches for line in _match_lines(one, now_ms))
        _tell(context, result)
    return ExitCode.PARTIAL if result.unread else ExitCode.DONE


def _match_shape(one: Match) -> dict[str, object]:
    return {
        "component": one.component,
        "collection": one.collection,
        "key": one.key,
        "field": one.field,
        "excerpt": one.excerpt,
        "first": {"checkpoint": one.first, "created_at": rfc3339(one.first_at_ms)},
        "last": {"checkpoint": one.last, "created_at": rfc3339(one.last_at_ms)},
        "gone": {"checkpoint": one.gone, "created_at": rfc3339(one.gone_at_ms)} if one.gone else None,
        "checkpoints": one.checkpoints,
        "since_at_least": one.since_at_least,
    }


def _match_lines(one: Match, now_ms: int) -> list[str]:
    since = "in the oldest already, " if one.since_at_least else "since "
    gone = f"gone in {one.gone}, {moment(one.gone_at_ms, now_ms)}" if one.gone else f"still in {one.last}"
    return [
        name(f"{one.component}/{one.collection}/{one.key}"),
        f"    {name(one.field)}: {clip(one.excerpt, _EXCERPT_CHARACTERS)}",
        f"    {since}{one.first}, {moment(one.first_at_ms, now_ms)}; {gone}; in {count(one.checkpoints, 'checkpoint')}",
    ]


def _tell(context: Context, result: FindResult) -> None:
    places = f"{len(result.matches):,} place" + ("" if len(result.matches) == 1 else "s")
    what = f"{count(result.checkpoints, 'checkpoint')}, {size(result.bytes)} searched"
    context.out.notice(f"{places if result.matches else 'nothing'} found in {what}")
    if result.truncated:
        context.out.notice("There are more; --limit N tells of N, --component and --between narrow it down.")
    if result.unread:
        listed = ", ".join(result.unread[:3])
        context.out.notice(f"warning: a part of {count(len(result.unread), 'checkpoint')} cannot be read: {listed}")
