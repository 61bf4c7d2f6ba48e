"""Putting single fields of a checkpoint's row into the live row, which stays as it is in everything else."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from maos_ckpt.errors import NotFoundError, UsageError
from maos_ckpt.model import CollectionKind, Descriptor, MergePolicy, Row, Value
from maos_ckpt.recovery.json_path import Field, Steps, names_at, value_text, with_value, without_value

_KEPT = "Nothing was changed."


@dataclass(frozen=True, slots=True)
class FieldResult:
    """A live row with fields put in, and the fields that stay as they are: by the policy, or for want of a place."""

    row: Row
    kept: tuple[Field, ...] = ()
    conflicts: tuple[Field, ...] = ()


def put_fields(
    fields: tuple[Field, ...],
    live: tuple[Descriptor, Row],
    checkpoint: tuple[Descriptor, Row],
    merge: MergePolicy,
    *,
    remove: bool = False,
) -> FieldResult:
    """The live row with these fields as the checkpoint's row has them; `remove` takes out those that it does not have.

    Raises:
        NotFoundError: the checkpoint's row has no such field.
        UsageError: it cannot be put back alone.
    """
    row, kept, conflicts = list(live[1]), [], []
    for field in fields:
        source = field_text(field, *checkpoint, missing_ok=remove)
        if field.column not in live[0].columns:
            conflicts.append(field)
            continue
        at = live[0].columns.index(field.column)
        if not field.steps:
            if merge is MergePolicy.ADD_MISSING and row[at] is not None:
                kept.append(field)
            else:
                row[at] = source
            continue
        assert source is None or isinstance(source, str)
        try:
            there = isinstance(row[at], str) and value_text(str(row[at]), field.steps) is not None
            if there and merge is MergePolicy.ADD_MISSING:
                kept.append(field)
                continue
            text = _edited(row[at], field.steps, source)
        except (ValueError, RecursionError):
            text = None
        if text is None:
            conflicts.append(field)
        else:
            row[at] = text
    return FieldResult(tuple(row), tuple(kept), tuple(conflicts))


def _edited(text: Value, steps: Steps, value: str | None) -> str | None:
    if not isinstance(text, str):
        return None
    return without_value(text, steps) if value is None else with_value(text, steps, value)


def field_text(field: Field, descriptor: Descriptor, row: Row, *, missing_ok: bool = False) -> Value:
    """What a row holds at a field: a whole column's value, or the text of a place in its JSON.

    `missing_ok`: None for a place that is not there.

    Raises:
        NotFoundError: there is no such field; `data["nearest"]` is what comes nearest.
        UsageError: it is part of the key, or of a record that is no row of a table.
    """
    if descriptor.kind is not CollectionKind.TABLE or field.column in descriptor.keys:
        raise UsageError(
            f"{field.text!r} names no field that can be put back alone: only columns of tables can, keys aside.",
            kept=_KEPT,
            hint=f"Recover the whole record with --record '{field.path}'.",
        )
    columns = descriptor.columns[1:] if descriptor.rowid else descriptor.columns
    if field.column not in columns:
        raise _missing(field, f"column {field.column!r}", field.column, columns)
    value = row[descriptor.columns.index(field.column)]
    if not field.steps:
        return value
    text = value if isinstance(value, str) else ""
    try:
        found = value_text(text, field.steps)
    except (ValueError, RecursionError) as error:
        if missing_ok:
            return None
        raise _missing(field, f"JSON in the column {field.column!r}", field.column, ()) from error
    if found is None and not missing_ok:
        raise _missing(field, "such place", *_nearest(text, field))
    return found


def _nearest(text: str, field: Field) -> tuple[str, tuple[str, ...]]:
    """The place as it was typed, and the places of the innermost container that is there."""
    path, known = field.column, tuple[str, ...]()
    for at in range(len(field.steps)):
        known = tuple(path + one for one in names_at(text, field.steps[:at]))
        step = field.steps[at]
        path += f".{step}" if isinstance(step, str) else f"[{step}]"
        if path not in known:
            break
    return path, known


def _missing(field: Field, what: str, wanted: str, known: tuple[str, ...]) -> NotFoundError:
    nearest = difflib.get_close_matches(wanted, known, 1)
    hint = f"Did you mean {nearest[0]!r}?" if nearest else "`maos-ckpt records ID --record KEY` shows what it holds."
    if not nearest and 0 < len(known) <= 12:
        hint = f"There is {', '.join(known)}."
    return NotFoundError(
        f"In the checkpoint {field.path} has no {what}.", kept=_KEPT, hint=hint, name=field.text, nearest=nearest
    )


def without_record(field: Field, checkpoint: str) -> NotFoundError:
    """The error for a field of a record that the checkpoint does not hold."""
    return NotFoundError(
        f"Checkpoint {checkpoint} has no record {field.path}, so it has no field of it.",
        kept=_KEPT,
        hint="Choose a checkpoint that holds the record: `maos-ckpt history` tells which.",
        name=field.text,
    )
