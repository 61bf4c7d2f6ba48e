"""Giving providers back what a recovery says: the whole state as it is to be, after a look that it has not moved."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maos_ckpt.codec.values import encode_key, encode_row
from maos_ckpt.model import Value
from maos_ckpt.sources.provider.calls import Calls, reason
from maos_ckpt.sources.provider.files import FrameReader, Record
from maos_ckpt.sources.provider.host import ObjectChange
from maos_ckpt.sources.provider.providers import Provider
from maos_ckpt.sources.provider.values import ValueRefusedError, decode_value

#: A record's value and form; None where it is not there.
Held = tuple[Value, str] | None
_State = dict[bytes, Record]


class RestoreRefusedError(Exception):
    """This provider was left as it was; the text says why."""


@dataclass(frozen=True, slots=True)
class Restoration:
    """What one provider is to become; `before` is what it holds, both in the order in which it is given."""

    provider: Provider
    before: dict[Any, object]
    after: dict[Any, object]

    def carry_out(self, calls: Calls, within_s: float) -> None:
        """Call `restore`; where it fails, once more with what was there before.

        Raises:
            RestoreRefusedError: it failed.
        """
        restore = self.provider.restore
        assert restore is not None
        failed = _try(lambda: restore(self.after), calls, within_s)
        if not failed:
            return
        again = _try(lambda: restore(self.before), calls, within_s)
        left = "it was given back what it held" if not again else f"nor did it take back what it held ({again})"
        raise RestoreRefusedError(f"restore() failed ({failed}); {left}")


def _try(function: Callable[[], Any], calls: Calls, within_s: float) -> str:
    future = calls.begin("restore", function, within_s)
    try:
        future.result(within_s)
    except TimeoutError:
        return f"it took longer than {within_s:g} s"
    except Exception as error:  # noqa: BLE001 - somebody else's code; told to whoever asked
        return reason(error)
    return ""


def read_changes(path: Path) -> dict[tuple[str, str], list[ObjectChange]]:
    """The changes of a recovery by (component, collection), in their order."""
    found: dict[tuple[str, str], list[ObjectChange]] = {}
    with contextlib.closing(FrameReader(path, ObjectChange)) as reader:
        for _, change in reader:
            found.setdefault((change.component, change.collection), []).append(change)
    return found


def restoration(provider: Provider, now: Path, changes: list[ObjectChange]) -> Restoration:
    """What a provider, whose records now are in a file, is to become.

    Raises:
        RestoreRefusedError: it takes nothing back, a record is not what the plan says, or a value cannot be made.
    """
    if provider.restore is None:
        raise RestoreRefusedError("it has no restore()")
    state: _State = {}
    with contextlib.closing(FrameReader(now, Record)) as reader:
        for _, record in reader:
            state[encode_key((record[0],))] = record
    after = dict(state)
    for change in changes:
        key = encode_key((change.key,))
        if not _same(state.get(key), change.before):
            raise RestoreRefusedError(f"{change.key!r} moved since the plan was made")
        if change.after is None:
            after.pop(key, None)
        else:
            after[key] = (change.key, *change.after)
    return Restoration(provider, _objects(provider, state), _objects(provider, after))


def _same(record: Record | None, wanted: Held) -> bool:
    if record is None or wanted is None:
        return record is None and wanted is None
    return encode_row(record[1:]) == encode_row(tuple(wanted))


def _objects(provider: Provider, state: _State) -> dict[Any, object]:
    try:
        return {
            key: decode_value(value, form, f"{provider.component}[{key!r}]", provider.types)
            for key, value, form in state.values()
        }
    except ValueRefusedError as error:
        raise RestoreRefusedError(str(error)) from error
