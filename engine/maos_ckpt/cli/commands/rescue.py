"""rescue: mend what a crash of MAOS left behind, or continue one agent's conversation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from maos_ckpt.cli.commands.recovery import Recovery, run
from maos_ckpt.cli.context import Context
from maos_ckpt.cli.open_plans import listed_limit
from maos_ckpt.cli.selecting import option
from maos_ckpt.client import ProgressSink
from maos_ckpt.errors import ExitCode, UsageError
from maos_ckpt.model import RESCUE, Plan, RecoveryResult, ResumePoint
from maos_ckpt.operations import recoveries, rescues
from maos_ckpt.recovery.open_plan import OpenPlan
from maos_ckpt.safe_text import safe_text


def rescue(context: Context) -> int:
    """`maos-ckpt rescue`."""
    a = context.arguments
    if a.agent:
        return _continue(context)
    if a.at:
        raise UsageError("--at names where an agent continues, and no --agent is named.", hint="Add --agent ID.")
    workspace, limit = context.workspace, listed_limit(context)

    def apply(shown: Plan | None, digest: str | None, progress: ProgressSink) -> RecoveryResult:
        return rescues.rescue(workspace, digest, a.reason, limit, progress)

    about = f"rescue of {safe_text(workspace.source)}"
    recovery = Recovery(
        lambda progress: rescues.open_plan(workspace, limit, progress), apply, lambda plan: [RESCUE], about=about
    )
    return run(context, recovery)


def _continue(context: Context) -> int:
    """`maos-ckpt rescue --agent`: the transcript as it was, and the command that goes on from there."""
    a, workspace, limit = context.arguments, context.workspace, listed_limit(context)
    with context.progress() as progress:
        point = rescues.resume_point(workspace, a.agent, a.at, progress)
    if not point.checkpoint:
        _tell(context, point)
        return ExitCode.DONE

    in_place: list[bool] = []

    @contextlib.contextmanager
    def plan(progress: ProgressSink) -> Iterator[OpenPlan]:
        with recoveries.open_plan(workspace, point.checkpoint, point.selection, limit, progress) as opened:
            in_place.append(not opened.plan.summary.total)
            yield opened

    def apply(shown: Plan | None, digest: str | None, progress: ProgressSink) -> RecoveryResult:
        result = recoveries.recover(workspace, point.checkpoint, point.selection, digest, a.reason, limit, progress)
        in_place.append(not result.applied)
        # From where its MAOS started it: a session is found from nowhere else, wherever the agent has gone since.
        return replace(result, resume_commands=(point.command,) if point.command and not result.skipped else ())

    def words(made: Plan) -> list[str]:
        return [RESCUE, *option("--agent", [point.agent]), "--at", point.checkpoint]

    about = f"the transcript of {safe_text(point.agent)} as it was in {point.checkpoint}"
    code = run(context, Recovery(plan, apply, words, about=about))
    if in_place[-1:] == [True] and not context.out.as_json:
        _tell(context, point)
    return code


def _tell(context: Context, point: ResumePoint) -> None:
    if context.out.as_json:
        shape = {"agent": point.agent, "session": point.session, "checkpoint": point.checkpoint or None}
        commands = [point.command] if point.command else []
        context.out.document({**shape, "applied": False, "resume_commands": commands})
        return
    if point.command:
        context.out.lines(
            [
                f"The transcript of {safe_text(point.agent)} is in place; to continue it:",
                f"    {safe_text(point.command)}",
            ]
        )
    else:
        context.out.notice("Its directory has characters that no shell line can show; start claude there yourself.")
