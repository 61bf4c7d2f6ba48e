"""What an embedding program hands over as a source of state, however it is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from maos_ckpt.errors import UsageError
from maos_ckpt.model import COMPONENT_DATABASE, COMPONENT_OTHER, COMPONENTS
from maos_ckpt.sources.provider.values import class_name

#: What may be the key of a record.
Key = str | int | bytes
#: Where the collections of providers are: `COMPONENT/provider.NAME`, a form that no table of a MAOS has.
COLLECTION_PREFIX = "provider."


class StateProvider(Protocol):
    """An object whose state is captured and put back; both methods may be coroutines.

    `capture` returns a mapping, or an iterable or async iterable of (key, value); keys are `str`, `int` or `bytes`,
    values what `sources.provider.values` says. `restore` gets the whole state as it is to be, in a dict. Optional:
    `version` (attribute or method), equal before and after a capture that nothing disturbed; `types`, the dataclasses
    that values are made of.
    """

    def capture(self) -> Any:
        """The state now."""
        ...

    def restore(self, items: dict[Any, Any]) -> Any:
        """Become this state."""
        ...


@dataclass(slots=True)
class Provider:
    """One provider, ready to be called. `restore` None: what is captured of it cannot be put back by a recovery."""

    component: str
    collection: str
    capture: Callable[[], Any]
    restore: Callable[[dict[Any, Any]], Any] | None
    target: object
    types: dict[str, type] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """`component/collection`."""
        return f"{self.component}/{self.collection}"

    def version(self) -> object:
        """What says that nothing changed, where the provider says so."""
        found = None if isinstance(self.target, Mapping) else getattr(self.target, "version", None)
        return found() if callable(found) else found


def provider_of(component: str, name: str, target: Any) -> Provider:
    """How to call `target`: an object with `capture`, a mapping, or a function that gives the items.

    Raises:
        UsageError: none of them, or not the name of a component.
    """
    _check_component(component)
    collection = COLLECTION_PREFIX + name
    if callable(getattr(target, "capture", None)):
        restore = getattr(target, "restore", None)
        made = Provider(component, collection, target.capture, restore if callable(restore) else None, target)
    elif isinstance(target, Mapping):
        made = Provider(component, collection, lambda: target, _replacing(target), target)
    elif callable(target):
        made = Provider(component, collection, target, None, target)
    else:
        raise UsageError(
            f"What was given for {component} is of type {type(target).__qualname__}, which cannot be captured.",
            hint="Give an object with capture() and restore(items), a mapping, or a function that returns the items.",
        )
    types: Iterable[object] = () if isinstance(target, Mapping) else getattr(target, "types", ())
    for one in types if isinstance(types, Iterable) else ():
        if isinstance(one, type) and dataclasses.is_dataclass(one):
            made.types[class_name(one)] = one
    return made


def _replacing(target: Mapping[Any, Any]) -> Callable[[dict[Any, Any]], None] | None:
    if not isinstance(target, MutableMapping):
        return None

    def replace(items: dict[Any, Any]) -> None:
        target.clear()
        target.update(items)

    return replace


def _check_component(component: str) -> None:
    reserved = (COMPONENT_OTHER, COMPONENT_DATABASE)
    if not component.isidentifier() or not component.isascii() or component in reserved:
        raise UsageError(
            f"{component[:100]!r} is no name of a component.",
            hint=f"Use {', '.join(COMPONENTS)}, or another plain word.",
        )
