"""Checkpoints as people see them: marks on the timeline, words for what changed, growth. No Textual in here."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from maos_ckpt.model import Checkpoint, CheckpointState, Collection, Trigger
from maos_ckpt_tui import formatting as fmt

#: What may stand in a date as it is shown.
_PART_OF_DATE = re.compile(r"[-0-9:utc]+")
BARS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Mark:
    """One checkpoint on the timeline: `height` in 0…1, `sign` tells state or trigger, `quiet`: nothing had changed."""

    height: float
    sign: str
    tone: str
    quiet: bool


_TRIGGER_SIGNS = {Trigger.SCHEDULE: "·", Trigger.MANUAL: "m", Trigger.SAFETY: "s", Trigger.API: "a"}
TIMELINE_LEGEND = (
    ("·", "scheduled"),
    ("m", "manual"),
    ("s", "safety"),
    ("a", "api"),
    ("*", "pinned"),
    ("X", "damaged"),
    (":", "gap"),
)
#: A stretch without checkpoints so many times as long as those around it is a gap, and is shown as one.
GAP_TIMES = 3.0
_GAP_NEIGHBOURS = 4


def gaps(checkpoints: Sequence[Checkpoint]) -> dict[int, float]:
    """Index of a checkpoint (newest first) → seconds since the one before it, where that is a gap.

    Measured against its neighbours: retention thins out what is old, which makes no gaps there.
    """
    times = [one.created_at_ms for one in checkpoints]
    spans = [(after - before) / 1000 for after, before in pairwise(times)]
    found: dict[int, float] = {}
    for index, span_s in enumerate(spans):
        around = spans[max(0, index - _GAP_NEIGHBOURS) : index] + spans[index + 1 : index + 1 + _GAP_NEIGHBOURS]
        if around and span_s > GAP_TIMES * max(sorted(around)[len(around) // 2], 0.001):
            found[index] = span_s
    return found


def mark_sign(checkpoint: Checkpoint) -> tuple[str, str]:
    """Sign and tone of a checkpoint, the most important one where several apply."""
    if checkpoint.state is CheckpointState.DAMAGED:
        return "X", "bad"
    if checkpoint.pinned:
        return "*", "key"
    return _TRIGGER_SIGNS[checkpoint.trigger], "dim" if checkpoint.trigger is Trigger.SCHEDULE else "accent"


def marks(checkpoints: Sequence[Checkpoint], *, sizes: bool) -> list[Mark]:
    """Timeline marks in the given order.

    Bytes stored are drawn logarithmically between the least and the most, so that a small save beside a large one stays
    visible; with `sizes` the height is the state's size in proportion, so that a state that suddenly shrank is seen.
    """
    values = [one.logical_bytes if sizes else one.stored_bytes for one in checkpoints]
    heights = _proportional(values) if sizes else _logarithmic(values)
    return [
        Mark(height, *mark_sign(one), one.capture.unchanged) for one, height in zip(checkpoints, heights, strict=True)
    ]


def _proportional(values: Sequence[int]) -> list[float]:
    top = max(values, default=0) or 1
    return [value / top for value in values]


def _logarithmic(values: Sequence[int]) -> list[float]:
    logs = [math.log1p(value) for value in values]
    low, high = min(logs, default=0.0), max(logs, default=0.0)
    if high - low < 1e-9:
        return [0.5 if value else 0.0 for value in values]
    return [0.06 + 0.94 * (one - low) / (high - low) if value else 0.0 for one, value in zip(logs, values, strict=True)]


def bar_cells(height: float, rows: int) -> list[str]:
    """A bar of `rows` cells from top to bottom; anything above zero shows at least its lowest eighth."""
    eighths = max(1, round(height * rows * 8)) if height > 0 else 0
    return [BARS[min(8, max(0, eighths - 8 * below))] for below in range(rows - 1, -1, -1)]


def changed_components(checkpoint: Checkpoint, parent: Checkpoint) -> dict[str, int]:
    """Components whose content differs from the parent's, each with how many records more (or less) it holds."""
    before = {one.path: one for one in parent.collections}
    after = {one.path: one for one in checkpoint.collections}
    found: dict[str, int] = {}
    for path in {**after, **before}:
        old, new = before.get(path), after.get(path)
        if (old.root if old else None) != (new.root if new else None):
            component = path.partition("/")[0]
            found[component] = found.get(component, 0) + (new.records if new else 0) - (old.records if old else 0)
    return found


def change_words(checkpoint: Checkpoint, parent: Checkpoint | None) -> tuple[list[str], str]:
    """What a save changed, and its tone: component names, those first that hold fewer records than before, with how
    many (`tasks-12 memory`); `same`; `first`; `?` where its parent is no longer kept."""
    if checkpoint.capture.unchanged or (parent is not None and parent.digest == checkpoint.digest):
        return ["same"], "dim"
    if checkpoint.parent is None:
        return ["first"], "accent"
    if parent is None:
        return ["?"], "dim"
    changed = sorted(changed_components(checkpoint, parent).items(), key=lambda pair: min(0, pair[1]))
    words = [f"{name}{delta:,}" if delta < 0 else name for name, delta in changed]
    return words, "warn" if any(delta < 0 for _, delta in changed) else "accent"


def fit_words(words: Sequence[str], width: int) -> str:
    """As many whole words as fit into `width` characters, and how many more there are: `memory queue +2`."""
    for shown in range(len(words), -1, -1):
        left = len(words) - shown
        text = " ".join([*words[:shown], *([f"+{left}"] if left else [])])
        if len(text) <= width:
            return text
    return ""


def marks_words(checkpoint: Checkpoint) -> str:
    """Pin, tags, damage and what is missing as words for a table cell."""
    words = ["DAMAGED"] if checkpoint.state is CheckpointState.DAMAGED else []
    words += ["PARTIAL"] if checkpoint.partial else []
    words += ["pin"] if checkpoint.pinned else []
    words += [f"#{tag}" for tag in checkpoint.tags]
    return " ".join(words)


def why_words(checkpoint: Checkpoint) -> tuple[str, str]:
    """Why it was taken, as a table's cell and its tone. It is the one cell that every width has: what an operator must
    not miss stands here too."""
    if checkpoint.state is CheckpointState.DAMAGED:
        return "X DAMAGED", "bad"
    if checkpoint.partial:
        return "! partial", "warn"
    if checkpoint.pinned:
        return f"{checkpoint.trigger.value} *", "key"
    return checkpoint.trigger.value, "dim" if checkpoint.trigger is Trigger.SCHEDULE else "accent"


def state_words(checkpoint: Checkpoint) -> tuple[str, str]:
    """(sentence, tone): how far a checkpoint has got, and whether it is sound."""
    pinned = ", pinned" if checkpoint.pinned else ""
    if checkpoint.state is CheckpointState.DAMAGED:
        return f"XX DAMAGED: a verification found a fault in it{pinned}", "bad"
    where = "here and in the remote repository" if checkpoint.state is CheckpointState.REPLICATED else "here"
    return f"OK {checkpoint.state.value}: durable {where}{pinned}", "ok"


def search_text(one: Checkpoint, *, dated: bool) -> str:
    """What a filter looks through, case folded; `dated`: with the time it was taken, which takes the longest."""
    parts = [one.id, one.trigger, one.state]
    if dated:
        parts.append(fmt.utc(one.created_at_ms))
    if one.description or one.tags or one.pinned or one.capture.missing or one.state is CheckpointState.DAMAGED:
        parts += [one.description, marks_words(one)]
    return " ".join(parts).casefold()


def passing(checkpoints: Sequence[Checkpoint], needle: str) -> list[Checkpoint]:
    """Those that hold every word of a filter text; quick, since a hundred thousand are looked through at a key."""
    words = needle.casefold().split()
    dated = any(_PART_OF_DATE.fullmatch(word) for word in words)
    if len(words) == 1:
        return [one for one in checkpoints if words[0] in search_text(one, dated=dated)]
    found = ((one, search_text(one, dated=dated)) for one in checkpoints)
    return [one for one, text in found if all(word in text for word in words)]


def matches(checkpoint: Checkpoint, needle: str) -> bool:
    """Whether a checkpoint answers to a filter text."""
    return bool(passing([checkpoint], needle))


@dataclass(frozen=True, slots=True)
class Growth:
    """A component's or collection's size, and its change against the parent (None where there is no parent)."""

    name: str
    depth: int
    records: int
    bytes: int
    records_delta: int | None
    bytes_delta: int | None
    changed: bool


def growth(checkpoint: Checkpoint, parent: Checkpoint | None) -> list[Growth]:
    """Components, each followed by its collections where it has more than one."""
    before = {one.path: one for one in parent.collections} if parent else {}
    rows = []
    for component in checkpoint.components:
        parts = [one for one in checkpoint.collections if one.component == component]
        rows.append(_component_growth(component, parts, before, parent is not None))
        if len(parts) > 1:
            rows += [_collection_growth(one, before.get(one.path), parent is not None) for one in parts]
    return rows


def _component_growth(name: str, parts: list[Collection], before: dict[str, Collection], known: bool) -> Growth:
    old = [one for one in before.values() if one.component == name]
    records, size = sum(one.records for one in parts), sum(one.bytes for one in parts)
    return Growth(
        name,
        0,
        records,
        size,
        records - sum(one.records for one in old) if known else None,
        size - sum(one.bytes for one in old) if known else None,
        known and {one.path: one.root for one in parts} != {one.path: one.root for one in old},
    )


def _collection_growth(one: Collection, old: Collection | None, known: bool) -> Growth:
    return Growth(
        one.name,
        1,
        one.records,
        one.bytes,
        one.records - (old.records if old else 0) if known else None,
        one.bytes - (old.bytes if old else 0) if known else None,
        known and one.root != (old.root if old else None),
    )
