"""The repository: checkpoints committed, found, marked and removed.

Invariants, in the order they are kept (FORMAT.md, "Write ordering"): a pack is durable before a manifest names its
chunks; a manifest is created once and never overwritten; a manifest is gone before any of its chunks may go. Whoever
writes holds the lease; readers need none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path

from maos_ckpt.backends.local import TEMPORARY, LocalBackend
from maos_ckpt.codec.measures import StoredMeasures, unpack_measures
from maos_ckpt.codec.policy import CodecPolicy, CodecSettings
from maos_ckpt.errors import (
    CkptError,
    ConflictError,
    ForeignRepositoryError,
    FormatError,
    IntegrityError,
    NotFoundError,
    PermissionRefusedError,
    StorageError,
    UsageError,
)
from maos_ckpt.ids import resolve
from maos_ckpt.model import Checkpoint, CheckpointState, Descriptor
from maos_ckpt.repository import header as headers
from maos_ckpt.repository.beside import Job, ProcessChunkWriter
from maos_ckpt.repository.chunks import ChunkStore, ChunkWriter, LocalChunkWriter
from maos_ckpt.repository.descriptors import decode_descriptors
from maos_ckpt.repository.index import ChunkIndex
from maos_ckpt.repository.lease import lease
from maos_ckpt.repository.manifests import (
    MANIFEST_BYTES_MAX,
    Manifest,
    decode_manifest,
    encode_manifest,
    manifest_name,
    to_checkpoint,
)
from maos_ckpt.repository.marks import DIRECTORY, MarkStore
from maos_ckpt.repository.packs import PackReader, PackWriter
from maos_ckpt.seams import Seams

_LOG = logging.getLogger(__name__)
#: How long an operation waits for another one to end before it reports a conflict.
LEASE_WAIT_S = 30.0
#: What a repository is nothing without, …
_VITAL = ["packs", "manifests"]
#: … and what it can do without. A lost `marks` is made anew by `_restore_marks`, not here: empty, it would unpin all.
_DIRECTORIES = ["journal", "recovery", "cache", TEMPORARY]


class Repository:
    """An open repository. One instance may be used by several threads of one process; `close` it."""

    def __init__(self, path: Path, seams: Seams, *, read_only: bool) -> None:
        self.path = path
        self.seams = seams
        self.read_only = read_only
        self.backend = LocalBackend(path, seams)
        self.header = headers.read_header(self.backend)
        self.reader = PackReader(self.backend)
        cache = path / "cache"
        self.index = ChunkIndex(cache / "chunks.sqlite" if cache.is_dir() and not read_only else None)
        self.chunks = ChunkStore(self.index, self.reader, self.synchronise)
        self._marks = MarkStore(self.backend)
        self._manifests: dict[str, Checkpoint] = {}
        self._resolved: dict[str, int] = {}
        self.damaged_packs: dict[str, CkptError] = {}
        self.synchronise()

    @classmethod
    def open(cls, path: Path, seams: Seams, *, read_only: bool = False) -> Repository:
        """Open an existing repository.

        Raises:
            NotFoundError: there is none.
            FormatError: of an unknown version.
            IntegrityError: its header is damaged, or objects it must have are gone.
        """
        backend = LocalBackend(path, seams)
        headers.read_header(backend)
        missing = backend.missing(_VITAL)
        if missing:
            raise IntegrityError(
                f"The repository at {path} is half deleted; gone: {', '.join(missing)}.",
                kept="What is left was not touched.",
                hint="Bring back what is missing from a copy, or name another repository with --repo.",
                missing=missing,
            )
        if not read_only:
            backend.make_directories(_DIRECTORIES)
        return cls(path, seams, read_only=read_only)

    @classmethod
    def open_or_create(cls, path: Path, source: str, seams: Seams) -> Repository:
        """Open the repository of `source`, or make it.

        Raises:
            ForeignRepositoryError: the repository there belongs to another source.
            UsageError: the path is something else.
        """
        try:
            repository = cls.open(path, seams)
        except NotFoundError:
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise UsageError(
                    f"{path} is neither a repository nor an empty folder.",
                    kept="Nothing was changed.",
                    hint="Name another place with --repo.",
                ) from None
            backend = LocalBackend(path, seams)
            backend.make_directories([*_VITAL, DIRECTORY, *_DIRECTORIES])
            headers.create_header(backend, source, seams)
            repository = cls.open(path, seams)
        repository.check_source(source)
        return repository

    @property
    def source_spec(self) -> str:
        """The spec of the source whose state this repository holds."""
        return self.header.source

    def check_source(self, source: str) -> None:
        """Raise `ForeignRepositoryError` where this repository belongs to another source."""
        if self.header.source != source:
            raise ForeignRepositoryError(
                f"The repository at {self.path} belongs to {self.header.source}, not to {source}.",
                kept="Nothing was changed.",
                hint="Name the right source with --source, or another repository with --repo.",
                owner=self.header.source,
                source=source,
            )

    def synchronise(self) -> None:
        """Bring the chunk index up to date with the packs that are there."""
        there = self.backend.list("packs")
        known = self.index.packs()
        for name in known.keys() - there.keys():
            self.index.remove_pack(name)
            self.reader.forget(name)
        for name in sorted(there.keys() - known.keys()):
            try:
                self.index.add_pack(name, there[name], self.reader.index(name))
            except (IntegrityError, FormatError) as error:
                # One unreadable pack must not keep the rest from being used; what it held shows as missing.
                self.damaged_packs[name] = error

    @contextlib.contextmanager
    def lease(self, operation: str, wait_s: float = LEASE_WAIT_S) -> Iterator[None]:
        """Be the only writer for the length of the block.

        Raises:
            LeaseHeldError: another process is, for longer than `wait_s`.
            UsageError: the repository was opened read-only.
        """
        if self.read_only:
            raise UsageError(f"{operation} is not possible with --read-only.", kept="Nothing was changed.")
        with lease(self.path / "lease", operation, wait_s, self.seams):
            self.backend.sweep()
            self.synchronise()
            self._restore_marks()
            yield

    def _restore_marks(self) -> None:
        """Make a lost `marks` folder anew. Which checkpoints were pinned is not known any more, so all of them are."""
        if self._marks.lost:
            checkpoints = self.checkpoints()
            self._marks.make_anew(checkpoints)
            _LOG.warning(
                "The folder %s was gone: it was made anew, and all %d checkpoints are pinned, since which ones were "
                "is not known any more. `maos-ckpt unpin` gives them back to retention.",
                self.path / DIRECTORY,
                len(checkpoints),
            )

    # Checkpoints

    def checkpoints(self) -> list[Checkpoint]:
        """All committed checkpoints, newest first; those whose manifest is damaged are left to `damaged_manifests`."""
        return [one for one, _ in self._read_manifests() if one is not None]

    def damaged_manifests(self) -> dict[str, str]:
        """Manifests that cannot be read: object name → what is wrong."""
        return {str(why.data["object"]): str(why) for _, why in self._read_manifests() if why is not None}

    def _read_manifests(self) -> Iterator[tuple[Checkpoint | None, CkptError | None]]:
        names = sorted(self.backend.list("manifests"), reverse=True)
        marked = self._marks.names()
        cached = {name: self._manifests[name] for name in names if name in self._manifests}
        self._manifests = cached
        for name in names:
            try:
                if name not in cached:
                    manifest = decode_manifest(self.backend.read(name, MANIFEST_BYTES_MAX), name)
                    if manifest.repository != self.header.id:
                        raise IntegrityError(f"The manifest {name} is of another repository.", object=name)
                    cached[name] = to_checkpoint(manifest)
                checkpoint = cached[name]
            except (IntegrityError, FormatError) as error:
                error.data.setdefault("object", name)
                yield None, error
                continue
            yield self._marks.apply(checkpoint, marked), None

    def resolve(self, name: str) -> Checkpoint:
        """The checkpoint that `name` means: an id, a unique part of one, `latest`, `latest~N`.

        Where `latest` passes over manifests that cannot be read, a warning says so.
        """
        checkpoints = self.checkpoints()
        wanted = resolve(name, [one.id for one in checkpoints])
        found = next(one for one in checkpoints if one.id == wanted)
        self._resolved[found.id] = found.seq
        if name.startswith("latest"):
            self._tell_of_hidden(name, found)
        return found

    def _tell_of_hidden(self, name: str, found: Checkpoint) -> None:
        hidden = [one for one in self.damaged_manifests() if one > manifest_name(found.seq)]
        if hidden:
            _LOG.warning(
                "%s cannot be read, so `%s` is %s; `maos-ckpt verify --all` says what is wrong.",
                " and ".join(hidden),
                name,
                found.id,
            )

    @property
    def marks_lost(self) -> bool:
        """Whether the folder of marks is gone, so that all checkpoints count as pinned until a writer makes it anew."""
        return self._marks.lost

    def removed_meanwhile(self) -> list[str]:
        """Ids that were resolved here and whose checkpoints another process has removed since."""
        there = self.backend.list("manifests")
        return [one for one, seq in self._resolved.items() if manifest_name(seq) not in there]

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint."""
        return next((one for one, _ in self._read_manifests() if one is not None), None)

    def descriptors(self, checkpoint: Checkpoint) -> dict[tuple[str, str], Descriptor]:
        """How to read a checkpoint's collections, by (component, name)."""
        return {(one.component, one.name): one for one in decode_descriptors(self.chunks.get(checkpoint.descriptors))}

    # Writing; the caller holds the lease

    def writer(
        self, settings: CodecSettings, measures: StoredMeasures, expected_bytes: int, *, beside: bool = False
    ) -> ChunkWriter:
        """A session that stores chunks into one new pack.

        Args:
            settings, measures, expected_bytes: what the choice of codecs goes by.
            beside: store in a process beside this one; worth its start where hundreds of megabytes are read.
        """
        if beside:
            return ProcessChunkWriter(Job(str(self.path), settings, measures, expected_bytes))
        policy = CodecPolicy(settings, self.seams.clock, expected_bytes, unpack_measures(measures))
        return LocalChunkWriter(self.chunks, self.index, PackWriter(self.backend, self.seams.fs), policy)

    def check_packs_present(self) -> None:
        """Look once more, just before a commit, that no pack vanished on which the new checkpoint counts.

        Raises:
            ConflictError: one did.
        """
        gone = self.index.packs().keys() - self.backend.list("packs").keys()
        if gone:
            raise ConflictError(
                f"{len(gone)} packs were removed from the repository while it was being saved to.",
                kept="No checkpoint was committed on top of them.",
                hint="Run `maos-ckpt verify --all`, then save again.",
                gone=sorted(gone)[:5],
            )

    def next_seq(self) -> int:
        """The sequence number of the next checkpoint: one above the highest ever given."""
        names = self.backend.list("manifests")
        highest = max((int(name.rpartition("/")[2]) for name in names), default=0)
        return max(highest, self._marks.sequence_floor()) + 1

    def commit(self, manifest: Manifest) -> Checkpoint:
        """Create the manifest: the commit point.

        Raises:
            ConflictError: somebody else owns this sequence number.
        """
        with _working_on(manifest.id):
            created = self.backend.create(manifest_name(manifest.seq), encode_manifest(manifest))
        if not created:
            raise ConflictError(
                "Another process committed a checkpoint at the same moment.",
                kept="Both its checkpoint and all earlier ones are safe.",
                hint="Save again.",
            )
        return to_checkpoint(manifest)

    def set_marks(
        self,
        checkpoint: Checkpoint,
        *,
        pinned: bool | None = None,
        tags: list[str] | None = None,
        damaged: bool | None = None,
    ) -> Checkpoint:
        """Change a checkpoint's pin, tags or damaged mark; None leaves as it is."""
        is_damaged = checkpoint.state is CheckpointState.DAMAGED if damaged is None else damaged
        changed = dataclasses.replace(
            checkpoint,
            tags=checkpoint.tags if tags is None else tuple(tags),
            pinned=checkpoint.pinned if pinned is None else pinned,
            state=CheckpointState.DAMAGED if is_damaged else CheckpointState.COMMITTED,
        )
        with _working_on(checkpoint.id):
            self._restore_marks()
            self._marks.store(changed)
        return changed

    def remove(self, checkpoint: Checkpoint) -> None:
        """Delete a checkpoint's manifest, then its marks; its chunks stay until a prune."""
        name = manifest_name(checkpoint.seq)
        with _working_on(checkpoint.id):
            if name == max(self.backend.list("manifests"), default=name):
                # A number is never given twice, even when the newest checkpoint goes: readers cache by it. Older ones
                # go without a write, so that a prune works on a full disk.
                self._marks.raise_sequence_floor(checkpoint.seq)
            self.backend.delete(name)
            self._manifests.pop(name, None)
            self._marks.forget(checkpoint)

    def drop_pack(self, name: str) -> None:
        """Delete a pack: first from the index, so that no save can count on it, then from the disk."""
        self.index.remove_pack(name)
        self.reader.forget(name)
        self.backend.delete(name)

    def stored_bytes(self) -> int:
        """Bytes that packs and manifests take."""
        return sum(self.backend.list("packs").values()) + sum(self.backend.list("manifests").values())

    def close(self) -> None:
        """Close files; committed state needs nothing more."""
        self.reader.close()
        self.index.close()


@contextlib.contextmanager
def _working_on(checkpoint_id: str) -> Iterator[None]:
    """Let a failure of the storage say which checkpoint was in work."""
    try:
        yield
    except (StorageError, PermissionRefusedError) as error:
        error.message = f"{error.message.removesuffix('.')} (at work on {checkpoint_id})."
        error.args = (error.message,)
        error.data["checkpoint"] = checkpoint_id
        raise
