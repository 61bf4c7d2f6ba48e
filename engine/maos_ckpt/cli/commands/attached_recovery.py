"""restore, undo and rescue through an engine that is reached with --connect: the same steps as on a repository."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from maos_ckpt.cli import shapes
from maos_ckpt.cli.attaching import attached, hearing, progress_shown
from maos_ckpt.cli.commands.insight import advice_line
from maos_ckpt.cli.commands.recovery import Recovery, checkpoint_line, no_checkpoint, run
from maos_ckpt.cli.commands.recovery_elsewhere import tell_built
from maos_ckpt.cli.context import Context
from maos_ckpt.cli.open_plans import listed_limit
from maos_ckpt.cli.recovery_text import plan_lines
from maos_ckpt.cli.selecting import named_of, selection_of, words_of
from maos_ckpt.cli.text import moment
from maos_ckpt.client import EngineClient, ProgressSink
from maos_ckpt.errors import CkptError, ExitCode, InterruptedByUserError, UsageError
from maos_ckpt.model import RESCUE, Plan, Progress, RecordChange, RecoveryResult, Selection
from maos_ckpt.safe_text import safe_text

#: How often it is looked whether Ctrl-C was pressed.
_POLL_S = 0.2
#: A dry run in JSON lists as many changes as one call does.
_CHANGES_MAX = 1_000_000
_EVENTS_SEARCHED = 1000


@dataclass(frozen=True, slots=True)
class _SentPlan:
    """A plan that the engine has made; `changes` are all that it sent."""

    plan: Plan

    def changes(self) -> Iterator[RecordChange]:
        yield from self.plan.changes


_Opened = contextlib.AbstractContextManager[_SentPlan]


def _limit(context: Context) -> int:
    everything = context.arguments.dry_run and context.out.as_json and context.arguments.limit is None
    return _CHANGES_MAX if everything else listed_limit(context)


def _opener(client: EngineClient, context: Context, make: Callable[[], Plan]) -> Callable[[ProgressSink], _Opened]:
    @contextlib.contextmanager
    def opened(progress: ProgressSink) -> Iterator[_SentPlan]:
        with hearing(context, client, progress):
            made = make()
        yield _SentPlan(made)

    return opened


@contextlib.contextmanager
def _stoppable(client: EngineClient, context: Context, progress: ProgressSink) -> Iterator[None]:
    """While the engine recovers: its progress is shown, and what raises there takes the recovery back."""
    done = threading.Event()
    last = [Progress("recovery", "starting")]

    def hear(step: Progress) -> None:
        last[0] = step

    def watch() -> None:
        while not done.wait(_POLL_S):
            try:
                progress(last[0])
            except InterruptedByUserError:
                with contextlib.suppress(CkptError):
                    client.cancel_recovery()
                return

    watching = threading.Thread(target=watch, name="stop", daemon=True)
    with hearing(context, client, hear):
        watching.start()
        try:
            yield
        finally:
            done.set()
            watching.join()


def restore(context: Context) -> int:
    """`maos-ckpt restore`."""
    a = context.arguments
    limit = _limit(context)
    with attached(context) as client:
        if a.id is None:
            with progress_shown(context, client):
                raise no_checkpoint(advice_line(client.recommend().recommended))
        selection = selection_of(a)
        one = client.checkpoint(a.id)
        if a.to is not None:
            return _restore_to(context, client, one.id, selection, limit)

        def apply(shown: Plan | None, digest: str | None, progress: ProgressSink) -> RecoveryResult:
            with _stoppable(client, context, progress):
                return client.recover(one.id, selection, digest=digest, reason=a.reason, limit=limit)

        recovery = Recovery(
            _opener(client, context, lambda: client.plan(one.id, selection, limit)),
            apply,
            lambda plan: ["restore", plan.checkpoint, *words_of(selection)],
            about=checkpoint_line(one, context.seams.clock.now_ms()),
        )
        return run(context, recovery)


def _restore_to(context: Context, client: EngineClient, name: str, selection: Selection, limit: int) -> int:
    a = context.arguments
    kind, _, rest = a.to.partition(":")
    if not os.path.isabs(rest):
        raise UsageError(
            f"{kind}:{rest} is to be a place on the engine's machine, so it needs an absolute path.",
            kept="Nothing was changed.",
            hint="Write --to KIND:/PATH.",
        )
    with progress_shown(context, client):
        result = client.recover_to(name, selection, a.to, digest=a.plan, dry_run=a.dry_run, limit=limit)
    if not a.dry_run:
        return tell_built(context, result, a.to)
    if context.out.as_json:
        context.out.document({**shapes.recovery(result), "to": a.to})
    else:
        context.out.lines([f"restore {result.plan.checkpoint} to {safe_text(a.to)}", *plan_lines(result.plan)])
    return ExitCode.DONE


def undo(context: Context) -> int:
    """`maos-ckpt undo`."""
    a, limit = context.arguments, _limit(context)
    only = named_of(a)
    with attached(context) as client:

        def apply(shown: Plan | None, digest: str | None, progress: ProgressSink) -> RecoveryResult:
            with _stoppable(client, context, progress):
                return client.undo(digest=digest, reason=a.reason, limit=limit, only=only)

        recovery = Recovery(
            _opener(client, context, lambda: client.undo_plan(limit, only)),
            apply,
            lambda plan: ["undo", *words_of(only)],
            about=_last_recovery(client, context.seams.clock.now_ms()),
        )
        return run(context, recovery)


def _last_recovery(client: EngineClient, now_ms: int) -> str:
    """What an undo is about, as far as the journal's newest entries tell."""
    for name, fields in client.recent_events(_EVENTS_SEARCHED):
        at_ms = fields.get("at_ms")
        if name == "RecoveryCompleted" and isinstance(at_ms, int):
            what = "undo" if fields.get("undo") else "recovery"
            why = f', made for "{safe_text(str(fields["reason"]))}"' if fields.get("reason") else ""
            return f"undo the {what} of {safe_text(str(fields.get('checkpoint')))}{why}, of {moment(at_ms, now_ms)}"
    return "undo the last recovery"


def rescue(context: Context) -> int:
    """`maos-ckpt rescue`."""
    a, limit = context.arguments, _limit(context)
    if a.agent or a.at:
        raise UsageError(
            "An agent's conversation is continued on the machine where it ran.",
            kept="Nothing was changed.",
            hint="Run `maos-ckpt rescue --agent` there, without --connect.",
        )
    with attached(context) as client:

        def apply(shown: Plan | None, digest: str | None, progress: ProgressSink) -> RecoveryResult:
            with _stoppable(client, context, progress):
                return client.rescue(digest=digest, reason=a.reason, limit=limit)

        recovery = Recovery(
            _opener(client, context, lambda: client.rescue_plan(limit)),
            apply,
            lambda plan: [RESCUE],
            about=f"rescue of {safe_text(client.status().source)}",
        )
        return run(context, recovery)
