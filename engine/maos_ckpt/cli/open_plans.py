"""Plans that stay open while they are shown, so that all of their changes can be written, however many there are."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol

from maos_ckpt.cli.commands.contents import CHANGES_LISTED, change_limit
from maos_ckpt.cli.context import Context
from maos_ckpt.client import ProgressSink
from maos_ckpt.model import Plan, RecordChange


class ReadablePlan(Protocol):
    """A plan, and all of its changes as long as it is open."""

    @property
    def plan(self) -> Plan:
        """The plan."""
        ...

    def changes(self) -> Iterator[RecordChange]:
        """All changes, one at a time."""
        ...


#: Opens a plan.
Opener = Callable[[ProgressSink], contextlib.AbstractContextManager[ReadablePlan]]


def listed_limit(context: Context) -> int:
    """Changes listed where no number is asked for: the first; a dry run in JSON reads the others as it writes them."""
    return CHANGES_LISTED if context.arguments.limit is None else change_limit(context)


def all_changes(context: Context, opened: ReadablePlan) -> Iterator[RecordChange] | None:
    """What a dry run in JSON lists instead of the plan's changes; None where a number of them was asked for."""
    return opened.changes() if context.arguments.limit is None else None


@contextlib.contextmanager
def opened_plan(context: Context, plan: Opener) -> Iterator[ReadablePlan]:
    """The plan, with its progress told until it is there: what follows writes to the terminal itself."""
    with contextlib.ExitStack() as stack:
        with context.progress() as progress:
            sinks: list[ProgressSink] = [progress]
            opened = stack.enter_context(plan(lambda step: sinks[0](step)))
        sinks[0] = lambda step: None
        yield opened
