"""Which records of a checkpoint a recovery takes."""

from __future__ import annotations

import difflib
import fnmatch

from maos_ckpt.codec.values import display_key
from maos_ckpt.errors import NotFoundError, UsageError
from maos_ckpt.model import Checkpoint, CollectionKind, Descriptor, Selection
from maos_ckpt.states import CollectionPair

#: Tables in which SQLite keeps the highest id ever given; a partial recovery never lowers one.
SEQUENCE_TABLE = "sqlite_sequence"
#: Pseudo entries of the schema that a recovery can set inside its transaction.
_SETTABLE_PRAGMAS = frozenset({"user_version", "application_id"})
_CREATABLE = frozenset({"table", "index", "trigger", "view"})


class Matcher:
    """Decides, per collection and per record, whether a selection means it."""

    def __init__(self, selection: Selection, checkpoint: Checkpoint) -> None:
        self._selection = selection
        self._patterns = [_split(pattern) for pattern in selection.records]
        self.exact = selection.exact or selection.whole
        _check_names(selection, checkpoint, self._patterns)

    def collection(self, pair: CollectionPair) -> bool:
        """Whether any record of the collection can be meant."""
        if self._selection.whole or pair.name[0] in self._selection.components:
            return True
        return any(_matches_collection(pattern, pair.name) for pattern in self._patterns)

    def record(self, descriptor: Descriptor, key: bytes) -> bool:
        """Whether this record of a meant collection is meant."""
        if self._selection.whole or descriptor.component in self._selection.components:
            return True
        name = (descriptor.component, descriptor.name)
        shown = display_key(key)
        return any(
            _matches_collection(pattern, name) and fnmatch.fnmatchcase(shown, pattern[2]) for pattern in self._patterns
        )


def _split(pattern: str) -> tuple[str, str, str]:
    parts = pattern.split("/", 2)
    if len(parts) != 3 or not all(parts):
        raise UsageError(
            f"{pattern!r} does not name records.",
            hint="Write COMPONENT/COLLECTION/KEY-GLOB, for example tasks/tasks/task-analyst-*.",
        )
    return parts[0], parts[1], parts[2]


def _matches_collection(pattern: tuple[str, str, str], name: tuple[str, str]) -> bool:
    return fnmatch.fnmatchcase(name[0], pattern[0]) and fnmatch.fnmatchcase(name[1], pattern[1])


def _check_names(selection: Selection, checkpoint: Checkpoint, patterns: list[tuple[str, str, str]]) -> None:
    for component in selection.components:
        if component not in checkpoint.components:
            raise _unknown("component", component, checkpoint, list(checkpoint.components))
    names = [(one.component, one.name) for one in checkpoint.collections]
    for pattern in patterns:
        if not any(_matches_collection(pattern, name) for name in names):
            wanted = f"{pattern[0]}/{pattern[1]}"
            raise _unknown("collection", wanted, checkpoint, ["/".join(name) for name in names])


def _unknown(what: str, name: str, checkpoint: Checkpoint, known: list[str]) -> NotFoundError:
    nearest = difflib.get_close_matches(name, known, 1)
    return NotFoundError(
        f"Checkpoint {checkpoint.id} has no {what} {name!r}.",
        kept="Nothing was changed.",
        hint=f"Did you mean {nearest[0]!r}?" if nearest else f"It has {', '.join(known)}.",
        name=name,
        nearest=nearest,
    )


def can_write(descriptor: Descriptor, parts: tuple[object, ...], *, added: bool) -> bool:
    """Whether a recovery writes this record of a schema collection; records of other kinds it always can.

    A recovery creates what is missing and sets what SQLite lets a transaction set; it never drops or rewrites a table
    under a running system.
    """
    if descriptor.kind is not CollectionKind.SCHEMA:
        return True
    kind = str(parts[0])
    if kind == "pragma":
        return str(parts[1]) in _SETTABLE_PRAGMAS and not added
    return added and kind in _CREATABLE
