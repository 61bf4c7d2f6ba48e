"""Commands of an engine that is reached with --connect: as those of a repository, and told alike."""

from __future__ import annotations

from maos_ckpt.cli import shapes
from maos_ckpt.cli.attaching import attached, progress_shown
from maos_ckpt.cli.commands.checkpoints import (
    confirmed_to_go,
    list_lines,
    tell_checkpoint,
    tell_marked,
    tell_saved,
    tell_tags,
)
from maos_ckpt.cli.commands.contents import change_limit, tell_diff
from maos_ckpt.cli.commands.drills import tell_drill, tell_history
from maos_ckpt.cli.commands.insight import tell_found, tell_recommendation
from maos_ckpt.cli.commands.processes import tell_processes
from maos_ckpt.cli.commands.upkeep import tell_verification
from maos_ckpt.cli.context import Context
from maos_ckpt.cli.options import needs_repository
from maos_ckpt.errors import ExitCode, UsageError
from maos_ckpt.model import VerifyLevel, VerifyTier
from maos_ckpt.search.find import MATCHES_LISTED

#: As many as one call lists.
_ALL = 1_000_000
_EVERY_SCENARIO = "all"


def save(context: Context) -> int:
    """`maos-ckpt save`; the engine replicates by itself."""
    a = context.arguments
    with attached(context) as client, progress_shown(context, client):
        saved = client.save(a.message, a.tag)
    tell_saved(context, saved)
    return ExitCode.DONE


def list_(context: Context) -> int:
    """`maos-ckpt list`."""
    a = context.arguments
    if a.systems:
        raise needs_repository("list --systems")
    with attached(context) as client:
        found = client.checkpoints(_ALL if a.tag is not None else a.limit or _ALL)
        damaged = client.status().damaged_manifests
    if a.tag is not None:
        found = [one for one in found if a.tag in one.tags][: a.limit or _ALL]
    if context.out.as_json:
        unreadable = [{"object": one, "message": "It cannot be read."} for one in damaged]
        context.out.document({"checkpoints": [shapes.checkpoint(one) for one in found], "damaged": unreadable})
        return ExitCode.DONE
    if damaged:
        context.out.notice(f"warning: {len(damaged):,} cannot be read; `maos-ckpt verify --all` says what is wrong")
    if not found:
        context.out.notice("There is no checkpoint yet." if a.tag is None else "No checkpoint has that tag.")
        return ExitCode.DONE
    context.out.lines(list_lines(found, context.seams.clock.now_ms(), context.width))
    return ExitCode.DONE


def show(context: Context) -> int:
    """`maos-ckpt show`."""
    with attached(context) as client:
        return tell_checkpoint(context, client.checkpoint(context.arguments.id))


def pin(context: Context) -> int:
    """`maos-ckpt pin`."""
    with attached(context) as client:
        return tell_marked(context, client.set_pinned(context.arguments.id, True), "is pinned")


def unpin(context: Context) -> int:
    """`maos-ckpt unpin`."""
    with attached(context) as client:
        return tell_marked(context, client.set_pinned(context.arguments.id, False), "is not pinned")


def tag(context: Context) -> int:
    """`maos-ckpt tag`."""
    a = context.arguments
    with attached(context) as client:
        if a.tags or a.remove:
            return tell_tags(context, client.change_tags(a.id, a.tags, a.remove))
        return tell_tags(context, client.checkpoint(a.id))


def delete(context: Context) -> int:
    """`maos-ckpt delete`: asks on a terminal."""
    with attached(context) as client:
        one = client.checkpoint(context.arguments.id)
        if context.on_terminal and not context.arguments.yes and not confirmed_to_go(context, one):
            return ExitCode.DONE
        client.delete(one.id)
    return tell_marked(context, one, "is deleted; retention gives its space back")


def diff(context: Context) -> int:
    """`maos-ckpt diff`."""
    a = context.arguments
    with attached(context) as client, progress_shown(context, client):
        result = client.diff(a.before, a.after, 0 if a.stat else change_limit(context))
    return tell_diff(context, result)


def find(context: Context) -> int:
    """`maos-ckpt find`."""
    a = context.arguments
    with attached(context) as client, progress_shown(context, client):
        result = client.find(
            a.text,
            between=tuple(a.between) if a.between else None,
            component=a.component,
            ignore_case=a.ignore_case,
            limit=a.limit or MATCHES_LISTED,
        )
    return tell_found(context, result)


def guide(context: Context) -> int:
    """`maos-ckpt guide`."""
    with attached(context) as client, progress_shown(context, client):
        result = client.recommend(context.arguments.id)
    return tell_recommendation(context, result)


def ps(context: Context) -> int:
    """`maos-ckpt ps`, of the engine's machine."""
    with attached(context) as client:
        return tell_processes(context, client.processes())


def verify(context: Context) -> int:
    """`maos-ckpt verify`."""
    a = context.arguments
    if a.all and a.ids:
        raise UsageError("Give either ids or --all.", kept="Nothing was checked.")
    if a.repair or VerifyTier(a.tier) is not VerifyTier.ALL:
        raise needs_repository("verify with --repair or --tier")
    with attached(context) as client, progress_shown(context, client):
        result = client.verify(a.ids, VerifyLevel(a.level))
    return tell_verification(context, result)


def drill(context: Context) -> int:
    """`maos-ckpt drill`."""
    a = context.arguments
    scenarios = () if _EVERY_SCENARIO in a.scenario else tuple(a.scenario)
    with attached(context) as client:
        if a.history:
            return tell_history(context, client.drills(a.limit))
        with progress_shown(context, client):
            report = client.drill(a.checkpoint, scenarios, reason=a.reason)
    return tell_drill(context, report)
