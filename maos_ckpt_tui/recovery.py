"""A recovery as the screens carry it: what to plan, and how to apply that plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from maos_ckpt.client import EngineClient
from maos_ckpt.model import Checkpoint, Plan, RecoveryResult, Selection
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.viewmodel import short


@dataclass(frozen=True, slots=True)
class Recovery:
    """`plan(limit)` computes, `apply(digest, reason)` carries out; both block. `what` says it in words."""

    title: str
    what: str
    undo: bool
    plan: Callable[[int], Plan]
    apply: Callable[[str | None, str], RecoveryResult]


def selection_words(selection: Selection) -> str:
    """A selection in words."""
    if selection.whole:
        return "everything, exactly as it was"
    words = ", ".join((*selection.components, *selection.records))
    how = "exactly as it was" if selection.exact else "adds and changes, removes nothing"
    how += ", with what it refers to" if selection.with_dependencies else ""
    return f"{words} ({how})"


def recover(client: EngineClient, checkpoint: Checkpoint, selection: Selection) -> Recovery:
    """Bring a part of a checkpoint back."""
    return Recovery(
        f"recover {short(checkpoint.id)}",
        f"{short(checkpoint.id)} of {fmt.utc(checkpoint.created_at_ms)}: {selection_words(selection)}",
        False,
        lambda limit: client.plan(checkpoint.id, selection, limit),
        lambda digest, reason: client.recover(checkpoint.id, selection, digest=digest, reason=reason),
    )


def take_back(client: EngineClient) -> Recovery:
    """Undo the last recovery."""
    return Recovery(
        "undo",
        "take the last recovery back: to the state of its safety checkpoint",
        True,
        client.undo_plan,
        lambda digest, reason: client.undo(digest=digest, reason=reason),
    )
