"""Keys by binding id: what the configuration's `console.keys` changes, checked against everything that has a key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from textual.binding import Binding
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, _character_to_key

from maos_ckpt.cli.main import KeyInForce
from maos_ckpt.config.keys import nearest
from maos_ckpt.errors import ConfigError
from maos_ckpt_tui.commands import APP, COMMANDS, PLACES
from maos_ckpt_tui.widgets.row_list import RowList

_LIST = "list"
_KEPT = "Nothing was started or changed."
_HINT = "`maos-ckpt config keys` lists all ids with their keys."
#: Textual's own, which lead out of the console whatever else is bound.
_RESERVED = frozenset({"ctrl+q", "ctrl+c"})
_NAMED = (
    frozenset(str(one.value) for one in Keys)
    | frozenset(KEY_NAME_REPLACEMENTS.values())
    | frozenset(_character_to_key(chr(code)) for code in range(0x21, 0x7F))
)
#: Textual's name → the character, but for the comma, which stands between keys.
_TYPED = {_character_to_key(chr(code)): chr(code) for code in range(0x21, 0x7F) if chr(code) != ","}


@dataclass(frozen=True, slots=True)
class Bound:
    """One action with keys: `keys` are Textual's names, `place` where they count."""

    id: str
    place: str
    keys: tuple[str, ...]
    does: str


def all_bound() -> list[Bound]:
    """Everything whose keys can be changed: the declared actions, and the lists' movements."""
    found = [Bound(one.id, one.place, tuple(one.keys.split(",")), one.help) for one in COMMANDS]
    for one in RowList.BINDINGS:
        if isinstance(one, Binding) and one.id:
            found.append(Bound(one.id, _LIST, tuple(one.key.split(",")), f"{one.description} in a list."))
    return found


def keymap(wanted: Mapping[str, str]) -> dict[str, str]:
    """Binding id → keys in Textual's names, for what `wanted` changes.

    Raises:
        ConfigError: an unknown id (the nearest is named), an unknown key, or one that means something else where the
            action is.
    """
    known = {one.id: one for one in all_bound()}
    changed: dict[str, tuple[str, ...]] = {}
    for name, text in wanted.items():
        if name not in known:
            near = nearest(name, known)
            guess = f" Did you mean {near}?" if near else ""
            raise ConfigError(
                f"console.keys: there is no action {name}.{guess}", kept=_KEPT, hint=_HINT, key=name, nearest=near
            )
        changed[name] = tuple(dict.fromkeys(_key(name, part) for part in _parts(text)))
    bound = [Bound(one.id, one.place, changed.get(one.id, one.keys), one.does) for one in known.values()]
    for place in PLACES:
        _refuse_clash([one for one in bound if one.place in (place, APP, _LIST)], changed)
    return {name: ",".join(keys) for name, keys in changed.items()}


def keys_in_force(wanted: Mapping[str, str]) -> list[KeyInForce]:
    """Every action with the keys it has under `wanted`.

    Raises:
        ConfigError: see `keymap`.
    """
    changed = keymap(wanted)
    return [
        KeyInForce(
            one.id,
            _written(changed[one.id].split(",") if one.id in changed else one.keys),
            _written(one.keys),
            one.does,
        )
        for one in sorted(all_bound(), key=lambda one: one.id)
    ]


def _written(keys: Iterable[str]) -> str:
    """Keys as the configuration takes them and people type them."""
    return ", ".join(_TYPED.get(key, key) for key in keys)


def _parts(text: str) -> list[str]:
    # A comma is a key as well.
    return [","] if text.strip() == "," else [part.strip() for part in text.split(",")]


def _key(name: str, part: str) -> str:
    key = _character_to_key(part) if len(part) == 1 else part
    *modifiers, last = key.split("+")
    if key in _RESERVED:
        raise ConfigError(
            f"console.keys: {name} cannot have {part}, which leaves or stops the console.", kept=_KEPT, key=name
        )
    if key not in _NAMED and not (
        modifiers and set(modifiers) <= {"ctrl", "alt", "shift"} and (last in _NAMED or len(last) == 1)
    ):
        near = nearest(part, _NAMED) if len(part) > 1 else None
        guess = f" Did you mean {near}?" if near else ""
        raise ConfigError(
            f"console.keys: {name} wants a key, and {part!r} is none.{guess}",
            kept=_KEPT,
            hint="A key is one character, as R or ?, or a name, as f5, ctrl+r, enter, space.",
            key=name,
        )
    return key


def _refuse_clash(bound: Iterable[Bound], changed: Mapping[str, object]) -> None:
    taken: dict[str, Bound] = {}
    # Unchanged ones first, so that it is the changed one that is told.
    for one in sorted(bound, key=lambda one: one.id in changed):
        for key in one.keys:
            other = taken.setdefault(key, one)
            if other is not one and (one.id in changed or other.id in changed):
                raise ConfigError(
                    f"console.keys: {key} cannot be the key of {one.id}, since it is that of {other.id} there.",
                    kept=_KEPT,
                    hint=f"Give one of them another key. {_HINT}",
                    key=one.id,
                    other=other.id,
                )
