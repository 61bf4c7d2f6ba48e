"""From a source to a committed checkpoint: open a cut, store what is new, commit the manifest."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from maos_ckpt.audit.log import AuditLog
from maos_ckpt.capture import referrers
from maos_ckpt.capture.known_changes import KnownChanges
from maos_ckpt.capture.memo import Memo, kept_directory, load_memo, store_memo
from maos_ckpt.capture.records import OutOfOrderError, encode_records, read_records
from maos_ckpt.codec.measures import StoredMeasures, pack_measures
from maos_ckpt.codec.policy import CodecSettings
from maos_ckpt.errors import UNREADABLE, SourceError
from maos_ckpt.ids import new_checkpoint_id
from maos_ckpt.model import Checkpoint, CheckpointState, Descriptor, MissingPart, Progress, Trigger
from maos_ckpt.repository.chunk_writer import ChunkWriter
from maos_ckpt.repository.descriptors import encode_descriptors
from maos_ckpt.repository.leaf_editor import LeafEditor
from maos_ckpt.repository.manifests import (
    Manifest,
    ManifestCollection,
    ManifestMissing,
    derived,
    listed,
    state_digest,
)
from maos_ckpt.repository.packs import SealedPack
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import LOCK_BUDGET_S, Cut, KeyRange, Source
from maos_ckpt.sources.sqlite import kept_image
from maos_ckpt.sources.sqlite.live import Held
from maos_ckpt.tree.builder import Root, build
from maos_ckpt.tree.cursor import Predecessors
from maos_ckpt.tree.edit import Replacement, edit
from maos_ckpt.tree.sink import Pending

ProgressSink = Callable[[Progress], None]
#: Longest description kept, in characters.
DESCRIPTION_CHARACTERS_MAX = 2000
TAGS_MAX = 50
#: From this size of state on, chunks are stored by a process beside the one that reads.
BESIDE_BYTES_MIN = 48 << 20
#: From this size of all changed pages on, a process beside edits a part of the leaves.
EDITOR_BYTES_MIN = 12 << 20
#: How much of a known state is expected to be new in a save: one part in so many.
_NEW_SHARE = 20
#: Where only the changed part is read, each of its bytes makes some leaf of this many be stored again.
_LEAVES_PER_PAGES = 8
#: Progress is reported at most this often.
_REPORT_S = 0.1


@dataclass(frozen=True, slots=True)
class SaveRequest:
    """What a save is asked to do."""

    trigger: Trigger
    description: str = ""
    tags: Sequence[str] = ()
    pinned: bool = False
    codec: CodecSettings = field(default_factory=CodecSettings)
    #: Whether a part that cannot be captured may be left out.
    partial: bool = True


def save_checkpoint(
    repository: Repository,
    source: Source,
    request: SaveRequest,
    progress: ProgressSink,
    seams: Seams,
    held: Held | None = None,
    known: KnownChanges | None = None,
) -> Checkpoint:
    """Take one checkpoint; the caller holds the repository's lease.

    Args:
        held: see `Source.open_cut`.
        known: filled with what the new checkpoint changed in its parent's trees.

    Raises:
        SourceError: the source cannot be read now.
        StorageError: the repository cannot be written.
    """
    # A remote side that hangs must not keep a save from its commit.
    with contextlib.nullcontext() if repository.remote is None else repository.remote.hurried():
        return _save_checkpoint(repository, source, request, progress, seams, held, known)


def _save_checkpoint(
    repository: Repository,
    source: Source,
    request: SaveRequest,
    progress: ProgressSink,
    seams: Seams,
    held: Held | None,
    known: KnownChanges | None,
) -> Checkpoint:
    started_s = seams.clock.monotonic_s()
    save = _Save(repository, source, request, progress, seams, known)
    parent, memo = save.parent, save.memo
    token = source.token()
    if token and parent is not None and memo is not None and memo.token == token:
        return save.commit_unchanged(parent, started_s)
    kept_image.make_room(kept_directory(repository), source.bytes_hint())
    directory = repository.backend.make_cut_directory()
    try:
        progress(Progress("save", "cut"))
        with contextlib.closing(source.open_cut(directory, held)) as cut:
            if cut.missing and not request.partial:
                raise _partial(cut.missing)
            with contextlib.ExitStack() as opened:
                checkpoint = save.store(cut, save.open_writer(cut, opened), started_s)
            # The token is older than the cut: a change in between makes the next save look again.
            memo_of_cut = cut.keep(kept_directory(repository))
            store_memo(repository, Memo(checkpoint.id, token, memo_of_cut, save.measures))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return checkpoint


def _partial(missing: Sequence[MissingPart]) -> SourceError:
    return SourceError(
        f"{missing[0].path} cannot be captured: {missing[0].reason}.",
        kept="Every checkpoint committed before is untouched; none was taken without it.",
        hint='Mend the provider, or set barrier.partial = "allow" to have the rest.',
        missing=[one.path for one in missing],
    )


class _Save:
    """One save under way."""

    def __init__(
        self,
        repository: Repository,
        source: Source,
        request: SaveRequest,
        progress: ProgressSink,
        seams: Seams,
        known: KnownChanges | None,
    ) -> None:
        self.known = known
        self.repository = repository
        self.source = source
        self.request = request
        self.seams = seams
        self.parent = repository.latest()
        memo = load_memo(repository)
        # Nothing may be taken over unread of a damaged parent: a save that reads everything stores again what is lost.
        whole = self.parent is not None and self.parent.state is not CheckpointState.DAMAGED
        self.memo = memo if memo and self.parent and memo.checkpoint == self.parent.id and whole else None
        self.measures: StoredMeasures = memo.measures if memo else {}
        self.reader = _Reader(progress, seams, self.parent.records if self.parent else 0)
        self.kept_referrers = self.parent.referrers if self.parent and whole else None
        self.referrers = derived(self.kept_referrers)
        self.waiting = referrers.prepared(repository)
        #: Edits a part of the changed leaves, where there are many.
        self.editor: LeafEditor | None = None

    def open_writer(self, cut: Cut, opened: contextlib.ExitStack) -> ChunkWriter:
        """Where new chunks go; with a process beside this one where many are to be looked at. `opened` closes all."""
        request, repository = self.request, self.repository
        read_bytes = max(self.source.bytes_hint(), self.parent.logical_bytes if self.parent else 0)
        # After the first save of a state little of it is new each time; before it, everything is.
        expected_bytes = read_bytes if self.parent is None else read_bytes // _NEW_SHARE
        changed = None if self.memo is None else cut.changed_bytes(self.memo.source, kept_directory(repository))
        if changed is None:
            beside = read_bytes >= BESIDE_BYTES_MIN
            writer = repository.writer(request.codec, self.measures, expected_bytes, beside=beside)
            return opened.enter_context(contextlib.closing(writer))
        local = repository.local_writer(request.codec, self.measures, min(expected_bytes, changed * _LEAVES_PER_PAGES))
        opened.enter_context(contextlib.closing(local))
        if changed >= EDITOR_BYTES_MIN:
            self.editor = opened.enter_context(contextlib.closing(repository.leaf_editor(request.codec, local)))
        return local

    def store(self, cut: Cut, writer: ChunkWriter, started_s: float) -> Checkpoint:
        """Store a cut's collections and commit them."""
        descriptors = cut.descriptors()
        known = self._known_descriptors()
        collections = []
        for descriptor in descriptors:
            unchanged_shape = known.get((descriptor.component, descriptor.name)) == descriptor
            root = self._store_collection(cut, descriptor, writer, reuse=unchanged_shape)
            collections.append(
                ManifestCollection(descriptor.component, descriptor.name, root.id or b"", root.count, root.bytes)
            )
        described = writer.put(encode_descriptors(descriptors), "descriptors").result()
        self.reader.report("store")
        self._store_referrers(writer)
        sealed = writer.seal()
        self.measures = pack_measures(writer.measures())
        self.repository.check_packs_present()
        notes = list(cut.notes)
        if cut.lock_s > LOCK_BUDGET_S:
            notes.append(f"the source was locked for {cut.lock_s:.2f} s, longer than {LOCK_BUDGET_S} s")
        return self._commit(collections, described, sealed, started_s, cut, notes)

    def _store_referrers(self, writer: ChunkWriter) -> None:
        if self.waiting is not None:
            self.referrers = self.waiting.store(self.repository, writer, self.kept_referrers) or self.referrers

    def _known_descriptors(self) -> dict[tuple[str, str], Descriptor]:
        if self.parent is None:
            return {}
        try:
            return self.repository.descriptors(self.parent)
        except UNREADABLE:
            # A damaged parent, or one that only a remote copy holds which is away, must not fail a new save: the source
            # is read and stored in full.
            return {}

    def _store_collection(self, cut: Cut, descriptor: Descriptor, writer: ChunkWriter, *, reuse: bool) -> Root:
        label = descriptor.path
        root = self._previous_root(descriptor)
        if reuse and self.memo is not None:
            ranges = cut.changed_ranges(descriptor, self.memo.source, kept_directory(self.repository))
            if ranges is not None:
                # A damaged old tree cannot be edited, and a damaged index not counted; then the collection is read and
                # stored in full.
                with contextlib.suppress(*UNREADABLE):
                    unchanged = not ranges
                    edited = self._edit(root, ranges, descriptor, writer)
                    if unchanged or cut.count(descriptor) in (None, edited.count):
                        return edited
        if self.known is not None:
            self.known.forget((descriptor.component, descriptor.name))
        previous = None
        if root is not None:
            with contextlib.suppress(*UNREADABLE):
                previous = Predecessors(self.repository.chunks, root)

        def put(plain: bytes) -> Pending:
            return writer.put(plain, label)

        self.reader.detail = descriptor.path
        for sort in (False, True):
            try:
                batches = read_records(cut, descriptor, put, self.reader.tick, sort=sort)
                return build(batches, writer, label, previous)
            except OutOfOrderError:
                continue
        raise AssertionError("read_records(sort=True) raises SourceError instead")

    def _edit(self, root: bytes | None, ranges: list[KeyRange], descriptor: Descriptor, writer: ChunkWriter) -> Root:
        label = descriptor.path
        replacements = []
        ranges.reverse()
        while ranges:
            # Taken out one by one: many rows are not held as values and encoded at the same time.
            one = ranges.pop()
            keys, values = encode_records(descriptor, list(one.rows), lambda plain: writer.put(plain, label))
            self.reader.tick(len(keys), sum(map(len, values)))
            replacements.append(Replacement(one.low, one.high, keys, values))
        note = None
        if self.known is not None:
            name = descriptor.component, descriptor.name
            self.known.begin(name, root)
            note = partial(self.known.note, name)
        return edit(root, replacements, self.repository.chunks, writer, label, note, self.editor)

    def _previous_root(self, descriptor: Descriptor) -> bytes | None:
        if self.parent is None:
            return None
        for one in self.parent.collections:
            if (one.component, one.name) == (descriptor.component, descriptor.name):
                return one.root
        return None

    def commit_unchanged(self, parent: Checkpoint, started_s: float) -> Checkpoint:
        """Commit the parent's state again, unread."""
        collections = [listed(one) for one in parent.collections]
        memo = self.memo
        assert memo is not None
        sealed = SealedPack()
        if self.waiting is not None:
            with contextlib.closing(self.repository.local_writer(self.request.codec, memo.measures, 0)) as writer:
                self._store_referrers(writer)
                sealed = writer.seal()
        checkpoint = self._commit(collections, parent.descriptors, sealed, started_s, None, [])
        store_memo(self.repository, Memo(checkpoint.id, memo.token, memo.source, memo.measures))
        return checkpoint

    def _commit(
        self,
        collections: list[ManifestCollection],
        descriptors: bytes,
        sealed: SealedPack,
        started_s: float,
        cut: Cut | None,
        notes: list[str],
    ) -> Checkpoint:
        """`cut` None: nothing had changed, and the source was not read."""
        self.reader.report("commit")
        request, parent = self.request, self.parent
        manifest = Manifest(
            id=new_checkpoint_id(self.seams),
            seq=self.repository.next_seq(),
            parent=parent.id if parent else "",
            created_at_ms=self.seams.clock.now_ms(),
            description=request.description[:DESCRIPTION_CHARACTERS_MAX],
            tags=list(dict.fromkeys(request.tags))[:TAGS_MAX],
            trigger=request.trigger.value,
            source=self.source.spec,
            descriptors=descriptors,
            collections=collections,
            digest=state_digest(collections),
            stored_bytes=sealed.size,
            duration_s=round(self.seams.clock.monotonic_s() - started_s, 4),
            lock_s=round(cut.lock_s, 4) if cut else 0.0,
            skew_s=round(cut.skew_s, 4) if cut else 0.0,
            unchanged=cut is None,
            notes=notes,
            repository=self.repository.header.id,
            pinned=request.pinned,
            pack=sealed.digest,
            referrers=self.referrers,
            audit=AuditLog(self.repository.path, self.seams).anchor(),
            held=cut is not None and cut.pause.held,
            pause_s=round(cut.pause.pause_s, 4) if cut else 0.0,
            missing=[ManifestMissing(one.component, one.collection, one.reason) for one in cut.missing] if cut else [],
        )
        checkpoint = self.repository.commit(manifest)
        if self.waiting is not None:
            self.waiting.drop()
        return checkpoint


class _Reader:
    """Counts what is read and reports it now and then."""

    def __init__(self, progress: ProgressSink, seams: Seams, expected: int) -> None:
        self._progress = progress
        self._clock = seams.clock
        self._expected = expected
        self._records = 0
        self._bytes = 0
        self._reported_s = 0.0
        self.detail = ""

    def tick(self, records: int, size: int) -> None:
        """More was read."""
        self._records += records
        self._bytes += size
        now_s = self._clock.monotonic_s()
        if now_s - self._reported_s >= _REPORT_S:
            self._reported_s = now_s
            self.report("read")

    def report(self, phase: str) -> None:
        """Tell the sink where the save is."""
        total = max(self._expected, self._records)
        self._progress(Progress("save", phase, self._records, total, self._bytes, self.detail))
