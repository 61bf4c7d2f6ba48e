"""What one looks at, as a part of a checkpoint: what a recovery, a difference or an export of it takes."""

from __future__ import annotations

import base64
import glob
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

from maos_ckpt.client import EngineClient
from maos_ckpt.errors import ConflictError, NotFoundError, StorageError
from maos_ckpt.model import ChangeKind, RecordChange, Selection
from maos_ckpt.model.changes import FieldChange
from maos_ckpt_tui.explore.reading import PAGE_RECORDS

_SWAPPED = {ChangeKind.ADDED: ChangeKind.REMOVED, ChangeKind.REMOVED: ChangeKind.ADDED}
TRANSCRIPTS, TRANSCRIPT_FILES = "transcripts", "transcript_files"
#: Pages of one export: 100 million lines.
_PAGES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Thing:
    """A record with all that belongs to it: an agent with its sessions and messages, a transcript with its lines."""

    component: str
    collection: str
    key: str

    @property
    def path(self) -> str:
        """`component/collection/key`."""
        return f"{self.component}/{self.collection}/{self.key}"

    @property
    def pattern(self) -> str:
        """A glob that means its record alone."""
        return f"{self.component}/{self.collection}/{glob.escape(self.key)}"

    @property
    def transcript(self) -> str:
        """The transcript that it is, or is a line of; "" where it is none."""
        if self.component == "memory" and self.collection == TRANSCRIPT_FILES:
            return self.key
        if self.component == "memory" and self.collection == TRANSCRIPTS:
            return self.key.rpartition("/")[0]
        return ""

    @property
    def talks(self) -> bool:
        """Whether it is an agent, a session or a whole transcript, and so has a conversation."""
        return f"{self.component}/{self.collection}" in ("agents/agents", "memory/sessions", "memory/transcript_files")

    def selection(self) -> Selection:
        """What recovering it takes."""
        if (self.component, self.collection) == ("agents", "agents"):
            return Selection(agents=(self.key,))
        if (self.component, self.collection) == ("system", "orchestrations"):
            return Selection(orchestrations=(self.key,))
        if self.transcript:
            # A line of a transcript is put back with its whole file: two ages would be no conversation.
            file = glob.escape(self.transcript)
            records = (f"memory/{TRANSCRIPTS}/{file}/*", f"memory/{TRANSCRIPT_FILES}/{file}")
            return Selection(records=records)
        return Selection(records=(self.pattern,))

    def exact_selection(self) -> Selection:
        """The same with what came since, as far as a selection of its kind tells what that is."""
        return replace(self.selection(), exact=True)

    @property
    def words(self) -> str:
        """What it is, in a word and its key (untrusted)."""
        if self.transcript:
            return f"transcript {self.transcript.rpartition('/')[2]}"
        kinds = {"agents": "agent", "orchestrations": "orchestration", "tasks": "task", "messages": "message"}
        return f"{kinds.get(self.collection, self.collection)} {self.key}"


def line_pattern(file: str) -> str:
    """A glob that means the lines of a transcript."""
    return f"memory/{TRANSCRIPTS}/{glob.escape(file)}/*"


def turned(change: RecordChange) -> RecordChange:
    """A plan's change the other way round: what has happened since, instead of what would be taken back."""
    fields = tuple(
        FieldChange(one.path, one.after, one.before, one.after_json, one.before_json) for one in change.fields
    )
    kind = _SWAPPED.get(change.kind, change.kind)
    return RecordChange(change.component, change.collection, change.key, kind, fields)


def export(client: EngineClient, place: str, thing: Thing, to: Path) -> int:
    """Write a record as JSON, or a transcript as the file that it was, where there is nothing yet; returns the bytes.

    Raises:
        ConflictError: there is something at that place.
        NotFoundError: this place holds no such record; nothing is left behind.
        StorageError: it cannot be written there.
    """
    try:
        with open(to, "xb", opener=_private) as file:
            try:
                pattern = line_pattern(thing.transcript) if thing.transcript else thing.pattern
                after = ""
                for _ in range(_PAGES_MAX):
                    page = client.records(place, record=pattern, after=after, limit=PAGE_RECORDS)
                    for one in page.records:
                        file.write(_written(one.values_json, one.component, one.collection, one.key, thing))
                    after = page.next
                    if not after:
                        break
                if not file.tell():
                    raise NotFoundError(f"{thing.words} is not in this state.", kept="Nothing was written.")
                return file.tell()
            except BaseException:
                to.unlink(missing_ok=True)
                raise
    except FileExistsError as error:
        raise ConflictError(
            f"There is something at {to} already.", kept="It was left as it is.", hint="Name another file."
        ) from error
    except OSError as error:
        raise StorageError(
            f"{to} cannot be written: {error.strerror or error}.",
            kept="Nothing was written; every checkpoint is untouched.",
            hint="Name a file in a directory that this user may write.",
        ) from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _written(values_json: str, component: str, collection: str, key: str, thing: Thing) -> bytes:
    values = json.loads(values_json)
    if not thing.transcript:
        shape = {"component": component, "collection": collection, "key": key, "values": values}
        return json.dumps(shape, indent=2).encode() + b"\n"
    line = next((value for name, value in values.items() if name not in ("path", "line")), None)
    if isinstance(line, dict):
        return base64.b64decode(str(line.get("$text") or line.get("$bytes") or ""))
    return line.encode() if isinstance(line, str) else b""
