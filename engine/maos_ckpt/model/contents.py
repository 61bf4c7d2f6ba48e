"""What a checkpoint holds, looked at from outside: pages of records, a record's versions, exported files."""

from __future__ import annotations

from dataclasses import dataclass

from maos_ckpt.model.changes import ChangeKind, FieldChange


@dataclass(frozen=True, slots=True)
class ShownRecord:
    """A record; `key` is a display text (untrusted), `values_json` a JSON object column → value (`fields`, "JSON
    values")."""

    component: str
    collection: str
    key: str
    values_json: str


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Some of a checkpoint's records in order. `next` is what to give as `after` for the page behind this one, "" where
    this is the last."""

    checkpoint: str
    records: tuple[ShownRecord, ...]
    next: str


@dataclass(frozen=True, slots=True)
class Version:
    """A record as it became with one checkpoint; `fields` says what changed since the version before: all of it
    where the record was added or removed."""

    checkpoint: str
    created_at_ms: int
    component: str
    collection: str
    key: str
    kind: ChangeKind
    fields: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class History:
    """Versions, oldest first; `omitted` older ones are not told. `unread`: checkpoints in which the record cannot be
    read, since they are damaged there."""

    versions: tuple[Version, ...]
    omitted: int
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One written file; `path` is relative to the export's directory."""

    path: str
    component: str
    collection: str
    records: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Exported:
    """A checkpoint as plain files; `checkpoint.json` lies beside those named."""

    checkpoint: str
    directory: str
    files: tuple[ExportedFile, ...]
