"""Which recovery an undo is about to take back, in words and as JSON."""

from __future__ import annotations

from dataclasses import dataclass

from maos_ckpt.cli.text import moment, rfc3339
from maos_ckpt.model import RESCUE
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.recovery import journal
from maos_ckpt.recovery.journal import Intent
from maos_ckpt.safe_text import safe_text


@dataclass(frozen=True, slots=True)
class LastRecovery:
    """The recovery at the root of the last one done: the last itself, or what it took back.

    `brings_back` says that it is not in force now, so that an undo brings it back; `in_part` that an undo is about no
    more than the part of it that the last one was about.
    """

    checkpoint: str
    reason: str
    last: Intent
    brings_back: bool

    @property
    def name(self) -> str:
        """What it is, for people."""
        whole = "the rescue" if self.checkpoint == RESCUE else f"the recovery of {self.checkpoint}"
        return f"a part of {whole}" if self.in_part else whole

    @property
    def in_part(self) -> bool:
        """Whether the last one was an undo of a part, or takes such a one back."""
        chain = () if self.last.pinned is None else self.last.pinned.chain
        return bool(self.last.only) or any(one.only for one in chain)

    def line(self, now_ms: int) -> str:
        """One sentence."""
        when = moment(self.last.started_at_ms, now_ms)
        why = f', made for "{safe_text(self.reason)}"' if self.reason else ""
        if self.brings_back:
            return f"brings back {self.name}{why}, which an undo took back on {when}"
        return f"takes back {self.name}{why}, of {when}"

    @property
    def shape(self) -> dict[str, object]:
        """For machines."""
        return {
            "checkpoint": self.checkpoint,
            "reason": self.reason,
            "at": rfc3339(self.last.started_at_ms),
            "safety_checkpoint": self.last.safety,
            "brings_back": self.brings_back,
            "in_part": self.in_part,
        }


def last_recovery(workspace: Workspace) -> LastRecovery | None:
    """What `maos-ckpt undo` is about now; None where there is nothing to take back."""
    with workspace.reading() as repository:
        last = journal.last_done(repository)
    if last is None:
        return None
    # An undo restores the safety checkpoint of what it takes back: follow these to the recovery they began with.
    by_safety = {
        str(fields.get("safety_checkpoint")): fields
        for name, fields in workspace.journal.newest_first()
        if name == "RecoveryCompleted"
    }
    # What was computed on the state before names that state: it comes from no checkpoint.
    checkpoint = RESCUE if last.checkpoint == last.safety else last.checkpoint
    reason, undo, undone = last.reason, last.undo, False
    while undo:
        undone = not undone
        # Taken out as they are followed, so that a journal that somebody has written to cannot lead in a circle.
        fields = by_safety.pop(checkpoint, None)
        if fields is None:
            break
        checkpoint, reason = str(fields.get("checkpoint")), str(fields.get("reason"))
        undo = bool(fields.get("undo"))
    return LastRecovery(checkpoint, reason, last, undone)
