"""restore --to: what a checkpoint holds, at another place, to look into."""

from __future__ import annotations

from maos_ckpt.cli import shapes
from maos_ckpt.cli.context import Context
from maos_ckpt.cli.recovery_text import plan_lines
from maos_ckpt.cli.text import clip, count, duration
from maos_ckpt.errors import ExitCode
from maos_ckpt.model import Selection
from maos_ckpt.operations import recoveries
from maos_ckpt.safe_text import safe_text


def restore_to(context: Context, selection: Selection, limit: int) -> int:
    """`maos-ckpt restore ID --to SPEC`. Nobody is asked: nothing that exists is changed."""
    a = context.arguments
    context.stop_on_signals()
    kind, _, rest = a.to.partition(":")
    to = f"{kind}:{context.path(rest)}" if rest else a.to
    with context.progress() as progress:
        result = recoveries.recover_to(
            context.workspace, a.id, selection, to, a.plan, limit, progress, dry_run=a.dry_run
        )
    if context.out.as_json:
        context.out.document({**shapes.recovery(result), "to": to})
    elif a.dry_run:
        context.out.lines([f"restore {result.plan.checkpoint} to {safe_text(to)}", *plan_lines(result.plan)])
    else:
        records = count(result.plan.summary.total, "record")
        lines = [
            f"{records} of {result.plan.checkpoint} in {safe_text(to)}, read back, in {duration(result.duration_s)}"
        ]
        context.out.lines([*lines, *(clip(note, 1000) for note in result.notes)])
    return ExitCode.DONE
