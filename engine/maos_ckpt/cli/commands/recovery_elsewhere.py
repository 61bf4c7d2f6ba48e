"""restore --to: what a checkpoint holds, at another place, to look into."""

from __future__ import annotations

import contextlib

from maos_ckpt.cli import shapes
from maos_ckpt.cli.again import typed
from maos_ckpt.cli.context import Context
from maos_ckpt.cli.open_plans import all_changes, opened_plan
from maos_ckpt.cli.recovery_text import plan_lines
from maos_ckpt.cli.selecting import words_of
from maos_ckpt.cli.text import clip, count, duration
from maos_ckpt.client import ProgressSink
from maos_ckpt.errors import ExitCode
from maos_ckpt.model import RecoveryResult, Selection
from maos_ckpt.operations import recoveries
from maos_ckpt.recovery.open_plan import OpenPlan
from maos_ckpt.safe_text import safe_text


def restore_to(context: Context, selection: Selection, limit: int) -> int:
    """`maos-ckpt restore ID --to SPEC`. Nobody is asked: nothing that exists is changed."""
    a = context.arguments
    context.stop_on_signals()
    kind, _, rest = a.to.partition(":")
    to = f"{kind}:{context.path(rest)}" if rest else a.to
    if a.dry_run:
        return _show_plan(context, selection, to, limit)
    with context.progress() as progress:
        result = recoveries.recover_to(context.workspace, a.id, selection, to, a.plan, limit, progress)
    return tell_built(context, result, to)


def tell_built(context: Context, result: RecoveryResult, to: str) -> int:
    """What was built there."""
    if context.out.as_json:
        context.out.document({**shapes.recovery(result), "to": to})
    else:
        records = count(result.plan.summary.total, "record")
        lines = [
            f"{records} of {result.plan.checkpoint} in {safe_text(to)}, read back, in {duration(result.duration_s)}"
        ]
        context.out.lines([*lines, *(clip(note, 1000) for note in result.notes)])
    return ExitCode.DONE


def _show_plan(context: Context, selection: Selection, to: str, limit: int) -> int:
    a = context.arguments
    started_s = context.seams.clock.monotonic_s()

    def plan(progress: ProgressSink) -> contextlib.AbstractContextManager[OpenPlan]:
        return recoveries.open_plan_to(context.workspace, a.id, selection, to, a.plan, limit, progress)

    with opened_plan(context, plan) as opened:
        made = opened.plan
        words = ["restore", made.checkpoint, "--to", to, *words_of(selection)]
        command = typed(context, words, ("--plan", made.digest))
        if context.out.as_json:
            took_s = round(context.seams.clock.monotonic_s() - started_s, 3)
            result = RecoveryResult(made, applied=False, verified=False, safety_checkpoint=None, duration_s=took_s)
            context.out.document(
                {**shapes.recovery(result, all_changes(context, opened)), "to": to, "command": command}
            )
        else:
            lines = [f"restore {made.checkpoint} to {safe_text(to)}", *plan_lines(made)]
            context.out.lines([*lines, f"to build exactly this: {safe_text(command)}"])
    return ExitCode.DONE
