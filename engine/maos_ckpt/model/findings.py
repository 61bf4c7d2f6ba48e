"""What a plan or a verification found, for people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a plan or a verification found. `object` names what, `affected` the records or checkpoints touched:
    all of them, or the first of so many as `number` says."""

    severity: Severity
    kind: str
    message: str
    object: str = ""
    affected: tuple[str, ...] = ()
    number: int = 0

    def beyond(self, listed: int) -> int:
        """How many are touched besides the first `listed` of `affected`."""
        return max(self.number, len(self.affected)) - min(listed, len(self.affected))
