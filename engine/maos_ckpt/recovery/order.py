"""In which order a recovery writes collections."""

from __future__ import annotations

from typing import Final

from maos_ckpt.model import COMPONENT_DATABASE, COMPONENT_OTHER, COMPONENTS, CollectionKind
from maos_ckpt.states import CollectionPair

#: Order of writing; what depends on agents comes after them.
_ORDER: Final = {name: at for at, name in enumerate((*COMPONENTS, COMPONENT_OTHER, COMPONENT_DATABASE))}


def write_order(pair: CollectionPair) -> tuple[int, int]:
    """What to sort collections by."""
    # Tables must be there before their rows, and files follow what a transaction can take back.
    order = tuple(CollectionKind(one) for one in ("schema", "table", "files", "lines", "objects"))
    one = pair.either
    in_database = one.kind is CollectionKind.TABLE
    return order.index(one.kind), _ORDER.get(one.component, len(_ORDER)) if in_database else 0
