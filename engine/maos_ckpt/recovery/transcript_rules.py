"""Whether the lines that a plan puts into transcripts belong there and hang together.

Claude Code's lines form a chain: each names its parent by uuid. A transcript that lost a link in the middle cannot be
continued. Lines that the plan does not touch are read only where a new line's parent is not among the plan's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from maos_ckpt.codec.values import RawText, encode_key
from maos_ckpt.model import Finding, Severity, Value
from maos_ckpt.recovery.lookup import lookup
from maos_ckpt.recovery.tally import Counted
from maos_ckpt.sources.change import Change
from maos_ckpt.states import State
from maos_ckpt.tree.large import load_row

#: A line longer than this is not looked into.
LINE_BYTES_MAX: Final = 4 << 20
#: Lines of one transcript whose links are remembered, and lines that stay before them in which theirs are looked for.
LINKS_MAX: Final = 200_000

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(slots=True)
class _File:
    """What the plan does to one transcript."""

    path: str
    component: str
    collection: str
    uuids: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    parents: dict[str, int] = field(default_factory=dict)
    touched: set[int] = field(default_factory=set)
    strange: bool = False


class TranscriptCheck:
    """Takes the changes of lines, which come file by file; then `findings`."""

    def __init__(self, live: State) -> None:
        self._live = live
        self._file: _File | None = None
        self._torn = Counted[str]()
        self._strange = Counted[str]()

    def take(self, change: Change) -> None:
        """Note one line's change."""
        path, number = change.parts[0], change.parts[1]
        if not isinstance(path, str) or not isinstance(number, int):
            return
        if self._file is None or self._file.path != path:
            self._end()
            self._file = _File(path, change.descriptor.component, change.descriptor.name)
        file = self._file
        if len(file.touched) >= LINKS_MAX:
            return
        file.touched.add(number)
        before = _entry(change.before[0] if change.before else None)
        after = _entry(change.after[0] if change.after else None)
        if (gone := _text(before, "uuid")) is not None:
            file.gone.add(gone)
        if (uuid := _text(after, "uuid")) is not None:
            file.uuids.add(uuid)
        if (parent := _text(after, "parentUuid")) is not None:
            file.parents.setdefault(parent, number)
        if after and not _belongs(path, after) and (not before or _belongs(path, before)):
            file.strange = True

    def findings(self) -> Iterator[Finding]:
        """What would be wrong with transcripts afterwards and is not now."""
        self._end()
        if self._torn.number:
            text = f"{_transcripts(self._torn.number)} would hold a line whose predecessor is missing."
            yield Finding(
                Severity.WARNING, "transcripts", text, "parentUuid", tuple(self._torn.first), self._torn.number
            )
        if self._strange.number:
            text = f"{_transcripts(self._strange.number)} would hold lines of another session or directory."
            yield Finding(
                Severity.WARNING, "transcripts", text, "sessionId", tuple(self._strange.first), self._strange.number
            )

    def _end(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        shown = f"{file.component}/{file.collection}/{file.path}"
        if file.strange:
            self._strange.add(shown)
        open_ends = {parent: number for parent, number in file.parents.items() if parent not in file.uuids}
        if open_ends and not self._all_in_live(file, open_ends):
            self._torn.add(shown)

    def _all_in_live(self, file: _File, open_ends: dict[str, int]) -> bool:
        """Whether the lines that stay hold these uuids; a chain that is already open there is none of the plan's."""
        left = set(open_ends)
        if left & file.gone:
            return False
        last = max(open_ends.values())
        first = max(1, last - LINKS_MAX)
        stays = [number for number in range(first, last) if number not in file.touched]
        keys = [encode_key((file.path, number)) for number in stays]
        name = (file.component, file.collection)
        for _, value in lookup(self._live, name, keys):
            left.discard(str(_entry(load_row(value, self._live.get)[0]).get("uuid")))
            if not left:
                return True
        # Of what lies further back nobody knows, so nothing is said of it.
        return not left or first > 1


def _entry(text: Value) -> dict[str, object]:
    """The JSON object of a line; empty where it is none."""
    data = bytes(text.data) if isinstance(text, RawText) else text
    if not isinstance(data, str | bytes) or len(data) > LINE_BYTES_MAX:
        return {}
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(entry: dict[str, object], name: str) -> str | None:
    found = entry.get(name)
    return found if isinstance(found, str) else None


def _belongs(path: str, entry: dict[str, object]) -> bool:
    """Whether a line is of the session and directory that its transcript's path says; sub-agents have other names."""
    folder, _, name = path.rpartition("/")
    session = name.removesuffix(".jsonl")
    if _UUID.fullmatch(session) and _text(entry, "sessionId") not in (None, session):
        return False
    directory = _text(entry, "cwd")
    if directory is None or "/" in folder:
        return True
    return _plain(directory) == _plain(folder)


def _plain(path: str) -> str:
    """A directory's name with everything that some release of Claude Code replaces replaced."""
    return re.sub(r"[^0-9A-Za-z]", "", path)


def _transcripts(number: int) -> str:
    return "1 transcript" if number == 1 else f"{number:,} transcripts"
