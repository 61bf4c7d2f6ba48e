"""Recovering to another place, to look into it beside the live state, which is never touched.

Everything is built under a temporary name, read back until planning again finds nothing left to do, and only then given
its name. What a failure leaves is removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from maos_ckpt.client import ProgressSink
from maos_ckpt.codec.values import decode_key, display_key
from maos_ckpt.diff import BrowsedRecord
from maos_ckpt.errors import (
    ConflictError,
    IntegrityError,
    PlanMovedError,
    StorageError,
    UsageError,
)
from maos_ckpt.export import UNFINISHED_SUFFIX, export, is_empty
from maos_ckpt.fields import named
from maos_ckpt.model import Checkpoint, CollectionKind, Descriptor, MissingPart, Plan, Progress, RecoveryResult
from maos_ckpt.nobody import quiet
from maos_ckpt.recovery.damage import naming_damage
from maos_ckpt.recovery.kept_changes import KeptChanges
from maos_ckpt.recovery.known import require_collections, require_records
from maos_ckpt.recovery.open_plan import OpenPlan
from maos_ckpt.recovery.place import parse_place, unwritable
from maos_ckpt.recovery.plan import plan_quickly
from maos_ckpt.recovery.planner import FILE_KINDS, Planner
from maos_ckpt.recovery.request import Request
from maos_ckpt.recovery.requested import requested
from maos_ckpt.recovery.writing import build
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import Cut
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.maos.cut import MaosCut
from maos_ckpt.sources.maos.layout import ROOT_CLAUDE, Layout
from maos_ckpt.sources.maos.source import MaosSource
from maos_ckpt.sources.maos.transcripts import Transcripts
from maos_ckpt.sources.sqlite.cut import DatabaseImage, SqliteCut
from maos_ckpt.sources.sqlite.source import SqliteSource
from maos_ckpt.states import CollectionName, LiveState, StoredState, open_cut
from maos_ckpt.tree.diff import LeafStream, Stream

#: Below the directory of a MAOS put elsewhere: the home of its transcripts, and the user's own configuration.
CLAUDE_FOLDER: Final = "claude-home"
HOME_FOLDER: Final = "home"
_TOKEN_BYTES: Final = 8


class _Nothing:
    """The state of a place where nothing is; with `objects` it can hold them, as plain files can."""

    name = "that place"
    missing: tuple[MissingPart, ...] = ()

    def __init__(self, objects: dict[CollectionName, Descriptor]) -> None:
        self._objects = {name: one for name, one in objects.items() if one.kind is CollectionKind.OBJECTS}

    def descriptors(self) -> dict[CollectionName, Descriptor]:
        return self._objects

    def stream(self, collection: CollectionName) -> Stream:
        return LeafStream(iter(()), lambda plain: plain)

    def get(self, chunk: bytes) -> bytes:
        raise IntegrityError("Nothing was ever stored there.", chunk=chunk.hex())


class _Tables(StoredState):
    """A checkpoint without its files."""

    def descriptors(self) -> dict[CollectionName, Descriptor]:
        return {name: one for name, one in super().descriptors().items() if one.kind not in FILE_KINDS}


@dataclass(frozen=True, slots=True)
class _SavedLayout(Layout):
    """A MAOS whose transcripts lie in the folders that they were saved from."""

    folders: tuple[str, ...] = ()

    @property
    def slugs(self) -> tuple[str, ...]:
        return self.folders


@contextlib.contextmanager
def open_plan_elsewhere(
    repository: Repository, request: Request, to: str, live: Path | None, progress: ProgressSink, seams: Seams
) -> Iterator[OpenPlan]:
    """What `recover_elsewhere` would build; arguments and errors as there."""
    yield _planned(repository, request, parse_place(to, live), progress, seams, lambda change: None)


def recover_elsewhere(
    repository: Repository, request: Request, to: str, live: Path | None, progress: ProgressSink, seams: Seams
) -> RecoveryResult:
    """Build the selected part of a checkpoint at `to`, one of `place.FORMS` with an absolute path, and read it back.

    Args:
        live: the live database, which is never written to, even where it is lost.

    Raises:
        UsageError: `to` is none of them, or the selection names single fields, which need a record to be put into.
        ConflictError: there is something at that place.
        NotFoundError, PlanMovedError: see `open_plan` and `recover`.
        StorageError, PermissionRefusedError: it cannot be written.
        IntegrityError: the checkpoint is damaged in that part, or what was read back is not what was to be written; it
            is removed again.
    """
    started_s = seams.clock.monotonic_s()
    kind, path = place = parse_place(to, live)

    def again(files: bool | None) -> Iterator[Change]:
        yield from opened.planner.changes(files=files)

    with contextlib.closing(KeptChanges(again)) as changes:
        opened = _planned(repository, request, place, progress, seams, changes.add)
        builder = _Builder(repository, request.checkpoint, opened.planner, opened.plan, changes, progress, seams)
        try:
            notes = {"sqlite": builder.database, "maos": builder.maos, "dir": builder.files}[kind](path)
        except StorageError as error:
            failed = str(error.data.get("path"))
            if not isinstance(error.__cause__, OSError) or (
                failed != str(path) and not failed.endswith(UNFINISHED_SUFFIX)
            ):
                raise
            raise unwritable(error.__cause__, path) from error
    took_s = round(seams.clock.monotonic_s() - started_s, 3)
    return RecoveryResult(
        opened.plan, applied=True, verified=True, safety_checkpoint=None, duration_s=took_s, notes=tuple(notes)
    )


def _planned(
    repository: Repository,
    request: Request,
    place: tuple[str, Path],
    progress: ProgressSink,
    seams: Seams,
    keep: Callable[[Change], None],
) -> OpenPlan:
    kind, path = place
    if request.selection.fields:
        raise UsageError(
            "A single field is put into a record that is there, and elsewhere there is none.",
            kept="Nothing was written.",
            hint="Name the whole record with --record.",
        )
    target = (_Tables if kind == "sqlite" else StoredState)(repository, request.checkpoint)
    with naming_damage(repository, request.checkpoint, request.selection):
        nothing = _Nothing(target.descriptors() if kind == "dir" else {})
        require_collections(request.selection, target, nothing)
        planner = requested(repository, request, nothing, target)
        source = SqliteSource(path, seams, allow_missing=True, ignored=True)
        plan = plan_quickly(planner, source, (), request.limit, progress, "recovery", keep)
        require_records(planner.quiet, (target,))
    if request.digest is not None and not plan.digest.startswith(request.digest):
        raise PlanMovedError(
            f"That is not the plan of this part of {request.checkpoint.id}, which is {plan.digest[:12]}….",
            kept="Nothing was written.",
            hint=f"Look at it with --dry-run, and build it with --plan {plan.digest[:12]} or without --plan.",
            digest=plan.digest,
        )
    return OpenPlan(plan, planner)


@dataclass(frozen=True, slots=True)
class _Builder:
    """Builds one place; each method returns notes for the operator."""

    repository: Repository
    checkpoint: Checkpoint
    planner: Planner
    plan: Plan
    changes: KeptChanges
    progress: ProgressSink
    seams: Seams

    def database(self, path: Path) -> list[str]:
        """`sqlite:NEW.db`."""
        self._make_room(path)
        place = path.with_name(self._unfinished_name())
        try:
            notes = self._build(place)
            directory = self.repository.backend.make_cut_directory()
            try:
                with contextlib.closing(self._cut(place, directory)) as cut:
                    self._read_back(cut, files=False)
            finally:
                shutil.rmtree(directory, ignore_errors=True)
            if not self.seams.fs.publish(place, path, replace=False):
                raise _occupied(path)
        except OSError as error:
            raise unwritable(error, path) from error
        finally:
            place.unlink(missing_ok=True)
        return notes

    def _unfinished_name(self) -> str:
        return f".{self.seams.random.token(_TOKEN_BYTES).hex()}{UNFINISHED_SUFFIX}"

    @staticmethod
    def _make_room(path: Path) -> None:
        """Take an empty file away, and make the directory."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir() or (path.exists() and path.stat().st_size):
                raise _occupied(path)
            path.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(error, path) from error

    def maos(self, directory: Path) -> list[str]:
        """`maos:DIR`: the working directory, with the transcripts' home and the user's own configuration below it."""
        exists = is_empty(directory)
        place = directory.with_name(self._unfinished_name())
        try:
            place.mkdir(mode=0o700, parents=True)
            notes = self._fill(place)
            if exists:
                directory.rmdir()
            place.rename(directory)
            self.seams.fs.sync_directory(directory.parent)
        except OSError as error:
            shutil.rmtree(place, ignore_errors=True)
            raise unwritable(error, directory) from error
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        below = f"{directory}/{CLAUDE_FOLDER}"
        return [*notes, f"To look at it: --source maos:{directory} --claude-home {below}"]

    def _fill(self, place: Path) -> list[str]:
        folders = dict.fromkeys(
            os.fsdecode(_text(change.parts[0])).split("/")[0]
            for change in self.changes(files=True)
            if change.descriptor.origin == ROOT_CLAUDE
        )
        layout = _SavedLayout(place, place / CLAUDE_FOLDER, place / HOME_FOLDER, folders=tuple(folders))
        for folder in (layout.projects, layout.home):
            folder.mkdir(mode=0o700, parents=True)
        notes: list[str] = []
        if any(True for _ in self.changes(files=False)):
            notes += self._build(layout.database)
        source = MaosSource(layout, quiet(self.seams), allow_missing=True)
        written = source.write_files(
            self.changes(files=True), lambda done: self.progress(Progress("recovery", "files", done))
        )
        if written.skipped:
            raise IntegrityError(
                f"Not all files could be put there: {written.skipped[0]}", kept="It was removed again."
            )
        with open_cut(self.repository, source, self.progress, "recovery") as cut:
            self._read_back(cut, files=None)
        return notes

    def files(self, directory: Path) -> list[str]:
        """`dir:PATH`: as an export."""
        export(self.repository, self.checkpoint, directory, self.progress, self.seams, records=self._records())
        return []

    def _records(self) -> Iterator[BrowsedRecord]:
        for change in self.changes():
            one = change.descriptor
            values = named(one, decode_key(change.key), change.after or ())
            yield BrowsedRecord(one.component, one.name, display_key(change.key), values)

    def _build(self, path: Path) -> list[str]:
        total, size = self.plan.summary.total, self.plan.write_bytes

        def written(done: int) -> None:
            self.progress(Progress("recovery", "write", done, total, size * done // max(total, 1)))

        # Whatever a part refers to may be missing here: this is to be looked at, not to be run.
        target = StoredState(self.repository, self.checkpoint)
        return list(build(path, target, self.changes(files=False), self.seams, whole=True, progress=written).notes)

    def _cut(self, path: Path, directory: Path) -> Cut:
        image = DatabaseImage.capture(path, directory, self.seams, lambda: None)
        if self.checkpoint.source.startswith("maos:"):
            return MaosCut(image, Transcripts(path.parent, [], 0), [], 0.0)
        return SqliteCut(image)

    def _read_back(self, cut: Cut, *, files: bool | None) -> None:
        """See that nothing would be left to do there; `files` as in `Planner.changes`."""
        self.progress(Progress("recovery", "verify"))
        with contextlib.closing(LiveState(self.repository, cut, self.progress, "recovery")) as live:
            left = next(replace(self.planner, live=live, findings={}, creates={}).changes(files=files), None)
        if left is not None:
            raise IntegrityError(
                f"What was read back differs from the checkpoint: {left.path}.",
                kept="The live state was not touched; what was built is removed again.",
                hint="Run `maos-ckpt verify` on the checkpoint, then try another disk.",
                record=left.path,
            )


def _occupied(path: Path) -> ConflictError:
    return ConflictError(
        f"There is something at {path} already.",
        kept="It was not touched.",
        hint="Name a file that does not exist yet.",
        path=str(path),
    )


def _text(value: object) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(getattr(value, "data", b""))
