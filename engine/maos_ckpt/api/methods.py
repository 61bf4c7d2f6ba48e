"""The closed set of calls that a remote client makes of an engine: name, right, arguments and result.

Arguments and results are those of the methods of `EngineClient`, from which their types are taken, so that the two can
never differ. Both travel as MessagePack; arguments by name, and none that the method does not know.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_type_hints

import msgspec

from maos_ckpt.client import EngineClient
from maos_ckpt.model.access import Scope

#: Changes, records, events or checkpoints that one call may list.
LIMIT_MAX = 1_000_000
#: Methods of a client that are no calls: they are about its own connection. `stop_engine` ends the program that serves.
OWN = frozenset({"start", "close", "subscribe", "stop_engine"})


@dataclass(frozen=True, slots=True)
class Method:
    """One call. `once` says that it must not be carried out twice, or takes long: it is asked for under a key, by which
    its answer can be fetched again."""

    name: str
    scope: Scope
    once: bool
    arguments: type[msgspec.Struct]
    result: Any


#: Method → the right that it takes. `hold` bounds itself, and a verification marks what it finds damaged.
_SCOPES = {
    "status": Scope.READ,
    "checkpoints": Scope.READ,
    "checkpoint": Scope.READ,
    "hold": Scope.READ,
    "records": Scope.READ,
    "history": Scope.READ,
    "diff": Scope.READ,
    "plan": Scope.READ,
    "undo_plan": Scope.READ,
    "rescue_plan": Scope.READ,
    "resume_point": Scope.READ,
    "processes": Scope.READ,
    "drills": Scope.READ,
    "find": Scope.READ,
    "recommend": Scope.READ,
    "metrics": Scope.READ,
    "alerts": Scope.READ,
    "recent_events": Scope.READ,
    "integrity": Scope.READ,
    "save": Scope.SAVE,
    "verify": Scope.SAVE,
    "cancel_verification": Scope.SAVE,
    "drill": Scope.SAVE,
    "set_pinned": Scope.SAVE,
    "change_tags": Scope.SAVE,
    "acknowledge": Scope.SAVE,
    "recover": Scope.RECOVER,
    "recover_to": Scope.RECOVER,
    "export": Scope.RECOVER,
    "undo": Scope.RECOVER,
    "rescue": Scope.RECOVER,
    "cancel_recovery": Scope.RECOVER,
    "repair": Scope.RECOVER,
    "delete": Scope.ADMIN,
}
#: Calls that are over at once and may be made again without harm.
_QUICK = frozenset(
    {
        "status",
        "checkpoints",
        "checkpoint",
        "hold",
        "drills",
        "metrics",
        "alerts",
        "acknowledge",
        "recent_events",
        "set_pinned",
        "change_tags",
        "cancel_recovery",
        "cancel_verification",
        "integrity",
    }
)


def _method(name: str, scope: Scope) -> Method:
    function: Callable[..., object] = getattr(EngineClient, name)
    hints = get_type_hints(function)
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for one in list(inspect.signature(function).parameters.values())[1:]:
        kind = hints[one.name]
        if one.name == "limit":
            kind = Annotated[int, msgspec.Meta(ge=0, le=LIMIT_MAX)]
        fields.append((one.name, kind) if one.default is one.empty else (one.name, kind, one.default))
    arguments = msgspec.defstruct(
        f"{name}_arguments", fields, frozen=True, kw_only=True, forbid_unknown_fields=True, module=__name__
    )
    return Method(name, scope, name not in _QUICK, arguments, hints["return"])


METHODS: dict[str, Method] = {name: _method(name, scope) for name, scope in _SCOPES.items()}


@cache
def arguments_decoder(name: str) -> msgspec.msgpack.Decoder[msgspec.Struct]:
    """Strict: raises `msgspec.DecodeError` on anything that is not a call's arguments."""
    return msgspec.msgpack.Decoder(METHODS[name].arguments)


@cache
def result_decoder(name: str) -> msgspec.msgpack.Decoder[Any]:
    """Raises `msgspec.DecodeError` on anything that is not a call's result."""
    return msgspec.msgpack.Decoder(METHODS[name].result)


def encode_arguments(name: str, /, **values: object) -> bytes:
    """A call's arguments; `values` are named as in `EngineClient`."""
    return encode(METHODS[name].arguments(**values))


encode = msgspec.msgpack.Encoder(enc_hook=str).encode


def carry_out(client: EngineClient, name: str, body: bytes) -> bytes:
    """Make a call of an engine, whose arguments have been checked to be such; blocks until it is done.

    Raises:
        CkptError: what the method raised.
    """
    arguments = arguments_decoder(name).decode(body)
    return encode(getattr(client, name)(**msgspec.structs.asdict(arguments)))
