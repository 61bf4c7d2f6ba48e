"""A recovery that kills itself behind a step: `python -m maos_ckpt.drill.victim`, an `Order` on standard input."""

from __future__ import annotations

import contextlib
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from maos_ckpt.codec.secret import Secret
from maos_ckpt.drill.scratch import Place
from maos_ckpt.errors import CkptError
from maos_ckpt.model import Selection
from maos_ckpt.nobody import quiet
from maos_ckpt.recovery.apply import recover
from maos_ckpt.recovery.request import Request
from maos_ckpt.recovery.steps import Step
from maos_ckpt.repository.repository import Repository
from maos_ckpt.seams import SYSTEM

#: The step that it dies behind, in words.
MOMENTS = {Step.MARKED: "just before its commit", Step.COMMITTED: "after its commit, before the files"}
_ORDER_BYTES_MAX = 1 << 20


class Order(msgspec.Struct, frozen=True):
    """Recover `checkpoint` in the scratch copy at `place` (`spec` is the original's source), and die behind `step`."""

    place: str
    spec: str
    checkpoint: str
    master: bytes | None
    step: Step


@dataclass(frozen=True, slots=True)
class _Dying:
    """Ends this process behind a step, with no chance to clean up."""

    step: Step

    def reached(self, step: str) -> None:
        """See `Steps.reached`."""
        if step == self.step:
            signal.raise_signal(signal.SIGKILL)


def main() -> int:
    """Carry out the order; comes back only where the step did not come."""
    order = msgspec.msgpack.decode(sys.stdin.buffer.read(_ORDER_BYTES_MAX), type=Order)
    seams, place = replace(quiet(SYSTEM), steps=_Dying(order.step)), Place(Path(order.place))
    master = None if order.master is None else Secret("master", order.master)
    source = place.source(order.spec, seams)
    try:
        with contextlib.closing(Repository.open(place.repository, seams, key=master)) as repository:
            request = Request(repository.resolve(order.checkpoint), Selection(), None, "drill: to be killed")
            with repository.lease("restore"):
                recover(repository, source, request, lambda _: None, seams)
    except CkptError as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
