"""Which records of a checkpoint a recovery takes."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cached_property
from typing import Final

from maos_ckpt.codec.values import RawText, decode_key, display_value, key_forms
from maos_ckpt.errors import UsageError
from maos_ckpt.model import CollectionKind, Descriptor, MergePolicy, Row, Selection, Value
from maos_ckpt.recovery.conversations import paths_holding
from maos_ckpt.recovery.json_path import Field, parse_field
from maos_ckpt.recovery.lookup import Shape
from maos_ckpt.recovery.narrow import Narrow
from maos_ckpt.recovery.owners import Owners, find_owners
from maos_ckpt.recovery.touched import TRANSCRIPT_FILES, TRANSCRIPTS
from maos_ckpt.sources.sqlite.schema import SEQUENCE_TABLE
from maos_ckpt.states import CollectionName, CollectionPair, State, StoredState, differing
from maos_ckpt.tree.diff import RecordDifference
from maos_ckpt.tree.large import load_row

Pattern = tuple[str, str, str]
#: For one record, by its key and its encoded values on both sides: the fields that are meant of it, none where it is
#: meant as a whole; None where it is not meant.
Choose = Callable[[bytes, bytes | None, bytes | None], tuple[Field, ...] | None]
_AS_A_WHOLE: Final[tuple[Field, ...]] = ()


class Matcher:
    """Decides, per collection and per record, whether a selection means it; UsageError where it cannot be meant so."""

    def __init__(self, selection: Selection, live: State, target: State) -> None:
        check_selection(selection)
        self._selection = selection
        self._live = live
        self._target = target
        self._patterns = [split_pattern(pattern) for pattern in selection.records]
        self._fields = [parse_field(one) for one in selection.fields]
        self._texts = [one.casefold() for one in selection.searches]
        #: Of what was named, what has met a record.
        self._met: set[str | Pattern] = set()
        self.exact = selection.exact or selection.whole

    @property
    def quiet(self) -> Selection:
        """What was named and has not met a record that differs."""
        named, met = self._selection, self._met
        records = zip(named.records, self._patterns, strict=True)
        return Selection(
            records=tuple(text for text, pattern in records if pattern not in met),
            searches=tuple(one for one in named.searches if one.casefold() not in met),
            fields=tuple(one for one in named.fields if one not in met),
        )

    def collection(self, name: CollectionName) -> bool:
        """Whether any record of the collection can be meant."""
        if self._selection.all_records or name[0] in self._selection.components:
            return True
        if any(matches_collection(pattern, name) for pattern in self._patterns):
            return True
        if any((one.component, one.collection) == name for one in self._fields):
            return True
        return bool(self._texts) or name in self._owners.collections

    def takes_all(self, descriptor: Descriptor) -> bool:
        """Whether every record of the collection is meant."""
        return self._selection.all_records or descriptor.component in self._selection.components

    def choose(self, pair: CollectionPair) -> Choose:
        """How the records of a collection are chosen."""
        name = pair.name
        patterns = [pattern for pattern in self._patterns if matches_collection(pattern, name)]
        fields = [field for field in self._fields if (field.component, field.collection) == name]
        everything = self.takes_all(pair.either)
        inside = self._inside(pair)
        if everything and not patterns and inside is None:
            return lambda key, old, new: _AS_A_WHOLE

        def choose(key: bytes, old: bytes | None, new: bytes | None) -> tuple[Field, ...] | None:
            found = everything
            forms = key_forms(key) if patterns or fields else ()
            for pattern in patterns:
                if (not found or pattern not in self._met) and _matches_key(pattern, forms):
                    self._met.add(pattern)
                    found = True
            if inside is not None and (not found or not self._met.issuperset(self._texts)):
                found = inside(key, old, new) or found
            chosen = tuple(field for field in fields if field.key in forms)
            self._met.update(field.text for field in chosen)
            return _AS_A_WHOLE if found else chosen or None

        return choose

    def differences(self, name: CollectionName, extra: Iterable[bytes]) -> Iterator[RecordDifference]:
        """What differs in the records of a collection that can be meant, those with `extra` keys included."""
        narrow = self._narrow
        found = None if narrow is None else narrow.differences(name, extra)
        return differing(self._live, self._target, name) if found is None else found

    @cached_property
    def _narrow(self) -> Narrow | None:
        """Where only what belongs to agents is asked for, that alone need be read."""
        one = self._selection
        others = one.all_records or one.components or one.records or one.searches or one.fields
        if others or not isinstance(self._target, StoredState):
            return None
        return Narrow(self._owners, self._live, self._target)

    @cached_property
    def _owners(self) -> Owners:
        if not self._selection.agents and not self._selection.orchestrations:
            return Owners()
        return find_owners(self._selection, (self._target, self._live))

    def _inside(self, pair: CollectionPair) -> Callable[[bytes, bytes | None, bytes | None], bool] | None:
        """Whether a record is meant for what it holds; None where nothing asks for that."""
        owned = pair.name in self._owners.collections
        texts = self._texts if searchable(pair.either) else []
        if not owned and not texts:
            return None
        sides = [
            (descriptor, Shape(descriptor, descriptor.columns, state.get), state)
            for descriptor, state in ((pair.before, self._live), (pair.after, self._target))
            if descriptor is not None
        ]

        def inside(key: bytes, old: bytes | None, new: bytes | None) -> bool:
            values = [value for value, side in ((old, pair.before), (new, pair.after)) if side is not None]
            parts, found = decode_key(key), False
            for (descriptor, shape, state), value in zip(sides, values, strict=True):
                if value is None:
                    continue
                if owned and not found:
                    found = self._owners.own(descriptor, parts, shape.stored((key, value)))
                if texts and (not found or not self._met.issuperset(texts)):
                    found = self._holds(pair.name, parts, value, state) or found
            return found

        return inside

    def _holds(self, name: CollectionName, parts: Row, value: bytes, state: State) -> bool:
        if name in (TRANSCRIPTS, TRANSCRIPT_FILES):
            return parts[0] in self._searched_transcripts
        return self._note_texts((*parts, *load_row(value, state.get)))

    @cached_property
    def _searched_transcripts(self) -> frozenset[Value]:
        return paths_holding(self._live, self._target, self._note_texts)

    def _note_texts(self, values: Row) -> bool:
        found = held_texts(self._texts, values)
        self._met.update(found)
        return bool(found)


def searchable(descriptor: Descriptor) -> bool:
    """Whether a collection's records have content that somebody could look for."""
    return descriptor.kind is not CollectionKind.SCHEMA and descriptor.origin != SEQUENCE_TABLE


def held_texts(texts: Collection[str], values: Row) -> list[str]:
    """Those of `texts` (case-folded) that one of a record's values contains."""
    found = [_folded(value) for value in values if value is not None]
    return [text for text in texts if any(text in one for one in found)]


def _folded(value: Value) -> str:
    if isinstance(value, bytes | RawText):
        data = value if isinstance(value, bytes) else bytes(value.data)
        return data.decode("utf-8", "replace").casefold()
    return (value if isinstance(value, str) else display_value(value)).casefold()


def check_selection(selection: Selection) -> None:
    """See that a selection names something with each of its options, and nothing that contradicts itself.

    Raises:
        UsageError: it does not.
    """
    named = (
        ("--component", selection.components),
        ("--search", selection.searches),
        ("--agent", selection.agents),
        ("--orchestration", selection.orchestrations),
    )
    for option, values in named:
        if not all(one.strip() for one in values):
            raise UsageError(
                f"{option} names nothing: an empty selection recovers nothing.",
                kept="Nothing was changed.",
                hint="Name what is meant, or leave the option out: without any, everything is recovered.",
            )
    if selection.exact and selection.merge is not MergePolicy.REPLACE:
        raise UsageError(
            f"A recovery cannot be exact and {selection.merge.value} at once: the one removes what the other keeps.",
            kept="Nothing was changed.",
            hint="Leave out --exact or --merge.",
        )


def matches(pattern: Pattern, name: CollectionName, forms: Collection[str]) -> bool:
    """Whether a pattern means the record of a collection whose key has these forms."""
    return matches_collection(pattern, name) and _matches_key(pattern, forms)


def _matches_key(pattern: Pattern, forms: Collection[str]) -> bool:
    return pattern[2] in forms or any(fnmatch.fnmatchcase(form, pattern[2]) for form in forms)


def matches_collection(pattern: Pattern, name: CollectionName) -> bool:
    """Whether a pattern can mean a record of this collection."""
    return fnmatch.fnmatchcase(name[0], pattern[0]) and fnmatch.fnmatchcase(name[1], pattern[1])


def split_pattern(pattern: str) -> Pattern:
    """`COMPONENT/COLLECTION/KEY-GLOB` as its parts; UsageError where it is none."""
    parts = pattern.split("/", 2)
    if len(parts) != 3 or not all(parts):
        raise UsageError(
            f"{pattern!r} does not name records.",
            hint="Write COMPONENT/COLLECTION/KEY-GLOB, for example tasks/tasks/task-analyst-*.",
        )
    return parts[0], parts[1], parts[2]
