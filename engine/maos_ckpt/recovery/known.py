"""Whether what a selection names is there at all, and what comes nearest where it is not."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from maos_ckpt.codec.values import decode_key, key_forms
from maos_ckpt.errors import NotFoundError
from maos_ckpt.model import Selection
from maos_ckpt.recovery.fields import field_text
from maos_ckpt.recovery.json_path import parse_field
from maos_ckpt.recovery.lookup import Record, beating, every
from maos_ckpt.recovery.owners import is_there
from maos_ckpt.recovery.reference_rules import COLLECTIONS
from maos_ckpt.recovery.selection import (
    check_selection,
    held_texts,
    matches,
    matches_collection,
    searchable,
    split_pattern,
)
from maos_ckpt.states import State, StoredState
from maos_ckpt.tree.large import load_row

#: Keys that a name which is nobody's is compared with.
_NEAREST_KEYS_MAX: Final = 5000
#: … and characters of each: nobody mistypes what is longer, and comparing takes its time.
_NEAREST_CHARACTERS_MAX: Final = 200
_NEAREST_TOLD: Final = 3
_OWNERS: Final = {"agents": ("agent", "--agent"), "orchestrations": ("orchestration", "--orchestration")}


def require_collections(selection: Selection, target: StoredState, live: State) -> None:
    """See that each component, agent and orchestration, and the collection of each pattern and field, is one of the
    checkpoint or of the live state.

    Raises:
        NotFoundError: one is not; `data["nearest"]` is what comes nearest.
        UsageError: see `check_selection`.
    """
    check_selection(selection)
    known = list(dict.fromkeys((*target.descriptors(), *live.descriptors())))
    components = list(dict.fromkeys(name[0] for name in known))
    for component in selection.components:
        _require_captured(component, target)
        if component not in components:
            raise _unknown("component", component, target.name, components)
    fields = map(parse_field, selection.fields)
    patterns = [*map(split_pattern, selection.records), *((one.component, one.collection, "") for one in fields)]
    for pattern in patterns:
        if not any(matches_collection(pattern, name) for name in known):
            wanted = f"{pattern[0]}/{pattern[1]}"
            raise _unknown("collection", wanted, target.name, ["/".join(name) for name in known])
    for table, names in (("agents", selection.agents), ("orchestrations", selection.orchestrations)):
        for name in names:
            _require_owner(table, name, target, live)


def _require_captured(component: str, target: StoredState) -> None:
    lost = [one for one in target.missing if one.component == component]
    if lost and not any(name[0] == component for name in target.descriptors()):
        raise NotFoundError(
            f"Checkpoint {target.name} is a partial one and holds nothing of {component}: {lost[0].reason}.",
            kept="Nothing was changed.",
            hint="Name a checkpoint that is whole; `maos-ckpt list` marks the others as partial.",
            component=component,
            missing=[one.path for one in lost],
        )


def _require_owner(table: str, name: str, target: StoredState, live: State) -> None:
    if is_there(target, table, name) or is_there(live, table, name):
        return
    nearest = nearest_ids(table, name, (target, live))
    what, option = _OWNERS[table]
    hint = f"Did you mean {' or '.join(map(repr, nearest))}?"
    if not nearest:
        hint = f"`maos-ckpt records {target.name} --record '{'/'.join(COLLECTIONS[table])}/*'` lists them."
    if not _ids(table, (target, live)):
        hint = f"There is no {what} at all."
    raise NotFoundError(
        f"Neither checkpoint {target.name} nor the live state has an {what} {name!r}.",
        kept="Nothing was changed.",
        hint=hint,
        name=name,
        option=option,
        nearest=nearest,
    )


def nearest_ids(table: str, name: str, states: Sequence[State]) -> list[str]:
    """Ids of a table's records that come nearest to `name`, the best first: those that begin so, and similar ones."""
    known = _ids(table, states)
    begun = [one for one in known if name and one.startswith(name)]
    return list(dict.fromkeys((*begun, *difflib.get_close_matches(name, known, _NEAREST_TOLD, 0.4))))[:_NEAREST_TOLD]


def _ids(table: str, states: Sequence[State]) -> dict[str, None]:
    """The first ids of a table."""
    known: dict[str, None] = {}
    for state in states:
        for key, _ in itertools.islice(every(state, COLLECTIONS[table]), _NEAREST_KEYS_MAX):
            known[str(decode_key(key)[0])[:_NEAREST_CHARACTERS_MAX]] = None
    return known


def require_records(quiet: Selection, states: Sequence[State], beat: Callable[[], None] = lambda: None) -> None:
    """See that each pattern, text and field of `quiet` means a record of one of the states; reads as much of their
    collections as that takes. The first state is the checkpoint.

    Raises:
        NotFoundError: one means none; `data["nearest"]` is what comes nearest.
    """
    for text in quiet.records:
        pattern = split_pattern(text)
        keys: list[str] = []
        if not _names_record(pattern, states, keys, beat):
            raise _no_record(text, f"{pattern[0]}/{pattern[1]}", keys)
    for text in quiet.searches:
        if not any(held_texts((text.casefold(),), _content(record, state)) for state, record in _all(states, beat)):
            raise NotFoundError(
                f"No record of the checkpoint or of the live state contains {text!r}.",
                kept="Nothing was changed.",
                hint="Look for a shorter part of it; the case of letters does not matter.",
                name=text,
                nearest=[],
            )
    for text in quiet.fields:
        _require_equal_field(text, states[0], beat)


def _require_equal_field(text: str, target: State, beat: Callable[[], None]) -> None:
    """See that a field is there, of a record in which nothing differs."""
    field = parse_field(text)
    name = (field.component, field.collection)
    keys: list[str] = []
    descriptor = target.descriptors().get(name)
    for record in beating(every(target, name), beat) if descriptor is not None else ():
        forms = key_forms(record[0])
        if field.key in forms:
            assert descriptor is not None
            field_text(field, descriptor, load_row(record[1], target.get))
            return
        if len(keys) < _NEAREST_KEYS_MAX:
            keys.append("/".join((*name, forms[0]))[:_NEAREST_CHARACTERS_MAX])
    raise _no_record(field.path, "/".join(name), keys)


def _content(record: Record, state: State) -> tuple[object, ...]:
    return (*decode_key(record[0]), *load_row(record[1], state.get))


def _all(states: Sequence[State], beat: Callable[[], None]) -> Iterator[tuple[State, Record]]:
    for state in states:
        for name, descriptor in state.descriptors().items():
            if searchable(descriptor):
                for record in beating(every(state, name), beat):
                    yield state, record


def _names_record(
    pattern: tuple[str, str, str], states: Sequence[State], keys: list[str], beat: Callable[[], None]
) -> bool:
    """Whether a pattern names a record; `keys` fills with the first that it does not."""
    for state in states:
        for name in state.descriptors():
            if not matches_collection(pattern, name):
                continue
            for key, _ in beating(every(state, name), beat):
                forms = key_forms(key)
                if matches(pattern, name, forms):
                    return True
                if len(keys) < _NEAREST_KEYS_MAX:
                    keys.append("/".join((*name, forms[0]))[:_NEAREST_CHARACTERS_MAX])
    return False


def _no_record(text: str, where: str, keys: list[str]) -> NotFoundError:
    nearest = difflib.get_close_matches(text, keys, 1, 0.0)
    return NotFoundError(
        f"Nothing in the checkpoint or in the live state matches {text!r}.",
        kept="Nothing was changed.",
        hint=f"Did you mean {nearest[0]!r}?" if nearest else f"{where} holds no records at all.",
        name=text,
        nearest=nearest,
    )


def _unknown(what: str, name: str, checkpoint: str, known: list[str]) -> NotFoundError:
    nearest = difflib.get_close_matches(name, known, 1)
    return NotFoundError(
        f"Neither checkpoint {checkpoint} nor the live state has a {what} {name!r}.",
        kept="Nothing was changed.",
        hint=f"Did you mean {nearest[0]!r}?" if nearest else f"There is {', '.join(known)}.",
        name=name,
        nearest=nearest,
    )
