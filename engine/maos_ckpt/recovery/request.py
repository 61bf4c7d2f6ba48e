"""What a recovery is asked to do, which plan is meant, and what is said where that one moved."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Final

from maos_ckpt.errors import PlanMovedError, UsageError
from maos_ckpt.model import Checkpoint, Finding, Plan, Selection
from maos_ckpt.recovery.computed import Compute
from maos_ckpt.recovery.journal import Pinned
from maos_ckpt.recovery.schema_changes import SchemaObjects

#: 48 bits: no two plans that one person compares begin alike.
DIGEST_CHARACTERS_MIN: Final = 12
DIGEST_CHARACTERS_MAX: Final = 64

_DIGEST = re.compile(rf"[0-9a-f]{{{DIGEST_CHARACTERS_MIN},{DIGEST_CHARACTERS_MAX}}}")


@dataclass(frozen=True, slots=True)
class Request:
    """What a recovery is asked to do, or to plan.

    Args:
        digest: a plan's, or its beginning; None applies the plan as it is then.
        limit: changes listed in the plan.
        undo: the selection is that of a recovery; what it named may be gone since.
        extra, droppable, only: see `Planner`.
        pinned: the recovery that an undo takes back.
        findings: told besides those of the plan itself.
        compute: gives the changes instead of the checkpoint, which then is the safety checkpoint itself, whichever is
            named here.
    """

    checkpoint: Checkpoint
    selection: Selection
    digest: str | None = None
    reason: str = ""
    limit: int = 1000
    undo: bool = False
    extra: frozenset[tuple[str, bytes]] = frozenset()
    droppable: SchemaObjects = frozenset()
    only: tuple[Selection, ...] = ()
    pinned: Pinned | None = None
    findings: tuple[Finding, ...] = ()
    compute: Compute | None = None

    @property
    def named(self) -> Selection | None:
        """What somebody named, so that it must be there; None where nobody named anything."""
        if self.compute is not None:
            return None
        if self.undo:
            return self.only[-1] if self.only else None
        return self.selection


def checked_digest(text: str | None) -> str | None:
    """A plan's digest, or the beginning of one, as it is compared with; None stays None.

    Raises:
        UsageError: not hexadecimal, or too short or long to name a plan.
    """
    if text is None:
        return None
    digest = text.strip().lower()
    if not _DIGEST.fullmatch(digest):
        raise UsageError(
            f"{text[:DIGEST_CHARACTERS_MAX]!r} is not a plan's digest.",
            kept="Nothing was changed.",
            hint=f"Give the {DIGEST_CHARACTERS_MAX} hexadecimal digits that the plan shows, or at least the first"
            f" {DIGEST_CHARACTERS_MIN}.",
        )
    return digest


def plan_moved(plan: Plan) -> PlanMovedError:
    """The error for a plan that is not the fresh one; `data` says what that does."""
    return PlanMovedError(
        f"The live state moved since the plan was made, so that plan was not applied; now it has {plan.summary.total}"
        f" change{'' if plan.summary.total == 1 else 's'}.",
        kept="Nothing live was changed.",
        hint=f"Look at the fresh plan and apply it with --plan {plan.digest[:DIGEST_CHARACTERS_MIN]}, or apply what is"
        " there at that moment with --yes and no --plan.",
        digest=plan.digest,
        changes=plan.summary.total,
        summary=asdict(plan.summary),
        by_component={name: asdict(counts) for name, counts in plan.by_component.items()},
    )
