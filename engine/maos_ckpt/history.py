"""How one record became what it is: its versions over the checkpoints, found by its key or by a glob that means it."""

from __future__ import annotations

import difflib
from collections import deque
from collections.abc import Callable

from maos_ckpt.codec.shown_keys import shown_as, typed_as
from maos_ckpt.codec.values import display_key
from maos_ckpt.diff import matches
from maos_ckpt.errors import IntegrityError, NotFoundError, UsageError
from maos_ckpt.fields import changed_fields, named, same_record
from maos_ckpt.model import ChangeKind, Checkpoint, Descriptor, Row
from maos_ckpt.model.contents import History, Version
from maos_ckpt.repository.repository import Repository
from maos_ckpt.states import StoredState
from maos_ckpt.tree.cursor import find, records
from maos_ckpt.tree.large import load_row

#: Versions told where the caller names no number: the newest.
VERSIONS_TOLD = 1000
#: Records named where a glob means several, or none.
CANDIDATES_MAX = 5
#: Keys looked through for those that resemble one that is not there.
NEAREST_SEARCHED_MAX = 20_000


def history(repository: Repository, key: str, limit: int = VERSIONS_TOLD) -> History:
    """How the records that a key names changed over the checkpoints: the newest `limit` versions.

    Args:
        key: as shown by `records`, alone or as `component/collection/key`; or a glob over either that means one record.

    Raises:
        NotFoundError: no checkpoint holds such a record; `data["nearest"]` names some.
        UsageError: a glob that several records match; `data["candidates"]` names some.
        IntegrityError: it is read nowhere, and in `data["checkpoint"]` it cannot be told whether it is there.
    """
    found = _versions(repository, lambda descriptor: shown_as(descriptor, key), limit)
    if not found.versions:
        found = _versions(repository, lambda descriptor: typed_as(descriptor, key), limit)
    if not found.versions:
        if found.unread:
            raise IntegrityError(
                f"No sound checkpoint holds a record {key!r}, and {found.unread[0]} is damaged where it may be.",
                hint="Run `maos-ckpt verify --all`.",
                checkpoint=found.unread[0],
            )
        place, encoded = _search(repository, key)
        found = _versions(repository, lambda descriptor: {encoded} if descriptor.path == place else set(), limit)
    return found


def _versions(repository: Repository, keys: Callable[[Descriptor], set[bytes]], limit: int) -> History:
    versions: deque[Version] = deque(maxlen=limit)
    number = 0
    last: dict[tuple[str, str, bytes], tuple[Descriptor, Row]] = {}
    previous: dict[tuple[str, str], bytes | None] = {}
    unread: dict[str, None] = {}
    for checkpoint in reversed(repository.checkpoints()):
        state = StoredState(repository, checkpoint)
        for name, descriptor in state.descriptors().items():
            root = state.root(name)
            if previous.get(name, b"") == root:
                continue
            try:
                rows = [(one, _row(repository, root, one)) for one in keys(descriptor)]
            except IntegrityError:
                unread[checkpoint.id] = None
                continue
            previous[name] = root
            for encoded, row in rows:
                version = _version(checkpoint, descriptor, encoded, row, last)
                if version is not None:
                    versions.append(version)
                    number += 1
    return History(tuple(versions), number - len(versions), tuple(unread))


def _row(repository: Repository, root: bytes | None, key: bytes) -> Row | None:
    value = find(repository.chunks, root, key)
    return None if value is None else load_row(value, repository.chunks.get)


def _search(repository: Repository, pattern: str) -> tuple[str, bytes]:
    """The one record, as (collection path, key), that a glob means, in the newest checkpoint that holds any."""
    seen: set[tuple[str, bytes | None]] = set()
    known: list[str] = []
    for checkpoint in repository.checkpoints():
        state = StoredState(repository, checkpoint)
        found: list[tuple[str, bytes]] = []
        for name, descriptor in state.descriptors().items():
            root = state.root(name)
            if (descriptor.path, root) in seen:
                continue
            seen.add((descriptor.path, root))
            for key, _ in records(repository.chunks, root):
                if len(known) < NEAREST_SEARCHED_MAX:
                    known.append(f"{descriptor.path}/{display_key(key)}")
                if len(found) <= CANDIDATES_MAX and matches(pattern, descriptor, key):
                    found.append((descriptor.path, key))
        if len(found) == 1:
            return found[0]
        if found:
            raise _ambiguous(pattern, found)
    raise _no_record(pattern, known)


def _ambiguous(pattern: str, found: list[tuple[str, bytes]]) -> UsageError:
    names = [f"{path}/{display_key(key)}" for path, key in found[:CANDIDATES_MAX]]
    number = f"more than {CANDIDATES_MAX}" if len(found) > CANDIDATES_MAX else str(len(found))
    return UsageError(
        f"{pattern!r} matches {number} records, and history tells of one.",
        hint=f"Name one of them, for example {names[0]}.",
        candidates=names,
    )


def _no_record(text: str, known: list[str]) -> NotFoundError:
    wanted = text.strip("*")
    nearest = [name for name in known if wanted and wanted in name][:CANDIDATES_MAX]
    if not nearest:
        # A bare key is compared with bare keys, or the collections' names would outweigh it.
        bare = {name.split("/", 2)[2]: name for name in known}
        by_text = dict(zip(known, known, strict=True)) if text.count("/") > 1 else bare
        nearest = [by_text[one] for one in difflib.get_close_matches(text, by_text, 3)]
    return NotFoundError(
        f"No checkpoint holds a record {text!r}.",
        hint=f"Did you mean {nearest[0]}?" if nearest else "`maos-ckpt records latest` shows the keys.",
        key=text,
        nearest=nearest,
    )


def _version(
    checkpoint: Checkpoint,
    descriptor: Descriptor,
    key: bytes,
    row: Row | None,
    last: dict[tuple[str, str, bytes], tuple[Descriptor, Row]],
) -> Version | None:
    place = (descriptor.component, descriptor.name, key)
    before = last.pop(place, None)
    if row is not None:
        last[place] = (descriptor, row)
    if before is None and row is None:
        return None
    if before is not None and row is not None and same_record(before, (descriptor, row)):
        return None
    old = {} if before is None else named(before[0], (), before[1])
    fields = changed_fields(old, named(descriptor, (), row))
    kind = ChangeKind.ADDED if before is None else ChangeKind.REMOVED if row is None else ChangeKind.MODIFIED
    return Version(
        checkpoint.id, checkpoint.created_at_ms, descriptor.component, descriptor.name, display_key(key), kind, fields
    )
