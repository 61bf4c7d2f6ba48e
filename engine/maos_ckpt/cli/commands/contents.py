"""diff, records, history, export."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from maos_ckpt.cli import shapes
from maos_ckpt.cli.context import Context
from maos_ckpt.cli.text import clip, count, moment, name, size, table
from maos_ckpt.errors import ExitCode
from maos_ckpt.export import json_record
from maos_ckpt.history import VERSIONS_TOLD
from maos_ckpt.model import ChangeKind, Counts, DiffResult, FieldChange, RecordChange
from maos_ckpt.model.contents import History
from maos_ckpt.operations import checkpoints, exports
from maos_ckpt.safe_text import safe_text

#: Changes listed where --limit names no number: what people read, and all that a program may want.
CHANGES_LISTED = 1000
CHANGES_LISTED_JSON = 1_000_000
_SIGNS = {ChangeKind.ADDED: "+", ChangeKind.MODIFIED: "~", ChangeKind.REMOVED: "-"}
_VALUE_CHARACTERS = 120
#: Places that differ inside one column: the numbers of an embedding would push everything else out of sight.
_PLACES_LISTED_MAX = 12
_REASON_CHARACTERS = 300


def change_limit(context: Context) -> int:
    """How many changes to list."""
    limit: int | None = context.arguments.limit
    if limit is not None:
        return limit
    return CHANGES_LISTED_JSON if context.out.as_json else CHANGES_LISTED


def diff(context: Context) -> int:
    """`maos-ckpt diff`."""
    arguments = context.arguments
    context.stop_on_signals()
    limit = 0 if arguments.stat else change_limit(context)
    with context.progress() as progress:
        result = checkpoints.diff(context.workspace, arguments.before, arguments.after, limit, progress)
    return tell_diff(context, result)


def tell_diff(context: Context, result: DiffResult) -> int:
    """What differs, or with --stat how much."""
    stat = context.arguments.stat
    if context.out.as_json:
        context.out.document(shapes.diff(result, stat=stat))
        return ExitCode.DONE
    lines = [] if stat else change_lines(result.changes)
    if not stat and result.truncated:
        lines.append(more_line(result.summary.total - len(result.changes)))
    told = [f"{one.severity.value}: {clip(one.message, 1000)}" for one in result.findings]
    context.out.lines([*lines, *count_lines(result.summary, result.by_component), *told])
    return ExitCode.DONE


def more_line(more: int) -> str:
    """What stands below a list that is cut."""
    return f"… and {count(more, 'more change')}; --limit N lists N of them, --limit 0 none"


def change_lines(changes: tuple[RecordChange, ...], *, contents: bool = False) -> list[str]:
    """Changes for people, a modified record with its fields below it; with `contents` others with theirs, too."""
    lines = []
    for one in changes:
        lines.append(f"{_SIGNS[one.kind]} {name(f'{one.component}/{one.collection}/{one.key}')}")
        fields, more = _listed(one.fields if one.kind is ChangeKind.MODIFIED or contents else ())
        for field in fields:
            only = field.after if one.kind is ChangeKind.ADDED else field.before
            if one.kind is not ChangeKind.MODIFIED and only is not None:
                lines.append(f"    {name(field.path)}: {clip(only, _VALUE_CHARACTERS)}")
                continue
            before = "(absent)" if field.before is None else clip(field.before, _VALUE_CHARACTERS)
            after = "(absent)" if field.after is None else clip(field.after, _VALUE_CHARACTERS)
            lines.append(f"    {name(field.path)}: {before} -> {after}")
        lines += [f"    {name(column)}: … and {count(number, 'more place')}" for column, number in more.items()]
        if one.reason:
            lines.append(f"    because {clip(one.reason, _REASON_CHARACTERS)}")
    return lines


def _listed(fields: Sequence[FieldChange]) -> tuple[list[FieldChange], dict[str, int]]:
    """The fields to show, and how many more places there are inside a column."""
    seen: dict[str, int] = {}
    shown: list[FieldChange] = []
    for one in fields:
        column = re.split(r"[.\[]", one.path, maxsplit=1)[0]
        seen[column] = seen.get(column, 0) + 1
        if seen[column] <= _PLACES_LISTED_MAX:
            shown.append(one)
    return shown, {
        column: number - _PLACES_LISTED_MAX for column, number in seen.items() if number > _PLACES_LISTED_MAX
    }


def count_lines(summary: Counts, by_component: dict[str, Counts]) -> list[str]:
    """Counts by component and in all."""
    if not summary.total:
        return ["No differences."]
    rows = [_count_row(component, one) for component, one in by_component.items()]
    rows.append(_count_row("total", summary))
    return table(("COMPONENT", "ADDED", "MODIFIED", "REMOVED"), rows, right=frozenset({1, 2, 3}))


def _count_row(what: str, one: Counts) -> tuple[str, ...]:
    return what, f"{one.added:,}", f"{one.modified:,}", f"{one.removed:,}"


def records(context: Context) -> int:
    """`maos-ckpt records`: a stream, so that any number fits."""
    arguments = context.arguments
    context.stop_on_signals()
    found = checkpoints.records(context.workspace, arguments.id, arguments.component, arguments.record)
    shown = 0
    for record in found:
        tell_record(context, json_record(record))
        shown += 1
        if arguments.limit and shown >= arguments.limit:
            break
    if not shown and not context.out.as_json:
        context.out.notice("No record matches.")
    return ExitCode.DONE


def tell_record(context: Context, shape: dict[str, Any]) -> None:
    """One record of a stream, given as its JSON form."""
    if context.out.as_json:
        context.out.stream_line(shape)
    else:
        path = f"{shape['component']}/{shape['collection']}/{shape['key']}"
        context.out.lines([name(path), *(_value_line(key, value) for key, value in shape["value"].items())])


def _value_line(column: str, value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"    {name(column)}: {clip(text, _VALUE_CHARACTERS)}"


def history(context: Context) -> int:
    """`maos-ckpt history`."""
    context.stop_on_signals()
    limit = context.arguments.limit or VERSIONS_TOLD
    return tell_history(context, checkpoints.history(context.workspace, context.arguments.key, limit))


def tell_history(context: Context, found: History) -> int:
    """How one record changed."""
    versions = found.versions
    matched = list(dict.fromkeys(f"{one.component}/{one.collection}/{one.key}" for one in versions))
    if context.out.as_json:
        told = (shapes.version(one) for one in versions)
        context.out.document(
            {"matched": matched, "omitted": found.omitted, "versions": told, "unread": list(found.unread)}
        )
        return ExitCode.PARTIAL if found.unread else ExitCode.DONE
    now_ms = context.seams.clock.now_ms()
    lines = [f"{count(len(versions) + found.omitted, 'version')} of {', '.join(map(name, matched))}"]
    if found.omitted:
        lines.append(f"… {count(found.omitted, 'older version')}; --limit N tells of N")
    for one in versions:
        change = RecordChange(one.component, one.collection, one.key, one.kind, one.fields)
        lines += [f"{one.checkpoint}  {moment(one.created_at_ms, now_ms)}", *change_lines((change,), contents=True)]
    context.out.lines(lines)
    if found.unread:
        listed = ", ".join(found.unread[:3])
        context.out.notice(f"warning: it cannot be read in {count(len(found.unread), 'checkpoint')}: {listed}")
        return ExitCode.PARTIAL
    return ExitCode.DONE


def export(context: Context) -> int:
    """`maos-ckpt export`."""
    context.stop_on_signals()
    target = context.path(context.arguments.to)
    with context.progress() as progress:
        files = exports.export(context.workspace, context.arguments.id, target, progress)
    if context.out.as_json:
        shape = [
            {
                "path": str(target / one.path),
                "component": one.component,
                "collection": one.collection,
                "records": one.records,
                "bytes": one.bytes,
            }
            for one in files
        ]
        context.out.document({"directory": str(target), "files": shape})
        return ExitCode.DONE
    rows = [(one.path, f"{one.records:,}", size(one.bytes)) for one in files]
    context.out.lines(table(("FILE", "RECORDS", "SIZE"), rows, right=frozenset({1, 2})))
    context.out.notice(f"{count(len(files), 'file')} in {safe_text(str(target))}")
    return ExitCode.DONE
