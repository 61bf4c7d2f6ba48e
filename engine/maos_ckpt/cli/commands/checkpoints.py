"""save, list, show, pin, unpin, tag, delete."""

from __future__ import annotations

from collections.abc import Callable

from maos_ckpt.cli import shapes
from maos_ckpt.cli.context import Context
from maos_ckpt.cli.text import age, clip, count, duration, moment, name, size, table
from maos_ckpt.engine.lock import engine_owner
from maos_ckpt.errors import CkptError, ExitCode
from maos_ckpt.ids import short_id
from maos_ckpt.model import Checkpoint, CheckpointState, Trigger
from maos_ckpt.operations import checkpoints, tiers
from maos_ckpt.safe_text import safe_text

#: More than any repository holds.
_ALL = 1 << 40
_STATES = {
    CheckpointState.COMMITTED: "committed here",
    CheckpointState.REPLICATED: "replicated: here and in s3",
    CheckpointState.DAMAGED: "DAMAGED: `maos-ckpt verify` names what is affected",
}
#: What is merely committed has no mark.
_STATE_MARKS = {CheckpointState.DAMAGED: "DAMAGED", CheckpointState.REPLICATED: "in s3"}
#: Columns of a list that go where a terminal is narrow, the least needed first.
_DROPPED = ("TRIGGER", "STORED", "RECORDS", "DESCRIPTION", "CREATED")


def save(context: Context) -> int:
    """`maos-ckpt save`."""
    arguments = context.arguments
    context.stop_on_signals()
    with context.progress() as progress:
        saved = checkpoints.save(context.workspace, Trigger.MANUAL, arguments.message, arguments.tag, progress)
    tell_saved(context, saved)
    _replicate(context)
    return ExitCode.DONE


def tell_saved(context: Context, saved: Checkpoint) -> None:
    """The checkpoint that was taken."""
    if context.out.as_json:
        context.out.document({"checkpoint": shapes.checkpoint(saved)})
    else:
        context.out.lines(_saved(saved))
    budget_s = context.settings.config.performance.max_save_time_ms / 1000
    if saved.duration_s > budget_s:
        context.out.notice(f"warning: the save took {duration(saved.duration_s)}, longer than {duration(budget_s)}")


def _replicate(context: Context) -> None:
    """Send what was saved, where no engine does; that this fails makes no save a failure."""
    if context.workspace.remote is None or engine_owner(context.workspace.repository) is not None:
        return
    try:
        done = tiers.replicate_now(context.workspace)
    except CkptError as error:
        context.out.notice(f"warning: kept locally, will be sent later: {safe_text(error.message)}")
        return
    for checkpoint, why in done.stuck.items() if done else ():
        context.out.notice(f"warning: {checkpoint} is kept locally and cannot be sent: {safe_text(why)}")


def _saved(one: Checkpoint) -> list[str]:
    what = "nothing had changed" if one.capture.unchanged else count(one.records, "record")
    facts = f"{what}, {size(one.logical_bytes)} of state, {size(one.stored_bytes)} stored"
    lines = [f"{one.id}  {facts}, in {duration(one.duration_s)}"]
    return lines + [f"note: {safe_text(note)}" for note in one.capture.notes]


def list_(context: Context) -> int:
    """`maos-ckpt list`."""
    arguments = context.arguments
    if arguments.systems:
        from maos_ckpt.cli.commands.systems import systems

        return systems(context)
    found = checkpoints.list_checkpoints(context.workspace, arguments.limit or _ALL, arguments.tag)
    unreadable = checkpoints.damaged_manifests(context.workspace)
    if context.out.as_json:
        damaged = [{"object": one, "message": message} for one, message in unreadable.items()]
        context.out.document({"checkpoints": [shapes.checkpoint(one) for one in found], "damaged": damaged})
        return ExitCode.DONE
    _warn_of_damage(context, found, unreadable)
    if not found:
        none = "There is no checkpoint that can be read." if unreadable else "There is no checkpoint yet."
        far = checkpoints.only_far(context.workspace)
        if far:
            verb = "lies" if far == 1 else "lie"
            none = f"There is no checkpoint here, but {count(far, 'checkpoint')} {verb} in the remote copy: "
            none += "`maos-ckpt verify --all --repair` brings what belongs here back."
        context.out.notice(none if arguments.tag is None else "No checkpoint has that tag.")
        return ExitCode.DONE
    context.out.lines(list_lines(found, context.seams.clock.now_ms(), context.width))
    return ExitCode.DONE


def _warn_of_damage(context: Context, found: list[Checkpoint], unreadable: dict[str, str]) -> None:
    damaged = [one.id for one in found if one.state is CheckpointState.DAMAGED]
    if damaged:
        what = "checkpoint is" if len(damaged) == 1 else "checkpoints are"
        hint = f"`maos-ckpt verify {damaged[0]}` names what is affected"
        context.out.notice(f"warning: {len(damaged):,} {what} damaged; {hint}")
    if unreadable:
        what = "checkpoint is" if len(unreadable) == 1 else "checkpoints are"
        context.out.notice(
            f"warning: {len(unreadable):,} {what} missing from this list, since the manifest cannot be read: "
            f"{name(', '.join(unreadable))}; `maos-ckpt verify --all` says what is wrong"
        )


def list_lines(found: list[Checkpoint], now_ms: int, width: int | None) -> list[str]:
    """Checkpoints as a table; where `width` is too small for all of it, with ages instead of times."""

    def rows(when: Callable[[int, int], str]) -> list[tuple[str, ...]]:
        return [
            (
                one.id,
                when(one.created_at_ms, now_ms),
                one.trigger.value,
                f"{one.records:,}",
                size(one.stored_bytes),
                marks(one),
                one.description,
            )
            for one in found
        ]

    head = ("ID", "CREATED", "TRIGGER", "RECORDS", "STORED", "MARKS", "DESCRIPTION")
    right = frozenset({3, 4})
    lines = table(head, rows(moment), right=right)
    if width is not None and max(map(len, lines)) > width:
        lines = table(head, rows(age), right=right, width=width, droppable=_DROPPED)
    return lines


def marks(one: Checkpoint) -> str:
    """State, pin and tags in one cell."""
    words = [_STATE_MARKS[one.state]] if one.state in _STATE_MARKS else []
    words += ["pinned"] if one.pinned else []
    words += ["same"] if one.capture.unchanged else []
    words += ["partial"] if one.partial else []
    return " ".join([*words, *(f"#{tag}" for tag in one.tags)])


def show(context: Context) -> int:
    """`maos-ckpt show`."""
    return tell_checkpoint(context, checkpoints.show(context.workspace, context.arguments.id))


def tell_checkpoint(context: Context, one: Checkpoint) -> int:
    """One checkpoint in full."""
    if context.out.as_json:
        context.out.document({"checkpoint": shapes.checkpoint(one), "components": shapes.components(one)})
        return ExitCode.DONE
    now_ms = context.seams.clock.now_ms()
    facts = [
        ("id", one.id),
        ("created", moment(one.created_at_ms, now_ms)),
        ("source", one.source),
        ("trigger", one.trigger.value),
        ("state", _STATES[one.state] + (", pinned" if one.pinned else "")),
        ("tags", " ".join(one.tags) or "none"),
        ("description", one.description or "none"),
        ("parent", one.parent or "none"),
        ("contents", f"{count(one.records, 'record')}, {size(one.logical_bytes)}; {size(one.stored_bytes)} stored"),
        ("taken in", f"{duration(one.duration_s)}; source locked for {duration(one.capture.lock_s)}"),
        ("sha-512", one.digest.hex()[:32] + "…"),
    ]
    if one.capture.held:
        facts.append(("held still", f"for {duration(one.capture.pause_s)}, skew {duration(one.capture.skew_s)}"))
    if one.partial:
        facts.append(("partial", f"without {', '.join(gone.path for gone in one.capture.missing)}"))
    lines = [f"{what:<12}{safe_text(value)}" for what, value in facts]
    lines += [f"{'note':<12}{safe_text(note)}" for note in one.capture.notes]
    rows = [(c.component, c.name, f"{c.records:,}", size(c.bytes)) for c in one.collections]
    lines += ["", *table(("COMPONENT", "COLLECTION", "RECORDS", "SIZE"), rows, right=frozenset({2, 3}))]
    context.out.lines(lines)
    return ExitCode.DONE


def tell_marked(context: Context, one: Checkpoint, what: str) -> int:
    """What has become of a checkpoint."""
    if context.out.as_json:
        context.out.document({"checkpoint": shapes.checkpoint(one)})
    else:
        context.out.lines([f"{one.id} ({short_id(one.id)}) {what}"])
    return ExitCode.DONE


def pin(context: Context) -> int:
    """`maos-ckpt pin`."""
    return tell_marked(context, checkpoints.set_pinned(context.workspace, context.arguments.id, True), "is pinned")


def unpin(context: Context) -> int:
    """`maos-ckpt unpin`."""
    return tell_marked(context, checkpoints.set_pinned(context.workspace, context.arguments.id, False), "is not pinned")


def tag(context: Context) -> int:
    """`maos-ckpt tag`; without tags to add or take away it shows them."""
    arguments = context.arguments
    if arguments.tags or arguments.remove:
        one = checkpoints.change_tags(context.workspace, arguments.id, arguments.tags, arguments.remove)
    else:
        one = checkpoints.show(context.workspace, arguments.id)
    return tell_tags(context, one)


def tell_tags(context: Context, one: Checkpoint) -> int:
    """A checkpoint's tags."""
    return tell_marked(context, one, "has " + (clip(", ".join(one.tags), 200) if one.tags else "no tags"))


def confirmed_to_go(context: Context, one: Checkpoint) -> bool:
    """Whether the person at the terminal means this one."""
    about = f"{one.id}, {moment(one.created_at_ms, context.seams.clock.now_ms())}, {count(one.records, 'record')}"
    if one.pinned or context.confirmed(f"Delete {about}? It cannot be brought back."):
        return True
    context.out.notice("Nothing was changed.")
    return False


def tell_of_s3(context: Context) -> None:
    """Say what becomes of the copy in S3, where there is one: a removal is carried out there by who replicates."""
    if context.workspace.remote is not None:
        context.out.notice("In S3 nothing is removed yet: the next replication does that, by the engine that holds it.")


def delete(context: Context) -> int:
    """`maos-ckpt delete`: asks on a terminal."""
    arguments = context.arguments
    identity: str = arguments.id
    if context.on_terminal and not arguments.yes:
        context.workspace.refuse_if_read_only("delete")
        one = checkpoints.show(context.workspace, identity)
        # What is pinned is refused anyway, and `latest` must not mean another one by the time of the answer.
        identity = one.id
        if not confirmed_to_go(context, one):
            return ExitCode.DONE
    removed = checkpoints.delete(context.workspace, identity)
    code = tell_marked(context, removed, "is deleted; `maos-ckpt prune` gives its space back")
    tell_of_s3(context)
    return code
