"""Messages on which MAOS's message bus stumbles when it starts, so that it takes none up at all.

The bus makes an enum of each waiting message's type; one that is none of the enum's ends the loop. Acknowledged, such a
message is passed over and stays in the table with its type and text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from maos_ckpt.codec.values import display_value
from maos_ckpt.recovery.reference_rules import MESSAGE_TYPES
from maos_ckpt.recovery.rescue.crew import Crew
from maos_ckpt.recovery.rescue.repair import Repair
from maos_ckpt.recovery.rescue.tables import Table, text
from maos_ckpt.states import State

_TYPE_CHARACTERS_MAX = 40


class Messages:
    """One reading of the queue. `waiting`: messages that nobody has acknowledged and MAOS can take up; each agent of
    the crew gets the number of its messages."""

    def __init__(self) -> None:
        self.waiting = 0

    def repairs(self, live: State, crew: Crew, beat: Callable[[], None]) -> Iterator[Repair]:
        """The messages to acknowledge."""
        table = Table(live, ("queue", "messages"), beat)
        for record, view in table.records():
            sender, receiver = text(view.get("from_agent")), text(view.get("to_agent"))
            if sender in crew.agents:
                crew.agents[sender].messages += 1
            if view.get("acknowledged") != 0:
                continue
            kind = view.get("message_type")
            if kind in MESSAGE_TYPES:
                self.waiting += 1
            elif not (crew.lives(sender) or crew.lives(receiver)):
                named = display_value(kind)[:_TYPE_CHARACTERS_MAX]
                reason = f"its type {named} is none that MAOS knows: while it waits, no message is taken up"
                yield Repair(table, record, {"acknowledged": 1}, reason)
