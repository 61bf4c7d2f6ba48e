"""Two versions of one record, field by field."""

from __future__ import annotations

import json

from maos_ckpt.client import EngineClient
from maos_ckpt.fields import changed_fields
from maos_ckpt.model import ChangeKind, RecordChange
from maos_ckpt_tui.explore.reading import read
from maos_ckpt_tui.explore.things import Thing


def compare(client: EngineClient, thing: Thing, before: str, after: str) -> RecordChange:
    """What differs in a record between two checkpoints; a record that is not there has no fields."""
    old, new = (_values(client, place, thing) for place in (before, after))
    kind = ChangeKind.MODIFIED
    if bool(old) != bool(new):
        kind = ChangeKind.ADDED if new else ChangeKind.REMOVED
    return RecordChange(thing.component, thing.collection, thing.key, kind, changed_fields(old, new))


def _values(client: EngineClient, place: str, thing: Thing) -> dict[str, object]:
    found = read(client, place, thing.pattern, 1, clip=None).entries
    if not found:
        return {}
    # Bytes and the like come as documents; as JSON text they are compared as well.
    return {
        name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in found[0].values.items()
    }
