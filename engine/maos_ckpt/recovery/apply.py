"""Applying a plan to the live state: stop, save what will be replaced, plan again, write, check, commit, let run on.

All of it happens under one lock on the database, so that the safety checkpoint holds exactly what the recovery replaces
and the plan is exactly what is written (decision 0005). Files follow after the commit, each replaced as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from maos_ckpt.capture.save import SaveRequest, save_checkpoint
from maos_ckpt.errors import CkptError, IntegrityError, PartialError
from maos_ckpt.model import Checkpoint, CollectionKind, Plan, Progress, RecoveryResult, Trigger
from maos_ckpt.recovery import journal
from maos_ckpt.recovery.damage import distrust_latest, naming_damage
from maos_ckpt.recovery.known import require_collections, require_records
from maos_ckpt.recovery.pinned import pinned_planner
from maos_ckpt.recovery.plan import builds_database, damage_findings, plan_quickly, with_findings
from maos_ckpt.recovery.planner import Planner
from maos_ckpt.recovery.request import Request, plan_moved
from maos_ckpt.recovery.schema_changes import can_drop, schema_rows
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import Seams
from maos_ckpt.sources.base import Source
from maos_ckpt.sources.change import Change
from maos_ckpt.sources.sqlite import probe
from maos_ckpt.sources.sqlite.create import schema_from_rows
from maos_ckpt.sources.sqlite.faults import DamagedError
from maos_ckpt.sources.sqlite.fence import create_fence
from maos_ckpt.sources.sqlite.live import Held, hold, release_fence, remove_fence
from maos_ckpt.sources.sqlite.new_file import aside_of, create_database, refuse_writers
from maos_ckpt.sources.sqlite.reread import differing
from maos_ckpt.sources.sqlite.write import apply_changes
from maos_ckpt.states import StoredState, live_state

ProgressSink = Callable[[Progress], None]
#: How often the guardian of stopped processes hears from a recovery: every so many changes.
_BEAT_CHANGES = 500
#: A database counts as damaged where that is so at every look, of which the last is taken while nobody writes to it.
_DAMAGE_LOOKS = 2
#: Damaged chunks of the newest checkpoint that one recovery finds, one at a time.
_DISTRUSTS_MAX = 4


@dataclass(slots=True)
class _Written:
    """How far a recovery has got."""

    plan: Plan | None = None
    planner: Planner | None = None
    intent: journal.Intent | None = None
    held: Held | None = None


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
        #: The source as it is before: without its database, where that is damaged.
        self._before = source
        self._damage = ""
        self._aside: Path | None = None
        self._request = request
        self._progress = progress
        self._seams = seams
        self._started_s = seams.clock.monotonic_s()
        self._written = _Written()
        self._notes: list[str] = []
        self._skipped: tuple[str, ...] = ()
        self._resume_commands: tuple[str, ...] = ()
        self._created = False
        self._committed = False
        self._verified = False

    def run(self) -> RecoveryResult:
        try:
            self._write()
        except CkptError as error:
            if self._committed:
                raise self._half_done(error) from error
            self._take_back(error)
            raise
        written = self._written
        assert written.plan is not None
        if written.intent is None:
            # Nothing differs: the live state holds the selected part already.
            return self._result(written.plan, applied=False, verified=True)
        journal.finish(self._repository, written.intent)
        self._clear_fence()
        assert written.planner is not None
        written.plan = with_findings(written.planner, written.plan)
        return self._result(written.plan, applied=True, verified=self._verified)

    def _half_done(self, error: CkptError) -> PartialError:
        return PartialError(
            f"The database was recovered, but not all files were: {error.message}",
            kept="The state before is in the safety checkpoint.",
            hint="Mend the cause; the next save or recovery finishes it.",
            cause=error.kind,
            safety_checkpoint=self._written.intent.safety if self._written.intent else None,
        )

    def _clear_fence(self) -> None:
        written, database = self._written, self._source.database
        assert written.intent is not None
        if written.held is not None:
            release_fence(written.held, written.intent.id)
        elif self._created and database is not None:
            remove_fence(database, self._seams, written.intent.id)

    # The database, under its lock

    def _write(self) -> None:
        database = self._source.database
        if database is None or not database.exists():
            self._write_unheld()
            return
        damage = ""
        for _ in range(_DAMAGE_LOOKS):
            try:
                probe.read_header(database)
                self._write_live(database)
                return
            except DamagedError as error:
                if self._written.intent is not None:
                    # It could be read and not be written: the plan, which was made from it, does not hold.
                    raise
                refuse_writers(database, self._seams)
                self._written.held, damage = None, error.message
        self._damage = damage
        self._before, self._aside = self._source.without_database(), aside_of(database, self._seams)
        self._write_unheld()

    def _write_unheld(self) -> None:
        """There is no database, or none that is sound: make it, where the selection holds anything of it."""
        self._plan(None)
        if self._written.intent is None:
            return
        if self._written.intent.builds:
            self._write_new_database()
        self._committed = True
        self._follow(only_files=False)

    def _write_live(self, database: Path) -> None:
        self._progress(Progress("recovery", "stop writers"))
        with hold(database, self._seams) as held:
            self._written.held = held
            self._plan(held)
            if self._written.intent is None:
                return
            self._write_held(held)
            self._committed = True
            # MAOS still stands: its transcripts are put back before it can add to them.
            self._follow(only_files=bool(held.stopped))

    def _follow(self, *, only_files: bool) -> None:
        """What comes after the commit: files, and the proof that nothing is left to do."""
        self._write_files()
        self._verified = self._check(only_files=only_files)

    def _plan(self, held: Held | None) -> None:
        """As `_plan_once`; where the newest checkpoint, which the safety checkpoint builds on, turns out to be damaged,
        once more without trusting it."""
        for _ in range(_DISTRUSTS_MAX):
            try:
                return self._plan_once(held)
            except IntegrityError as error:
                if not distrust_latest(self._repository, error):
                    raise
        return self._plan_once(held)

    def _plan_once(self, held: Held | None) -> None:
        """Save what is there, plan from it, and note the intent; no intent where nothing is to be done."""
        request = self._request
        safety = self._save_safety(held)
        try:
            live = StoredState(self._repository, safety, "live")
            target = StoredState(self._repository, request.checkpoint)
            asked = request.digest is None and not request.undo
            stopped = () if held is None else held.stopped
            with naming_damage(self._repository, request.checkpoint, request.selection):
                if asked:
                    require_collections(request.selection, target, live)
                pinned = pinned_planner(self._repository, request.pinned, request.extra)
                planner = Planner(
                    live, target, request.selection, request.extra, droppable=request.droppable, pinned=pinned
                )
                plan = plan_quickly(planner, self._source, stopped, request.limit, self._beating(held), "recovery")
            about = (*damage_findings(planner, self._damage), *request.findings)
            plan = replace(plan, findings=(*plan.findings, *about))
            if request.digest is not None and not plan.digest.startswith(request.digest):
                raise plan_moved(plan)
            if asked:
                beat = held.beat if held is not None else lambda: None
                require_records(planner.quiet, (target, live), beat)
        except BaseException:
            self._repository.remove(safety)
            raise
        self._written.plan, self._written.planner = plan, planner
        if plan.summary.total == 0:
            self._repository.remove(safety)
            return
        intent = journal.new_intent(
            self._repository,
            request.checkpoint,
            request.selection,
            planner.extra,
            safety=safety,
            digest=plan.digest,
            reason=request.reason,
            undo=request.undo,
            created=can_drop(planner.creates),
            builds=held is None and self._source.database is not None and builds_database(planner),
            aside=str(self._aside or ""),
            pinned=request.pinned,
        )
        journal.begin(self._repository, intent)
        self._written.intent = intent

    def _save_safety(self, held: Held | None) -> Checkpoint:
        what = "undo" if self._request.undo else f"recovery of {self._request.checkpoint.id}"
        description = f"before the {what}: {self._request.reason}" if self._request.reason else f"before the {what}"
        request = SaveRequest(Trigger.SAFETY, description, pinned=True)
        progress = self._beating(held)

        def relabel(step: Progress) -> None:
            progress(replace(step, operation="recovery", phase="safety checkpoint"))

        return save_checkpoint(self._repository, self._before, request, relabel, self._seams, held)

    def _beating(self, held: Held | None) -> ProgressSink:
        def sink(step: Progress) -> None:
            if held is not None:
                held.beat()
            self._progress(step)

        return sink

    def _write_held(self, held: Held) -> None:
        assert self._written.plan is not None
        assert self._written.intent is not None
        total = self._written.plan.summary.total
        progress = self._beating(held)
        result = apply_changes(
            held.connection,
            self._database_changes(held),
            sequences="set" if self._request.selection.whole else "raise",
            # A whole state is put back as it was, broken references included; so is what an undo puts back.
            allow_new_violations=self._request.selection.whole or self._request.undo,
            progress=lambda done: progress(Progress("recovery", "write", done, total)),
        )
        self._notes += result.notes
        if result.violation_count:
            self._notes.append(f"{result.violation_count} references are broken now, as they were in the checkpoint.")
        if held.stopped:
            # Where nobody will write the moment the lock is gone, planning again after the commit proves the same.
            self._read_back(held, progress)
        held.mark(self._written.intent.id)
        progress(Progress("recovery", "commit", total, total))
        held.commit()

    def _read_back(self, held: Held, progress: ProgressSink) -> None:
        progress(Progress("recovery", "check"))
        wrong = differing(held.connection, self._database_changes(held))
        if wrong:
            raise IntegrityError(
                f"{len(wrong)} records did not become what the plan says, {wrong[0]} among them.",
                kept="The transaction was taken back; nothing live was changed.",
                hint="A trigger or constraint of the live database interferes; recover without these records.",
                records=wrong,
            )

    def _database_changes(self, held: Held) -> Iterator[Change]:
        assert self._written.planner is not None
        for number, change in enumerate(self._written.planner.changes(files=False)):
            if number % _BEAT_CHANGES == 0:
                held.beat()
            yield change

    def _write_new_database(self) -> None:
        """Build the database from the checkpoint; a damaged one is moved aside at the last moment."""
        written, database = self._written, self._source.database
        assert written.intent is not None
        assert written.planner is not None
        assert written.plan is not None
        assert database is not None
        planner, target = written.planner, StoredState(self._repository, self._request.checkpoint)
        objects, pragmas = schema_from_rows(schema_rows(target))
        total = written.plan.summary.total
        intent = written.intent
        result = create_database(
            database,
            self._seams,
            pragmas=pragmas,
            objects=objects,
            changes=(one for one in planner.changes() if one.descriptor.kind is CollectionKind.TABLE),
            allow_new_violations=self._request.selection.whole,
            progress=lambda done: self._progress(Progress("recovery", "write", done, total)),
            mark=lambda connection: create_fence(connection, intent.id, expires_at_s=0),
            aside=self._aside,
        )
        self._notes += result.notes
        self._created = True

    def _take_back(self, error: CkptError) -> None:
        """Nothing live was changed: forget the intent and the safety checkpoint that nobody needs."""
        intent = self._written.intent
        if "live" not in error.kept:
            error.kept = f"Nothing live was changed. {error.kept}".strip()
        if intent is None:
            return
        journal.drop(self._repository)
        for checkpoint in self._repository.checkpoints():
            if checkpoint.id == intent.safety:
                self._repository.remove(checkpoint)

    # Files, after the commit

    def _write_files(self) -> None:
        assert self._written.planner is not None
        progress = self._beating(self._written.held)
        written = self._source.write_files(
            self._written.planner.changes(files=True),
            lambda done: progress(Progress("recovery", "files", done)),
        )
        self._notes += written.skipped
        self._skipped = written.skipped
        self._resume_commands = written.resume_commands

    def _check(self, *, only_files: bool) -> bool:
        """Plan again: nothing may be left to do.

        Where MAOS stands and will run on, the database was read back in the transaction itself; a whole reading would
        only make it stand longer.
        """
        assert self._written.planner is not None
        progress = self._beating(self._written.held)
        progress(Progress("recovery", "verify"))
        request = self._request
        source = self._source if self._created else self._before
        with live_state(self._repository, source, progress, "recovery") as live:
            again = Planner(
                live,
                StoredState(self._repository, request.checkpoint),
                request.selection,
                self._written.planner.extra,
                spared=self._written.planner.spared,
                only_files=only_files,
                droppable=request.droppable,
                pinned=self._written.planner.pinned,
            )
            left = next(again.changes(), None)
        if left is not None and not self._skipped:
            self._notes.append(f"{left.path} is not as the plan says.")
        return left is None

    def _result(self, plan: Plan, *, applied: bool, verified: bool) -> RecoveryResult:
        written = self._written
        return RecoveryResult(
            plan=plan,
            applied=applied,
            verified=verified,
            safety_checkpoint=written.intent.safety if written.intent else None,
            duration_s=round(self._seams.clock.monotonic_s() - self._started_s, 3),
            stall_s=round(written.held.stall_s, 3) if written.held else 0.0,
            resume_commands=self._resume_commands,
            notes=tuple(self._notes),
            skipped=self._skipped,
        )
