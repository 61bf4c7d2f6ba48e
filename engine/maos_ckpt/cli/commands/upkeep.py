"""verify, prune, events, doctor."""

from __future__ import annotations

import datetime
import itertools
from typing import TYPE_CHECKING

from maos_ckpt.cli import shapes
from maos_ckpt.cli.commands.checkpoints import tell_of_s3
from maos_ckpt.cli.context import Context
from maos_ckpt.cli.spans import span_seconds
from maos_ckpt.cli.text import clip, count, duration, name, size
from maos_ckpt.errors import CkptError, ExitCode, NotFoundError, UsageError
from maos_ckpt.ids import is_checkpoint_id
from maos_ckpt.model import VerifyLevel, VerifyResult, VerifyTier
from maos_ckpt.operations import checkpoints, keeping
from maos_ckpt.safe_text import safe_text

if TYPE_CHECKING:
    from maos_ckpt.doctor import Check

FOLLOW_INTERVAL_S = 0.25
#: Past events shown before what is new.
FOLLOW_CONTEXT = 10
_AFFECTED_LISTED = 10


def verify(context: Context) -> int:
    """`maos-ckpt verify`."""
    arguments = context.arguments
    if arguments.all and arguments.ids:
        raise UsageError("Give either ids or --all.", kept="Nothing was checked.")
    context.stop_on_signals()
    level = VerifyLevel(arguments.level)
    tier = VerifyTier(arguments.tier)
    with context.progress() as progress:
        result = checkpoints.verify(
            context.workspace, arguments.ids, level, progress, tier=tier, repair=arguments.repair
        )
    return tell_verification(context, result)


def tell_verification(context: Context, result: VerifyResult) -> int:
    """What a verification found."""
    if context.out.as_json:
        context.out.document(shapes.verification(result))
    else:
        context.out.lines(_verification_lines(result))
    return ExitCode.DONE if result.ok else ExitCode.INTEGRITY


def _verification_lines(result: VerifyResult) -> list[str]:
    lines = []
    for one in result.findings:
        where = f" ({name(one.object)})" if one.object else ""
        lines.append(f"{one.severity.value}: {clip(one.message, 1000)}{where}")
        lines += [f"    {name(record)}" for record in one.affected[:_AFFECTED_LISTED]]
        if one.affected and one.beyond(_AFFECTED_LISTED):
            lines.append(f"    … and {one.beyond(_AFFECTED_LISTED):,} more")
    for sign, repairs in (("repaired", result.repaired), ("kept aside", result.quarantined)):
        lines += [f"{sign}: {name(one.object)} in {one.tier} ({clip(one.detail, 200)})" for one in repairs]
    what = f"{count(result.checkpoints, 'checkpoint')}, {count(result.objects, 'object')}, {size(result.bytes)} read"
    outcome = "DAMAGED" if not result.ok else "REPAIRED" if result.repaired else "OK"
    lines.append(f"{outcome} ({result.level.value}): {what} in {duration(result.duration_s)}")
    if [one.tier for one in result.tiers] != ["local"]:
        for tier in result.tiers:
            past = ", past the cache" if tier.cache_bypassed and tier.tier != "local" else ""
            lines.append(f"    {tier.tier}: {count(tier.objects, 'object')}, {size(tier.bytes)}{past}")
    return lines


def prune(context: Context) -> int:
    """`maos-ckpt prune`."""
    arguments = context.arguments
    context.stop_on_signals()
    keep = context.settings.config.max_checkpoints if arguments.keep_last is None else arguments.keep_last
    with context.progress() as progress:
        result = keeping.prune(context.workspace, keep, arguments.dry_run, progress)
    if context.out.as_json:
        context.out.document(
            {
                "removed": list(result.removed),
                "reasons": result.reasons,
                "kept": [{"id": one, "reason": reason} for one, reason in result.kept.items()],
                "bytes_freed": result.bytes_freed,
                "dry_run": result.dry_run,
            }
        )
        return ExitCode.DONE
    verb, stays = ("would remove", "keeps") if result.dry_run else ("removed", "kept")
    kept = {key: reason for key, reason in result.kept.items() if is_checkpoint_id(key)}
    lines = [f"{verb}  {one}  ({safe_text(result.reasons.get(one, 'retention'))})" for one in result.removed]
    lines += [f"{stays}  {one}  ({safe_text(reason)})" for one, reason in kept.items()]
    lines += [f"note: {safe_text(reason)}" for key, reason in result.kept.items() if key not in kept]
    frees = "free" if result.dry_run else "freed"
    lines.append(f"{verb} {count(len(result.removed), 'checkpoint')} and {frees} {size(result.bytes_freed)}")
    context.out.lines(lines)
    if result.removed and not result.dry_run:
        tell_of_s3(context)
    return ExitCode.DONE


def events(context: Context) -> int:
    """`maos-ckpt events`."""
    arguments = context.arguments
    journal = context.workspace.journal
    if not journal.directory.is_dir():
        raise NotFoundError(
            f"There is no repository at {context.workspace.repository}.",
            hint="Run `maos-ckpt save` to make one, or name another with --repo.",
            repository=str(context.workspace.repository),
        )
    now_ms = context.seams.clock.now_ms()
    position = journal.end()
    if arguments.follow and arguments.since is None:
        entries = list(itertools.islice(journal.newest_first(), FOLLOW_CONTEXT))[::-1]
    else:
        entries = journal.since(since_ms(arguments.since, now_ms))
    for kind, fields in entries:
        print_event(context, kind, fields)
    while arguments.follow:
        entries, position = journal.read(position)
        for kind, fields in entries:
            print_event(context, kind, fields)
        context.seams.clock.sleep(FOLLOW_INTERVAL_S)
    return ExitCode.DONE


def print_event(context: Context, kind: str, fields: dict[str, object]) -> None:
    """One event line."""
    shape = shapes.event(kind, fields)
    if context.out.as_json:
        context.out.json_line(shape)
        return
    rest = " ".join(f"{key}={_shown(value)}" for key, value in shape.items() if key not in ("event", "at"))
    context.out.live_line(f"{shape['at']}  {kind}  {rest}".rstrip())


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(clip(str(one), 80) for one in value) or "-"
    text = clip(str(value), 200)
    return f'"{text}"' if " " in text or not text else text


def since_ms(text: str | None, now_ms: int) -> int:
    """The time that --since names, in milliseconds; 0 where it names none.

    Raises:
        UsageError: it is neither a time nor an age.
    """
    if text is None:
        return 0
    ago_s = span_seconds(text)
    if ago_s is not None:
        return now_ms - ago_s * 1000
    try:
        moment_ = datetime.datetime.fromisoformat(text)
        if moment_.tzinfo is None:
            moment_ = moment_.replace(tzinfo=datetime.UTC)
        return int(moment_.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"--since {text!r} is neither a time nor an age.",
            hint="Write it as 2026-01-31T12:00:00Z, or as 90s, 30m, 2h, 1d.",
        ) from error


def _doors(context: Context) -> list[Check]:
    from maos_ckpt.api.checkup import check_doors

    try:
        repository = context.workspace.repository
    except CkptError:
        # What is wrong there has been told already.
        return []
    return check_doors(repository, context.settings.config.server, context.path, context.seams)


def doctor(context: Context) -> int:
    """`maos-ckpt doctor`."""
    from maos_ckpt.operations.checks import examine

    checks = [*examine(context.settings, context.cwd, context.seams), *_doors(context)]
    ok = all(check.ok for check in checks)
    if context.out.as_json:
        shape = [{"name": one.name, "ok": one.ok, "detail": one.detail} for one in checks]
        context.out.document({"ok": ok, "checks": shape})
    else:
        rows = [("ok" if one.ok else "FAIL", one.name, one.detail) for one in checks]
        width = max(len(what) for _, what, _ in rows)
        context.out.lines(f"{sign:<6}{what:<{width}}  {safe_text(detail)}" for sign, what, detail in rows)
    return ExitCode.DONE if ok else ExitCode.UNAVAILABLE
