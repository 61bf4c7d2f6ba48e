"""One proposed change to a record, with the reason that is shown for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from maos_ckpt.model import Value
from maos_ckpt.recovery.lookup import Record
from maos_ckpt.recovery.rescue.tables import Table
from maos_ckpt.sources.change import Change


@dataclass(frozen=True, slots=True)
class Repair:
    """New values for columns of `record`, or, where that is only a key's text, a record that is added."""

    table: Table
    record: Record | str
    values: Mapping[str, Value]
    reason: str

    def change(self) -> Change:
        """The change as a plan has it."""
        if isinstance(self.record, str):
            return self.table.addition(self.record, dict(self.values))
        return self.table.change(self.record, dict(self.values))
