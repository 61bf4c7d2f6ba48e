"""From the home to the remote copy, in an order that leaves the copy whole at every moment.

What is to be done follows from comparing the home with what is known of the copy, so an interruption anywhere, a
SIGKILL included, needs no repair: the next push goes on. Packs go before the manifests that count on them, checkpoints
in the order of their numbers, and a manifest goes away before its chunks may.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from maos_ckpt.errors import (
    ConflictError,
    ForeignRepositoryError,
    FormatError,
    IntegrityError,
    StorageError,
)
from maos_ckpt.model import Checkpoint, Progress
from maos_ckpt.replication.bundling import Bundling, require_held
from maos_ckpt.replication.doomed import remove_doomed, take_back
from maos_ckpt.replication.indexes import index_remote
from maos_ckpt.replication.pull import TAKEOVER_GAP, pull
from maos_ckpt.replication.removed import announce_removed, known_removed
from maos_ckpt.repository import header
from maos_ckpt.repository.damaged import mark_damaged
from maos_ckpt.repository.keyring import DIRECTORY as KEYS
from maos_ckpt.repository.keyring import ENCRYPTION
from maos_ckpt.repository.manifests import manifest_name
from maos_ckpt.repository.needed import needed_chunks, needed_places, pending
from maos_ckpt.repository.packs import pack_digest
from maos_ckpt.repository.remote_lease import RemoteLease
from maos_ckpt.repository.repository import Repository

ProgressSink = Callable[[Progress], None]
#: Remembered while it is not known whether the remote copy has all that waiting checkpoints count on.
_DOUBTFUL = "doubtful"
_AUDITED = "audited"
_HEADER = "header"


@dataclass(slots=True)
class Pushed:
    """What a push did: ids of checkpoints replicated now, bytes sent, packs deleted, and what cannot be replicated."""

    replicated: list[str] = field(default_factory=list)
    bytes: int = 0
    removed_packs: int = 0
    stuck: dict[str, str] = field(default_factory=dict)


def push(repository: Repository, lease: RemoteLease, progress: ProgressSink = lambda _: None) -> Pushed:
    """Bring the remote copy up to date.

    Raises:
        LeaseHeldError: another machine writes to this system.
        ForeignRepositoryError: another repository's copy lies there.
        UnavailableError, PermissionRefusedError: the remote side refuses; what was sent so far counts.
    """
    return _Push(repository, lease, progress).run()


class _Push:
    def __init__(self, repository: Repository, lease: RemoteLease, progress: ProgressSink) -> None:
        self._repository = repository
        self._remote = repository.remote_copy
        self._lease = lease
        self._progress = progress
        self._done = Pushed()
        self._bad: dict[str, str] = {}
        #: Packs that nobody needs by the time this begins to send. A prune beside it dooms others, whose chunks may lie
        #: in packs that this push does not send any more.
        self._doomed: set[str] = set()
        #: Whether a prune took a pack that was to be sent: what is still needed of it lies in one that was not sent.
        self._replaced = False

    def run(self) -> Pushed:
        self._remote.make_writable()
        self._share_header()
        news = self._lease.acquire()
        with self._lease.kept():
            self._learn(news)
            self._share_slots()
            self._doomed = set(self._remote.memory.doomed("packs"))
            self._send_checkpoints()
            self._send_marks()
            self._remove_checkpoints()
            if not self._bad and not self._replaced:
                self._done.removed_packs = self._remove_packs()
            Bundling(self._repository, self._lease).bundle()
        # What is stuck must be looked at again before it is committed there.
        self._remote.memory.set_fact(_DOUBTFUL, "yes" if self._done.stuck else "")
        return self._done

    def _learn(self, news: bool) -> None:
        """Bring home what others may have written, and look now and then whether all that was sent is still there."""
        memory, now_ms = self._remote.memory, self._repository.seams.clock.now_ms()
        if news or self._audit_due() or not memory.complete or self._repository.strays():
            memory.set_fact(_DOUBTFUL, "yes")
            # Without somebody else's hand in it, what is gone from the copy was lost there, and is sent again.
            pull(self._repository, self._progress, thinned=news, gap=TAKEOVER_GAP if news else 0)
            if not memory.complete:
                # Nothing lies there yet.
                self._remote.refresh()
            memory.set_fact(_AUDITED, str(now_ms))
        self._lease.settle()
        if self._repository.unindexed():
            index_remote(self._repository, self._progress)

    def _audit_due(self) -> bool:
        audited_ms = int(self._remote.memory.fact(_AUDITED) or "0")
        return abs(self._repository.seams.clock.now_ms() - audited_ms) >= self._remote.timing.audit_s * 1000

    def _share_header(self) -> None:
        data = self._repository.backend.read(header.NAME, header.BYTES_MAX)
        memory = self._remote.memory
        known = memory.fact(_HEADER) == hashlib.sha256(data).hexdigest() and not self._audit_due()
        if not known and not self._remote.backend.create(header.NAME, data):
            self._mend_header(data)
        memory.set_fact(_HEADER, hashlib.sha256(data).hexdigest())

    def _share_slots(self) -> None:
        """Key slots, before anything that needs them; removed ones go after the new ones are there."""
        if ENCRYPTION not in self._repository.header.features:
            return
        for name in self._repository.backend.list(KEYS):
            self._send_changeable(name)
        gone = sorted(self._remote.memory.doomed(KEYS))
        if gone:
            require_held(self._lease.check())
            self._remote.remove(gone)

    def _mend_header(self, data: bytes) -> None:
        """Another header lies there: an older one of this repository is replaced, anything else is left alone."""
        there = self._remote.backend.read(header.NAME, header.BYTES_MAX)
        if header.decode_header(there, self._remote.location).id != self._repository.header.id:
            raise ForeignRepositoryError(
                f"{self._remote.location} holds the checkpoints of another repository.",
                kept="Nothing was changed there, and every checkpoint here is untouched.",
                hint="Give this system another name or prefix.",
            )
        self._remote.backend.replace(header.NAME, data)

    # Checkpoints

    def _send_checkpoints(self) -> None:
        waiting = pending(self._repository)
        named = {one.pack for one in waiting}
        here = self._repository.backend.list("packs")
        for name, why in self._repository.damaged_packs.items():
            # Another repository's, one in the clear or one with a damaged index: nobody could read it there, either.
            if here.pop(name, None) is not None:
                self._bad[name] = str(why)
        # Packs that a prune rewrote, or whose own checkpoint is gone, may carry what the next checkpoints count on.
        for name in sorted(here.keys() - named - self._remote.memory.below("packs").keys()):
            self._send_pack(name, here[name])
        for number, checkpoint in enumerate(waiting):
            self._progress(Progress("replicate", checkpoint.id, number, len(waiting), self._done.bytes))
            require_held(self._lease.renew())
            if checkpoint.pack in here:
                self._send_pack(checkpoint.pack, here[checkpoint.pack])
            hindrance = self._hindrance(checkpoint)
            if hindrance:
                self._done.stuck[checkpoint.id] = hindrance
            else:
                self._commit(checkpoint)

    def _send_pack(self, name: str, size: int) -> None:
        memory = self._remote.memory
        if memory.holds(name):
            return
        if name in memory.doomed("packs"):
            require_held(self._lease.check())
            take_back(self._remote, name, self._repository.seams.clock.now_ms())
            self._doomed.discard(name)
        path = self._repository.backend.path(name)
        memory.expect(name)
        try:
            sent = self._remote.backend.create_file(name, path, sha256=pack_digest(name).hex())
        except IntegrityError as error:
            # What does not need this pack must not wait for somebody to mend it.
            self._bad[name] = error.message
            mark_damaged(self._repository, name)
            return
        except StorageError:
            if path.exists():
                raise
            # The new pack goes with the next push.
            self._replaced = True
            memory.set_fact(_DOUBTFUL, "yes")
            return
        if not sent:
            self._bad[name] = f"The remote copy holds other bytes as {name}."
            return
        memory.add(name, size)
        self._done.bytes += size

    def _hindrance(self, checkpoint: Checkpoint) -> str:
        """Why a checkpoint cannot be replicated: a pack that it needs cannot; or ""."""
        if not self._bad and not self._remote.memory.fact(_DOUBTFUL):
            return ""
        needed: set[bytes] = set()
        faults: list[IntegrityError] = []
        needed_chunks(self._repository, checkpoint, needed, faults.append)
        places = set(needed_places(self._repository, needed, faults.append).values())
        if faults:
            return faults[0].message
        there = self._remote.memory.below("packs")
        return next((self._bad.get(one, f"The remote copy does not have {one}.") for one in places - there.keys()), "")

    def _commit(self, checkpoint: Checkpoint) -> None:
        name = manifest_name(checkpoint.seq)
        memory = self._remote.memory
        # First it is noted that it may lie there, then looked whether it is still here: so whoever removes it dooms it.
        memory.expect(name)
        try:
            data = self._repository.manifest_bytes(name)
        except (IntegrityError, FormatError) as error:
            self._done.stuck[checkpoint.id] = error.message
            return
        if data is None or name in memory.doomed("manifests"):
            # Retention took it meanwhile.
            return
        announce_removed(self._remote, known_removed(self._remote).without(name))
        if not self._remote.backend.create(name, data):
            # Only a machine that writes without the lease, or an older copy of this home, comes to that.
            memory.set_fact("complete", "")
            raise ConflictError(
                f"The remote copy holds another checkpoint as number {checkpoint.seq}.",
                kept="Both checkpoints are untouched; the one here gets another number with the next replication.",
            )
        memory.add(name, len(data))
        if not self._lease.renew():
            # This process stood still for long; what it counted on may be gone by now.
            self._remote.remove([name])
            require_held(False)
        self._done.replicated.append(checkpoint.id)
        self._done.bytes += len(data)

    def _remove_packs(self) -> int:
        still = {name: since for name, since in self._remote.memory.doomed("packs").items() if name in self._doomed}
        return remove_doomed(self._remote, self._lease, still, self._repository.seams.clock.now_ms())

    # What changes

    def _send_marks(self) -> None:
        for name in self._repository.backend.list("marks"):
            self._send_changeable(name)

    def _send_changeable(self, name: str) -> None:
        try:
            data = self._repository.backend.read(name, header.BYTES_MAX)
        except IntegrityError:
            return
        mark = hashlib.sha256(data).digest()
        if self._remote.memory.mark(name) != mark:
            self._remote.backend.replace(name, data)
            self._remote.memory.add(name, len(data), mark)

    def _remove_checkpoints(self) -> None:
        gone = sorted(self._remote.memory.doomed("manifests"))
        if not gone:
            return
        require_held(self._lease.check())
        here = self._repository.backend.list("marks")
        marks = [name for name in self._remote.memory.below("marks") if name not in here]
        # First others are told, so that to them nothing ever looks lost that was removed.
        announce_removed(self._remote, known_removed(self._remote).with_names(gone))
        self._remote.remove([*gone, *marks])
