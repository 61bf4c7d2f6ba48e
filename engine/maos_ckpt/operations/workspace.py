"""Where an operation works: a repository, a source, the settings, and the seams."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maos_ckpt.config import Config
from maos_ckpt.errors import (
    CkptError,
    ConflictError,
    IntegrityError,
    PartialError,
    PermissionRefusedError,
    UnavailableError,
)
from maos_ckpt.events import Event, OperationFailed, RecoveryResumed
from maos_ckpt.journal import Journal
from maos_ckpt.recovery import journal as recoveries
from maos_ckpt.recovery.interrupted import finish_interrupted
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import Source
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
    """One repository with its source. `source` is a canonical spec, or "" where only the repository is needed."""

    repository: Path
    source: str
    claude_home: Path
    config: Config
    seams: Seams

    @classmethod
    def from_place(cls, place: Place, seams: Seams) -> Workspace:
        """The workspace that a place names."""
        return cls(Path(place.repository), place.source, Path(place.claude_home), place.config, seams)

    @property
    def place(self) -> Place:
        """What another process needs to work here."""
        return Place(str(self.repository), self.source, str(self.claude_home), self.config)

    @property
    def journal(self) -> Journal:
        """The repository's events journal."""
        return Journal(self.repository, self.seams)

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
        return open_source(self.source, claude_home=self.claude_home, seams=self.seams, allow_missing=allow_missing)

    @property
    def database(self) -> Path | None:
        """The SQLite file behind the source, if there is to be one."""
        kind, _, rest = self.source.partition(":")
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
            raise PermissionRefusedError(
                f"Read-only mode is on, so {operation} is refused.",
                kept="Nothing was changed.",
                hint="Leave out --read-only (or `read_only` in the configuration) to allow it.",
                operation=operation,
            )

    @contextlib.contextmanager
    def reading(self) -> Iterator[Repository]:
        """The repository for reading; where this user may write to it, its chunk index on disk is used.

        Raises:
            NotFoundError: there is none yet.
            ConflictError: a checkpoint that was resolved here was removed by another process while it was being read.
        """
        read_only = self.config.read_only or not os.access(self.repository, os.W_OK)
        with contextlib.closing(Repository.open(self.repository, self.seams, read_only=read_only)) as repository:
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
    def writing(
        self, operation: str, *, create: bool = False, allow_missing: bool = False
    ) -> Iterator[tuple[Repository, Source]]:
        """The repository under its lease, and the source, for a save, recovery or prune.

        A recovery that a crash interrupted is finished or taken back first. Failures that tell of the system's state
        are written to the journal.
        """
        self.refuse_if_read_only(operation)
        with contextlib.ExitStack() as stack:
            repository = stack.enter_context(contextlib.closing(self._open_for_writing(create=create)))
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
            repository = stack.enter_context(contextlib.closing(self._open_for_writing(create=False)))
            stack.enter_context(self.journalled(operation))
            stack.enter_context(repository.lease(operation, LEASE_WAIT_S))
            yield repository

    def _open_for_writing(self, *, create: bool) -> Repository:
        if create:
            return Repository.open_or_create(self.repository, self.open_source().spec, self.seams)
        return Repository.open(self.repository, self.seams)

    def _finish_interrupted(self, repository: Repository, source: Source) -> None:
        intent = recoveries.under_way(repository.path)
        told = finish_interrupted(repository, source, self.seams)
        if intent is None or told is None:
            return
        _LOG.warning("%s", told)
        last = recoveries.last_done(repository)
        finished = last is not None and last.id == intent.id
        outcome = "finished" if finished else "dropped, since it had changed nothing"
        self.record(RecoveryResumed(self.now_ms(), intent.checkpoint, outcome))

    @contextlib.contextmanager
    def journalled(self, operation: str) -> Iterator[None]:
        """Write `OperationFailed` where the block fails for a reason that an operator must see later, too."""
        try:
            yield
        except CkptError as error:
            if is_failure(error):
                self.record(OperationFailed(self.now_ms(), operation, error.kind, error.message))
            raise
