"""States that can be compared: a stored checkpoint, or the live source read through a cut.

Both give, per collection, a stream of items in key order (`tree.diff`) and the chunks behind large values.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Protocol

from maos_ckpt.capture.known_changes import KnownChanges
from maos_ckpt.capture.memo import load_memo
from maos_ckpt.capture.records import OutOfOrderError, read_records
from maos_ckpt.errors import IntegrityError
from maos_ckpt.model import Checkpoint, CheckpointState, CollectionKind, Descriptor, MissingPart, Progress
from maos_ckpt.repository.chunks import ChunkStore
from maos_ckpt.repository.repository import Repository
from maos_ckpt.sources.base import Cut, Source
from maos_ckpt.sources.sqlite.live import Held
from maos_ckpt.tree.cutter import OpenLeaf, cut_leaves
from maos_ckpt.tree.diff import LeafStream, RecordDifference, StoredStream, Stream, differences
from maos_ckpt.tree.sink import Done, Pending

ProgressSink = Callable[[Progress], None]
CollectionName = tuple[str, str]
LIVE = "live"


class State(Protocol):
    """One side of a comparison."""

    @property
    def name(self) -> str:
        """A checkpoint's id, or `live`."""
        ...

    def descriptors(self) -> dict[CollectionName, Descriptor]:
        """The collections and how to read them."""
        ...

    def stream(self, collection: CollectionName) -> Stream:
        """A collection's items; an empty stream where this state has no such collection."""
        ...

    def get(self, chunk: bytes) -> bytes:
        """The plain bytes of a chunk that records of this state refer to."""
        ...

    @property
    def missing(self) -> tuple[MissingPart, ...]:
        """What could not be captured of it."""
        ...


class StoredState:
    """A checkpoint."""

    def __init__(self, repository: Repository, checkpoint: Checkpoint, name: str = "") -> None:
        self.checkpoint = checkpoint
        self._repository = repository
        self._name = name or checkpoint.id
        self._roots = {(one.component, one.name): one.root for one in checkpoint.collections}

    @property
    def name(self) -> str:
        """See `State.name`."""
        return self._name

    def descriptors(self) -> dict[CollectionName, Descriptor]:
        """See `State.descriptors`."""
        return self._repository.descriptors(self.checkpoint)

    @property
    def missing(self) -> tuple[MissingPart, ...]:
        """See `State.missing`."""
        return self.checkpoint.capture.missing

    @property
    def chunks(self) -> ChunkStore:
        """Where this state's nodes are."""
        return self._repository.chunks

    def root(self, collection: CollectionName) -> bytes | None:
        """The collection's root, None where it is empty or unknown."""
        return self._roots.get(collection)

    def stream(self, collection: CollectionName) -> Stream:
        """See `State.stream`."""
        return StoredStream(self._repository.chunks, self._roots.get(collection))

    def get(self, chunk: bytes) -> bytes:
        """See `State.get`."""
        return self._repository.chunks.get(chunk)


class SavedState(StoredState):
    """A checkpoint that was saved a moment ago, of which it may be known what it changed in its parent."""

    def __init__(self, repository: Repository, checkpoint: Checkpoint, name: str, known: KnownChanges) -> None:
        super().__init__(repository, checkpoint, name)
        self.known = known


def differing(before: State, after: State, collection: CollectionName) -> Iterator[RecordDifference]:
    """The records of a collection that differ, in key order: as they are known, or by comparing both trees."""
    if isinstance(before, SavedState) and isinstance(after, StoredState):
        known = before.known.since(collection, after.root(collection))
        if known is not None:
            yield from ((key, new, old) for key, old, new in known)
            return
    yield from differences(before.stream(collection), after.stream(collection))


class LiveState:
    """What a cut holds, hashed as a save would hash it, with nothing written to the repository."""

    def __init__(self, repository: Repository, cut: Cut, progress: ProgressSink, operation: str) -> None:
        self._repository = repository
        self._cut = cut
        self._progress = progress
        self._operation = operation
        self._pieces = _Pieces(repository.chunks.name)
        self._records = 0

    @property
    def name(self) -> str:
        """See `State.name`."""
        return LIVE

    @property
    def missing(self) -> tuple[MissingPart, ...]:
        """See `State.missing`."""
        return self._cut.missing

    def descriptors(self) -> dict[CollectionName, Descriptor]:
        """See `State.descriptors`."""
        return {(one.component, one.name): one for one in self._cut.descriptors()}

    def stream(self, collection: CollectionName) -> Stream:
        """See `State.stream`."""
        descriptor = self.descriptors().get(collection)
        if descriptor is None:
            return LeafStream(iter(()), self._repository.chunks.name)
        return LeafStream(self._leaves(descriptor), self._repository.chunks.name)

    def _leaves(self, descriptor: Descriptor) -> Iterator[OpenLeaf]:
        # Whether the source's order is the keys' order is known only at the end, so an unordered collection is
        # noticed before its first leaf is handed out: a first pass over the keys alone decides.
        sort = not self._in_order(descriptor)
        batches = read_records(self._cut, descriptor, self._pieces.put, self._tick, sort=sort)
        yield from cut_leaves(batches)

    def _in_order(self, descriptor: Descriptor) -> bool:
        if self._cut.ordered(descriptor):
            return True
        try:
            for _ in read_records(self._cut, descriptor, self._pieces.put, lambda records, size: None, sort=False):
                pass
        except OutOfOrderError:
            return False
        return True

    def _tick(self, records: int, size: int) -> None:
        self._records += records
        self._progress(Progress(self._operation, "read live state", self._records, 0, 0))

    def get(self, chunk: bytes) -> bytes:
        """See `State.get`."""
        found = self._pieces.get(chunk)
        return self._repository.chunks.get(chunk) if found is None else found

    def close(self) -> None:
        """Drop the pieces of large values."""
        self._pieces.close()


class _Pieces:
    """Pieces of large live values, in an anonymous file: they may be many and belong to no repository."""

    def __init__(self, name: Callable[[bytes], bytes]) -> None:
        self._name = name
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._places: dict[bytes, tuple[int, int]] = {}

    def put(self, plain: bytes) -> Pending:
        name = self._name(plain)
        if name not in self._places:
            self._places[name] = (self._file.seek(0, 2), len(plain))
            self._file.write(plain)
        return Done(name)

    def get(self, chunk: bytes) -> bytes | None:
        place = self._places.get(chunk)
        if place is None:
            return None
        self._file.seek(place[0])
        return self._file.read(place[1])

    def close(self) -> None:
        self._file.close()


@contextlib.contextmanager
def live_state(
    repository: Repository, source: Source, progress: ProgressSink, operation: str
) -> Iterator[StoredState | LiveState]:
    """The live state, read only where it cannot be told that the newest checkpoint already holds it."""
    memo, latest = load_memo(repository), repository.latest()
    token = source.token()
    sound = latest is not None and latest.state is not CheckpointState.DAMAGED
    if memo and latest and sound and token and memo.token == token and memo.checkpoint == latest.id:
        yield StoredState(repository, latest, LIVE)
        return
    with (
        open_cut(repository, source, progress, operation) as cut,
        contextlib.closing(LiveState(repository, cut, progress, operation)) as state,
    ):
        yield state


@contextlib.contextmanager
def open_cut(
    repository: Repository, source: Source, progress: ProgressSink, operation: str, held: Held | None = None
) -> Iterator[Cut]:
    """A cut of the live state, whose private files are gone after the block; `held` as in `Source.open_cut`."""
    directory = repository.backend.make_cut_directory()
    try:
        progress(Progress(operation, "cut"))
        with contextlib.closing(source.open_cut(directory, held)) as cut:
            yield cut
    finally:
        import shutil

        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def open_state(
    repository: Repository, source: Source | None, name: str, progress: ProgressSink, operation: str
) -> Iterator[StoredState | LiveState]:
    """The state that `name` means: `live`, or a checkpoint."""
    if name != LIVE:
        yield StoredState(repository, repository.resolve(name))
        return
    if source is None:
        raise IntegrityError("A live state needs a source.")
    with live_state(repository, source, progress, operation) as state:
        yield state


@dataclass(frozen=True, slots=True)
class CollectionPair:
    """A collection as both sides describe it; at least one does."""

    before: Descriptor | None
    after: Descriptor | None

    @property
    def either(self) -> Descriptor:
        """The later description, where there is one."""
        one = self.after or self.before
        assert one is not None
        return one

    @property
    def name(self) -> CollectionName:
        """(component, collection)."""
        return self.either.component, self.either.name


def collection_pairs(before: State, after: State) -> list[CollectionPair]:
    """All collections of both sides, in the order of the later one, then what only the earlier one has."""
    a, b = before.descriptors(), after.descriptors()
    names = dict.fromkeys([*b, *a])
    return [CollectionPair(a.get(name), b.get(name)) for name in names]


def unknown_side(pair: CollectionPair, before: State, after: State) -> str | None:
    """What to say of a collection of which one side knows nothing, as opposed to that it is empty there; else None.

    A provider that could be captured has a collection even where it holds nothing.
    """
    one = pair.after or pair.before
    if one is None or one.kind is not CollectionKind.OBJECTS or (pair.before is not None and pair.after is not None):
        return None
    state = before if pair.before is None else after
    for part in state.missing:
        if (part.component, part.collection) == pair.name:
            return f"could not be captured in {state.name} ({part.reason})"
    return f"is not part of {state.name}, which was taken without that provider"
