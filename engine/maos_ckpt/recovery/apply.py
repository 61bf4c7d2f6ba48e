"""Applying a plan to the live state: stop, save what will be replaced, plan again, write, check, commit, let run on.

All of it happens under one lock on the database, so that the safety checkpoint holds exactly what the recovery replaces
and the plan is exactly what is written (decision 0005). Files follow after the commit, each replaced as a whole.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from pathlib import Path

from maos_ckpt.client import ProgressSink
from maos_ckpt.errors import CkptError, PartialError
from maos_ckpt.model import Progress, RecoveryResult
from maos_ckpt.recovery import journal
from maos_ckpt.recovery.computed import Computed
from maos_ckpt.recovery.plan import with_findings
from maos_ckpt.recovery.planner import Planner, computed_planner
from maos_ckpt.recovery.prepare import Preparation, Prepared
from maos_ckpt.recovery.request import Request
from maos_ckpt.recovery.steps import Step
from maos_ckpt.recovery.verification import only_as_planned
from maos_ckpt.recovery.writing import write_held, write_new
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import FilesWritten, Source
from maos_ckpt.sources.sqlite import probe
from maos_ckpt.sources.sqlite.faults import DamagedError
from maos_ckpt.sources.sqlite.live import Held, hold, release_fence, remove_fence
from maos_ckpt.sources.sqlite.new_file import aside_of, refuse_writers
from maos_ckpt.states import LiveState, State, StoredState, open_cut

_LOG = logging.getLogger(__name__)
#: A database counts as damaged where that is so at every look, of which the last is taken while nobody writes to it.
_DAMAGE_LOOKS = 2


def recover(
    repository: Repository, source: Source, request: Request, progress: ProgressSink, seams: Seams
) -> RecoveryResult:
    """Carry a recovery out; the caller holds the lease.

    Raises:
        PartialError: the database was recovered and a file could not be; the next operation goes on with it.
        PlanMovedError: the plan of `request.digest` is no longer the plan; `data` has `digest`, `changes`, `summary`
            and `by_component` of the fresh one. Never where `request.digest` is None: that plan is made and applied
            while MAOS stands.
        ConflictError: a record cannot be put back without breaking another.
        NotFoundError: see `make_plan`.
        SourceError, PermissionRefusedError: the live state cannot be written.
        In these cases nothing live was changed.
    """
    return _Recovery(repository, source, request, progress, seams).run()


class _Recovery:
    def __init__(
        self, repository: Repository, source: Source, request: Request, progress: ProgressSink, seams: Seams
    ) -> None:
        self._repository = repository
        self._source = source
        self._request = request
        self._progress = progress
        self._seams = seams
        self._started_s = seams.clock.monotonic_s()
        self._preparation = Preparation(repository, source, source, request, seams)
        self._prepared: Prepared | None = None
        self._held: Held | None = None
        self._notes: list[str] = []
        self._files = FilesWritten()
        self._created = False
        self._committed = False
        self._verified = False

    def run(self) -> RecoveryResult:
        try:
            try:
                prepared = self._write()
            except CkptError as error:
                if self._committed:
                    raise self._half_done("The database was recovered, but not all files were", error) from error
                self._take_back(error)
                raise
            if prepared.intent is None:
                # Nothing differs: the live state holds the selected part already.
                return self._result(prepared, applied=False, verified=True)
            try:
                journal.note_done(self._repository, prepared.intent)
            except CkptError as error:
                raise self._half_done("The state was recovered, but that cannot be noted", error) from error
            self._clear_traces(prepared.intent.id)
            prepared.plan = with_findings(prepared.planner, prepared.plan, prepared.changes)
            return self._result(prepared, applied=True, verified=self._verified)
        finally:
            if self._prepared is not None:
                self._prepared.close()

    @property
    def _intent(self) -> journal.Intent | None:
        return self._prepared.intent if self._prepared is not None else None

    def _half_done(self, what: str, error: CkptError) -> PartialError:
        return PartialError(
            f"{what}: {error.message}",
            kept="The state before is in the safety checkpoint.",
            hint="Mend the cause; the next save or recovery finishes it.",
            cause=error.kind,
            safety_checkpoint=self._intent.safety if self._intent else None,
        )

    def _clear_traces(self, recovery: str) -> None:
        """Remove the fence and the intent; where the database refuses, the next operation does."""
        database = self._source.database
        try:
            if self._held is not None:
                release_fence(self._held, recovery)
            elif self._created and database is not None:
                remove_fence(database, self._seams, recovery)
            self._seams.steps.reached(Step.RELEASED)
            journal.drop(self._repository)
        except CkptError as error:
            self._notes.append(f"Traces of this recovery are left for the next operation to remove: {error.message}")

    # The database, under its lock

    def _write(self) -> Prepared:
        database = self._source.database
        if database is None or not database.exists():
            return self._write_unheld()
        damage = ""
        for _ in range(_DAMAGE_LOOKS):
            try:
                probe.read_header(database)
                return self._write_live(database)
            except DamagedError as error:
                if self._request.compute is not None:
                    # Nothing can be computed from it.
                    raise
                if self._intent is not None:
                    # It could be read and not be written: the plan, which was made from it, does not hold.
                    raise
                refuse_writers(database, self._seams)
                self._held, damage = None, error.message
        before, aside = self._source.without_database(), aside_of(database, self._seams)
        self._preparation = replace(self._preparation, before=before, damage=damage, aside=aside)
        return self._write_unheld()

    def _write_unheld(self) -> Prepared:
        """There is no database, or none that is sound: make it, where the selection holds anything of it."""
        prepared = self._prepare(None)
        if prepared.intent is None:
            return prepared
        database = self._source.database
        if prepared.intent.builds and database is not None:
            target, aside = StoredState(self._repository, self._request.checkpoint), self._preparation.aside
            self._notes += write_new(prepared, target, database, aside, self._progress, self._seams)
            self._created = True
        self._follow(prepared, only_files=False)
        return prepared

    def _write_live(self, database: Path) -> Prepared:
        def waiting() -> None:
            self._progress(Progress("recovery", "stop writers"))

        waiting()
        with hold(database, self._seams, waiting=waiting) as held:
            self._held = held
            self._seams.steps.reached(Step.HELD)
            prepared = self._prepare(held)
            if prepared.intent is not None:
                self._notes += write_held(self._repository, prepared, self._request, held, self._beating)
                # MAOS still stands: its transcripts are put back before it can add to them.
                self._follow(prepared, only_files=bool(held.stopped))
        return prepared

    def _prepare(self, held: Held | None) -> Prepared:
        self._prepared = self._preparation.prepare(held, self._beating)
        return self._prepared

    def _beating(self, step: Progress) -> None:
        if self._held is not None:
            self._held.beat()
        self._progress(step)

    def _take_back(self, error: CkptError) -> None:
        """Nothing live was changed: forget the intent and the safety checkpoint that nobody needs."""
        if "live" not in error.kept and not error.kept.startswith("Nothing was changed"):
            error.kept = f"Nothing live was changed. {error.kept}".strip()
        if self._intent is None:
            return
        try:
            journal.drop(self._repository)
            for checkpoint in self._repository.checkpoints():
                if checkpoint.id == self._intent.safety:
                    self._repository.remove(checkpoint)
        except CkptError as left:
            # The next operation forgets the intent; what is told is why this one failed.
            _LOG.warning("what this recovery noted is left for the next operation to remove: %s", left.message)

    # After the commit

    def _follow(self, prepared: Prepared, *, only_files: bool) -> None:
        """Files, and the proof that nothing is left to do."""
        self._committed = True
        self._seams.steps.reached(Step.COMMITTED)
        self._files = self._source.write_files(prepared.changes(files=True), self._file_done)
        self._notes += self._files.skipped
        self._seams.steps.reached(Step.FILES)
        try:
            self._verified = self._check(prepared, only_files=only_files)
        except CkptError as error:
            # All of it is done and only the proof is missing, as where a busy machine takes too long to read it back.
            self._notes.append(f"It could not be read back: {error.message}")
        self._seams.steps.reached(Step.VERIFIED)

    def _file_done(self, files: int) -> None:
        self._seams.steps.reached(Step.FILE)
        self._beating(Progress("recovery", "files", files))

    def _check(self, prepared: Prepared, *, only_files: bool) -> bool:
        """Whether nothing is left to do.

        Where MAOS stands and will run on, the database was read back in the transaction itself; more would only make
        it stand longer.
        """
        self._beating(Progress("recovery", "verify"))
        repository = self._repository
        source = self._source if self._created else self._preparation.before
        only_files = only_files or self._proven(prepared)
        if only_files:
            source = source.without_database()
        with (
            open_cut(repository, source, self._beating, "recovery") as cut,
            contextlib.closing(LiveState(repository, cut, self._beating, "recovery")) as live,
        ):
            left = next(self._planner_again(prepared, live, only_files=only_files).changes(), None)
        if left is not None and not self._files.skipped:
            self._notes.append(f"{left.path} is not as the plan says.")
        return left is None

    def _proven(self, prepared: Prepared) -> bool:
        """Whether the database, locked once more, is surely as planned; False where only reading all of it can tell."""
        if self._held is None:
            return False
        repository, source = self._repository, self._preparation.before
        with (
            contextlib.suppress(CkptError),
            self._held.again(),
            open_cut(repository, source, self._beating, "recovery", self._held) as cut,
            contextlib.closing(LiveState(repository, cut, self._beating, "recovery")) as live,
        ):
            return only_as_planned(repository, prepared.safety, cut, live, prepared.changes)
        return False

    def _planner_again(self, prepared: Prepared, live: State, *, only_files: bool) -> Planner:
        request, planner = self._request, prepared.planner
        if request.compute is not None:
            # What is computed is never a file, and is computed again only where MAOS does not stand and wait for it.
            computed = Computed((), {}, b"") if only_files else request.compute(live, lambda: None)
            return computed_planner(live, planner.target, computed)
        return replace(planner, live=live, only_files=only_files, findings={}, creates={})

    def _result(self, prepared: Prepared, *, applied: bool, verified: bool) -> RecoveryResult:
        return RecoveryResult(
            plan=prepared.plan,
            applied=applied,
            verified=verified,
            safety_checkpoint=prepared.intent.safety if prepared.intent else None,
            duration_s=round(self._seams.clock.monotonic_s() - self._started_s, 3),
            stall_s=round(self._held.stall_s, 3) if self._held else 0.0,
            resume_commands=self._files.resume_commands,
            notes=tuple(self._notes),
            skipped=self._files.skipped,
        )
