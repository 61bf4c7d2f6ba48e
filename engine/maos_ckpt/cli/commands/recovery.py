"""restore and undo: show the plan, ask, apply exactly that plan, tell how it went."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

from maos_ckpt.cli import shapes
from maos_ckpt.cli.commands.contents import CHANGES_LISTED, change_limit, change_lines, count_lines
from maos_ckpt.cli.context import Context
from maos_ckpt.cli.text import clip, count, duration, size
from maos_ckpt.client import ProgressSink
from maos_ckpt.errors import ExitCode, InterruptedByUserError, UsageError
from maos_ckpt.model import Plan, Progress, RecoveryResult, Selection
from maos_ckpt.operations import recoveries
from maos_ckpt.safe_text import safe_text

_AFFECTED_LISTED = 5
Planner = Callable[[ProgressSink], Plan]
Applier = Callable[[str | None, ProgressSink], RecoveryResult]


def restore(context: Context) -> int:
    """`maos-ckpt restore`."""
    a = context.arguments
    selection = Selection(tuple(a.component), tuple(a.record), a.exact, a.with_dependencies)
    workspace, limit = context.workspace, _limit(context)
    return _recover(
        context,
        lambda progress: recoveries.plan(workspace, a.id, selection, limit, progress),
        lambda digest, progress: recoveries.recover(workspace, a.id, selection, digest, a.reason, limit, progress),
    )


def undo(context: Context) -> int:
    """`maos-ckpt undo`."""
    workspace, limit = context.workspace, _limit(context)
    reason = context.arguments.reason
    return _recover(
        context,
        lambda progress: recoveries.undo_plan(workspace, limit, progress),
        lambda digest, progress: recoveries.undo(workspace, digest, reason, limit, progress),
    )


def _limit(context: Context) -> int:
    """Changes listed: of a recovery that is carried out only the first, for its plan can be asked for alone."""
    limit = change_limit(context)
    if context.arguments.limit is None and not context.arguments.dry_run:
        return min(limit, CHANGES_LISTED)
    return limit


def _recover(context: Context, plan: Planner, apply: Applier) -> int:
    arguments = context.arguments
    context.stop_on_signals()
    if not arguments.dry_run:
        context.workspace.refuse_if_read_only(context.command)
    if not arguments.yes and not arguments.dry_run and not context.on_terminal:
        raise UsageError(
            f"{context.command} changes the live state, and there is no terminal to ask on.",
            kept="Nothing was changed.",
            hint="Add --dry-run to see the plan, or --yes to apply it.",
        )
    digest: str | None = arguments.plan
    if arguments.dry_run or not arguments.yes:
        made = _show_plan(context, plan)
        if arguments.dry_run or not made.summary.total:
            return ExitCode.DONE
        if not _confirmed(context):
            context.out.notice("Nothing was changed.")
            return ExitCode.DONE
        digest = digest or made.digest
    with _Finish() as finish:
        with context.progress() as progress:
            result = apply(digest, finish.watch(progress))
        return _tell(context, result)


def _show_plan(context: Context, plan: Planner) -> Plan:
    started_s = context.seams.clock.monotonic_s()
    with context.progress() as progress:
        made = plan(progress)
    took_s = context.seams.clock.monotonic_s() - started_s
    arguments = context.arguments
    if context.out.as_json:
        # Without --dry-run the one JSON document is the result; the plan is for the person who is asked.
        if arguments.dry_run or not made.summary.total:
            context.out.document(shapes.dry_run(made, round(took_s, 3)))
        else:
            for line in _plan_lines(made):
                context.out.notice(line)
    else:
        context.out.lines(_plan_lines(made))
    budget_s = context.settings.config.performance.max_recovery_time_ms / 1000
    if made.estimated_s > budget_s:
        context.out.notice(f"warning: expected to take {duration(made.estimated_s)}, longer than {duration(budget_s)}")
    return made


def _plan_lines(plan: Plan) -> list[str]:
    if not plan.summary.total:
        return [f"The live state already equals the selected part of {plan.checkpoint}: nothing to do."]
    lines = change_lines(plan.changes)
    if plan.truncated:
        lines.append(f"… and {plan.summary.total - len(plan.changes):,} more; --limit lists more of them")
    lines += count_lines(plan.summary, plan.by_component)
    lines += finding_lines(plan)
    lines += [f"running: {clip(one, 100)}" for one in plan.running]
    lines.append(f"writes {size(plan.write_bytes)}, takes about {duration(plan.estimated_s)}")
    lines.append(f"plan {plan.digest}")
    return lines


def finding_lines(plan: Plan) -> list[str]:
    """What a plan found, with the records it touches."""
    lines = []
    for one in plan.findings:
        lines.append(f"{one.severity.value}: {safe_text(one.message)}")
        lines += [f"    {clip(record, 100)}" for record in one.affected[:_AFFECTED_LISTED]]
        if len(one.affected) > _AFFECTED_LISTED:
            lines.append(f"    … and {len(one.affected) - _AFFECTED_LISTED:,} more")
    return lines


def _confirmed(context: Context) -> bool:
    sys.stderr.write("Apply this plan? A safety checkpoint is taken first. [y/N] ")
    sys.stderr.flush()
    # Not `input`, which would write its prompt among the data on standard output.
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _tell(context: Context, result: RecoveryResult) -> int:
    if context.out.as_json:
        context.out.document(shapes.recovery(result))
    else:
        context.out.lines(_result_lines(result))
    budget_s = context.settings.config.performance.max_recovery_time_ms / 1000
    if result.duration_s > budget_s:
        context.out.notice(
            f"warning: it took {duration(result.duration_s)}, longer than {duration(budget_s)} as configured"
        )
    return ExitCode.DONE if result.verified or not result.applied else ExitCode.PARTIAL


def _result_lines(result: RecoveryResult) -> list[str]:
    if not result.applied:
        return ["The live state already equals the checkpoint: nothing was done."]
    changes = count(result.plan.summary.total, "change")
    lines = [f"{changes} applied in {duration(result.duration_s)}; MAOS stood still for {duration(result.stall_s)}"]
    lines.append(
        "verified: the live state now equals the plan's"
        if result.verified
        else "NOT verified: the live state differs again; `maos-ckpt diff` shows where"
    )
    lines += [f"note: {safe_text(note)}" for note in result.notes]
    if result.safety_checkpoint:
        lines.append(f"safety checkpoint {result.safety_checkpoint}; `maos-ckpt undo` takes this back")
    if result.resume_commands:
        lines.append("to continue the agents whose transcript was put back:")
        lines += [f"    {safe_text(command)}" for command in result.resume_commands]
    return lines


class _Finish:
    """While a plan is applied, a signal stops it at the next safe point; a second one at once.

    From the commit on it is finished instead. Ctrl-Z is ignored: MAOS may be standing still for us.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    _COMMITTING = ("commit", "files", "verify")

    def __init__(self) -> None:
        self._asked = False
        self._committing = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> _Finish:
        for number in self._SIGNALS:
            before = signal.getsignal(number)
            if before is not signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._ask)
        self._before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]

    def _ask(self, number: int, frame: object) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def watch(self, sink: ProgressSink) -> ProgressSink:
        """`sink`, stopping the operation where that was asked for."""

        def watched(progress: Progress) -> None:
            self._committing |= progress.phase in self._COMMITTING
            if self._asked and not self._committing:
                raise InterruptedByUserError(
                    "Interrupted before anything was committed.",
                    kept="The live state is as it was, and every checkpoint is untouched.",
                    hint="Run the command again when you are ready.",
                )
            sink(progress)

        return watched
