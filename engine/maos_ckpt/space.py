"""Space: which packs may leave the local disk, and which checkpoints must, for a repository to keep its bound."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from maos_ckpt.codec.compression import Codec
from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import Checkpoint, CheckpointState
from maos_ckpt.repository.manifests import manifest_name
from maos_ckpt.repository.needed import needed_chunks, needed_places, pending, refuse
from maos_ckpt.repository.repository import Repository

#: Room is made down to this share of the bound, so that not every save has to make room again.
ROOM_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Bound:
    """Bytes that the local repository should take at most; `evict` where packs of the remote copy may be dropped here
    (`storage.primary` is s3)."""

    bytes_max: int
    evict: bool


def evict(
    repository: Repository, checkpoints: Sequence[Checkpoint], wanted_bytes: int, *, dry_run: bool
) -> dict[str, int]:
    """Drop local packs that the remote copy holds, oldest first, until so many bytes are free; name → bytes.

    What the newest of the checkpoints (newest first) needs stays, so that its recovery and the next save ask nobody. So
    does what those need that the remote copy does not have: a machine that writes there may remove what only they need.

    Raises:
        IntegrityError: what the newest one needs cannot be read.
        UnavailableError, PermissionRefusedError: the remote copy cannot be asked whether it still has them.
    """
    if repository.remote is None:
        return {}
    remote = repository.remote_copy
    local = repository.backend.list("packs")
    kept = _packs_of(repository, [*checkpoints[:1], *pending(repository)])
    # A pack that no checkpoint names is what a prune made of old ones.
    order = {one.pack: one.seq for one in checkpoints}
    evicted: dict[str, int] = {}
    for name in sorted(local.keys() - kept, key=lambda name: (order.get(name, 0), name)):
        if sum(evicted.values()) >= wanted_bytes:
            break
        # What is remembered of the copy may be out of date, and here the last local one goes.
        if remote.memory.holds(name) and remote.uncached.size(name) == local[name]:
            if not dry_run:
                repository.evict_pack(name)
            evicted[name] = local[name]
    return evicted


def _packs_of(repository: Repository, checkpoints: Sequence[Checkpoint]) -> set[str]:
    needed: set[bytes] = set()
    for one in checkpoints:
        # One that is known to be damaged must not keep everything else here; the rest of what it needs stays.
        damage = _pass_over if one.state is CheckpointState.DAMAGED else refuse
        needed_chunks(repository, one, needed, damage)
    some_damaged = any(one.state is CheckpointState.DAMAGED for one in checkpoints)
    return set(needed_places(repository, needed, _pass_over if some_damaged else refuse).values())


def _pass_over(_: IntegrityError) -> None:
    """An `OnDamage` for checkpoints that are known to be damaged."""


def too_many(
    repository: Repository, checkpoints: Sequence[Checkpoint], yielding: Collection[str], bytes_max: int
) -> list[str]:
    """Ids of those yielding checkpoints, oldest first, without which the rest takes at most `bytes_max` local bytes.

    All of them where even that is not enough. What each one takes beyond the others is summed up from the newest to the
    oldest, so every chunk is looked at once.

    Args:
        checkpoints: newest first.

    Raises:
        IntegrityError: what a checkpoint needs cannot be read, so its size is not known.
    """
    weigher = _Weigher(repository)
    for one in checkpoints:
        if one.id not in yielding:
            weigher.add(one)
    going: list[str] = []
    for one in checkpoints:
        if one.id in yielding:
            if not going and weigher.bytes <= bytes_max:
                weigher.add(one)
            if going or weigher.bytes > bytes_max:
                going.append(one.id)
    return going[::-1]


class _Noting(set[bytes]):
    """A set that notes what is new to it."""

    def __init__(self) -> None:
        super().__init__()
        self._fresh: list[bytes] = []

    def add(self, one: bytes) -> None:
        if one not in self:
            self._fresh.append(one)
            super().add(one)

    def update(self, *others: Iterable[bytes]) -> None:
        for other in others:
            for one in other:
                self.add(one)

    def take_fresh(self) -> list[bytes]:
        """What came since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh


class _Weigher:
    """Sums up the local bytes that checkpoints take together."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._local = repository.backend.list("packs").keys()
        self._manifests = repository.backend.list("manifests")
        self._needed = _Noting()
        self._bases: set[bytes] = set()
        self.bytes = 0

    def add(self, checkpoint: Checkpoint) -> None:
        needed_chunks(self._repository, checkpoint, self._needed, refuse)
        self.bytes += self._manifests.get(manifest_name(checkpoint.seq), 0)
        for chunk in self._needed.take_fresh():
            if chunk not in self._bases:
                self._weigh(chunk)

    def _weigh(self, chunk: bytes) -> None:
        found = self._repository.index.find(chunk)
        if found is None:
            return
        self.bytes += found[1].stored if found[0] in self._local else 0
        if found[1].codec == Codec.ZSTD_DELTA:
            base = self._repository.index.find_base(found[1].base)
            if base is not None and base[1].id not in self._needed and base[1].id not in self._bases:
                self._bases.add(base[1].id)
                self.bytes += base[1].stored if base[0] in self._local else 0
