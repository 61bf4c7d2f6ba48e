"""Finding out: which records held a text, which checkpoint to go back to."""

from __future__ import annotations

from maos_ckpt.client import ProgressSink
from maos_ckpt.insight import FindResult
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.search import find as searching


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
        return searching.find(
            repository,
            text,
            between=between,
            component=component,
            ignore_case=ignore_case,
            limit=limit,
            progress=progress,
        )
