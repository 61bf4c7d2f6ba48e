"""How replication goes, remembered beside what is known of the remote copy, where every process can read it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import msgspec

from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.errors import CkptError, LeaseHeldError
from maos_ckpt.repository.lease_objects import Holder
from maos_ckpt.repository.remote_memory import RemoteMemory
from maos_ckpt.repository.repository import Repository

_FACT = "outcome"


class Outcome(msgspec.Struct, frozen=True):
    """How the last replication ended: wall time, and the kind and message of what failed, "" where it succeeded.

    Args:
        since_ms: when the first of the failures in a row began, 0 where the last replication did not fail.
        breaker, breaker_since_ms: the circuit breaker's state then, and when it came to it.
        next_try_ms: when the next one begins, None where that is not known.
        trying_ms: when the one that is under way began, 0 where none is.
        stuck: what cannot be replicated although the rest was, in one sentence, else "".
        writer, writer_since_ms: who held the lease then, "" where nobody did, and since when.
    """

    at_ms: int
    kind: str = ""
    message: str = ""
    since_ms: int = 0
    success_at_ms: int = 0
    breaker: str = ""
    next_try_ms: int | None = None
    breaker_since_ms: int = 0
    trying_ms: int = 0
    writer: str = ""
    writer_since_ms: int = 0
    stuck: str = ""


def last_outcome(repository: Repository) -> Outcome | None:
    """What was noted last; None where nothing was, or where it cannot be read."""
    return remembered_outcome(repository.remote_copy.memory)


def remembered_outcome(memory: RemoteMemory) -> Outcome | None:
    """As `last_outcome`."""
    with contextlib.suppress(CkptError, *UNDECODABLE):
        text = memory.fact(_FACT)
        return msgspec.json.decode(text, type=Outcome) if text else None
    return None


def note_try(repository: Repository) -> None:
    """A replication begins."""
    now_ms = repository.seams.clock.now_ms()
    last = last_outcome(repository) or Outcome(now_ms)
    _note(repository, msgspec.structs.replace(last, trying_ms=now_ms, next_try_ms=None))


def note_success(repository: Repository, holder: Holder | None, stuck: Mapping[str, str]) -> None:
    """A replication went through, but for what is stuck (id → why); `holder` is this home's lease."""
    now_ms = repository.seams.clock.now_ms()
    why = next(iter(stuck.values()), "")
    told = f"{len(stuck)} of what waits cannot be sent: {why}" if stuck else ""
    done = Outcome(now_ms, success_at_ms=now_ms, stuck=told)
    _note(repository, _with_holder(_with_breaker(repository, done), holder))


def note_failure(repository: Repository, error: CkptError, pause_s: float | None = None) -> None:
    """Remember how a replication failed, and in how many seconds the next one is tried where that is known."""
    now_ms = repository.seams.clock.now_ms()
    last = last_outcome(repository) or Outcome(now_ms)
    failed = Outcome(
        now_ms,
        error.kind,
        error.message,
        since_ms=last.since_ms if last.kind and last.since_ms else last.trying_ms or now_ms,
        success_at_ms=last.success_at_ms,
        next_try_ms=None if pause_s is None else now_ms + round(pause_s * 1000),
    )
    holder = None
    if isinstance(error, LeaseHeldError):
        with contextlib.suppress(msgspec.ValidationError):
            holder = msgspec.convert(error.data, Holder)
    _note(repository, _with_holder(_with_breaker(repository, failed), holder))


def note_released(repository: Repository) -> None:
    """This home gave the lease back."""
    last = last_outcome(repository)
    if last is not None:
        _note(repository, msgspec.structs.replace(last, writer="", writer_since_ms=0))


def _with_holder(outcome: Outcome, holder: Holder | None) -> Outcome:
    if holder is None:
        return outcome
    who = f"process {holder.pid} on {holder.host}" if holder.home else "a lease that cannot be read"
    return msgspec.structs.replace(outcome, writer=who, writer_since_ms=holder.since_ms)


def _with_breaker(repository: Repository, outcome: Outcome) -> Outcome:
    breaker = repository.remote_copy.breaker
    if breaker is None:
        return outcome
    found = breaker.snapshot()
    return msgspec.structs.replace(outcome, breaker=found.state.value, breaker_since_ms=found.since_ms)


def _note(repository: Repository, outcome: Outcome) -> None:
    with contextlib.suppress(CkptError):
        repository.remote_copy.memory.set_fact(_FACT, msgspec.json.encode(outcome).decode())
