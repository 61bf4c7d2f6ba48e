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
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from pathlib import Path

from maos_ckpt.codec.slots import SLOT_BYTES_MAX, decode_slot
from maos_ckpt.errors import (
    CkptError,
    ConflictError,
    ForeignRepositoryError,
    FormatError,
    IntegrityError,
    MissingObjectError,
    NotFoundError,
)
from maos_ckpt.model import Progress
from maos_ckpt.replication import bundles
from maos_ckpt.replication.doomed import know_announced, read_doomed
from maos_ckpt.replication.fetch import each
from maos_ckpt.repository import header as headers
from maos_ckpt.repository.adoption import adopt
from maos_ckpt.repository.connect import RemoteSettings, connected
from maos_ckpt.repository.keyring import DIRECTORY as KEYS
from maos_ckpt.repository.keyring import ENCRYPTION, Unlock, remove_slot, without_key
from maos_ckpt.repository.manifests import MANIFEST_BYTES_MAX, manifest_name
from maos_ckpt.repository.marks import MARKS_BYTES_MAX
from maos_ckpt.repository.packs import Stored, parse_index
from maos_ckpt.repository.remote import RemoteMemory
from maos_ckpt.repository.repository import LEASE_WAIT_S, Repository
from maos_ckpt.seams import Seams

_LOG = logging.getLogger(__name__)
ProgressSink = Callable[[Progress], None]
#: With fewer objects missing than this, reading them one by one is quicker than reading bundles.
_FEW = 8
#: A writer that takes over leaves room for as many checkpoints that its predecessor committed at home and has not
#: replicated yet: these keep their numbers, and their place in the order, when that machine comes back.
TAKEOVER_GAP = 1_000_000


def make_home(path: Path, settings: RemoteSettings, seams: Seams, unlock: Unlock = without_key) -> Repository:
    """A home for a system that only its remote copy is left of; `pull` then fills it.

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
        # Before anything is made: a home that nobody can open would be taken for one that is complete.
        key = unlock(remote, decoded.id, decoded.features)
        keys = {name: remote.read(name, SLOT_BYTES_MAX) for name, _ in remote.entries(KEYS)} if key else {}
    return Repository.make_home(path, header, keys, seams, remote=settings, key=key)


@dataclass(slots=True)
class _Fetched:
    """What was read of the remote copy: its listing, and contents by name."""

    listed: dict[str, int]
    doomed: dict[str, int]
    manifests: dict[str, bytes] = field(default_factory=dict)
    marks: dict[str, bytes] = field(default_factory=dict)
    slots: dict[str, bytes] = field(default_factory=dict)

    def below(self, directory: str) -> list[str]:
        return [name for name in self.listed if name.startswith(f"{directory}/")]


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
    fetched = _fetch(repository, progress)
    local = repository.backend.list("manifests")
    with repository.lease("pull", wait_s):
        _publish(repository, fetched, thinned=thinned, gap=gap)
    index_remote(repository, progress)
    return len(fetched.manifests.keys() - local.keys())


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


def _fetch(repository: Repository, progress: ProgressSink) -> _Fetched:
    remote = repository.remote_copy
    fetched = _Fetched(dict(remote.listing()), read_doomed(remote))
    here, known = repository.backend.list("manifests"), remote.memory.below("manifests")
    doomed = remote.memory.doomed("manifests")
    # Also one of a number that this home has given to a checkpoint of its own, and never sent.
    wanted = {n for n in fetched.below("manifests") if (n not in here or n not in known) and n not in doomed}
    if len(wanted) > _FEW:
        _manifests_of_bundles(repository, fetched, wanted, progress)
    left = sorted(wanted - fetched.manifests.keys())
    for number, (name, data) in enumerate(each(left, lambda name: _content(repository, name, MANIFEST_BYTES_MAX))):
        progress(Progress("pull", "manifests", number, len(left)))
        if data is not None:
            fetched.manifests[name] = data
    for name, data in each(fetched.below("marks"), lambda name: _content(repository, name, MARKS_BYTES_MAX)):
        if data:
            fetched.marks[name] = data
    if ENCRYPTION in repository.header.features:
        missing = fetched.listed.keys() - repository.backend.list(KEYS).keys() - remote.memory.doomed(KEYS).keys()
        for name in sorted(one for one in missing if one.startswith(f"{KEYS}/")):
            fetched.slots[name] = _content(repository, name, SLOT_BYTES_MAX) or b""
    return fetched


def _content(repository: Repository, name: str, bytes_max: int) -> bytes | None:
    """An object's bytes; none of one that is larger than such objects are, None where it was removed meanwhile."""
    try:
        return repository.remote_copy.backend.read(name, bytes_max)
    except MissingObjectError:
        return None
    except IntegrityError as error:
        _LOG.warning("%s", error.message)
        return b""


def _manifests_of_bundles(repository: Repository, fetched: _Fetched, wanted: set[str], progress: ProgressSink) -> None:
    names = bundles.of_kind(fetched.below(bundles.DIRECTORY), bundles.MANIFESTS)
    for number, name in enumerate(reversed(names)):
        if fetched.manifests.keys() >= wanted:
            return
        progress(Progress("pull", "bundles", number, len(names)))
        bundle = read_bundle(repository, name)
        for manifest, data in bundle.manifests:
            if manifest in wanted and fetched.listed.get(manifest) == len(data):
                fetched.manifests[manifest] = data


def read_bundle(repository: Repository, name: str) -> bundles.Bundle:
    """A bundle, or an empty one where it cannot be read: its contents lie elsewhere as well."""
    try:
        data = repository.remote_copy.backend.read(name, bundles.STORED_BYTES_MAX)
        return bundles.decode_bundle(data, name, repository.sealer)
    except IntegrityError as error:
        _LOG.warning("%s Its contents are read one by one.", error.message)
        return bundles.Bundle([], [])


def _publish(repository: Repository, fetched: _Fetched, *, thinned: bool, gap: int) -> None:
    """Put what was read in its place. Manifests come before what is remembered of the copy: whatever interrupts this,
    no stored bytes look as if no checkpoint needed them."""
    memory = repository.remote_copy.memory
    before = memory.below("manifests")
    doomed = memory.doomed("manifests")
    numbers = [int(name.rpartition("/")[2]) for name in fetched.below("manifests")]
    above = max(numbers, default=0) + gap
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
    if thinned:
        _forget(repository, before.keys() - fetched.listed.keys(), max(numbers, default=0))
    if gap:
        repository.leave_room(gap)
    repository.synchronise()


def _mirror_slots(repository: Repository, fetched: _Fetched, before: Container[str]) -> None:
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


def _forget(repository: Repository, gone: set[str], newest: int) -> None:
    """Drop checkpoints that were replicated once and are gone there now: their system's retention took them.

    What retention would not take, the newest and what is pinned here, stays, and is replicated again should this home
    come to write: a bucket that somebody emptied must not empty the homes.
    """
    if not gone:
        return
    for checkpoint in repository.checkpoints():
        if manifest_name(checkpoint.seq) in gone and checkpoint.seq < newest and not checkpoint.pinned:
            repository.forget(checkpoint)


def index_remote(repository: Repository, progress: ProgressSink = lambda _: None) -> None:
    """Enter packs that only the remote copy holds into the home's chunk index, from bundles, or from their ends.

    Raises:
        UnavailableError, PermissionRefusedError: the remote copy cannot be read now; what was entered counts.
    """
    remote = repository.remote_copy
    missing = repository.unindexed()
    if len(missing) > _FEW:
        names = bundles.of_kind(remote.memory.below(bundles.DIRECTORY), bundles.PACKS)
        for number, name in enumerate(reversed(names)):
            if not missing:
                return
            progress(Progress("pull", "indexes", number, len(names)))
            known = []
            for pack in read_bundle(repository, name).packs:
                # The size is a listing's: a pack of another size than the bundle says is read for itself.
                if missing.get(pack.name) == pack.size:
                    with contextlib.suppress(IntegrityError):
                        index = parse_index(pack.name, pack.size, pack.tail, repository.sealer)
                        repository.index.add_pack(pack.name, pack.size, index)
                        del missing[pack.name]
                known.append(pack.name)
            remote.memory.set_marks(known, bundles.BUNDLED)
    for number, (name, found) in enumerate(each(sorted(missing), lambda name: _index(repository, name, missing))):
        progress(Progress("pull", "packs", number, len(missing)))
        if isinstance(found, CkptError):
            repository.damaged_packs[name] = found
        else:
            repository.index.add_pack(name, missing[name], found)


def _index(repository: Repository, name: str, sizes: dict[str, int]) -> list[Stored] | CkptError:
    try:
        return repository.reader.index(name, sizes[name])
    except (IntegrityError, FormatError) as error:
        return error
