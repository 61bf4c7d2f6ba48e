"""Plans that were made through the API, so that they can be read again and applied by their digest."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum

from maos_ckpt.errors import ConflictError, NotFoundError
from maos_ckpt.model import Plan, Selection
from maos_ckpt.seams import Seams
from maos_ckpt.times import rfc3339

#: Plans kept, each with the changes that it lists.
PLANS_MAX = 64
#: As long as a planned checkpoint is kept from retention.
KEPT_S = 900.0


class PlanKind(StrEnum):
    """What a plan is for."""

    RECOVERY = "recovery"
    UNDO = "undo"
    RESCUE = "rescue"


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """A plan and what it was made of; `checkpoint` as it was named, which for an undo or a rescue is ""."""

    kind: PlanKind
    checkpoint: str
    selection: Selection
    plan: Plan
    created_at_ms: int


class Plans:
    """The plans of one application. Thread-safe."""

    def __init__(self, seams: Seams) -> None:
        self._clock = seams.clock
        self._lock = threading.Lock()
        self._plans: OrderedDict[str, KeptPlan] = OrderedDict()
        #: When which plan was applied, as many as plans are kept.
        self._applied: OrderedDict[str, int] = OrderedDict()

    def keep(self, kind: PlanKind, checkpoint: str, selection: Selection, plan: Plan) -> KeptPlan:
        """Keep a plan; the oldest makes room for it."""
        kept = KeptPlan(kind, checkpoint, selection, plan, self._clock.now_ms())
        with self._lock:
            self._forget()
            self._plans.pop(plan.digest, None)
            self._plans[plan.digest] = kept
            # Made again, it may be applied again.
            self._applied.pop(plan.digest, None)
            while len(self._plans) > PLANS_MAX:
                self._plans.popitem(last=False)
        return kept

    def find(self, digest: str) -> KeptPlan:
        """A plan by its digest or the beginning of it.

        Raises:
            NotFoundError: there is none of that digest, or it is too old.
        """
        with self._lock:
            self._forget()
            found = [one for whole, one in self._plans.items() if whole.startswith(digest)]
        if len(found) != 1:
            raise NotFoundError(
                f"There is no plan {digest[:12]}….",
                kept="Nothing was changed.",
                hint=f"Plans are kept for {KEPT_S / 60:.0f} minutes; make a new one with POST plans.",
            )
        return found[0]

    def drop(self, kept: KeptPlan) -> None:
        """Forget a plan."""
        with self._lock:
            self._plans.pop(kept.plan.digest, None)

    def applied(self, kept: KeptPlan) -> None:
        """A plan has been applied, so it is over."""
        with self._lock:
            self._plans.pop(kept.plan.digest, None)
            self._applied[kept.plan.digest] = self._clock.now_ms()
            while len(self._applied) > PLANS_MAX:
                self._applied.popitem(last=False)

    def refuse_if_applied(self, digest: str) -> None:
        """Whoever asks for it once more, the first answer being lost, is told what has become of a plan.

        Raises:
            ConflictError: the plan of that digest, or one that begins so, has been applied.
        """
        with self._lock:
            at_ms = next((at for whole, at in self._applied.items() if whole.startswith(digest)), None)
        if at_ms is not None:
            raise ConflictError(
                f"The plan {digest[:12]}… was applied at {rfc3339(at_ms)}.",
                kept="Nothing was done a second time.",
                hint="GET recovery/status tells what came of it, POST recovery/undo takes it back.",
            )

    def newest_first(self) -> list[KeptPlan]:
        """All that are kept."""
        with self._lock:
            self._forget()
            return list(reversed(self._plans.values()))

    def _forget(self) -> None:
        oldest_ms = self._clock.now_ms() - int(KEPT_S * 1000)
        for digest in [digest for digest, one in self._plans.items() if one.created_at_ms < oldest_ms]:
            del self._plans[digest]
