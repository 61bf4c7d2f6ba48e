"""The tiers at a glance, and replication as an operation: what waits for the remote copy, since when, and why."""

from __future__ import annotations

import contextlib
import dataclasses
import threading

from maos_ckpt.client import ProgressSink
from maos_ckpt.config.types import Storage
from maos_ckpt.errors import CkptError, LeaseHeldError, TransientStorageError
from maos_ckpt.model import Progress, TierStatus
from maos_ckpt.operations.outcome import (
    Outcome,
    last_outcome,
    note_failure,
    note_released,
    note_success,
    note_try,
)
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.replication.home import far_packs
from maos_ckpt.replication.push import Pushed, push
from maos_ckpt.repository.keyring import DIRECTORY as KEYS
from maos_ckpt.repository.keyring import ENCRYPTION
from maos_ckpt.repository.manifests import manifest_name
from maos_ckpt.repository.needed import pending
from maos_ckpt.repository.remote import WRITER
from maos_ckpt.repository.remote_lease import RemoteLease
from maos_ckpt.repository.repository import Repository
from maos_ckpt.scrub import Round, load_rounds

#: How long a command that saved spends on sending.
REPLICATE_NOW_S = 20.0
NOT_ASKED = "It was not asked yet what lies there."


def replicate(repository: Repository, lease: RemoteLease, progress: ProgressSink = lambda _: None) -> Pushed:
    """Push, and remember that it went well; raises as `push`."""
    memory = repository.remote_copy.memory
    note_try(repository)
    try:
        pushed = push(repository, lease, progress)
    except LeaseHeldError:
        # Somebody else writes: this home follows.
        memory.set_fact(WRITER, "")
        raise
    memory.set_fact(WRITER, "yes")
    note_success(repository, lease.holder, pushed.stuck)
    return pushed


def replicate_now(workspace: Workspace, budget_s: float = REPLICATE_NOW_S) -> Pushed | None:
    """One replication by a command, where no engine does it; None where there is no remote copy.

    Args:
        budget_s: after so long it is given up, in the middle of an object if need be.

    Raises:
        CkptError: it failed or took too long; every checkpoint is safe in the home, and the next replication sends it.
    """
    if workspace.remote is None:
        return None
    sending = _Sending(workspace, budget_s)
    sending.start()
    sending.join(budget_s)
    if sending.failure is not None:
        raise sending.failure
    if sending.pushed is None:
        late = TransientStorageError(
            f"Sending checkpoints to the remote copy took longer than {budget_s:g} s.",
            kept="Every checkpoint is kept locally, and will be sent later.",
            hint="`maos-ckpt run` keeps the remote copy up in the background; so does the next save.",
        )
        with contextlib.closing(workspace.open_repository()) as repository:
            note_failure(repository, late)
        raise late
    return sending.pushed


class _Sending(threading.Thread):
    """A replication in a thread that may be left behind: its process may end at any moment without harm."""

    def __init__(self, workspace: Workspace, budget_s: float) -> None:
        super().__init__(name="replicate", daemon=True)
        self._workspace = workspace
        self._deadline_s = workspace.seams.clock.monotonic_s() + budget_s
        self.pushed: Pushed | None = None
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            with contextlib.closing(self._workspace.open_repository()) as repository:
                self.pushed = self._replicate(repository)
        except Exception as error:  # noqa: BLE001 - raised again by whoever waits for this thread
            self.failure = error

    def _replicate(self, repository: Repository) -> Pushed:
        lease = RemoteLease(repository.remote_copy, str(repository.path), self._workspace.seams)
        try:
            return replicate(repository, lease, self._stop_in_time)
        except CkptError as error:
            note_failure(repository, error)
            raise
        finally:
            with contextlib.suppress(CkptError):
                if lease.number:
                    lease.release()
                    note_released(repository)

    def _stop_in_time(self, progress: Progress) -> None:
        if self._workspace.seams.clock.monotonic_s() >= self._deadline_s:
            raise TransientStorageError(
                f"{progress.total - progress.done} checkpoints wait to be sent to the remote copy.",
                kept="They are kept locally, and will be sent later.",
            )


def waiting_bytes(repository: Repository) -> dict[str, int]:
    """Local bytes of the checkpoints that the remote copy does not have, each with what it added: id → bytes."""
    sizes = repository.backend.list("packs") | repository.backend.list("manifests")
    waiting = pending(repository)
    return {one.id: sizes.get(one.pack, 0) + sizes.get(manifest_name(one.seq), 0) for one in waiting}


def tiers(repository: Repository, storage: Storage | None = None) -> tuple[TierStatus, ...]:
    """The tiers that hold this repository's checkpoints, with alarms by the bounds in `storage`; asks nobody."""
    rounds = load_rounds(repository)
    manifests = repository.backend.list("manifests")
    sizes = repository.backend.list("packs")
    full = "" if storage is None else _beyond_bound(repository.stored_bytes(), storage.local.max_size_bytes)
    far = far_packs(repository) if storage is not None and storage.primary == "local" else {}
    state = "full" if full else "behind" if far else "ok"
    reason = f"{full} {_not_here(far)}".strip()
    local = TierStatus("local", str(repository.path), state, len(manifests), sum(sizes.values()), reason=reason)
    if repository.remote is None:
        return (_scrubbed(local, rounds),)
    memory = repository.remote.memory
    waiting = pending(repository)
    pending_bytes = sum(waiting_bytes(repository).values())
    alarms = [outcome.message] if (outcome := last_outcome(repository)) and outcome.message else []
    if storage is not None and pending_bytes > storage.spool_size_bytes:
        alarms.append(
            f"The spool is full: {pending_bytes:,} bytes wait, more than storage.spool_size_bytes "
            f"({storage.spool_size_bytes:,}), so scheduled checkpoints beyond the policy go unreplicated."
        )
    there, lost = memory.below("packs"), len(memory.lost())
    if lost:
        alarms.insert(0, f"{lost} pack{' is' if lost == 1 else 's are'} missing there; what is here is sent again.")
    if outcome is not None and outcome.stuck:
        alarms.append(outcome.stuck)
    keys = _keys_waiting(repository)
    if keys:
        alarms.append(f"{keys} key slots wait to be sent there, or to be removed there: until then it opens as before.")
    if not memory.complete and outcome is None:
        # Figures of what it holds would be no facts.
        alarms.append(NOT_ASKED)
    remote = TierStatus(
        "s3",
        repository.remote.location,
        _state(outcome, waiting=bool(waiting or keys), lost=bool(lost)),
        len(memory.below("manifests")),
        sum(there.values()),
        since_ms=outcome.since_ms or None if outcome else None,
        pending=len(waiting),
        pending_bytes=pending_bytes,
        oldest_pending_at_ms=waiting[0].created_at_ms if waiting else None,
        last_success_at_ms=outcome.success_at_ms or None if outcome else None,
        reason=" ".join(alarms),
        breaker=outcome.breaker if outcome else "",
        next_try_ms=outcome.next_try_ms if outcome else None,
    )
    return _scrubbed(local, rounds), _scrubbed(remote, rounds)


def _keys_waiting(repository: Repository) -> int:
    """Key slots that the remote copy does not have yet, or still has."""
    if ENCRYPTION not in repository.header.features:
        return 0
    memory = repository.remote_copy.memory
    return len(repository.backend.list(KEYS).keys() - memory.below(KEYS).keys()) + len(memory.doomed(KEYS))


def _scrubbed(tier: TierStatus, rounds: dict[str, Round]) -> TierStatus:
    one = rounds.get(tier.name)
    if one is None:
        return tier
    share = round(min(one.read / one.total, 1.0), 3) if one.total else 0.0
    return dataclasses.replace(tier, scrub_share=share, scrubbed_at_ms=one.completed_at_ms, damaged=tuple(one.damaged))


def _beyond_bound(stored_bytes: int, bytes_max: int) -> str:
    if not bytes_max or stored_bytes <= bytes_max:
        return ""
    return (
        f"It takes {stored_bytes:,} bytes, more than storage.local.max_size_bytes ({bytes_max:,}); "
        "unpin or delete checkpoints, or raise the bound. Saves go on."
    )


def _not_here(far: dict[str, int]) -> str:
    if not far:
        return ""
    what = "One pack lies" if len(far) == 1 else f"{len(far)} packs lie"
    return (
        f"{what} in the remote copy alone ({sum(far.values()):,} bytes); a running engine brings them here, and so "
        "does `maos-ckpt verify --all --repair`."
    )


def _state(outcome: Outcome | None, *, waiting: bool, lost: bool) -> str:
    if outcome is not None and outcome.kind:
        return failed_state(outcome.kind)
    if lost:
        return "damaged"
    return "behind" if waiting else "ok"


def failed_state(kind: str) -> str:
    """The state of a remote copy after an error of this kind."""
    return {"permission": "refused", "lease_held": "held elsewhere", "foreign_repository": "foreign"}.get(kind, "away")
