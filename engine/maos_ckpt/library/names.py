"""How events and managers are called by those who write `on("checkpointCreated", …)` and `{"agentManager": …}`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any, Final

from maos_ckpt.errors import UsageError
from maos_ckpt.events import EVENT_TYPES, Event, OperationProgressed
from maos_ckpt.sources.provider.providers import Provider, provider_of

#: A manager's name → the component that its state is recovered as.
MANAGERS: Final = {
    "agent_manager": "agents",
    "memory_manager": "memory",
    "queue_manager": "queue",
    "task_manager": "tasks",
    "system_manager": "system",
}
_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def snake_case(name: str) -> str:
    """`checkpointCreated` and `CheckpointCreated` as `checkpoint_created`."""
    return _CAPITAL.sub("_", name).lower()


#: Name in snake_case → event.
EVENTS: Final[Mapping[str, type[Event]]] = {
    snake_case(name): cls for name, cls in (EVENT_TYPES | {"OperationProgressed": OperationProgressed}).items()
}


def event_type(name: str) -> type[Event]:
    """The event of that name, in camelCase, snake_case or as its class is called.

    Raises:
        UsageError: there is none; `data["nearest"]` names one.
    """
    found = EVENTS.get(snake_case(name))
    if found is None:
        nearest = difflib.get_close_matches(snake_case(name), EVENTS, 1)
        raise UsageError(
            f"There is no event {name[:100]!r}.",
            hint=f"Did you mean {nearest[0]!r}?" if nearest else f"There are {', '.join(EVENTS)}.",
            nearest=nearest[0] if nearest else None,
        )
    return found


def providers_of(managers: Mapping[str, Any], name: str) -> list[Provider]:
    """The managers of a program as providers; a name is a manager's (`agent_manager`, `agentManager`) or a component's.

    Raises:
        UsageError: two for one component, or one that cannot be captured.
    """
    found: dict[str, Provider] = {}
    for given, manager in managers.items():
        component = MANAGERS.get(snake_case(given), given)
        if component in found:
            raise UsageError(f"Two managers are given for {component}.", hint="Give one for each component.")
        found[component] = provider_of(component, name, manager)
    return list(found.values())
