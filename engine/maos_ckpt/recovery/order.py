"""In which order a recovery writes collections."""

from __future__ import annotations

from typing import Final

from maos_ckpt.model import COMPONENT_DATABASE, COMPONENT_OTHER, COMPONENTS, CollectionKind
from maos_ckpt.states import CollectionPair

#: Order of writing; what depends on agents comes after them.
_ORDER: Final = {name: at for at, name in enumerate((*COMPONENTS, COMPONENT_OTHER, COMPONENT_DATABASE))}
#: Tables must be there before their rows; files, and then objects, follow what a transaction can take back.
_KINDS: Final = (
    CollectionKind.SCHEMA,
    CollectionKind.TABLE,
    CollectionKind.FILES,
    CollectionKind.LINES,
    CollectionKind.OBJECTS,
)


def write_order(pair: CollectionPair) -> tuple[int, int]:
    """What to sort collections by."""
    one = pair.either
    in_database = one.kind is CollectionKind.TABLE
    return _KINDS.index(one.kind), _ORDER.get(one.component, len(_ORDER)) if in_database else 0
