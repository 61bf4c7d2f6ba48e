"""restore and undo: show the plan, ask, apply exactly that plan, tell how it went."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace

from maos_ckpt.cli import shapes
from maos_ckpt.cli.again import typed
from maos_ckpt.cli.commands.recovery_elsewhere import restore_to
from maos_ckpt.cli.context import Context
from maos_ckpt.cli.last_recovery import LastRecovery, last_recovery
from maos_ckpt.cli.open_plans import Opener, ReadablePlan, all_changes, listed_limit, opened_plan
from maos_ckpt.cli.parser import PROGRAM
from maos_ckpt.cli.recovery_text import moved_line, plan_lines, result_lines
from maos_ckpt.cli.selecting import named_of, option, selection_of, words_of
from maos_ckpt.cli.text import clip, duration, moment
from maos_ckpt.client import ProgressSink
from maos_ckpt.errors import CkptError, ExitCode, PlanMovedError, UsageError
from maos_ckpt.model import Checkpoint, Plan, RecoveryResult
from maos_ckpt.operations import checkpoints, recoveries
from maos_ckpt.recovery.cancellation import Cancellation
from maos_ckpt.recovery.request import checked_digest
from maos_ckpt.safe_text import safe_text

_TAKES_BACK = "takes this back"


@dataclass(frozen=True, slots=True)
class Recovery:
    """A restore, an undo or a rescue.

    `plan` opens the plan; `apply` takes the one that was shown, if one was, and the digest to insist on. `words`: what
    to type for it again, given its plan. `undoes`: what an undo is about, `in_part`: that it takes back a part of it.
    `about`: the first line, where it is about no checkpoint.
    """

    plan: Opener
    apply: Callable[[Plan | None, str | None, ProgressSink], RecoveryResult]
    words: Callable[[Plan], list[str]]
    undoes: LastRecovery | None = None
    in_part: bool = False
    about: str = ""


def restore(context: Context) -> int:
    """`maos-ckpt restore`."""
    a = context.arguments
    if a.id is None:
        from maos_ckpt.cli.commands.insight import recommended_line

        hint = ""
        with contextlib.suppress(CkptError):
            hint = recommended_line(context)
        raise no_checkpoint(hint)
    selection = selection_of(a)
    workspace, limit = context.workspace, listed_limit(context)
    if a.to is not None:
        return restore_to(context, selection, limit)

    def words(plan: Plan) -> list[str]:
        return ["restore", plan.checkpoint, *words_of(selection)]

    def apply(shown: Plan | None, digest: str | None, progress: ProgressSink) -> RecoveryResult:
        # By the time of the answer `latest` may be another one, and hold the very damage.
        name = shown.checkpoint if shown else a.id
        return recoveries.recover(workspace, name, selection, digest, a.reason, limit, progress)

    def plan(progress: ProgressSink) -> contextlib.AbstractContextManager[ReadablePlan]:
        return recoveries.open_plan(workspace, a.id, selection, limit, progress)

    return run(context, Recovery(plan, apply, words))


def no_checkpoint(recommended: str) -> UsageError:
    """What to say to who names no checkpoint: which one is the one, where that is known."""
    hint = recommended or f"`{PROGRAM} guide` recommends one."
    return UsageError(f"`{PROGRAM} restore` needs the ID of a checkpoint.", kept="Nothing was changed.", hint=hint)


def undo(context: Context) -> int:
    """`maos-ckpt undo`."""
    workspace, limit = context.workspace, listed_limit(context)
    a = context.arguments
    only = named_of(a)
    recovery = Recovery(
        lambda progress: recoveries.open_undo_plan(workspace, limit, progress, only=only),
        lambda shown, digest, progress: recoveries.undo(workspace, digest, a.reason, limit, progress, only=only),
        lambda plan: ["undo", *words_of(only)],
        last_recovery(workspace),
    )
    recovery = replace(recovery, in_part=not only.all_records)
    return run(context, recovery)


def _command(context: Context, recovery: Recovery, plan: Plan) -> str:
    """The shell line that applies exactly this plan."""
    reason = context.arguments.reason
    words = [*option("--reason", [reason] if reason else []), "--plan", plan.digest, "--yes"]
    return typed(context, recovery.words(plan), tuple(words))


def run(context: Context, recovery: Recovery) -> int:
    """Show the plan, ask, apply it, and tell how it went, as the arguments of `context` say; gives the exit code."""
    arguments = context.arguments
    # Before anything is read: a mistyped digest must not cost the reading of a whole state.
    asked_for = checked_digest(arguments.plan)
    context.stop_on_signals()
    if not arguments.dry_run:
        context.refuse_if_read_only(context.command)
    if not arguments.yes and not arguments.dry_run and not context.on_terminal:
        raise UsageError(
            f"{context.command} changes the live state, and there is no terminal to ask on.",
            kept="Nothing was changed.",
            hint="Add --dry-run to see the plan, or --yes to apply it.",
        )
    if arguments.dry_run:
        _show_plan(context, recovery)
        return ExitCode.DONE
    if arguments.yes:
        return _tell(context, recovery, _apply(context, recovery, None, asked_for))
    plan = _show_plan(context, recovery)
    if not plan.summary.total:
        return ExitCode.DONE
    if asked_for and not plan.digest.startswith(asked_for):
        raise PlanMovedError(
            f"This is not the plan {asked_for[:12]}… any more.",
            kept="Nothing was changed.",
            hint="Leave out --plan to be asked about the plan shown.",
            digest=plan.digest,
        )
    if not context.confirmed(f"Apply this plan of {plan.checkpoint}? A safety checkpoint is taken first."):
        context.out.notice("Nothing was changed.")
        return ExitCode.DONE
    return _apply_shown(context, recovery, plan)


def _apply_shown(context: Context, recovery: Recovery, plan: Plan) -> int:
    """Apply the plan that was shown; where MAOS has moved on since, ask whether its present state is meant as well."""
    try:
        result = _apply(context, recovery, plan, plan.digest)
    except PlanMovedError as moved:
        if context.arguments.plan or _is_about_another(context, recovery):
            raise
        context.out.notice(moved_line(moved, plan))
        if not context.confirmed("Apply to what is there at the moment MAOS is stopped?"):
            context.out.notice("Nothing was changed.")
            return ExitCode.CONFLICT
        # Planned while MAOS stands, so nothing can move between the plan and its application.
        result = _apply(context, recovery, plan, None)
    return _tell(context, recovery, result)


def _is_about_another(context: Context, recovery: Recovery) -> bool:
    """Whether an undo would take back another recovery by now than the one that was named."""
    return recovery.undoes is not None and recovery.undoes != last_recovery(context.workspace)


def _apply(context: Context, recovery: Recovery, shown: Plan | None, digest: str | None) -> RecoveryResult:
    with _Finish() as finish, context.progress() as progress:
        return recovery.apply(shown, digest, finish.watch(progress))


def _show_plan(context: Context, recovery: Recovery) -> Plan:
    started_s = context.seams.clock.monotonic_s()
    with opened_plan(context, recovery.plan) as opened:
        made = opened.plan
        took_s = context.seams.clock.monotonic_s() - started_s
        dry_run, command = context.arguments.dry_run, _command(context, recovery, made)
        if context.out.as_json and (dry_run or not made.summary.total):
            shape = shapes.dry_run(made, round(took_s, 3), command, all_changes(context, opened))
            context.out.document({**shape, **_undoes(recovery)})
        else:
            lines = _about(context, recovery, made) + plan_lines(made)
            if dry_run and made.summary.total:
                lines.append(f"to apply exactly this: {safe_text(command)}")
            if context.out.as_json:
                # The one JSON document is the result; the plan is for the person who is asked.
                context.out.notice("\n".join(lines))
            else:
                context.out.lines(lines)
    budget_s = context.settings.config.performance.max_recovery_time_ms / 1000
    if made.estimated_s > budget_s:
        context.out.notice(f"warning: expected to take {duration(made.estimated_s)}, longer than {duration(budget_s)}")
    return made


def _about(context: Context, recovery: Recovery, plan: Plan) -> list[str]:
    now_ms = context.seams.clock.now_ms()
    if recovery.about:
        return [recovery.about]
    if recovery.undoes is not None:
        return [f"undo {recovery.undoes.line(now_ms)}"]
    return [checkpoint_line(checkpoints.show(context.workspace, plan.checkpoint), now_ms)]


def checkpoint_line(checkpoint: Checkpoint, now_ms: int) -> str:
    """Which checkpoint it is that a restore is about."""
    named = f" {clip(checkpoint.description, 60)}" if checkpoint.description else ""
    what = f"{checkpoint.id}, {checkpoint.trigger.value}, of {moment(checkpoint.created_at_ms, now_ms)}"
    return f"restore {what}{named}"


def _undoes(recovery: Recovery) -> dict[str, object]:
    return {} if recovery.undoes is None else {"undoes": recovery.undoes.shape}


def _tell(context: Context, recovery: Recovery, result: RecoveryResult) -> int:
    if context.out.as_json:
        context.out.document({**shapes.recovery(result), **_undoes(recovery)})
    else:
        about = _about(context, recovery, result.plan) if context.arguments.yes else []
        context.out.lines([*about, *result_lines(result, _next_undo(recovery))])
    budget_s = context.settings.config.performance.max_recovery_time_ms / 1000
    if result.duration_s > budget_s:
        context.out.notice(
            f"warning: it took {duration(result.duration_s)}, longer than {duration(budget_s)} as configured"
        )
    done = (result.verified or not result.applied) and not result.partial
    return ExitCode.DONE if done else ExitCode.PARTIAL


def _next_undo(recovery: Recovery) -> str:
    """What an undo would do after this."""
    if recovery.undoes is None:
        return _TAKES_BACK
    if recovery.in_part:
        rest = f"`{PROGRAM} restore {recovery.undoes.last.safety}` plans to put back the rest of the state before"
        return f"takes back this undo of a part; {rest}"
    what = f"{recovery.undoes.name} back"
    return f"takes {what} again" if recovery.undoes.brings_back else f"brings {what}"


class _Finish(Cancellation):
    """While a plan is applied, SIGINT and SIGTERM stop it at the next safe point; a second one at once.

    A lost terminal stops nothing: what was confirmed is done. Ctrl-Z is ignored: MAOS may be standing still for us.
    """

    def __init__(self) -> None:
        super().__init__()
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> _Finish:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._heard)
        for number in (signal.SIGHUP, signal.SIGTSTP):
            self._before[number] = signal.signal(number, signal.SIG_IGN)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]

    def _heard(self, number: int, frame: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.ask()
