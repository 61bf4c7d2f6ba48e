"""What of a checkpoint is marked for a recovery: a tree that is read as it is unfolded, with marks of three states.

All → component → collection → record; beside it agents and orchestrations with all that belongs to them, and texts.
No Textual in here.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from maos_ckpt.model import Checkpoint, MergePolicy, Selection
from maos_ckpt.model.contents import RecordPage
from maos_ckpt_tui.suspects import AGENTS, Suspect

Id = tuple[str, ...]
ALL: Id = ("all",)
AGENT, ORCHESTRATION, TEXT = "agent", "orchestration", "text"
#: Records that one page brings.
PAGE_RECORDS = 200
#: A collection is split into its records for the sake of one of them only up to this size.
SPLIT_RECORDS_MAX = 200
#: Lines of a transcript go back with their whole file: two ages would be no conversation.
_LINES, _FILES = ("memory", "transcripts"), ("memory", "transcript_files")
_GROUPS = {
    AGENT: (AGENTS, "One agent, with all that belongs to it"),
    ORCHESTRATION: (("system", "orchestrations"), "One orchestration, with its agents"),
}
GROUP_HINT = "Unfold it with the right arrow, and mark one of those in it."


class Mark(StrEnum):
    """What stands before a row."""

    FULL, PART, NONE = "[x]", "[-]", "[ ]"


@dataclass(slots=True)
class Node:
    """One row. `source` is the collection that its children are records of; `next` the page behind those read."""

    id: Id
    level: int
    title: str
    note: str = ""
    records: int = 0
    bytes: int = 0
    source: tuple[str, str] | None = None
    children: list[Node] = field(default_factory=list)
    opened: bool = False
    read: bool = True
    next: str = ""
    suggested: bool = False
    group: bool = False

    @property
    def foldable(self) -> bool:
        """Whether there is something inside."""
        return bool(self.children) or self.source is not None


class Choosing:
    """Nodes, marks, and the options of a recovery of one checkpoint."""

    def __init__(self, checkpoint: Checkpoint, suspects: Sequence[Suspect] = ()) -> None:
        self.checkpoint = checkpoint
        self.marks: set[Id] = set()
        self.exact = False
        self.dependencies = False
        self.merge = MergePolicy.REPLACE
        self._suspects: list[Node] = []
        self._everything = self._tree(checkpoint)
        self._groups = self._all_groups(checkpoint)
        self._texts: list[Node] = []
        self.rows: list[Node] = []
        self.suggest(suspects)

    @staticmethod
    def _tree(checkpoint: Checkpoint) -> Node:
        top = Node(ALL, 0, "Everything", records=checkpoint.records, bytes=checkpoint.logical_bytes, opened=True)
        for name in checkpoint.components:
            parts = [one for one in checkpoint.collections if one.component == name]
            component = Node((*ALL, name), 1, name)
            component.records, component.bytes = sum(one.records for one in parts), sum(one.bytes for one in parts)
            for one in parts:
                source = _FILES if (name, one.name) == _LINES else (name, one.name)
                node = Node((*component.id, one.name), 2, one.name, "", one.records, one.bytes)
                node.source, node.read = (source, False) if one.records else (None, True)
                component.children.append(node)
            top.children.append(component)
        return top

    @staticmethod
    def _all_groups(checkpoint: Checkpoint) -> list[Node]:
        records = {(one.component, one.name): one.records for one in checkpoint.collections}
        return [
            Node((kind,), 0, title, "", records[source], source=source, read=False, group=True)
            for kind, (source, title) in _GROUPS.items()
            if records.get(source)
        ]

    # Rows

    def suggest(self, suspects: Iterable[Suspect]) -> None:
        """Agents that the signs of an incident point at, above all else."""
        self._suspects = [Node((AGENT, one.agent), 0, one.agent, one.why, suggested=True) for one in suspects]
        self._lay()

    def add_text(self, text: str) -> Node:
        """What contains a text, marked at once; its row."""
        node = next((one for one in self._texts if one.id == (TEXT, text)), None)
        if node is None:
            self._texts.append(node := Node((TEXT, text), 0, text))
        self.marks.discard(ALL)
        self.marks.add(node.id)
        self._lay()
        return node

    def _lay(self) -> None:
        tops = [*self._suspects, *self._texts, self._everything, *self._groups]
        self.rows = [row for top in tops for row in _shown(top)]

    def fold(self, node: Node, opened: bool) -> bool:
        """Fold or unfold; True where what is inside has to be read first."""
        node.opened = opened and node.foldable
        self._lay()
        return node.opened and not node.read

    def parent(self, node: Node) -> Node | None:
        """The row that this one stands under."""
        return next((one for one in self.rows if node in one.children), None)

    def take_page(self, node: Node, page: RecordPage) -> None:
        """What was read of a node's inside."""
        for one in page.records:
            key = (one.component, one.collection)
            if node.source is not None and key != node.source:
                continue
            child = (node.id[0], one.key) if node.group else (*node.id, one.key)
            node.children.append(Node(child, node.level + 1, one.key))
        node.read, node.next = True, page.next
        self._lay()

    # Marks

    def mark(self, node: Node) -> Mark:
        """How a row is marked."""
        if node.id in self.marks or any(node.id[:length] in self.marks for length in range(1, len(node.id))):
            return Mark.FULL
        inside = any(one[: len(node.id)] == node.id for one in self.marks)
        return Mark.PART if inside else Mark.NONE

    def toggle(self, node: Node) -> str:
        """Mark or unmark a row; why not, or ""."""
        if node.group:
            return GROUP_HINT
        if node.id in self.marks:
            self.marks.discard(node.id)
        elif self.mark(node) is Mark.FULL:
            return self._take_out(node)
        else:
            self.marks = {one for one in self.marks if one[: len(node.id)] != node.id} | {node.id}
            self._join()
        return ""

    def toggle_all(self) -> None:
        """All, or none."""
        self.marks = set() if self.marks else {ALL}

    def _take_out(self, node: Node) -> str:
        marked = next(node.id[:length] for length in range(1, len(node.id)) if node.id[:length] in self.marks)
        path = [node.id[:length] for length in range(len(marked), len(node.id))]
        found: set[Id] = set()
        for step, one in enumerate(path):
            parent = self._find(one)
            if parent is None or parent.next or len(parent.children) > SPLIT_RECORDS_MAX:
                return "There are too many records to leave one out: unmark all, and mark those that you want."
            beside = path[step + 1] if step + 1 < len(path) else node.id
            found |= {child.id for child in parent.children if child.id != beside}
        self.marks = (self.marks - {marked}) | found
        return ""

    def _join(self) -> None:
        for component in self._everything.children:
            if component.children and all(one.id in self.marks for one in component.children):
                self.marks = {one for one in self.marks if one[:2] != component.id} | {component.id}
        if self._everything.children and all(one.id in self.marks for one in self._everything.children):
            self.marks = {one for one in self.marks if one[:1] != ALL} | {ALL}

    def _find(self, wanted: Id) -> Node | None:
        nodes = [self._everything]
        while nodes:
            node = nodes.pop()
            if node.id == wanted:
                return node
            nodes += node.children
        return None

    # What comes of it

    def meant(self, at: Node | None) -> frozenset[Id]:
        """What is marked, or where nothing is, the row at hand."""
        if self.marks or at is None or at.group:
            return frozenset(self.marks)
        return frozenset({at.id})

    def selection(self, meant: frozenset[Id]) -> Selection:
        """As the engine wants it; whoever recovers everything by replacing wants exactly what was."""
        if ALL in meant:
            return Selection(exact=self.merge is MergePolicy.REPLACE, merge=self.merge)
        ids = sorted(meant)
        inside = [one[1:] for one in ids if one[:1] == ALL]
        return Selection(
            components=tuple(one[0] for one in inside if len(one) == 1),
            records=tuple(pattern for one in inside if len(one) > 1 for pattern in _patterns(one)),
            agents=tuple(one[1] for one in ids if one[0] == AGENT),
            orchestrations=tuple(one[1] for one in ids if one[0] == ORCHESTRATION),
            searches=tuple(one[1] for one in ids if one[0] == TEXT),
            exact=self.exact and self.merge is MergePolicy.REPLACE,
            with_dependencies=self.dependencies,
            merge=self.merge,
        )

    def counts(self, meant: frozenset[Id]) -> dict[str, int]:
        """How many of each kind are meant, and under `records` how many that is as far as the checkpoint tells."""
        found = {"components": 0, "collections": 0, "single records": 0, "agents": 0, "orchestrations": 0, "texts": 0}
        kinds = {AGENT: "agents", ORCHESTRATION: "orchestrations", TEXT: "texts"}
        records = 0
        for one in meant:
            if one[0] in kinds:
                found[kinds[one[0]]] += 1
                continue
            kind = {2: "components", 3: "collections", 4: "single records"}.get(len(one))
            if kind is not None:
                found[kind] += 1
            node = self._find(one)
            records += 1 if kind == "single records" else node.records if node is not None else 0
        return {**{kind: number for kind, number in found.items() if number}, "records": records}


def _shown(node: Node) -> Iterator[Node]:
    yield node
    if node.opened:
        for child in node.children:
            yield from _shown(child)


def _patterns(place: Id) -> tuple[str, ...]:
    component, collection, *key = place
    if not key:
        return (f"{component}/{collection}/*",)
    name = glob.escape(key[0])
    if (component, collection) in (_LINES, _FILES):
        return (f"{'/'.join(_LINES)}/{name}/*", f"{'/'.join(_FILES)}/{name}")
    return (f"{component}/{collection}/{name}",)


def next_merge(policy: MergePolicy) -> MergePolicy:
    """The policy behind this one."""
    policies = list(MergePolicy)
    return policies[(policies.index(policy) + 1) % len(policies)]
