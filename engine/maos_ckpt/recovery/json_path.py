"""Single values inside records: how they are named, found in JSON text, and put in without touching the text around.

A value is copied as text, never parsed and written anew, so that a record differs in nothing but the one field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from json.decoder import WHITESPACE, scanstring  # type: ignore[attr-defined]
from typing import Final

from maos_ckpt.errors import UsageError

#: A longer text is not looked into.
JSON_BYTES_MAX: Final = 64 << 20

Steps = tuple[str | int, ...]

_NAME = r'[^.\[\]:"]+'
_STEP = rf'\.{_NAME}|\[\d{{1,9}}\]|\["(?:[^"\\]|\\.)*"\]'
_FIELD = re.compile(rf"({_NAME})((?:{_STEP})*)")
_STEPS = re.compile(_STEP)
_decode = json.JSONDecoder().raw_decode


@dataclass(frozen=True, slots=True)
class Field:
    """A value inside the row with the key `key` (as it is shown): a column, or a place inside its JSON."""

    text: str
    component: str
    collection: str
    key: str
    column: str
    steps: Steps

    @property
    def path(self) -> str:
        """`component/collection/key`."""
        return f"{self.component}/{self.collection}/{self.key}"


def common(some: tuple[Field, ...], others: tuple[Field, ...] | None) -> tuple[Field, ...] | None:
    """What two choices of one record have in common: each are fields, none for the whole record, None for nothing."""
    if not some or not others:
        return some if others == () else others
    found = [
        max(a, b, key=lambda one: len(one.steps))
        for a in some
        for b in others
        if a.column == b.column and all(x == y for x, y in zip(a.steps, b.steps, strict=False))
    ]
    return tuple(dict.fromkeys(found)) or None


def parse_field(text: str) -> Field:
    """What `COMPONENT/COLLECTION/KEY:COLUMN.name[index]["other name"]` names.

    Raises:
        UsageError: it is not of that form.
    """
    parts = text.split("/", 2)
    if len(parts) == 3 and all(parts):
        key, at = parts[2], len(parts[2])
        # A key may hold colons; the last one that a path can follow counts.
        while (at := key.rfind(":", 0, at)) > 0:
            found = _FIELD.fullmatch(key, at + 1)
            if found is not None:
                steps = tuple(map(_step, _STEPS.findall(found[2])))
                return Field(text, parts[0], parts[1], key[:at], found[1], steps)
    raise UsageError(
        f"{text!r} does not name a field.",
        kept="Nothing was changed.",
        hint="Write COMPONENT/COLLECTION/KEY:COLUMN.name[index], as in tasks/tasks/task-1:result.output or"
        " memory/sessions/s1:conversation_history[12].",
    )


def _step(text: str) -> str | int:
    if text.startswith("."):
        return text[1:]
    if text.startswith('["'):
        try:
            return str(json.loads(text[1:-1]))
        except ValueError:
            return text[2:-2]
    return int(text[1:-1])


@dataclass(frozen=True, slots=True)
class _Child:
    """One member or item: where its text begins (a member's with its name), and where its value lies."""

    name: str | int
    begin: int
    start: int
    end: int


class _Container:
    """An object or list in a text: its children and the place behind its bracket."""

    def __init__(self, text: str, at: int) -> None:
        self.is_object = text[at : at + 1] == "{"
        if not self.is_object and text[at : at + 1] != "[":
            raise ValueError("no container")
        self.inside = at + 1
        self.children = list(_children(text, at + 1, self.is_object))

    def find(self, step: str | int) -> int | None:
        """Which child a step means; of two members of one name the last, as everywhere in JSON."""
        found = [at for at, one in enumerate(self.children) if one.name == step]
        return found[-1] if found and isinstance(step, str) is self.is_object else None


def _children(text: str, at: int, is_object: bool) -> Iterator[_Child]:
    close, index = "}" if is_object else "]", 0
    at = _skip(text, at)
    while text[at : at + 1] != close:
        begin, name = at, index
        if is_object:
            if text[at : at + 1] != '"':
                raise ValueError("no name")
            name, at = scanstring(text, at + 1, True)
            at = _skip(text, at)
            if text[at : at + 1] != ":":
                raise ValueError("no colon")
            at = _skip(text, at + 1)
        _, end = _decode(text, at)
        yield _Child(name, begin, at, end)
        index += 1
        at = _skip(text, end)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != close:
            raise ValueError("no comma")


def _skip(text: str, at: int) -> int:
    found = WHITESPACE.match(text, at)
    return at if found is None else int(found.end())


def value_text(text: str, steps: Steps) -> str | None:
    """The text of the value that steps lead to; None where there is none.

    Raises:
        ValueError: the text is no JSON, or too long.
    """
    span = _span(text, steps)
    return None if span is None else text[span[0] : span[1]]


def names_at(text: str, steps: Steps) -> list[str]:
    """What can follow steps, in the form that they are written in; empty where nothing can."""
    span = _span(text, steps)
    if span is None or text[span[0]] not in "{[":
        return []
    children = _Container(text, span[0]).children
    return [f".{one.name}" if isinstance(one.name, str) else f"[{one.name}]" for one in children]


def _span(text: str, steps: Steps) -> tuple[int, int] | None:
    start, end = _document(text)
    for step in steps:
        if text[start : start + 1] not in ("{", "["):
            return None
        container = _Container(text, start)
        at = container.find(step)
        if at is None:
            return None
        start, end = container.children[at].start, container.children[at].end
    return start, end


def with_value(text: str, steps: Steps, value: str) -> str | None:
    """The text with the text of a value put where steps lead; None where there is no place for it.

    A member that is not there comes last in its object, an item only directly behind the last one of its list.
    """
    span = _span(text, steps)
    if span is not None:
        return text[: span[0]] + value + text[span[1] :]
    container = _parent(text, steps)
    if container is None:
        return None
    step = steps[-1]
    if isinstance(step, str) is not container.is_object:
        return None
    if isinstance(step, int) and step != len(container.children):
        return None
    added = f"{json.dumps(step)}: {value}" if isinstance(step, str) else value
    if not container.children:
        return text[: container.inside] + added + text[container.inside :]
    end = container.children[-1].end
    return f"{text[:end]}, {added}{text[end:]}"


def without_value(text: str, steps: Steps) -> str | None:
    """The text without the value that steps lead to; None where it is an item that others follow.

    What `with_value` put in where nothing was goes again without a trace.
    """
    container = _parent(text, steps)
    at = None if container is None else container.find(steps[-1])
    if container is None or at is None:
        return text
    children = container.children
    if at + 1 < len(children) and not container.is_object:
        return None
    if at:
        return text[: children[at - 1].end] + text[children[at].end :]
    until = children[1].begin if len(children) > 1 else children[0].end
    return text[: container.inside if len(children) == 1 else children[0].begin] + text[until:]


def _parent(text: str, steps: Steps) -> _Container | None:
    span = _span(text, steps[:-1]) if steps else None
    return None if span is None or text[span[0]] not in "{[" else _Container(text, span[0])


def _document(text: str) -> tuple[int, int]:
    """Where the one value of a text begins and ends."""
    if len(text) > JSON_BYTES_MAX:
        raise ValueError("too long")
    start = _skip(text, 0)
    _, end = _decode(text, start)
    if _skip(text, end) != len(text):
        raise ValueError("more than one value")
    return start, end
