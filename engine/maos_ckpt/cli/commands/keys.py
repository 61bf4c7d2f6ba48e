"""key list, add, remove, rotate."""

from __future__ import annotations

from maos_ckpt.cli.context import Context
from maos_ckpt.cli.text import moment, rfc3339, table
from maos_ckpt.codec.slots import Slot
from maos_ckpt.engine.lock import engine_owner
from maos_ckpt.errors import CkptError, ExitCode, UsageError
from maos_ckpt.operations import keys
from maos_ckpt.operations.tiers import replicate_now
from maos_ckpt.safe_text import safe_text

_KINDS = {"passphrase": "passphrase", "key_file": "key file"}


def key(context: Context) -> int:
    """`maos-ckpt key`."""
    arguments = context.arguments
    if arguments.action == "remove" and not arguments.id:
        raise UsageError("`maos-ckpt key remove` needs the ID of a key.", hint="`maos-ckpt key list` shows them.")
    if arguments.action in ("list", "add") and arguments.id:
        raise UsageError(f"`maos-ckpt key {arguments.action}` takes no ID.")
    return {"list": _list, "add": _add, "remove": _remove, "rotate": _rotate}[arguments.action](context)


def _shape(one: Slot) -> dict[str, object]:
    return {"id": one.id, "kind": one.kind, "label": one.label, "created_at": rfc3339(one.created_at_ms)}


def _list(context: Context) -> int:
    ring = keys.list_keys(context.workspace)
    slots, damaged = (ring.slots, ring.damaged) if ring else ([], {})
    if context.out.as_json:
        bad = [{"object": name, "message": why} for name, why in damaged.items()]
        context.out.document({"encrypted": ring is not None, "keys": [_shape(one) for one in slots], "damaged": bad})
        return ExitCode.DONE
    if ring is None:
        context.out.notice("The repository is not encrypted.")
        return ExitCode.DONE
    now_ms = context.seams.clock.now_ms()
    rows = [(one.id, _KINDS[one.kind], moment(one.created_at_ms, now_ms), safe_text(one.label)) for one in slots]
    context.out.lines(table(("ID", "KIND", "CREATED", "LABEL"), rows))
    for why in damaged.values():
        context.out.notice(f"warning: {safe_text(why)}")
    return ExitCode.DONE


def _add(context: Context) -> int:
    slot = keys.add_key(context.workspace, context.arguments.new_key, context.arguments.label)
    if context.out.as_json:
        context.out.document({"key": _shape(slot)})
    else:
        context.out.lines([f"{slot.id}  opens the repository, too"])
    _replicate(context)
    return ExitCode.DONE


def _remove(context: Context) -> int:
    removed = keys.remove_key(context.workspace, context.arguments.id)
    if context.out.as_json:
        context.out.document({"removed": removed})
    else:
        context.out.lines([f"{removed}  is removed"])
    _tell_of_copies(context)
    return ExitCode.DONE


def _rotate(context: Context) -> int:
    arguments = context.arguments
    rotated = keys.rotate_key(context.workspace, arguments.new_key, arguments.label, arguments.id or "")
    if context.out.as_json:
        context.out.document({"key": _shape(rotated.slot), "removed": rotated.removed})
    else:
        context.out.lines([f"{rotated.slot.id}  takes the place of {rotated.removed}; name it as encryption_key now"])
    _tell_of_copies(context)
    return ExitCode.DONE


def _replicate(context: Context) -> None:
    """Let the remote copy have the slots as they are now; where it cannot, whoever changed them knows."""
    waits = "the remote copy still opens with the keys from before, until it is brought up to date"
    if context.workspace.remote is None:
        return
    if engine_owner(context.workspace.repository) is not None:
        context.out.notice(f"note: {waits}, which the running engine does next")
        return
    try:
        replicate_now(context.workspace)
    except CkptError as error:
        context.out.notice(f"warning: {waits}: {safe_text(error.message)}")


def _tell_of_copies(context: Context) -> None:
    _replicate(context)
    context.out.notice(
        "The data are not written again: whoever has a copy of the old slot and its secret still has the master key."
    )
