"""Differences as a file: JSON for machines, Markdown for people. No Textual in here."""

from __future__ import annotations

import json
from dataclasses import asdict

from maos_ckpt.model import ChangeKind, Counts, DiffResult, RecordChange
from maos_ckpt_tui.safe_text import safe_text

JSON, MARKDOWN = "json", "md"
_SIGNS = {ChangeKind.ADDED: "+", ChangeKind.MODIFIED: "~", ChangeKind.REMOVED: "-"}
#: Longer values are cut in Markdown; JSON has them whole.
_CHARACTERS_MAX = 400


def as_json(result: DiffResult) -> str:
    """The result as it is, changes in their order."""
    return json.dumps(asdict(result), indent=2, ensure_ascii=True) + "\n"


def as_markdown(result: DiffResult) -> str:
    """Counts, then every change that is listed; whatever an agent wrote stands in code spans, harmless."""
    lines = [f"# Differences: {_code(result.before)} → {_code(result.after)}", ""]
    lines.append(f"{result.summary.total:,} changes: {_counts(result.summary)}.")
    if result.truncated:
        lines += ["", f"**Only the first {len(result.changes):,} are listed.**"]
    lines += ["", "| component | added | modified | removed |", "|---|---:|---:|---:|"]
    lines += [
        f"| {_code(name)} | {one.added:,} | {one.modified:,} | {one.removed:,} |"
        for name, one in result.by_component.items()
    ]
    lines += [f"\nNote: {_code(one.message)}" for one in result.findings]
    place = ("", "")
    for change in result.changes:
        if (change.component, change.collection) != place:
            place = (change.component, change.collection)
            lines += ["", f"## {_code('/'.join(place))}", ""]
        lines += _change(change)
    return "\n".join(lines) + "\n"


def _change(change: RecordChange) -> list[str]:
    lines = [f"- {_SIGNS[change.kind]} {_code(change.key)} {change.kind.value}"]
    for field in change.fields:
        if field.before is None:
            lines.append(f"  - {_code(field.path)}: + {_code(field.after or '')}")
        elif field.after is None:
            lines.append(f"  - {_code(field.path)}: - {_code(field.before)}")
        else:
            lines.append(f"  - {_code(field.path)}: {_code(field.before)} → {_code(field.after)}")
    return lines


def _counts(counts: Counts) -> str:
    return f"{counts.added:,} added, {counts.modified:,} modified, {counts.removed:,} removed"


def _code(text: str) -> str:
    """A code span that no text can leave."""
    shown = text if len(text) <= _CHARACTERS_MAX else f"{text[:_CHARACTERS_MAX]}… ({len(text):,} characters)"
    return f"`{safe_text(shown).replace('`', chr(0x2019)).replace('|', chr(0x2223)) or ' '}`"
