"""A recovery as the screens carry it: what to plan, and how to apply that plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from maos_ckpt.client import EVERYTHING, EngineClient
from maos_ckpt.errors import CkptError
from maos_ckpt.model import RESCUE, Checkpoint, MergePolicy, Plan, RecoveryResult, ResumePoint, Selection
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.safe_text import safe_text
from maos_ckpt_tui.sentences import at_ms
from maos_ckpt_tui.viewmodel import short

Entry = tuple[str, Mapping[str, object]]
#: How far back the journal is asked for the recovery that an undo takes back.
_ENTRIES_MAX = 5000
_REASON_CELLS_MAX = 60
_POLICIES = {
    MergePolicy.REPLACE: "adds and changes, cuts transcripts back",
    MergePolicy.ADD_MISSING: "adds what is missing, changes nothing",
    MergePolicy.KEEP_NEWER: "adds, and changes what is older live",
}
_MEND = "mend what a crash of MAOS left behind: dead agents, their tasks, lost orchestrations, a stuck queue"
_LAST = "take the last recovery back: to the state of its safety checkpoint"


@dataclass(frozen=True, slots=True)
class Recovery:
    """`plan(limit)` computes, `apply(digest, reason)` carries out, `words(plan)` says what it does; all three block.

    `what` are those words as far as they are known without a plan. `part(selection)` is the same recovery of a part,
    where it has parts; `title` and what is taken with the part stay.
    """

    title: str
    what: str
    undo: bool
    plan: Callable[[int], Plan]
    apply: Callable[[str | None, str], RecoveryResult]
    words: Callable[[Plan], str]
    part: Callable[[Selection], Recovery] | None = None
    nothing: str = "Go back, mark more, or choose an earlier checkpoint."


def selection_words(selection: Selection) -> str:
    """A selection in words."""
    if selection.whole:
        return "everything, exactly as it was"
    words = named_words(selection)
    how = "exactly as it was" if selection.exact else _POLICIES[selection.merge]
    how += ", with what it refers to" if selection.with_dependencies else ""
    return f"{words} ({how})"


def named_words(selection: Selection) -> str:
    """What a selection names, in words."""
    named = (*selection.components, *selection.records, *(f'what contains "{one}"' for one in selection.searches))
    named += tuple(f"agent {one}" for one in selection.agents)
    named += tuple(f"orchestration {one}" for one in selection.orchestrations)
    return safe_text(", ".join((*named, *selection.fields)) or "everything")


def recover(client: EngineClient, checkpoint: Checkpoint, selection: Selection) -> Recovery:
    """Bring a part of a checkpoint back."""
    what = f"{short(checkpoint.id)} of {fmt.utc(checkpoint.created_at_ms)}: {selection_words(selection)}"
    return Recovery(
        f"recover {short(checkpoint.id)}",
        what,
        False,
        lambda limit: client.plan(checkpoint.id, selection, limit),
        lambda digest, reason: client.recover(checkpoint.id, selection, digest=digest, reason=reason),
        lambda _: what,
        lambda part: recover(
            client,
            checkpoint,
            replace(
                part,
                exact=selection.exact or selection.whole,
                with_dependencies=selection.with_dependencies,
                merge=selection.merge,
            ),
        ),
    )


def take_back(client: EngineClient, now_ms: int, only: Selection = EVERYTHING) -> Recovery:
    """Undo the last recovery, or `only` a part of it."""
    part = "" if only.all_records else f", of it only {named_words(only)}"

    def words(plan: Plan) -> str:
        try:
            return undo_words(plan.checkpoint, client.recent_events(_ENTRIES_MAX), now_ms) + part
        except CkptError:
            return _LAST + part  # The plan counts; which recovery it is about is only said less exactly.

    return Recovery(
        "undo",
        _LAST + part,
        True,
        lambda limit: client.undo_plan(limit, only),
        lambda digest, reason: client.undo(digest=digest, reason=reason, only=only),
        words,
        lambda part: take_back(client, now_ms, part),
        "Everything is as it was before that recovery. What came later is undone one recovery at a time.",
    )


def go_on(client: EngineClient, point: ResumePoint) -> Recovery:
    """Put an agent's transcript back, so that its conversation can be continued."""
    what = f"the transcript of {safe_text(point.agent)} as it was in {short(point.checkpoint)}, and nothing else"

    def apply(digest: str | None, reason: str) -> RecoveryResult:
        result = client.recover(point.checkpoint, point.selection, digest=digest, reason=reason)
        return replace(result, resume_commands=(point.command,) if point.command and not result.skipped else ())

    return Recovery(
        "continue an agent",
        what,
        False,
        lambda limit: client.plan(point.checkpoint, point.selection, limit),
        apply,
        lambda _: what,
        nothing="Its transcript is in place: a in the recovery's first step says how to continue it.",
    )


def mend(client: EngineClient) -> Recovery:
    """Mend what a crash of MAOS left behind."""
    return Recovery(
        RESCUE,
        _MEND,
        False,
        client.rescue_plan,
        lambda digest, reason: client.rescue(digest=digest, reason=reason),
        lambda _: _MEND,
        nothing="No crash has left anything behind that MAOS would trip over. To go back in time, choose a checkpoint.",
    )


def undo_words(safety: str, journal: Iterable[Entry], now_ms: int) -> str:
    """Which recovery an undo takes back, or which undo, and so which recovery it brings back.

    Args:
        safety: the checkpoint that the undo goes back to; it tells which recovery is meant.
        journal: newest first; where it does not reach back that far, the words are general ones.
    """
    done = {str(fields.get("safety_checkpoint")): fields for name, fields in journal if name == "RecoveryCompleted"}
    if (last := done.get(safety)) is None:
        return _LAST
    first, undos, part = last, 0, bool(last.get("part"))
    while first.get("undo") and undos < len(done):
        undos += 1
        if (before := done.get(str(first.get("checkpoint")))) is None:
            return f"undo the undo of {fmt.when(at_ms(last), now_ms)}"
        first, part = before, part or bool(before.get("part"))
    recovery = f"the recovery of {fmt.when(at_ms(first), now_ms)} to {short(str(first.get('checkpoint')))}"
    if first.get("checkpoint") == RESCUE:
        recovery = f"the rescue of {fmt.when(at_ms(first), now_ms)}"
    if reason := safe_text(str(first.get("reason") or ""), _REASON_CELLS_MAX):
        recovery += f" ({reason})"
    if part:
        recovery = f"a part of {recovery}"
    if not undos:
        return f"take back {recovery}"
    effect = "brings back" if undos % 2 else "takes back again"
    return f"undo the undo of {fmt.when(at_ms(last), now_ms)}: {effect} {recovery}"
