"""The repository: checkpoints committed, found, marked and removed.

Invariants, in the order they are kept (FORMAT.md, "Write ordering"): a pack is durable before a manifest names its
chunks; a manifest is created once and never overwritten; a manifest is gone before any of its chunks may go. Whoever
writes holds the lease; readers need none.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import msgspec

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
    Marks,
    decode_manifest,
    encode_manifest,
    manifest_name,
    marks_name,
    to_checkpoint,
)
from maos_ckpt.repository.packs import PackReader, PackWriter
from maos_ckpt.seams import Seams

#: How long an operation waits for another one to end before it reports a conflict.
LEASE_WAIT_S = 30.0
_DIRECTORIES = ["packs", "manifests", "marks", "journal", "recovery", "cache", TEMPORARY]
_MARKS_BYTES_MAX = 1 << 20
#: Holds the highest sequence number among removed checkpoints.
_SEQUENCE = "marks/sequence.json"


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
        self.chunks = ChunkStore(self.index, self.reader)
        self._manifests: dict[str, Checkpoint] = {}
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
        missing = [name for name in ("packs", "manifests", "marks") if not (path / name).is_dir()]
        if missing:
            raise IntegrityError(
                f"The repository at {path} is half deleted: {' and '.join(missing)} are gone.",
                kept="What is left was not touched.",
                hint="Restore the missing folders from a copy, or name another repository with --repo.",
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
            backend.make_directories(_DIRECTORIES)
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
            yield

    # Checkpoints

    def checkpoints(self) -> list[Checkpoint]:
        """All committed checkpoints, newest first; those whose manifest is damaged are left to `damaged_manifests`."""
        return [one for one, _ in self._read_manifests() if one is not None]

    def damaged_manifests(self) -> dict[str, str]:
        """Manifests that cannot be read: object name → what is wrong."""
        return {str(why.data["object"]): str(why) for _, why in self._read_manifests() if why is not None}

    def _read_manifests(self) -> Iterator[tuple[Checkpoint | None, CkptError | None]]:
        names = sorted(self.backend.list("manifests"), reverse=True)
        marked = self.backend.list("marks")
        cached = {name: self._manifests[name] for name in names if name in self._manifests}
        self._manifests = cached
        for name in names:
            try:
                if name not in cached:
                    manifest = decode_manifest(self.backend.read(name, MANIFEST_BYTES_MAX), name)
                    if manifest.repository != self.header.id:
                        raise IntegrityError(f"The manifest {name} is of another repository.", object=name)
                    cached[name] = to_checkpoint(manifest, None)
                checkpoint = cached[name]
            except (IntegrityError, FormatError) as error:
                error.data.setdefault("object", name)
                yield None, error
                continue
            if marks_name(checkpoint.id) in marked:
                checkpoint = self._with_marks(checkpoint)
            yield checkpoint, None

    def _with_marks(self, checkpoint: Checkpoint) -> Checkpoint:
        marks = self._marks(checkpoint)
        state = CheckpointState.DAMAGED if marks.damaged else checkpoint.state
        return dataclasses.replace(checkpoint, tags=tuple(marks.tags), pinned=marks.pinned, state=state)

    def _marks(self, checkpoint: Checkpoint) -> Marks:
        try:
            return msgspec.json.decode(self.backend.read(marks_name(checkpoint.id), _MARKS_BYTES_MAX), type=Marks)
        except (IntegrityError, msgspec.DecodeError):
            # Without readable marks a checkpoint counts as pinned: a fault must never make retention bolder.
            return Marks(list(checkpoint.tags), True)

    def resolve(self, name: str) -> Checkpoint:
        """The checkpoint that `name` means: an id, a unique part of one, `latest`, `latest~N`."""
        checkpoints = self.checkpoints()
        wanted = resolve(name, [one.id for one in checkpoints])
        return next(one for one in checkpoints if one.id == wanted)

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
        return max(highest, self._sequence_floor()) + 1

    def _sequence_floor(self) -> int:
        try:
            floor = msgspec.json.decode(self.backend.read(_SEQUENCE, _MARKS_BYTES_MAX), type=int)
        except (IntegrityError, msgspec.DecodeError):
            return 0
        return floor

    def commit(self, manifest: Manifest) -> Checkpoint:
        """Create the manifest: the commit point.

        Raises:
            ConflictError: somebody else owns this sequence number.
        """
        name = manifest_name(manifest.seq)
        if not self.backend.create(name, encode_manifest(manifest)):
            raise ConflictError(
                "Another process committed a checkpoint at the same moment.",
                kept="Both its checkpoint and all earlier ones are safe.",
                hint="Save again.",
            )
        return to_checkpoint(manifest, None)

    def set_marks(
        self,
        checkpoint: Checkpoint,
        *,
        pinned: bool | None = None,
        tags: list[str] | None = None,
        damaged: bool | None = None,
    ) -> Checkpoint:
        """Change a checkpoint's pin, tags or damaged mark; None leaves as it is."""
        marks = Marks(
            list(checkpoint.tags) if tags is None else tags,
            checkpoint.pinned if pinned is None else pinned,
            (checkpoint.state is CheckpointState.DAMAGED) if damaged is None else damaged,
        )
        self.backend.create(marks_name(checkpoint.id), msgspec.json.encode(marks) + b"\n", replace=True)
        return self._with_marks(checkpoint)

    def remove(self, checkpoint: Checkpoint) -> None:
        """Delete a checkpoint's manifest, then its marks; its chunks stay until a prune."""
        name = manifest_name(checkpoint.seq)
        if checkpoint.seq > self._sequence_floor():
            # A number is never given twice, even when the newest checkpoint goes: readers cache by it.
            self.backend.create(_SEQUENCE, msgspec.json.encode(checkpoint.seq), replace=True)
        self.backend.delete(name)
        self._manifests.pop(name, None)
        self.backend.delete(marks_name(checkpoint.id))

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
