"""Which records of a checkpoint a recovery takes."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Collection, Sequence
from typing import Final

from maos_ckpt.codec.values import key_forms
from maos_ckpt.errors import NotFoundError, UsageError
from maos_ckpt.model import Descriptor, Selection
from maos_ckpt.recovery.lookup import every
from maos_ckpt.states import CollectionName, State, StoredState

#: Tables in which SQLite keeps the highest id ever given; a partial recovery never lowers one.
SEQUENCE_TABLE: Final = "sqlite_sequence"
#: Keys that a name which is nobody's is compared with.
_NEAREST_KEYS_MAX: Final = 5000
#: Records read between two signs of life.
_BEAT_RECORDS: Final = 2000


class Matcher:
    """Decides, per collection and per record, whether a selection means it; UsageError where a pattern is not one."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._patterns = [_split(pattern) for pattern in selection.records]
        self._named = [False] * len(self._patterns)
        self.exact = selection.exact or selection.whole

    @property
    def quiet(self) -> list[str]:
        """The patterns that have not met a record yet."""
        return [one for one, named in zip(self._selection.records, self._named, strict=True) if not named]

    def collection(self, name: CollectionName) -> bool:
        """Whether any record of the collection can be meant."""
        if self._selection.whole or name[0] in self._selection.components:
            return True
        return any(_matches_collection(pattern, name) for pattern in self._patterns)

    def takes_all(self, descriptor: Descriptor) -> bool:
        """Whether every record of the collection is meant."""
        return self._selection.whole or descriptor.component in self._selection.components

    def record(self, descriptor: Descriptor, key: bytes) -> bool:
        """Whether this record of a meant collection is meant."""
        found = self.takes_all(descriptor)
        if not self._patterns:
            return found
        name = (descriptor.component, descriptor.name)
        forms = key_forms(key)
        for at, pattern in enumerate(self._patterns):
            if (not found or not self._named[at]) and _matches(pattern, name, forms):
                self._named[at] = found = True
        return found


def require_collections(selection: Selection, target: StoredState, live: State) -> None:
    """See that each component and pattern of a selection names a collection of the checkpoint or of the live state.

    Raises:
        NotFoundError: one names none; `data["nearest"]` is what comes nearest.
    """
    known = list(dict.fromkeys((*target.descriptors(), *live.descriptors())))
    components = list(dict.fromkeys(name[0] for name in known))
    for component in selection.components:
        if component not in components:
            raise _unknown("component", component, target.name, components)
    for pattern in map(_split, selection.records):
        if not any(_matches_collection(pattern, name) for name in known):
            wanted = f"{pattern[0]}/{pattern[1]}"
            raise _unknown("collection", wanted, target.name, ["/".join(name) for name in known])


def require_records(patterns: Sequence[str], states: Sequence[State], beat: Callable[[], None] = lambda: None) -> None:
    """See that each pattern names a record of one of the states; reads as much of their collections as that takes.

    Raises:
        NotFoundError: one names none; `data["nearest"]` is what comes nearest.
    """
    for text in patterns:
        pattern = _split(text)
        keys: list[str] = []
        if not _names_record(pattern, states, keys, beat):
            raise _no_record(text, pattern, keys)


def _names_record(
    pattern: tuple[str, str, str], states: Sequence[State], keys: list[str], beat: Callable[[], None]
) -> bool:
    """Whether a pattern names a record; `keys` fills with the first that it does not."""
    for state in states:
        for name in state.descriptors():
            if not _matches_collection(pattern, name):
                continue
            for number, (key, _) in enumerate(every(state, name)):
                forms = key_forms(key)
                if _matches(pattern, name, forms):
                    return True
                if len(keys) < _NEAREST_KEYS_MAX:
                    keys.append("/".join((*name, next(iter(forms)))))
                if number % _BEAT_RECORDS == 0:
                    beat()
    return False


def _no_record(text: str, pattern: tuple[str, str, str], keys: list[str]) -> NotFoundError:
    nearest = difflib.get_close_matches(text, keys, 1, 0.0)
    where = f"{pattern[0]}/{pattern[1]}"
    return NotFoundError(
        f"Nothing in the checkpoint or in the live state matches {text!r}.",
        kept="Nothing was changed.",
        hint=f"Did you mean {nearest[0]!r}?" if nearest else f"{where} holds no records at all.",
        name=text,
        nearest=nearest,
    )


def _matches(pattern: tuple[str, str, str], name: CollectionName, forms: Collection[str]) -> bool:
    return _matches_collection(pattern, name) and (
        pattern[2] in forms or any(fnmatch.fnmatchcase(form, pattern[2]) for form in forms)
    )


def _split(pattern: str) -> tuple[str, str, str]:
    parts = pattern.split("/", 2)
    if len(parts) != 3 or not all(parts):
        raise UsageError(
            f"{pattern!r} does not name records.",
            hint="Write COMPONENT/COLLECTION/KEY-GLOB, for example tasks/tasks/task-analyst-*.",
        )
    return parts[0], parts[1], parts[2]


def _matches_collection(pattern: tuple[str, str, str], name: CollectionName) -> bool:
    return fnmatch.fnmatchcase(name[0], pattern[0]) and fnmatch.fnmatchcase(name[1], pattern[1])


def _unknown(what: str, name: str, checkpoint: str, known: list[str]) -> NotFoundError:
    nearest = difflib.get_close_matches(name, known, 1)
    return NotFoundError(
        f"Neither checkpoint {checkpoint} nor the live state has a {what} {name!r}.",
        kept="Nothing was changed.",
        hint=f"Did you mean {nearest[0]!r}?" if nearest else f"There is {', '.join(known)}.",
        name=name,
        nearest=nearest,
    )
