"""The repository: its checkpoints, and the packs that hold their chunks, under one lease.

Invariants, in the order they are kept (FORMAT.md, "Write ordering"): a pack is durable before a manifest names its
chunks; a manifest is created once and never overwritten; a manifest is gone before any of its chunks may go. Whoever
writes holds the lease; readers need none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.codec.measures import StoredMeasures, unpack_measures
from maos_ckpt.codec.policy import CodecPolicy, CodecSettings
from maos_ckpt.codec.secret import Secret
from maos_ckpt.errors import (
    CkptError,
    IntegrityError,
    NotFoundError,
    UsageError,
)
from maos_ckpt.model import Checkpoint, Descriptor
from maos_ckpt.repository import header as headers
from maos_ckpt.repository.beside import Job, ProcessChunkWriter
from maos_ckpt.repository.cache_place import make_cache, writable_cache
from maos_ckpt.repository.chunk_writer import ChunkWriter, LocalChunkWriter
from maos_ckpt.repository.connect import RemoteSettings, open_remote
from maos_ckpt.repository.creation import DIRECTORIES, VITAL, create, create_home
from maos_ckpt.repository.descriptors import decode_descriptors
from maos_ckpt.repository.keyring import open_sealer
from maos_ckpt.repository.leaf_editor import LeafEditor
from maos_ckpt.repository.lease import lease
from maos_ckpt.repository.ownership import check_source
from maos_ckpt.repository.pack_writer import PackWriter
from maos_ckpt.repository.stock import PackStock
from maos_ckpt.seams import Seams

#: How long an operation waits for another one to end before it reports a conflict.
LEASE_WAIT_S = 30.0


class Repository(PackStock):
    """An open repository: its checkpoints (`Catalogue`), the packs that hold their chunks (`PackStock`), and its lease.

    One instance may be used by several threads of one process; `close` it.
    """

    def __init__(
        self,
        path: Path,
        seams: Seams,
        *,
        read_only: bool,
        remote: RemoteSettings | None = None,
        key: Secret | None = None,
    ) -> None:
        backend = LocalBackend(path, seams)
        self.header = headers.read_header(backend)
        sealer = open_sealer(backend, self.header.id, self.header.features, key, seams.random)
        with contextlib.ExitStack() as opened:
            cache = None if read_only else writable_cache(path)
            far = None if remote is None else open_remote(path, self.header.id, remote, sealer, seams)
            if far is not None:
                opened.callback(far.close)
            super().__init__(path, self.header.id, backend, sealer, far)
            self.seams = seams
            self.read_only = read_only
            self._remote_settings = remote
            self._leased = False
            self.open_index(None if cache is None else cache / "chunks.sqlite", opened)
            self.synchronise()
            self._opened = opened.pop_all()

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
            make_cache(path)
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
        try:
            repository.check_source(source)
        except CkptError:
            repository.close()
            raise
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
            self._leased = True
            try:
                yield
            finally:
                self._leased = False

    @contextlib.contextmanager
    def marking(self, wait_s: float = LEASE_WAIT_S) -> Iterator[None]:
        """Be the only writer while marks are changed, also where this repository is already; raises as `lease`."""
        with contextlib.nullcontext() if self._leased else self.lease("marks", wait_s):
            yield

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
            return ProcessChunkWriter(self._job(settings, measures, expected_bytes), self.sealer.master)
        return self.local_writer(settings, measures, expected_bytes)

    def local_writer(self, settings: CodecSettings, measures: StoredMeasures, expected_bytes: int) -> LocalChunkWriter:
        """See `writer`: in this process."""
        policy = CodecPolicy(settings, self.seams.clock, expected_bytes, unpack_measures(measures))
        return LocalChunkWriter(self.chunks, self.index, PackWriter(self.backend, self.seams.fs, self.sealer), policy)

    def leaf_editor(self, settings: CodecSettings, writer: LocalChunkWriter) -> LeafEditor:
        """A process that edits leaves for a save which stores through `writer`; worth its start for some hundreds."""
        return LeafEditor(self._job(settings, {}, 0), self.sealer.master, writer)

    def _job(self, settings: CodecSettings, measures: StoredMeasures, expected_bytes: int) -> Job:
        return Job(str(self.path), self.header.id, self._remote_settings, settings, measures, expected_bytes)

    def close(self) -> None:
        """Close files; committed state needs nothing more."""
        self._opened.close()
