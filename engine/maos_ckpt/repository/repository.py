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

from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.codec.measures import StoredMeasures, unpack_measures
from maos_ckpt.codec.policy import CodecPolicy, CodecSettings
from maos_ckpt.codec.secret import Secret
from maos_ckpt.errors import (
    CkptError,
    ConflictError,
    FormatError,
    IntegrityError,
    MissingObjectError,
    NotFoundError,
    UsageError,
    working_on,
)
from maos_ckpt.ids import resolve
from maos_ckpt.model import Checkpoint, CheckpointState, Descriptor, Trigger
from maos_ckpt.repository import header as headers
from maos_ckpt.repository.beside import Job, ProcessChunkWriter
from maos_ckpt.repository.chunks import ChunkStore, ChunkWriter, LocalChunkWriter
from maos_ckpt.repository.connect import RemoteSettings, open_remote
from maos_ckpt.repository.creation import DIRECTORIES, VITAL, create, create_home
from maos_ckpt.repository.descriptors import decode_descriptors
from maos_ckpt.repository.index import ChunkIndex
from maos_ckpt.repository.keyring import open_sealer
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
from maos_ckpt.repository.ownership import check_source
from maos_ckpt.repository.packs import PackReader, PackWriter
from maos_ckpt.repository.remote import RemoteCopy
from maos_ckpt.seams import Seams

_LOG = logging.getLogger(__name__)
#: How long an operation waits for another one to end before it reports a conflict.
LEASE_WAIT_S = 30.0


class Repository:
    """An open repository. One instance may be used by several threads of one process; `close` it."""

    def __init__(
        self,
        path: Path,
        seams: Seams,
        *,
        read_only: bool,
        remote: RemoteSettings | None = None,
        key: Secret | None = None,
    ) -> None:
        self.path = path
        self.seams = seams
        self.read_only = read_only
        self.backend = LocalBackend(path, seams)
        self.header = headers.read_header(self.backend)
        self.sealer = open_sealer(self.backend, self.header.id, self.header.features, key, seams.random)
        self.remote = None if remote is None else open_remote(path, self.header.id, remote, self.sealer, seams)
        self._remote_settings = remote
        self.reader = PackReader(self.backend, self.sealer, self.remote)
        cache = path / "cache"
        self.index = ChunkIndex(cache / "chunks.sqlite" if cache.is_dir() and not read_only else None)
        self.chunks = ChunkStore(self.index, self.reader, self._find_more, self.sealer)
        self._marks = MarkStore(self.backend, self.sealer)
        self._manifests: dict[str, Checkpoint] = {}
        self._resolved: dict[str, int] = {}
        self.damaged_packs: dict[str, CkptError] = {}
        self.synchronise()

    @classmethod
    def open(
        cls,
        path: Path,
        seams: Seams,
        *,
        read_only: bool = False,
        remote: RemoteSettings | None = None,
        key: Secret | None = None,
    ) -> Repository:
        """Open an existing repository, with its remote copy where it has one; nothing is asked of that yet.

        Args:
            key: what opens an encrypted one; given, it must be encrypted (see `open_sealer`).

        Raises:
            NotFoundError: there is none.
            FormatError: of an unknown version.
            IntegrityError: its header is damaged, or objects it must have are gone; or it is in the clear, with a key.
            PermissionRefusedError: it is encrypted, and there is no key or another one.
        """
        backend = LocalBackend(path, seams)
        headers.read_header(backend)
        missing = backend.missing(VITAL)
        if missing:
            raise IntegrityError(
                f"The repository at {path} is half deleted; gone: {', '.join(missing)}.",
                kept="What is left was not touched.",
                hint="Bring back what is missing from a copy, or name another repository with --repo.",
                missing=missing,
            )
        if not read_only:
            backend.make_directories(DIRECTORIES)
        return cls(path, seams, read_only=read_only, remote=remote, key=key)

    @classmethod
    def open_or_create(
        cls, path: Path, source: str, seams: Seams, *, remote: RemoteSettings | None = None, key: Secret | None = None
    ) -> Repository:
        """Open the repository of `source`, or make it: encrypted where there is a key.

        Raises:
            ForeignRepositoryError: the repository there belongs to another source.
            UsageError: the path is something else.
        """
        try:
            repository = cls.open(path, seams, remote=remote, key=key)
        except NotFoundError:
            create(path, source, seams, key)
            repository = cls.open(path, seams, remote=remote, key=key)
        repository.check_source(source)
        return repository

    @classmethod
    def make_home(
        cls,
        path: Path,
        header: bytes,
        keys: dict[str, bytes],
        seams: Seams,
        *,
        remote: RemoteSettings,
        key: Secret | None = None,
    ) -> Repository:
        """An empty home for a repository that exists elsewhere: with its header and key slots, to be pulled into.

        Raises:
            UsageError: the path is in use.
        """
        create_home(path, header, keys, seams)
        return cls.open(path, seams, remote=remote, key=key)

    @property
    def source_spec(self) -> str:
        """The spec of the source whose state this repository holds."""
        return self.header.source

    def check_source(self, source: str) -> None:
        """Raise `ForeignRepositoryError` where this repository belongs to another source."""
        check_source(self.path, self.header.source, source)

    @property
    def remote_copy(self) -> RemoteCopy:
        """The remote copy, for those who work on one."""
        assert self.remote is not None, "this repository has no remote copy"
        return self.remote

    def packs(self) -> dict[str, int]:
        """All packs, those included that only the remote copy holds, with their sizes in bytes."""
        elsewhere = {} if self.remote is None else self.remote.memory.below("packs")
        return elsewhere | self.backend.list("packs")

    def synchronise(self) -> None:
        """Bring the chunk index up to date with the packs that are there; asks no remote side.

        Packs that only the remote copy holds are entered by `pull`, or by `index_packs` when a chunk is missed.
        """
        there = self.packs()
        known = self.index.packs()
        for name in known.keys() - there.keys():
            self.index.remove_pack(name)
            self.reader.forget(name)
        self.index_packs({name: size for name, size in self.backend.list("packs").items() if name not in known})

    def index_packs(self, sizes: dict[str, int]) -> None:
        """Enter packs of these sizes into the chunk index, from their own ends.

        Raises:
            UnavailableError, PermissionRefusedError: one lies in the remote copy alone, and that cannot be read now.
        """
        for name in sorted(sizes):
            try:
                self.index.add_pack(name, sizes[name], self.reader.index(name, sizes[name]))
            except (IntegrityError, FormatError) as error:
                # One unreadable pack must not keep the rest from being used; what it held shows as missing.
                self.damaged_packs[name] = error

    def unindexed(self) -> dict[str, int]:
        """Packs that only the remote copy holds and the chunk index does not know, with their sizes in bytes."""
        if self.remote is None:
            return {}
        known = self.index.packs().keys() | self.damaged_packs.keys()
        return {name: size for name, size in self.remote.memory.below("packs").items() if name not in known}

    def _find_more(self) -> None:
        """Somebody misses a chunk: look at all packs there are, wherever they lie."""
        if self.remote is not None:
            self.remote.learn()
        self.synchronise()
        self.index_packs(self.unindexed())

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
        replicated = {} if self.remote is None else self.remote.memory.below("manifests")
        cached = {name: self._manifests[name] for name in names if name in self._manifests}
        self._manifests = cached
        for name in names:
            try:
                if name not in cached:
                    cached[name] = to_checkpoint(self._decoded(name, self.backend.read(name, MANIFEST_BYTES_MAX)))
                checkpoint = cached[name]
            except (IntegrityError, FormatError) as error:
                error.data.setdefault("object", name)
                yield None, error
                continue
            checkpoint = self._marks.apply(checkpoint, marked)
            if checkpoint.state is CheckpointState.COMMITTED and name in replicated:
                checkpoint = dataclasses.replace(checkpoint, state=CheckpointState.REPLICATED)
            yield checkpoint, None

    def _decoded(self, name: str, data: bytes) -> Manifest:
        manifest = decode_manifest(data, name, self.sealer)
        if manifest.repository != self.header.id:
            raise IntegrityError(f"The manifest {name} is of another repository.", object=name)
        return manifest

    def resolve(self, name: str) -> Checkpoint:
        """The checkpoint that `name` means: an id, a unique part of one, `latest`, `latest~N`.

        `latest` passes over safety checkpoints: those hold what a recovery wrote over, and whoever asks for the latest
        state twice must not get the damage back. Where it passes over manifests that cannot be read, a warning says so.
        """
        checkpoints = self.checkpoints()
        named = name.startswith("latest")
        usual = [one for one in checkpoints if one.trigger is not Trigger.SAFETY] or checkpoints
        wanted = resolve(name, [one.id for one in (usual if named else checkpoints)])
        found = next(one for one in checkpoints if one.id == wanted)
        self._resolved[found.id] = found.seq
        if named:
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
            job = Job(str(self.path), self.header.id, self._remote_settings, settings, measures, expected_bytes)
            return ProcessChunkWriter(job, self.sealer.master)
        policy = CodecPolicy(settings, self.seams.clock, expected_bytes, unpack_measures(measures))
        return LocalChunkWriter(self.chunks, self.index, PackWriter(self.backend, self.seams.fs, self.sealer), policy)

    def check_packs_present(self) -> None:
        """Look once more, just before a commit, that no pack vanished on which the new checkpoint counts.

        Raises:
            ConflictError: one did.
        """
        gone = self.index.packs().keys() - self.packs().keys()
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
        with working_on(manifest.id):
            created = self.backend.create(manifest_name(manifest.seq), encode_manifest(manifest, self.sealer))
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
        # What a safety checkpoint was pinned with must not pass for a person's pin.
        was_pinned = checkpoint.pinned and (checkpoint.marked or checkpoint.trigger is not Trigger.SAFETY)
        changed = dataclasses.replace(
            checkpoint,
            tags=checkpoint.tags if tags is None else tuple(tags),
            pinned=was_pinned if pinned is None else pinned,
            marked=True,
            state=CheckpointState.DAMAGED if is_damaged else CheckpointState.COMMITTED,
        )
        with working_on(checkpoint.id):
            self._restore_marks()
            self._marks.store(changed)
        return changed

    def remove(self, checkpoint: Checkpoint) -> None:
        """Delete a checkpoint's manifest, then its marks; its chunks stay until a prune."""
        name = manifest_name(checkpoint.seq)
        with working_on(checkpoint.id):
            if name == max(self.backend.list("manifests"), default=name):
                # A number is never given twice, even when the newest checkpoint goes: readers cache by it. Older ones
                # go without a write, so that a prune works on a full disk.
                self._marks.raise_sequence_floor(checkpoint.seq)
            if self.remote is not None:
                # That a manifest is not here does not say that it should go there: only this does.
                self.remote.memory.doom_known(name)
            self.backend.delete(name)
            self._manifests.pop(name, None)
            self._marks.forget(checkpoint)

    def drop_pack(self, name: str) -> None:
        """Delete a pack: first from the index, so that no save can count on it, then from the disk.

        In the remote copy it is doomed, and goes with a later replication.
        """
        self.index.remove_pack(name)
        self.reader.forget(name)
        if self.remote is not None:
            self.remote.memory.doom_known(name)
        self.backend.delete(name)

    def evict_pack(self, name: str) -> None:
        """Give a local pack's space back where the remote copy holds it, too; it is read from there then."""
        assert self.remote_copy.memory.holds(name)
        self.reader.forget(name)
        self.backend.delete(name)

    # The remote copy's side

    def manifest_bytes(self, name: str) -> bytes | None:
        """A manifest as it is stored, after a look that it can be read; None where it was removed.

        Raises:
            IntegrityError, FormatError: it cannot be read.
        """
        try:
            data = self.backend.read(name, MANIFEST_BYTES_MAX)
        except MissingObjectError:
            return None
        self._decoded(name, data)
        return data

    def put_manifest(self, name: str, data: bytes) -> None:
        """Take a manifest over as it is; see `adoption.adopt`."""
        self.backend.replace(name, data)
        self._manifests.pop(name, None)

    def adopt_marks(self, name: str, data: bytes, synced: bytes) -> None:
        """Take a checkpoint's marks, or the sequence floor, over from the remote copy.

        Args:
            synced: SHA-256 of what this home last sent or took over. Where it has changed its own marks since, both
                count: what one side pinned or tagged stays so.
        """
        self._marks.adopt(name, data, synced)

    def forget(self, checkpoint: Checkpoint) -> None:
        """Drop a checkpoint that another machine's retention has removed."""
        name = manifest_name(checkpoint.seq)
        self.backend.delete(name)
        self._manifests.pop(name, None)
        self._marks.forget(checkpoint)

    def strays(self) -> set[str]:
        """Manifests that the remote copy holds and this home does not: while there are some, what they need is not
        known, and nothing may be removed."""
        if self.remote is None:
            return set()
        there = self.remote.memory.below("manifests")
        return there.keys() - self.backend.list("manifests").keys()

    def leave_room(self, numbers: int) -> None:
        """Let the next checkpoint's sequence number be at least so far above all that are known."""
        self._marks.raise_sequence_floor(self.next_seq() - 1 + numbers)

    def stored_bytes(self) -> int:
        """Bytes that packs and manifests take."""
        return sum(self.backend.list("packs").values()) + sum(self.backend.list("manifests").values())

    def close(self) -> None:
        """Close files; committed state needs nothing more."""
        self.reader.close()
        self.index.close()
        if self.remote is not None:
            self.remote.close()
