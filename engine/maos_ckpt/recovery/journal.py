"""What a recovery intends, noted durably before it begins; and the last one done, for undo.

`recovery/intent.json` is there exactly while a recovery is under way. The database is written in one transaction whose
last statement leaves the recovery's id in the file (`sources.sqlite.fence`): whoever finds an intent after a crash can
tell whether the transaction was committed. If it was, the files still have to follow; if not, nothing has happened.
Where the last recovery done is the very one of the intent, only its traces are left to be removed.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import msgspec

from maos_ckpt.codec.undecodable import UNDECODABLE
from maos_ckpt.errors import CkptError, IntegrityError, UsageError
from maos_ckpt.fs import raise_storage_error
from maos_ckpt.model import MergePolicy, Selection
from maos_ckpt.recovery.steps import Step
from maos_ckpt.repository.repository import Repository

_INTENT = "recovery/intent.json"
_LAST = "recovery/last.json"
#: A larger note is not written, since it would not be read.
INTENT_BYTES_MAX = 16 << 20


class Pinned(msgspec.Struct, frozen=True):
    """The records that a recovery changed: those of its plan, which the two checkpoints give again at any time.

    `only`, `pinned`: as in `Intent`; what an undo in part took of the recovery that it took back.
    """

    checkpoint: str
    safety: str
    selection: Selection
    only: tuple[Selection, ...] = ()
    pinned: Pinned | None = None

    @property
    def chain(self) -> tuple[Pinned, ...]:
        """This one, and those that it took a part of."""
        return (self, *(self.pinned.chain if self.pinned is not None else ()))


class Intent(msgspec.Struct, frozen=True):
    """One recovery: from which checkpoint, which part, and the safety checkpoint that holds what it replaces.

    `only`: what undos in part left of the selection. `pinned`: of an undo, the recovery whose records alone it takes
    back, where the selection does not name them for good. `extra` are (collection path, key) of records that were
    added because chosen ones need them, `created` the schema objects (type, name) that it creates and its undo drops
    again. `builds`: there is no sound database, and it makes one; `aside` is where a damaged one is moved to for that,
    "" where there is none. `unmarked`: when it commits, no table is left that could carry the mark.

    `components`, `records`, `exact`, `with_dependencies`: how earlier versions noted the selection.
    """

    id: str
    checkpoint: str
    extra: list[tuple[str, bytes]]
    safety: str
    digest: str
    reason: str
    started_at_ms: int
    undo: bool
    components: list[str] = []
    records: list[str] = []
    exact: bool = False
    with_dependencies: bool = False
    created: list[tuple[str, str]] = []
    builds: bool = False
    aside: str = ""
    chosen: Selection | None = None
    only: tuple[Selection, ...] = ()
    unmarked: bool = False
    pinned: Pinned | None = None

    @property
    def selection(self) -> Selection:
        """The selection it applies."""
        if self.chosen is not None:
            return self.chosen
        return Selection(tuple(self.components), tuple(self.records), self.exact, self.with_dependencies)

    @property
    def undo_selection(self) -> Selection:
        """What takes it back: the same part of the safety checkpoint, records that it added removed again."""
        return replace(self.selection, exact=True, with_dependencies=False, merge=MergePolicy.REPLACE)

    @property
    def pins(self) -> Pinned | None:
        """What names the records that its undo takes back; None where the selections alone do.

        Which records belong to an agent, hold a text or were older may be something else by then.
        """
        if self.pinned is not None and not self.only:
            return self.pinned
        selections = (self.selection, *self.only)
        lasting = not any(one.looks_inside or one.merge is not MergePolicy.REPLACE for one in selections)
        if self.pinned is None and lasting:
            return None
        return Pinned(self.checkpoint, self.safety, self.selection, self.only, self.pinned)

    @property
    def undo_only(self) -> tuple[Selection, ...]:
        """What else narrows its undo besides `pins`."""
        return () if self.pins is not None else self.only

    @property
    def extra_keys(self) -> frozenset[tuple[str, bytes]]:
        """`extra` as the planner takes it."""
        return frozenset(self.extra)


def begin(repository: Repository, intent: Intent) -> None:
    """Note durably that a recovery begins; nothing live may be touched before this returns.

    Raises:
        UsageError: it lists more records than a note may hold.
    """
    note = msgspec.json.encode(intent) + b"\n"
    if len(note) > INTENT_BYTES_MAX:
        raise UsageError(
            f"The note of this recovery would take {len(note):,} bytes, more than {INTENT_BYTES_MAX:,}: it lists each"
            " record that comes because others need it.",
            kept="Nothing was changed.",
            hint="Select the components that it needs instead: those are taken as a whole.",
        )
    repository.backend.create(_INTENT, note, replace=True)


def note_done(repository: Repository, intent: Intent) -> None:
    """Note durably that a recovery is done: it is the one that undo takes back. `drop` it next."""
    repository.backend.create(_LAST, msgspec.json.encode(intent) + b"\n", replace=True)
    repository.seams.steps.reached(Step.DONE)


def drop(repository: Repository) -> None:
    """Forget the intent: nothing of it happened, or all of it is done."""
    repository.backend.delete(_INTENT)
    repository.seams.steps.reached(Step.FORGOTTEN)


def under_way(path: Path) -> Intent | None:
    """The intent in the repository at `path`, or None.

    Raises:
        IntegrityError: there is one that cannot be read.
    """
    return _read(path, _INTENT)


def last_done(repository: Repository) -> Intent | None:
    """The last recovery that was done, or None."""
    return _read(repository.path, _LAST)


def _read(path: Path, name: str) -> Intent | None:
    try:
        with (path / name).open("rb") as file:
            data = file.read(INTENT_BYTES_MAX)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise_storage_error(error, path / name)
    try:
        return msgspec.json.decode(data, type=Intent)
    except UNDECODABLE as error:
        raise IntegrityError(
            f"The note of a recovery at {name} cannot be read.",
            kept="Every checkpoint is untouched, the safety checkpoint of that recovery among them.",
            hint="Compare with `maos-ckpt diff latest live`, then remove the file.",
            object=name,
        ) from error


def pending(path: Path) -> str:
    """One sentence about an interrupted recovery that the next operation will settle, or ""."""
    with contextlib.suppress(CkptError):
        intent = under_way(path)
        if intent is not None:
            what = "An undo" if intent.undo else f"A recovery of {intent.checkpoint}"
            return f"{what} was interrupted; the next save or recovery settles it."
    return ""
