"""Which part of a checkpoint a recovery takes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class MergePolicy(StrEnum):
    """What becomes of a live record that differs from the checkpoint's.

    `keep-newer` compares the record's own time where both sides have it in one form, and of two transcripts takes the
    longer one where it begins as the other; what cannot be told so is a conflict, and stays as it is live.
    """

    REPLACE = "replace"
    ADD_MISSING = "add-missing"
    KEEP_NEWER = "keep-newer"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of a checkpoint a recovery takes; all of it where nothing is named.

    What is named adds up: a record is selected where anything names it. `exact` also removes records that the
    checkpoint does not hold; a whole recovery is always exact, unless `merge` is another policy than to replace.
    `with_dependencies` adds missing records that the chosen ones refer to.

    Args:
        records: patterns `COMPONENT/COLLECTION/KEY-GLOB`.
        searches: texts; a record is meant that contains one, in the checkpoint or live, whatever the case of letters.
        agents: ids; each with its sessions, their transcripts, its messages, tasks and memory.
        orchestrations: ids; each with MAOS's checkpoints of it and its agents.
        fields: single values inside rows, `COMPONENT/COLLECTION/KEY:COLUMN.name[index]`.
    """

    components: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    exact: bool = False
    with_dependencies: bool = False
    searches: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    orchestrations: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    merge: MergePolicy = MergePolicy.REPLACE

    @property
    def all_records(self) -> bool:
        """Whether every record is selected, since nothing is named."""
        return not self.components and not self.records and not self.looks_inside

    @property
    def whole(self) -> bool:
        """Whether the live state becomes what the checkpoint holds."""
        return self.all_records and self.merge is MergePolicy.REPLACE

    @property
    def looks_inside(self) -> bool:
        """Whether what records hold decides which of them are meant."""
        return bool(self.searches or self.agents or self.orchestrations or self.fields)
