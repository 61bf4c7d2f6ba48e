"""What a drill rehearses: which checkpoint of which repository, what opens it, and what is expected of a recovery."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from maos_ckpt.codec.secret import Secret
from maos_ckpt.drill.checks import SqlCheck
from maos_ckpt.drill.scratch import Place
from maos_ckpt.model import Checkpoint
from maos_ckpt.repository.connect import RemoteSettings
from maos_ckpt.repository.keyring import Unlock
from maos_ckpt.seams import Seams


@dataclass(frozen=True, slots=True)
class Expected:
    """What a recovery is held against.

    Args:
        rto_s: it should be verified so long after the fault.
        rpo_s: at most so much work should be lost; None where a person chose the checkpoint, whatever its age.
        sql, command: the operator's own checks.
    """

    rto_s: float
    rpo_s: float | None
    sql: tuple[SqlCheck, ...] = ()
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a drill's copies come from. Nothing here can write to the original.

    Args:
        repository: path of the real repository; read once, before the first fault.
        asked: the checkpoint as it was asked for, an id or `latest`.
        master: the master key of an encrypted repository, else None.
        remote: the bucket, every change to it refused; None where there is none.
        unlock: opens what is made from the bucket alone.
        newest_change_ms: when the live state last changed as the drill began, 0 where that is not known.
        seams: without processes (see `quiet`).
    """

    repository: Path
    identity: str
    checkpoint: Checkpoint
    asked: str
    master: Secret | None
    remote: RemoteSettings | None
    unlock: Unlock
    newest_change_ms: int
    expected: Expected
    seams: Seams
    key_notes: tuple[str, ...] = ()

    def lost_s(self, checkpoint: Checkpoint, fault_ms: int) -> float:
        """How much work a recovery of this checkpoint would lose, were the fault to happen at that time."""
        newest_ms = min(self.newest_change_ms or fault_ms, fault_ms)
        return max(newest_ms - checkpoint.created_at_ms, 0) / 1000


@dataclass(frozen=True, slots=True)
class Base:
    """A recovered copy of the checkpoint, made once by the product's own recovery; each scenario gets a clone.

    Args:
        fetched: packs that the local repository has given away, so that they came from the bucket.
        dangling: foreign keys that lead to nobody in it: real data is dirty before any fault.
        failure: why there is no recovered state in it, or "".
    """

    place: Place
    fetched: tuple[str, ...] = ()
    dangling: int | None = None
    failure: str = ""
