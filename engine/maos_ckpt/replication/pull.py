"""From the remote copy to the home: everything but the payloads of packs.

Two cases are one: a machine that has nothing but the bucket, and a home whose system was meanwhile written to from
another machine. Afterwards the home lists the same checkpoints as the remote copy, and besides them its own ones that
were never replicated.

What comes over the network is read first, and only then is the home's lease taken to put it in its place: a remote side
that hangs never keeps a save waiting.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Callable, Container, Set
from pathlib import Path

from maos_ckpt.codec.slots import SLOT_BYTES_MAX, decode_slot
from maos_ckpt.errors import (
    ConflictError,
    ForeignRepositoryError,
    FormatError,
    IntegrityError,
    MissingObjectError,
    NotFoundError,
    TransientStorageError,
)
from maos_ckpt.model import Progress
from maos_ckpt.replication.doomed import know_announced
from maos_ckpt.replication.fetched import Fetched, fetch_all
from maos_ckpt.replication.indexes import index_remote
from maos_ckpt.replication.removed import know_removed
from maos_ckpt.replication.retrieve import going, retrieve
from maos_ckpt.repository import header as headers
from maos_ckpt.repository.adoption import adopt
from maos_ckpt.repository.connect import RemoteSettings, connected
from maos_ckpt.repository.keyring import DIRECTORY as KEYS
from maos_ckpt.repository.keyring import ENCRYPTION, Unlock, remove_slot, without_key
from maos_ckpt.repository.manifests import manifest_name, manifest_seq
from maos_ckpt.repository.remote_memory import RemoteMemory
from maos_ckpt.repository.repository import LEASE_WAIT_S, Repository
from maos_ckpt.seams import Seams

_LOG = logging.getLogger(__name__)
ProgressSink = Callable[[Progress], None]
#: So often a checkpoint may be committed beside a pull before it gives up.
_TRIES_MAX = 5
#: A writer that takes over leaves room for as many checkpoints that its predecessor committed at home and has not
#: replicated yet: these keep their numbers, and their place in the order, when that machine comes back.
TAKEOVER_GAP = 1_000_000


def make_home(
    path: Path,
    settings: RemoteSettings,
    seams: Seams,
    unlock: Unlock = without_key,
    accept: Callable[[str], None] = lambda _: None,
) -> Repository:
    """A home for a system that only its remote copy is left of; `pull` then fills it.

    Args:
        accept: given the spec of the source whose checkpoints lie there, before anything is made; raises to refuse it.

    Raises:
        NotFoundError: no repository lies there.
        KeyRefusedError: it is encrypted, and there is no key or another one; nothing was made.
        UsageError: `path` is in use.
    """
    memory = RemoteMemory(None, settings.s3.location)
    with contextlib.closing(connected(settings, memory, seams)) as remote:
        try:
            header = remote.read(headers.NAME, headers.BYTES_MAX)
        except MissingObjectError as error:
            raise NotFoundError(
                f"There is no repository at {remote.location}.",
                hint="Look at the prefix and the system's name; `maos-ckpt list --systems` names those in a bucket.",
                repository=remote.location,
            ) from error
        decoded = headers.decode_header(header, remote.location)
        accept(decoded.source)
        # Before anything is made: a home that nobody can open would be taken for one that is complete.
        key = unlock(remote, decoded.id, decoded.features)
        keys = {name: remote.read(name, SLOT_BYTES_MAX) for name, _ in remote.entries(KEYS)} if key else {}
    return Repository.make_home(path, header, keys, seams, remote=settings, key=key)


def pull(
    repository: Repository,
    progress: ProgressSink = lambda _: None,
    *,
    thinned: bool = True,
    gap: int = 0,
    wait_s: float = LEASE_WAIT_S,
) -> int:
    """Bring the home up to date; the number of checkpoints that are new to it. The caller does not hold its lease.

    Args:
        thinned: whether another machine's retention may have removed checkpoints there, so that they go here as well.
        gap: sequence numbers to be left free above all that are known.
        wait_s: how long to wait for the home's lease.

    Raises:
        UnavailableError, PermissionRefusedError: the remote copy cannot be read; what is in the home stays usable.
        ForeignRepositoryError: it is another repository's.
        LeaseHeldError: the home is in use for too long.
    """
    if not _is_ours(repository):
        return 0
    progress(Progress("pull", "list"))
    fetched = fetch_all(repository, progress)
    local = repository.backend.list("manifests")
    for _ in range(_TRIES_MAX):
        before = _keep_needed(repository, fetched, progress, thinned=thinned, wait_s=wait_s)
        with repository.lease("pull", wait_s):
            if before == repository.backend.list("manifests").keys():
                _publish(repository, fetched, thinned=thinned, gap=gap)
                break
        # A checkpoint came in between, and may need what was not looked at.
    else:
        raise TransientStorageError(
            "Checkpoints come faster than what others wrote can be taken over.",
            kept="Nothing was changed; it is tried again.",
        )
    index_remote(repository, progress)
    return len(fetched.manifests.keys() - local.keys())


def _keep_needed(
    repository: Repository, fetched: Fetched, progress: ProgressSink, *, thinned: bool, wait_s: float
) -> Set[str]:
    """Bring here what checkpoints that are only here need of packs that go; the manifests that were here by then."""
    manifests = repository.backend.list("manifests").keys()
    staying = {name: fetched.listed[name] for name in fetched.below("packs") if name not in fetched.doomed}
    doomed = going(repository, staying)
    if doomed:
        # What the holder has carried over into new packs need not be brought here. That these are known before the
        # manifests that need them is no danger: should a prune here doom them, the next pull takes that back.
        for name, size in staying.items() - repository.remote_copy.memory.below("packs").items():
            repository.remote_copy.memory.add(name, size)
        index_remote(repository, progress)
        gone = _dropped(repository, fetched) if thinned else set()
        checkpoints = repository.checkpoints()
        # One of a number that another machine gave away as well is listed, and yet only here.
        there = repository.remote_copy.memory.below("manifests").keys() & fetched.listed.keys()
        names = {one.id: manifest_name(one.seq) for one in checkpoints}
        # The newest one, too: the next save takes over from it unread.
        kept = [one for one in checkpoints if names[one.id] not in there | gone or one is checkpoints[0]]
        retrieve(repository, kept, doomed, progress, wait_s)
    return manifests


def _is_ours(repository: Repository) -> bool:
    """Whether something was replicated there; raises `ForeignRepositoryError` where it is another repository's."""
    remote = repository.remote_copy
    try:
        header = remote.backend.read(headers.NAME, headers.BYTES_MAX)
    except MissingObjectError:
        return False
    if headers.decode_header(header, remote.location).id != repository.header.id:
        raise ForeignRepositoryError(
            f"{remote.location} holds the checkpoints of another repository than {repository.path}.",
            kept="Nothing was changed in either.",
            hint="Give this system another name or prefix.",
        )
    return True


def _publish(repository: Repository, fetched: Fetched, *, thinned: bool, gap: int) -> None:
    """Put what was read in its place. Manifests come before what is remembered of the copy: whatever interrupts this,
    no stored bytes look as if no checkpoint needed them."""
    memory = repository.remote_copy.memory
    before = memory.below("manifests")
    dropped = _dropped(repository, fetched)
    doomed = memory.doomed("manifests")
    above = max((manifest_seq(name) or 0 for name in fetched.below("manifests")), default=0) + gap
    for name, data in sorted(fetched.manifests.items()):
        if name not in doomed:
            adopt(repository, name, data, above)
    for name, data in fetched.marks.items():
        repository.adopt_marks(name, data, memory.mark(name))
    if ENCRYPTION in repository.header.features:
        _mirror_slots(repository, fetched, memory.below(KEYS) if thinned else ())
    if thinned:
        # What this home doomed and did not announce, another machine may count on by now. A prune finds it again.
        memory.remove(memory.doomed("packs").keys() - fetched.doomed.keys())
    memory.replace(fetched.listed.items(), missed=not thinned)
    for name, data in fetched.marks.items():
        memory.add(name, len(data), hashlib.sha256(data).digest())
    # The grace period begins anew: other clocks say nothing here.
    fresh = (fetched.doomed.keys() & fetched.listed.keys()) - memory.doomed("packs").keys()
    memory.doom(fresh, repository.seams.clock.now_ms())
    know_announced(repository.remote_copy, fetched.doomed)
    know_removed(repository.remote_copy, fetched.removed)
    if thinned:
        _forget(repository, fetched, dropped, before.keys() - fetched.listed.keys())
    if gap:
        repository.leave_room(gap)
    repository.synchronise()


def _mirror_slots(repository: Repository, fetched: Fetched, before: Container[str]) -> None:
    """Take over which key slots another machine has added and removed."""
    backend = repository.backend
    for name, data in fetched.slots.items():
        try:
            decode_slot(name, data, repository.header.id)
        except (IntegrityError, FormatError) as error:
            _LOG.warning("%s It was not taken over from the remote copy.", error.message)
            continue
        backend.create(name, data)
    for name in backend.list(KEYS).keys() - fetched.listed.keys():
        if name in before:
            # The last slot that can be read stays, whatever happened there.
            with contextlib.suppress(ConflictError):
                remove_slot(backend, name.removeprefix(f"{KEYS}/").removesuffix(".json"), repository.header.id)


def _dropped(repository: Repository, fetched: Fetched) -> set[str]:
    """Manifests that were replicated once and that their system's retention has taken since.

    What retention would not take, the newest and what is pinned here, stays, and is replicated again should this home
    come to write.
    """
    before = repository.remote_copy.memory.below("manifests")
    newest = max(fetched.below("manifests"), default="")
    gone = {name for name in before if name not in fetched.listed and name in fetched.removed and name < newest}
    pinned = {manifest_name(one.seq) for one in repository.checkpoints() if one.pinned} if gone else set()
    return gone - pinned


def _forget(repository: Repository, fetched: Fetched, dropped: set[str], gone: set[str]) -> None:
    """Drop what retention took, and say what else is gone: a bucket that lost something, or that somebody emptied, must
    not empty the homes."""
    for checkpoint in repository.checkpoints() if dropped else ():
        if manifest_name(checkpoint.seq) in dropped:
            repository.forget(checkpoint)
    here = repository.backend.list("manifests")
    lost = sorted(name for name in gone if name in here and name not in fetched.removed)
    if lost:
        _LOG.warning(
            "%d checkpoints are gone from the remote copy though nobody removed them (%s to %s); they are kept here, "
            "and sent again by the machine that writes.",
            len(lost),
            lost[0],
            lost[-1],
        )
