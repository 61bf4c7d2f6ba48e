"""The few types of the model that look in JSON otherwise than the codec's rules would have it."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from maos_ckpt.api.codec import Computed, changed, special
from maos_ckpt.model import Checkpoint, Collection, Counts, FieldChange, Plan, Severity
from maos_ckpt.model.contents import ShownRecord
from maos_ckpt.model.drills import DrillReport

#: How much of its digest stands in a plan's short name.
_PLAN_ID_CHARACTERS = 15


@dataclass(frozen=True, slots=True)
class Integrity:
    """What a checkpoint's state hashes to."""

    algorithm: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class ComponentSize:
    """A component of a checkpoint at a glance."""

    name: str
    records: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Component:
    """A component of a checkpoint with its collections."""

    name: str
    records: int
    bytes: int
    collections: tuple[Collection, ...]


class Field(msgspec.Struct, frozen=True):
    """One field of a record that differs, its values typed; a side on which it is absent has no member here, since null
    is a value."""

    path: str
    before: Any | UnsetType = UNSET
    after: Any | UnsetType = UNSET


class RecordValues(msgspec.Struct, frozen=True):
    """A record: column → value."""

    component: str
    collection: str
    key: str
    values: dict[str, Any]


def _components(one: Checkpoint) -> tuple[Component, ...]:
    return tuple(
        Component(size.name, size.records, size.bytes, tuple(c for c in one.collections if c.component == size.name))
        for size in component_sizes(one)
    )


def component_sizes(one: Checkpoint) -> tuple[ComponentSize, ...]:
    """Records and bytes of each component."""
    found: dict[str, list[int]] = {}
    for collection in one.collections:
        size = found.setdefault(collection.component, [0, 0])
        size[0] += collection.records
        size[1] += collection.bytes
    return tuple(ComponentSize(name, *size) for name, size in found.items())


def _field(one: FieldChange) -> dict[str, object]:
    shape: dict[str, object] = {"path": one.path}
    for name, text, as_json in (("before", one.before, one.before_json), ("after", one.after, one.after_json)):
        if text is not None:
            shape[name] = text if as_json is None else Raw(as_json.encode())
    return shape


def _record(one: ShownRecord) -> dict[str, object]:
    return {
        "component": one.component,
        "collection": one.collection,
        "key": one.key,
        "values": Raw(one.values_json.encode()),
    }


def errors_of(plan: Plan) -> tuple[str, ...]:
    """What a plan found that is wrong, one sentence each."""
    return tuple(one.message for one in plan.findings if one.severity is Severity.ERROR)


def plan_id(digest: str) -> str:
    """A plan's short name, for people."""
    return f"pl_{digest[:_PLAN_ID_CHARACTERS]}"


def _settle() -> None:
    special(FieldChange, Field, _field)
    special(ShownRecord, RecordValues, _record)
    changed(Collection, left_out=("component",))
    changed(Counts, computed=(Computed("total", int, operator.attrgetter("total")),))
    changed(
        Checkpoint,
        left_out=("collections", "digest", "descriptors", "marked", "pack", "referrers", "audit"),
        computed=(
            Computed("records", int, operator.attrgetter("records")),
            Computed("logical_bytes", int, operator.attrgetter("logical_bytes")),
            Computed("components", tuple[Component, ...], _components),
            Computed("integrity", Integrity, lambda one: Integrity("sha512", one.digest)),
        ),
    )
    changed(Plan, computed=(Computed("id", str, lambda one: plan_id(one.digest)),))
    changed(DrillReport, computed=(Computed("failed", tuple[str, ...], operator.attrgetter("failed")),))


_settle()
