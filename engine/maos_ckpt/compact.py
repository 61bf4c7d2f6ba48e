"""Compaction: cold chunks compressed harder than a save has time for, and many small packs joined into one.

Cold is what none of the newest checkpoints added. Only chunks stored in full are compressed anew: a delta is as small
as it gets, and a chunk that deltas lean on must stay whole. A run ends after its slice of time; what it has done until
then counts, and the next one goes on. Every payload is decompressed and compared before it is kept, and the new pack is
durable and read back before an old one goes, so that a crash anywhere leaves bytes too many at worst.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from maos_ckpt.codec.compression import Codec, compress, decompress
from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.errors import UNREADABLE, IntegrityError
from maos_ckpt.fs import is_local
from maos_ckpt.model import CompactResult, Progress
from maos_ckpt.prune import PackUse, mark, pack_use
from maos_ckpt.repository.pack_writer import PackWriter
from maos_ckpt.repository.packs import Stored
from maos_ckpt.repository.replacing import seal_checked
from maos_ckpt.repository.repository import Repository

ProgressSink = Callable[[Progress], None]
#: Packs of so many newest checkpoints are left alone: what changes now changes again, and goes.
COLD_AFTER = 20
#: What is tried on a cold chunk, each with the share of the best so far that it must stay below: brotli reads slower.
CANDIDATES = ((Codec.ZSTD, 19, 1.0), (Codec.BROTLI, 11, 0.97))
#: Payload bytes that one run writes at most.
PACK_BYTES_MAX = 64 << 20
#: A run whose pack is not smaller than this share of what it replaces, and joins no packs, is dropped.
_SHARE_MAX = 0.97
#: Packs below this size are joined …
SMALL_BYTES = 1 << 20
#: … as soon as there are so many of them.
JOINED_MIN = 8
#: Names of packs that are as dense as they get; expendable.
_DONE = "cache/compacted.json"
_DONE_BYTES_MAX = 16 << 20


def compact(repository: Repository, slice_s: float, progress: ProgressSink = lambda _: None) -> CompactResult:
    """Compress cold packs for about `slice_s` seconds at most. The caller holds the lease.

    Nothing is done where something stored cannot be read: a verification is to find out about it first, and a remote
    copy that is away is back some day.

    Raises:
        StorageError: the home's storage refuses, as a full disk does; what is there is consistent.
    """
    clock = repository.seams.clock
    started_s = clock.monotonic_s()
    done = _read_done(repository)
    run = _Run(repository, done, progress, lambda: clock.monotonic_s() - started_s >= slice_s)
    cold = _cold(repository, done)
    if cold:
        try:
            needed = mark(repository, repository.checkpoints(), progress)
            for name, size in sorted(cold.items(), key=lambda item: (item[0] in done, item[1])):
                if run.full:
                    break
                run.take(pack_use(repository, name, size, needed))
            run.finish()
        except UNREADABLE as error:
            run.touched.clear()
            if is_local(error):
                raise
        finally:
            run.writer.abandon()
        _write_done(repository, done | run.touched)
    more = bool(run.touched - done) and bool(_cold(repository, done | run.touched))
    return CompactResult(run.replaced, run.bytes_before, run.bytes_after, more, clock.monotonic_s() - started_s)


def _cold(repository: Repository, done: set[str]) -> dict[str, int]:
    """Local packs with their sizes in bytes that are worth a look."""
    young = {one.pack for one in repository.checkpoints()[:COLD_AFTER]}
    old = {name: size for name, size in repository.backend.list("packs").items() if name not in young}
    small = {name: size for name, size in old.items() if size < SMALL_BYTES}
    large = {name: size for name, size in old.items() if size >= SMALL_BYTES and name not in done}
    # Small ones are joined also where each of them is as dense as it gets.
    return large | (small if len(small) >= JOINED_MIN else {})


@dataclass(slots=True)
class _Run:
    """One run. `dense` are packs of earlier runs; `touched` those that need no further look from now on: the one made,
    and those that gain nothing."""

    repository: Repository
    dense: set[str]
    progress: ProgressSink
    late: Callable[[], bool]
    writer: PackWriter = field(init=False)
    touched: set[str] = field(default_factory=set)
    replaced: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    _whole: list[PackUse] = field(default_factory=list)
    #: The pack of which only some chunks were carried over before the time was up.
    _part: str = ""
    _old_bytes: int = 0
    _new_bytes: int = 0

    def __post_init__(self) -> None:
        self.writer = PackWriter(self.repository.backend, self.repository.seams.fs, self.repository.sealer)

    @property
    def full(self) -> bool:
        """Whether this run is at its end."""
        return self._new_bytes >= PACK_BYTES_MAX or self.late()

    def take(self, use: PackUse) -> None:
        """Carry over what is needed of a pack, as far as the time goes."""
        for number, stored in enumerate(use.live):
            if self.full:
                self._part = use.name if number else ""
                return
            # Also where a run can be stopped from outside.
            self.progress(Progress("compact", "chunks", number, len(use.live), self._new_bytes, use.name))
            self._carry(use.name, stored)
        self._whole.append(use)

    def _carry(self, pack: str, stored: Stored) -> None:
        chunks = self.repository.chunks
        plain = chunks.decode(pack, stored)
        # A damaged chunk must not get a fresh checksum around it.
        if self.repository.chunks.name(plain) != stored.id:
            raise IntegrityError(f"a chunk in {pack} is damaged", object=pack)
        codec, payload = stored.codec, self.repository.reader.payload(pack, stored)
        if codec != Codec.ZSTD_DELTA and pack not in self.dense:
            codec, payload = densest(codec, payload, plain)
        self.writer.add(stored.id, codec, stored.raw, payload, stored.base)
        self._old_bytes += stored.stored
        self._new_bytes += len(payload)

    def finish(self) -> None:
        """Put the new pack in the place of the old ones, if that is worth it."""
        moved_bytes = self._old_bytes - sum(use.live_bytes for use in self._whole)
        before_bytes = sum(use.bytes for use in self._whole) + moved_bytes
        if self._new_bytes > before_bytes * _SHARE_MAX and len(self._whole) < 2:
            self.touched |= {use.name for use in self._whole} | {self._part} - {""}
            return
        sealed = seal_checked(self.repository, self.writer)
        if sealed.size:
            self.touched.add(sealed.name)
        for use in self._whole:
            if use.name != sealed.name:
                self.repository.drop_pack(use.name)
        self.replaced = len(self._whole)
        self.bytes_before, self.bytes_after = sum(use.bytes for use in self._whole), sealed.size


def densest(codec: int, payload: bytes, plain: bytes) -> tuple[int, bytes]:
    """The smallest form of a chunk, in the codec it has or in one of `CANDIDATES`; shown to give `plain` back."""
    for candidate, level, share in CANDIDATES:
        tried = compress(candidate, level, plain)
        if len(tried) < len(payload) * share and decompress(candidate, tried, len(plain)) == plain:
            codec, payload = candidate, tried
    return codec, payload


def _read_done(repository: Repository) -> set[str]:
    try:
        return set(msgspec.json.decode(repository.backend.read(_DONE, _DONE_BYTES_MAX), type=list[str]))
    except (IntegrityError, *UNDECODABLE):
        return set()


def _write_done(repository: Repository, done: set[str]) -> None:
    there = repository.backend.list("packs")
    repository.backend.create(_DONE, msgspec.json.encode(sorted(done & there.keys())), replace=True)
