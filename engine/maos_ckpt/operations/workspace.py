"""Where an operation works: a repository, a source, the settings, and the seams."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from maos_ckpt.audit.entries import DONE, FAILED
from maos_ckpt.audit.log import Act, AuditLog
from maos_ckpt.backends.local import LocalBackend
from maos_ckpt.backends.local_directory import TEMPORARY
from maos_ckpt.codec.secret import Secret
from maos_ckpt.config import Config
from maos_ckpt.errors import (
    CkptError,
    ConflictError,
    ForeignRepositoryError,
    IntegrityError,
    KeyRefusedError,
    NotEncryptedError,
    PartialError,
    PermissionRefusedError,
    UnavailableError,
    read_only_refusal,
)
from maos_ckpt.events import CacheAsked, Event, OperationFailed, RecoveryResumed
from maos_ckpt.journal import Journal
from maos_ckpt.operations.barrier import barrier_of
from maos_ckpt.operations.remotes import ensure_home, look_for_news, remote_settings
from maos_ckpt.operations.unlocking import KeyHolder
from maos_ckpt.recovery import journal as recoveries
from maos_ckpt.repository.connect import RemoteSettings
from maos_ckpt.repository.header import read_header
from maos_ckpt.repository.keyring import Unlock
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import Source
from maos_ckpt.sources.provider.host import Host
from maos_ckpt.sources.several import SeveralSource, database_spec
from maos_ckpt.sources.spec import open_source
from maos_ckpt.wire import Place

_LOG = logging.getLogger(__name__)
#: How long a command waits for another process's save, recovery or prune to end.
LEASE_WAIT_S = 30.0
#: Failures that tell of the system's state; a mistyped id or a plan that moved is the caller's business alone.
_JOURNALLED = (IntegrityError, UnavailableError, PermissionRefusedError, PartialError)


def is_failure(error: CkptError) -> bool:
    """Whether an error tells of the system's state rather than of the call; those go to the journal."""
    return isinstance(error, _JOURNALLED) or type(error) is CkptError


@dataclass(frozen=True, slots=True)
class Workspace:
    """One repository with its source. `source` is a canonical spec, or "" where only the repository is needed; `key`
    opens the repository where it is encrypted."""

    repository: Path
    source: str
    claude_home: Path
    config: Config
    seams: Seams
    key: KeyHolder = field(default_factory=KeyHolder, compare=False)
    #: Whether the repository was named by where its remote copy lies.
    names_remote: bool = False
    #: The process that a part of the state lives in; None where all of it lies in files.
    host: Host | None = field(default=None, compare=False)

    @classmethod
    def from_place(cls, place: Place, seams: Seams, host: Host | None = None) -> Workspace:
        """The workspace that a place names."""
        key = KeyHolder(unlocked=place.key)
        return cls(Path(place.repository), place.source, Path(place.claude_home), place.config, seams, key, host=host)

    @property
    def place(self) -> Place:
        """What another process needs to work here."""
        unlocked, host = self.key.unlocked, self.host is not None
        return Place(str(self.repository), self.source, str(self.claude_home), self.config, unlocked, host)

    @property
    def journal(self) -> Journal:
        """The repository's events journal."""
        return Journal(self.repository, self.seams)

    @property
    def audit(self) -> AuditLog:
        """The repository's audit log."""
        return AuditLog(self.repository, self.seams)

    def record(self, event: Event) -> None:
        """Write an event to the journal; a journal that refuses fails nothing."""
        self.journal.append(event)

    def now_ms(self) -> int:
        """Wall time."""
        return self.seams.clock.now_ms()

    def open_source(self, *, allow_missing: bool = False) -> Source:
        """The source, opened; with `allow_missing` also one that is gone, as the target of a recovery.

        Raises:
            SourceError, UsageError: see `open_source`.
        """
        base = database_spec(self.source)
        objects = base != self.source
        source = None
        if base or not objects:
            source = open_source(base, claude_home=self.claude_home, seams=self.seams, allow_missing=allow_missing)
        host = self.host or barrier_of(self, objects=objects)
        if host is None:
            assert source is not None
            return source
        scratch = self.repository / TEMPORARY
        return SeveralSource(self.source, source, host.session(), scratch, self.seams, objects=objects)

    @property
    def database(self) -> Path | None:
        """The SQLite file behind the source, if there is to be one."""
        kind, _, rest = database_spec(self.source).partition(":")
        if kind == "maos":
            return Path(rest) / "maos.db"
        return Path(rest) if kind == "sqlite" else None

    def live_source(self, repository: Repository, *, allow_missing: bool = False) -> Source:
        """The source, opened, where the repository holds its checkpoints.

        Raises:
            ForeignRepositoryError: the repository belongs to another source.
        """
        source = self.open_source(allow_missing=allow_missing)
        repository.check_source(source.spec)
        return source

    def refuse_if_read_only(self, operation: str) -> None:
        """Stop an operation that would change something where the settings forbid it.

        Raises:
            PermissionRefusedError: `read_only` is set.
        """
        if self.config.read_only:
            raise read_only_refusal(operation)

    @contextlib.contextmanager
    def reading(self, *, news: bool = True) -> Iterator[Repository]:
        """The repository for reading; where this user may write to it, its chunk index on disk is used.

        Args:
            news: look first for what others wrote to the remote copy; without, a home that is there asks nobody.

        Raises:
            NotFoundError: there is none yet.
            ConflictError: a checkpoint that was resolved here was removed by another process while it was being read.
        """
        self.bring_home()
        read_only = self.config.read_only or not os.access(self.repository, os.W_OK)
        with self._closing(self.open_repository(read_only=read_only)) as repository:
            if news or self.names_remote:
                look_for_news(repository, named=self.names_remote)
            try:
                yield repository
            except IntegrityError as error:
                removed = repository.removed_meanwhile()
                if not removed:
                    raise
                raise ConflictError(
                    f"{' and '.join(removed)} was removed while it was being read.",
                    kept="Nothing is damaged, and nothing was changed.",
                    hint="`maos-ckpt list` shows what is there.",
                    removed=removed,
                ) from error

    @contextlib.contextmanager
    def _closing(self, repository: Repository) -> Iterator[Repository]:
        """Close a repository after the block; what its cache was asked meanwhile goes to the journal."""
        with contextlib.closing(repository):
            try:
                yield repository
            finally:
                hits, misses = (0, 0) if repository.remote is None else repository.remote.cache_answers()
                if (hits or misses) and not self.config.read_only:
                    self.record(CacheAsked(self.now_ms(), hits, misses))

    @contextlib.contextmanager
    def writing(
        self, operation: str, *, create: bool = False, allow_missing: bool = False
    ) -> Iterator[tuple[Repository, Source]]:
        """The repository under its lease, and the source, for a save, recovery or prune.

        A recovery that a crash interrupted is finished or taken back first. Failures that tell of the system's state
        are written to the journal.
        """
        self.refuse_if_read_only(operation)
        with contextlib.ExitStack() as stack:
            repository = stack.enter_context(self._closing(self._open_for_writing(create=create)))
            stack.enter_context(self.journalled(operation))
            source = self.live_source(repository, allow_missing=allow_missing)
            stack.enter_context(repository.lease(operation, LEASE_WAIT_S))
            self._finish_interrupted(repository, source)
            yield repository, source

    @contextlib.contextmanager
    def marking(self, operation: str) -> Iterator[Repository]:
        """The repository under its lease, for what needs no source: pins, tags, deletions, verification marks."""
        self.refuse_if_read_only(operation)
        with contextlib.ExitStack() as stack:
            repository = stack.enter_context(self._closing(self._open_for_writing(create=False)))
            stack.enter_context(self.journalled(operation))
            if self.source:
                repository.check_source(self.source)
            stack.enter_context(repository.lease(operation, LEASE_WAIT_S))
            yield repository

    @property
    def remote(self) -> RemoteSettings | None:
        """Where the remote copy lies, if there is one."""
        return remote_settings(self.config)

    @property
    def unlock(self) -> Unlock:
        """What opens this repository, or one that its home is made from."""
        return self.key.unlocker(self.config)

    def unlock_ahead(self) -> None:
        """Find the key now, before the terminal belongs to a screen on which nobody can be asked."""
        with contextlib.suppress(UnavailableError):
            if self.bring_home():
                self._master()
            elif not self.config.read_only:
                self.key.for_new(self.config)

    def bring_home(self, *, to_write: bool = False) -> bool:
        """Whether the repository is there, after it was made from its remote copy where only that is left; raises as
        `ensure_home`. With `to_write` it is made only where it holds the checkpoints of this source."""
        source = self.source if to_write else ""
        return ensure_home(self.repository, self.remote, self.seams, self.unlock, source)

    def _master(self) -> Secret | None:
        backend = LocalBackend(self.repository, self.seams)
        header = read_header(backend)
        return self.unlock(backend, header.id, header.features)

    def open_repository(self, *, read_only: bool = False) -> Repository:
        """The repository, which must be there.

        Raises:
            PermissionRefusedError: it is encrypted, and there is no key or another one.
            IntegrityError: it is in the clear, and the configuration says that it is encrypted.
        """
        key = self._master()
        return Repository.open(self.repository, self.seams, read_only=read_only, remote=self.remote, key=key)

    def create_repository(self) -> Repository:
        """The repository; where there is none yet it is brought back from its remote copy, or made for the source.

        Raises:
            SourceError: there is none yet, and no source to make it for.
            ForeignRepositoryError: it belongs to another source.
        """
        try:
            there = self.bring_home(to_write=True)
        except (UnavailableError, PermissionRefusedError, ConflictError, IntegrityError) as error:
            if isinstance(error, KeyRefusedError | NotEncryptedError | ForeignRepositoryError):
                # The remote side has answered: this is its repository, and it is not to be made anew beside it.
                raise
            _LOG.warning("%s A home is made all the same.", error.message)
            # The remote side being away must not keep a new home from its first checkpoint.
            there = False
        if there:
            return self.open_repository()
        source, key = self.open_source().spec, self.key.for_new(self.config)
        made = Repository.open_or_create(self.repository, source, self.seams, remote=self.remote, key=key)
        self.key.remember(made.header.id, made.sealer.master)
        return made

    def _open_for_writing(self, *, create: bool) -> Repository:
        if create:
            return self.create_repository()
        self.bring_home(to_write=True)
        return self.open_repository()

    def _finish_interrupted(self, repository: Repository, source: Source) -> None:
        intent = recoveries.under_way(repository.path)
        if intent is None:
            return
        # Loaded here: it brings all of a recovery's planning, which a save does not need.
        from maos_ckpt.recovery.interrupted import finish_interrupted

        told = finish_interrupted(repository, source, self.seams)
        if told is None:
            return
        _LOG.warning("%s", told)
        last = recoveries.last_done(repository)
        finished = last is not None and last.id == intent.id
        outcome = "finished" if finished else "dropped, since it had changed nothing"
        self.record(RecoveryResumed(self.now_ms(), intent.checkpoint, outcome))
        verb = "undo" if intent.undo else "restore"
        about = (intent.checkpoint, intent.safety)
        self.audit.record(
            Act(verb, DONE if finished else FAILED, f"interrupted, then {outcome}", intent.reason, intent.digest, about)
        )

    @contextlib.contextmanager
    def journalled(self, operation: str) -> Iterator[None]:
        """Write `OperationFailed` where the block fails for a reason that an operator must see later, too."""
        try:
            yield
        except CkptError as error:
            if is_failure(error):
                self.record(OperationFailed(self.now_ms(), operation, error.kind, error.message))
            raise
