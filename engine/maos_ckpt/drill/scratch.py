"""Where drills work: a directory that only they use, one drill at a time, gone afterwards.

Everything in it is a real copy, never a link: a fault that is injected into a copy must not reach the original,
whatever file system both lie on.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maos_ckpt.errors import ConflictError, StorageError, UsageError
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.repository.lease import owner_of, try_lock
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import Source
from maos_ckpt.sources.maos.layout import Layout
from maos_ckpt.sources.maos.source import MaosSource
from maos_ckpt.sources.several import database_spec
from maos_ckpt.sources.sqlite.source import SqliteSource

#: Names that nobody else gives: the directory may be one that others use as well.
_LOCK = "maos-ckpt-drill.lock"
_PREFIX = "maos-ckpt-drill-"
_TOKEN_BYTES = 6


@contextlib.contextmanager
def scratch_directory(root: Path, seams: Seams) -> Iterator[Path]:
    """A fresh directory below `root`, removed at the end; what a killed drill left there goes first.

    Raises:
        ConflictError: another drill is running.
        StorageError, PermissionRefusedError: it cannot be made.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        root = root.resolve()
        lock = try_lock(root / _LOCK, "drill", seams)
        if lock is None:
            raise _running(root)
        try:
            for left in root.glob(f"{_PREFIX}*"):
                shutil.rmtree(left, ignore_errors=True)
            path = root / f"{_PREFIX}{seams.random.token(_TOKEN_BYTES).hex()}"
            path.mkdir(mode=0o700)
            try:
                yield path
            finally:
                shutil.rmtree(path, ignore_errors=True)
        finally:
            lock.release()
    except OSError as error:
        raise_storage_error(error, error.filename or root)


def _running(root: Path) -> ConflictError:
    owner = owner_of(root / _LOCK)
    who = f"process {owner.pid} on {owner.host}" if owner else "another process"
    return ConflictError(
        f"A drill is running already: {who} is at it.",
        kept="Nothing was changed.",
        hint="Wait for it to end.",
        **({"pid": owner.pid, "since_ms": owner.since_ms} if owner else {}),
    )


def require_space(path: Path, bytes_needed: int) -> None:
    """Look whether a drill fits beside what is there.

    Raises:
        StorageError: it does not.
    """
    free = shutil.disk_usage(path).free
    if free < bytes_needed:
        raise StorageError(
            f"A drill here takes up to {bytes_needed:,} bytes at {path}, and {free:,} are free.",
            kept="Nothing was begun.",
            hint="Name a directory with more room as drill.directory.",
            path=str(path),
        )


@dataclass(frozen=True, slots=True)
class Place:
    """The directories of one scratch copy: its repository, and a MAOS (or a database) with all that belongs to it."""

    path: Path

    @property
    def repository(self) -> Path:
        """The scratch repository."""
        return self.path / "repository"

    @property
    def state(self) -> Path:
        """Everything that recoveries write: below it are the three roots of a MAOS."""
        return self.path / "state"

    @property
    def work(self) -> Path:
        """The MAOS working directory."""
        return self.state / "work"

    @property
    def claude(self) -> Path:
        """The transcripts' home."""
        return self.state / "claude"

    def source(self, spec: str, seams: Seams) -> Source:
        """The scratch copy of the source that `spec` names; nothing of the original is opened.

        Raises:
            UsageError: a kind of source that cannot be rehearsed.
        """
        kind, _, rest = (database_spec(spec) or spec).partition(":")
        if kind == "maos":
            layout = Layout(self.work, self.claude, self.state / "home", Path(rest))
            return MaosSource(layout, seams, allow_missing=True)
        if kind == "sqlite":
            return SqliteSource(self.work / Path(rest).name, seams, allow_missing=True)
        raise UsageError(f"Recoveries of {kind}: sources cannot be rehearsed.", kept="Nothing was begun.")

    def make(self) -> None:
        """Make the directories that a recovery expects to be there."""
        for path in (self.work, self.claude / "projects", self.state / "home"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def clone(self, target: Path) -> Place:
        """A copy at `target`, byte for byte, with nothing cached."""
        shutil.copytree(self.path, target, symlinks=True, ignore=_left_out)
        cloned = Place(target)
        (cloned.repository / "cache").mkdir(mode=0o700, exist_ok=True)
        return cloned

    def lose_state(self) -> int:
        """Remove all that was recovered; the number of files that went."""
        files = sum(len(names) for _, _, names in os.walk(self.state))
        shutil.rmtree(self.state)
        self.make()
        return files


def _left_out(directory: str, names: list[str]) -> list[str]:
    return names if os.path.basename(directory) == "cache" else []
