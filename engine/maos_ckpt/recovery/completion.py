"""What a partial selection takes besides what was chosen, and what it leaves although it would go."""

from __future__ import annotations

from maos_ckpt.model import CollectionKind
from maos_ckpt.recovery.missing import missing_dependencies
from maos_ckpt.recovery.planner import Planner
from maos_ckpt.recovery.references import still_referenced
from maos_ckpt.recovery.schema_changes import missing_tables


def complete(planner: Planner) -> None:
    """Add the tables that the chosen records need, and with dependencies the records; spare agents that others need.

    Raises:
        UsageError: see `missing_dependencies`.
        NoRoomError: temporary files cannot be written.
    """
    added = [pair.after for pair, _ in planner.pairs() if pair.before is None and pair.after is not None]
    tables = [one.origin for one in added if one.kind is CollectionKind.TABLE]
    planner.extra |= missing_tables(planner.live, planner.target, tables)
    if planner.selection.with_dependencies and planner.pinned is None:
        planner.reasons = missing_dependencies(planner.live, planner.target, planner.changes)
        planner.extra |= frozenset(planner.reasons)
    if planner.selection.exact and not planner.whole:
        planner.spared = still_referenced(planner.live, planner.changes, planner.target)
