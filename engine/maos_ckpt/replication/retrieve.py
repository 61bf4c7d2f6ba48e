"""What checkpoints of this home count on is brought here before it goes from the remote copy.

A home that does not hold the lease saves on top of packs whose payloads lie in the remote copy alone, while the
holder's retention, which knows nothing of these checkpoints, may announce such packs as doomed. Until they are deleted,
a grace period later, their chunks can still be read: those that a checkpoint kept here needs are stored in a pack of
this home. What is gone already is lost: the checkpoints that need it are marked as damaged, so that the next save reads
everything anew and takes nothing over from them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from maos_ckpt.codec.compression import Codec, decompress
from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import Checkpoint, CheckpointState, Progress
from maos_ckpt.repository.needed import needed_chunks, needed_places
from maos_ckpt.repository.pack_writer import PackWriter
from maos_ckpt.repository.packs import Stored
from maos_ckpt.repository.replacing import seal_checked
from maos_ckpt.repository.repository import Repository

_LOG = logging.getLogger(__name__)
ProgressSink = Callable[[Progress], None]
#: Payload bytes and chunks that are held in memory, and become one pack, at a time.
_PORTION_BYTES_MAX = 32 << 20
_PORTION_CHUNKS_MAX = 1024
#: Checkpoints that a warning names.
_NAMED_MAX = 5


@dataclass(slots=True)
class _Portion:
    chunks: list[tuple[str, Stored]] = field(default_factory=list)
    bytes: int = 0

    @property
    def full(self) -> bool:
        return self.bytes >= _PORTION_BYTES_MAX or len(self.chunks) >= _PORTION_CHUNKS_MAX


def going(repository: Repository, staying: Collection[str]) -> set[str]:
    """Packs that the chunk index knows, that are not here, and that are not among those `staying` there."""
    return repository.index.packs().keys() - repository.backend.list("packs").keys() - set(staying)


def retrieve(
    repository: Repository, checkpoints: Sequence[Checkpoint], doomed: set[str], progress: ProgressSink, wait_s: float
) -> None:
    """Store what these checkpoints need of the doomed packs in packs of this home; asks the remote copy without the
    home's lease.

    Raises:
        UnavailableError, PermissionRefusedError: the remote copy cannot be read now; nothing may be given up yet.
        LeaseHeldError: the home is in use for longer than `wait_s`.
    """
    needed: set[bytes] = set()
    faults: list[IntegrityError] = []
    for one in checkpoints:
        needed_chunks(repository, one, needed, faults.append)
    places = needed_places(repository, needed, faults.append)
    wanted = [chunk for chunk, pack in places.items() if pack in doomed]
    lost: set[bytes] = set()
    done = 0
    for portion in _portions(repository, wanted):
        progress(Progress("pull", "retrieve", done, len(wanted)))
        payloads = _read(repository, portion, lost)
        with repository.lease("pull", wait_s):
            _store(repository, payloads)
        done += len(portion.chunks)
    if lost or faults:
        with repository.lease("pull", wait_s):
            _mark(repository, checkpoints, lost)


def _portions(repository: Repository, wanted: list[bytes]) -> Iterator[_Portion]:
    portion = _Portion()
    found = [place for chunk in wanted if (place := repository.index.find(chunk)) is not None]
    for pack, stored in sorted(found, key=lambda place: (place[0], place[1].offset)):
        portion.chunks.append((pack, stored))
        portion.bytes += stored.stored
        if portion.full:
            yield portion
            portion = _Portion()
    if portion.chunks:
        yield portion


def _read(repository: Repository, portion: _Portion, lost: set[bytes]) -> list[tuple[Stored, bytes]]:
    """Payloads of a portion, each shown to be what its name says; what cannot be had is added to `lost`."""
    repository.reader.ahead((pack, stored.offset, stored.stored) for pack, stored in portion.chunks)
    payloads = []
    for pack, stored in portion.chunks:
        try:
            payload = repository.reader.payload(pack, stored)
            base = repository.chunks.base(stored.base) if stored.codec == Codec.ZSTD_DELTA else None
            if repository.chunks.name(decompress(stored.codec, payload, stored.raw, base)) != stored.id:
                raise IntegrityError(f"a chunk in {pack} is damaged", object=pack)
            payloads.append((stored, payload))
        except IntegrityError:
            lost.add(stored.id)
    return payloads


def _store(repository: Repository, payloads: list[tuple[Stored, bytes]]) -> None:
    writer = PackWriter(repository.backend, repository.seams.fs, repository.sealer)
    try:
        for stored, payload in payloads:
            writer.add(stored.id, stored.codec, stored.raw, payload, stored.base)
        seal_checked(repository, writer)
    finally:
        writer.abandon()


def _mark(repository: Repository, checkpoints: Sequence[Checkpoint], lost: set[bytes]) -> None:
    damaged = [
        one for one in checkpoints if one.state is not CheckpointState.DAMAGED and _misses(repository, one, lost)
    ]
    for one in damaged:
        repository.set_marks(one, damaged=True)
    if damaged:
        named = ", ".join(one.id for one in damaged[:_NAMED_MAX])
        _LOG.warning(
            "%d checkpoints count on stored bytes that are gone from the remote copy, and are marked as damaged "
            "(%s%s); the next save stores everything anew.",
            len(damaged),
            named,
            ", …" if len(damaged) > _NAMED_MAX else "",
        )


def _misses(repository: Repository, checkpoint: Checkpoint, lost: set[bytes]) -> bool:
    needed: set[bytes] = set()
    faults: list[IntegrityError] = []
    needed_chunks(repository, checkpoint, needed, faults.append)
    places = needed_places(repository, needed, faults.append)
    return bool(faults or lost & places.keys())
