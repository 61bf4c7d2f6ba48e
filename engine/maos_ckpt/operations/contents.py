"""Looking inside checkpoints from another program: records page by page, a record's versions, a checkpoint as files."""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import re
from pathlib import Path

import msgspec

from maos_ckpt.client import ProgressSink
from maos_ckpt.diff import BrowsedRecord, browse
from maos_ckpt.errors import UsageError
from maos_ckpt.fields import json_value
from maos_ckpt.model import Progress
from maos_ckpt.model.contents import Exported, RecordPage, ShownRecord
from maos_ckpt.operations import checkpoints, exports
from maos_ckpt.operations.workspace import Workspace
from maos_ckpt.states import LIVE, StoredState

#: Records of one page.
PAGE_RECORDS_MAX = 1000
#: A page ends where its values reach this size; one record alone may be larger.
PAGE_BYTES_MAX = 8 << 20
_ONE_COLLECTION = re.compile(r"[^*?\[/]+/[^*?\[/]+/")
_PLACE: msgspec.msgpack.Decoder[tuple[str, str, bytes]] = msgspec.msgpack.Decoder(tuple[str, str, bytes])


def is_quick(name: str, pattern: str | None) -> bool:
    """Whether a page of a checkpoint's records is read in a moment: the pattern begins with one collection."""
    return name != LIVE and pattern is not None and _ONE_COLLECTION.match(pattern) is not None


def records(
    workspace: Workspace,
    name: str,
    component: str | None,
    pattern: str | None,
    after: str,
    limit: int,
    progress: ProgressSink,
    clip: int | None = None,
) -> RecordPage:
    """At most `limit` of a state's records, those behind the page that gave `after`.

    Raises:
        NotFoundError: no such checkpoint or component.
        UsageError: `after` comes from no page.
    """
    behind = _place(after) if after else None
    if not 1 <= limit <= PAGE_RECORDS_MAX:
        raise UsageError(f"A page has 1 to {PAGE_RECORDS_MAX} records, not {limit}.")
    with (
        workspace.reading(news=False) as repository,
        checkpoints.state_of(workspace, repository, name, progress) as state,
    ):
        total = state.checkpoint.records if isinstance(state, StoredState) else 0
        found = browse(
            state,
            component,
            pattern,
            after=behind,
            looked_at=lambda number: progress(Progress("records", "read", number, total)),
        )
        shown: list[ShownRecord] = []
        size = 0
        for record in found:
            one = _shown(record, clip)
            shown.append(one)
            size += len(one.values_json)
            if len(shown) >= limit or size >= PAGE_BYTES_MAX:
                more = next(itertools.islice(found, 1), None) is not None
                return RecordPage(state.name, tuple(shown), _mark(record) if more else "")
        return RecordPage(state.name, tuple(shown), "")


def _shown(record: BrowsedRecord, clip: int | None) -> ShownRecord:
    values = {name: json_value(value, clip) for name, value in record.values.items()}
    return ShownRecord(record.component, record.collection, record.key, json.dumps(values))


def _mark(record: BrowsedRecord) -> str:
    """A record's place as text that stands in an address."""
    place = msgspec.msgpack.encode((record.component, record.collection, record.encoded))
    return base64.urlsafe_b64encode(place).decode().rstrip("=")


def _place(mark: str) -> tuple[str, str, bytes]:
    try:
        return _PLACE.decode(base64.b64decode(mark + "=" * (-len(mark) % 4), altchars=b"-_", validate=True))
    except (msgspec.DecodeError, binascii.Error, ValueError) as error:
        raise UsageError("`after` comes from no page of records.", hint="Give what a page has as `next`.") from error


def export(workspace: Workspace, name: str, directory: str, progress: ProgressSink) -> Exported:
    """A checkpoint as plain files; see `export.export`.

    Raises:
        UsageError: `directory` is no absolute path.
    """
    if not Path(directory).is_absolute():
        raise UsageError(
            "An export needs an absolute path on the engine's machine.", kept="Nothing was written.", path=directory
        )
    checkpoint = checkpoints.show(workspace, name)
    files = exports.export(workspace, checkpoint.id, Path(directory), progress)
    return Exported(checkpoint.id, directory, tuple(files))
