"""Finding out: which records held a text, which checkpoint to go back to."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator

from maos_ckpt.client import ProgressSink
from maos_ckpt.errors import IntegrityError, NotFoundError, SourceError
from maos_ckpt.events import VerificationCompleted
from maos_ckpt.guide import recommend as guiding
from maos_ckpt.model import Checkpoint, FindResult, Recommendation, VerifyLevel
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.repository.holds import hold_planned
from maos_ckpt.repository.repository import Repository
from maos_ckpt.search import find as searching
from maos_ckpt.states import LIVE, LiveState, StoredState, live_state

#: How far back the journal is read for verifications.
_ENTRIES_MAX = 5000


def find(
    workspace: Workspace,
    text: str,
    progress: ProgressSink,
    *,
    between: tuple[str, str] | None,
    component: str | None,
    ignore_case: bool,
    limit: int,
) -> FindResult:
    """Which records held a text, and in which checkpoints; see `search.find.find`."""
    with workspace.reading() as repository:

        def search() -> FindResult:
            return searching.find(
                repository,
                text,
                between=between,
                component=component,
                ignore_case=ignore_case,
                limit=limit,
                progress=progress,
            )

        before = repository.checkpoints()
        try:
            found = search()
        except IntegrityError:
            if repository.checkpoints() == before:
                raise
            return search()
        # Retention took one on the way; the others are still there to be asked.
        return search() if found.unread and repository.checkpoints() != before else found


def recommend(workspace: Workspace, name: str | None, progress: ProgressSink) -> Recommendation:
    """Which checkpoint to go back to, and why; with `name` also what is to be said about that one.

    Retention leaves the recommended one alone for a while, as it does with one that a plan refers to.

    Raises:
        NotFoundError: there is no checkpoint, or none of that name.
    """
    with workspace.reading() as repository:
        found = repository.checkpoints()
        if not found:
            raise NotFoundError("There is no checkpoint to go back to.", hint="`maos-ckpt save` takes one.")
        asked = None if name is None else repository.resolve(name)
        verified = _verified_at_ms(workspace, found)
        with contextlib.ExitStack() as stack:
            unread = ""
            try:
                live = stack.enter_context(_live(workspace, repository, found[0], progress))
            except SourceError as error:
                # Advice is needed most where the live state cannot be read.
                unread = f"The live state cannot be read, the newest checkpoint stands for it: {error.message}"
                live = StoredState(repository, found[0], LIVE)
            result = guiding.recommend(repository, live, asked, verified, unread=unread, progress=progress)
        if result.recommended is not None:
            hold_planned(repository, result.recommended.checkpoint)
        return result


@contextlib.contextmanager
def _live(
    workspace: Workspace, repository: Repository, newest: Checkpoint, progress: ProgressSink
) -> Iterator[LiveState | StoredState]:
    """The live state; without a source the newest checkpoint stands for it."""
    if not workspace.source:
        yield StoredState(repository, newest, LIVE)
        return
    source = workspace.live_source(repository, allow_missing=True)
    with live_state(repository, source, progress, "guide") as live:
        yield live


def _verified_at_ms(workspace: Workspace, checkpoints: list[Checkpoint]) -> dict[str, int]:
    """When all of a checkpoint was last read back and found whole."""
    found: dict[str, int] = {}
    for name, fields in itertools.islice(workspace.journal.newest_first(), _ENTRIES_MAX):
        if name != VerificationCompleted.__name__ or not fields.get("ok") or fields.get("level") != VerifyLevel.FULL:
            continue
        at_ms, names = fields.get("at_ms"), fields.get("checkpoints")
        if not isinstance(at_ms, int):
            continue
        if fields.get("everything"):
            names = [one.id for one in checkpoints if one.created_at_ms <= at_ms]
        for one in names if isinstance(names, list) else ():
            found.setdefault(str(one), at_ms)
    return found
