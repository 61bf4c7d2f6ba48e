"""find, guide."""

from __future__ import annotations

from maos_ckpt.cli.again import typed
from maos_ckpt.cli.context import Context
from maos_ckpt.cli.text import clip, count, moment, name, rfc3339, size
from maos_ckpt.errors import ExitCode
from maos_ckpt.model import Advice, FindResult, Match, Recommendation
from maos_ckpt.operations import insights
from maos_ckpt.safe_text import safe_text
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
    return tell_found(context, result)


def tell_found(context: Context, result: FindResult) -> int:
    """Where a text was found."""
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
        "gone": {"checkpoint": one.gone, "created_at": rfc3339(one.gone_at_ms)} if one.gone_at_ms is not None else None,
        "checkpoints": one.checkpoints,
        "since_at_least": one.since_at_least,
    }


def _match_lines(one: Match, now_ms: int) -> list[str]:
    since = "in the oldest already, " if one.since_at_least else "since "
    gone = (
        f"gone in {one.gone}, {moment(one.gone_at_ms, now_ms)}"
        if one.gone_at_ms is not None
        else f"still in {one.last}"
    )
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


def guide(context: Context) -> int:
    """`maos-ckpt guide`."""
    context.stop_on_signals()
    with context.progress() as progress:
        result = insights.recommend(context.workspace, context.arguments.id, progress)
    return tell_recommendation(context, result)


def tell_recommendation(context: Context, result: Recommendation) -> int:
    """Which checkpoint to go back to, and why."""
    if context.out.as_json:
        context.out.document(_recommendation_shape(result))
        return ExitCode.DONE
    now_ms = context.seams.clock.now_ms()
    lines = []
    if result.asked is not None and result.asked != result.recommended:
        lines += _advice_lines("about", result.asked, now_ms)
    if result.recommended is None:
        lines.append("No checkpoint can be recommended: none is sound and taken for its own sake.")
    else:
        lines += _advice_lines("recommended", result.recommended, now_ms)
        command = typed(context, ["restore", result.recommended.checkpoint], ("--dry-run",))
        lines.append(f"    to see its plan: {safe_text(command)}")
    context.out.lines(lines)
    looked = count(result.looked_at, "checkpoint")
    context.out.notice(f"{looked} compared" + ("" if result.complete else "; not all of it could be looked at"))
    return ExitCode.DONE


def recommended_line(context: Context) -> str:
    """One line about the recommended checkpoint, for who has named none; "" where there is none."""
    with context.progress() as progress:
        return advice_line(insights.recommend(context.workspace, None, progress).recommended)


def advice_line(advice: Advice | None) -> str:
    """One line about a recommended checkpoint; "" where there is none."""
    if advice is None:
        return ""
    return f"{advice.checkpoint} is recommended. {clip(advice.reasons[0], 400)}"


def _advice_lines(title: str, one: Advice, now_ms: int) -> list[str]:
    return [
        f"{title}: {one.checkpoint}, {moment(one.created_at_ms, now_ms)}",
        *(f"    {safe_text(reason)}" for reason in one.reasons),
        *(f"    warning: {safe_text(warning)}" for warning in one.warnings),
    ]


def _recommendation_shape(result: Recommendation) -> dict[str, object]:
    incident = result.incident
    return {
        "recommended": _advice_shape(result.recommended),
        "asked": _advice_shape(result.asked),
        "incident": incident
        and {
            "after": incident.after,
            "before": incident.before,
            "from": rfc3339(incident.from_ms),
            "to": rfc3339(incident.to_ms),
            "signs": [
                {
                    "what": one.what,
                    "component": one.component,
                    "collection": one.collection,
                    "detail": one.detail,
                    "count": one.count,
                    "total": one.total,
                    "examples": list(one.examples),
                }
                for one in incident.signs
            ],
        },
        "looked_at": result.looked_at,
        "complete": result.complete,
    }


def _advice_shape(one: Advice | None) -> dict[str, object] | None:
    return (
        None
        if one is None
        else {
            "checkpoint": one.checkpoint,
            "created_at": rfc3339(one.created_at_ms),
            "reasons": list(one.reasons),
            "warnings": list(one.warnings),
            "lost": one.lost,
            "lost_s": one.lost_s,
        }
    )
