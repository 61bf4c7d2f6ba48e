"""The parts of a plan that can be planned alone: a component, and what the cursor is on."""

from __future__ import annotations

import glob

from maos_ckpt.model import Plan, RecordChange, Selection
from maos_ckpt_tui import formatting as fmt
from maos_ckpt_tui.modals.choice import Choice
from maos_ckpt_tui.safe_text import safe_name

_NAME_CELLS_MAX = 50
#: A line of a transcript is put back with its whole file: two ages would be no conversation.
_TRANSCRIPTS = ("transcripts", "transcript_files")


def part_choices(plan: Plan, at: RecordChange | None, narrowed: bool) -> list[Choice[Selection]]:
    """What to choose from; `at` is the record under the cursor, `narrowed` says that the plan is of a part already."""
    found: list[Choice[Selection]] = []
    if at is not None:
        found += _of_record(at)
    for name, counts in plan.by_component.items():
        title = f"{safe_name(name, _NAME_CELLS_MAX)}, {fmt.plural(counts.total, 'record')}"
        found.append(Choice(Selection(components=(name,)), title, "This component alone; the rest stays as it is."))
    if narrowed:
        found.append(Choice(Selection(), "All of it", "As the plan was at first."))
    return found


def _of_record(at: RecordChange) -> list[Choice[Selection]]:
    name = safe_name(at.key, _NAME_CELLS_MAX)
    if at.component == "memory" and at.collection in _TRANSCRIPTS:
        file = glob.escape(at.key if at.collection == "transcript_files" else at.key.rpartition("/")[0])
        records = (f"memory/transcripts/{file}/*", f"memory/transcript_files/{file}")
        return [
            Choice(Selection(records=records), f"this transcript, {name}", "All of its lines; the rest stays as it is.")
        ]
    record = f"{at.component}/{at.collection}/{glob.escape(at.key)}"
    found = [
        Choice(Selection(records=(record,)), f"this record, {name}", "This record alone; the rest stays as it is.")
    ]
    if (at.component, at.collection) == ("agents", "agents"):
        what = "Its sessions, transcripts, messages, tasks and memory as well; the rest stays as it is."
        found.append(Choice(Selection(agents=(at.key,)), f"this agent, {name}", what))
    return found
