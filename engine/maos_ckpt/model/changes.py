"""What differs between two states, record by record and field by field."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from maos_ckpt.model.findings import Finding


class ChangeKind(StrEnum):
    """What happened to a record between two states."""

    ADDED = "added"
    MODIFIED = "modified"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a modified record; `path` is a column, or a place inside its JSON as in `metadata.task` or
    `conversation_history[12]`. `before` and `after` are display texts (untrusted), None where absent.

    `before_json` and `after_json` are the typed values as JSON text (`fields`, "JSON values"); None where the value is
    absent, or is a text that is shown as it is.
    """

    path: str
    before: str | None
    after: str | None
    before_json: str | None = None
    after_json: str | None = None


@dataclass(frozen=True, slots=True)
class RecordChange:
    """One record that differs between two states, for display; `key` is a display text. `reason`: why a plan changes
    it, where that is more than that it was asked for."""

    component: str
    collection: str
    key: str
    kind: ChangeKind
    fields: tuple[FieldChange, ...] = ()
    reason: str = ""


@dataclass(slots=True)
class Counts:
    """Changes by kind."""

    added: int = 0
    modified: int = 0
    removed: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.added + self.modified + self.removed

    def count(self, kind: ChangeKind, number: int = 1) -> None:
        """Add `number` changes of a kind."""
        setattr(self, kind.value, getattr(self, kind.value) + number)


@dataclass(frozen=True, slots=True)
class DiffResult:
    """What differs between two states. `changes` holds at most the asked number; `summary` counts all. `findings`:
    columns that only one side has, told once for all records."""

    before: str
    after: str
    summary: Counts
    by_component: dict[str, Counts]
    changes: tuple[RecordChange, ...]
    truncated: bool
    findings: tuple[Finding, ...] = ()
