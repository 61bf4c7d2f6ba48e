"""The calls that a remote client makes are exactly the methods of the protocol."""

from __future__ import annotations

import inspect

import msgspec
import pytest

from maos_ckpt.api.calls import ENDPOINTS
from maos_ckpt.api.frames import Beat, EventFrame, Hello, ProgressFrame, Reader, encoded, event_frame, event_of
from maos_ckpt.api.methods import LIMIT_MAX, METHODS, OWN, arguments_decoder, encode_arguments
from maos_ckpt.api.remote import RemoteClient
from maos_ckpt.api.remote_calls import RemoteCalls
from maos_ckpt.client import EngineClient
from maos_ckpt.errors import UnavailableError
from maos_ckpt.events import CheckpointMarked, CheckpointsRemoved, OperationProgressed
from maos_ckpt.local import LocalClient
from maos_ckpt.model import MergePolicy, Progress, Selection
from maos_ckpt.model.access import Scope

PROTOCOL_METHODS = {
    name for name, one in vars(EngineClient).items() if inspect.isfunction(one) and not name.startswith("_")
}


def test_every_method_of_the_protocol_is_a_call_with_a_right_of_its_own() -> None:
    assert set(METHODS) | OWN == PROTOCOL_METHODS
    assert not set(METHODS) & OWN
    assert {one.path for one in ENDPOINTS if one.method == "POST"} == {
        f"/calls/{name}" for name in [*METHODS, "stop_engine"]
    }
    assert {one.path: one.scope for one in ENDPOINTS if one.method == "POST"} == {
        f"/calls/{name}": one.scope for name, one in METHODS.items()
    } | {"/calls/stop_engine": Scope.ADMIN}


def test_both_clients_define_every_method_as_the_protocol_does() -> None:
    for name in PROTOCOL_METHODS:
        wanted = inspect.signature(getattr(EngineClient, name))
        assert inspect.signature(vars(LocalClient)[name]) == wanted, name
        own = vars(RemoteClient) if name in OWN else vars(RemoteCalls)
        assert inspect.signature(own[name]) == wanted, name


def test_what_reads_needs_only_the_right_to_read_and_what_writes_another_one() -> None:
    reading = {name for name, one in METHODS.items() if one.scope is Scope.READ}
    assert not reading & {"save", "recover", "recover_to", "undo", "rescue", "delete", "set_pinned", "drill"}
    assert {"recover", "recover_to", "export", "undo", "rescue", "cancel_recovery", "repair"} == {
        name for name, one in METHODS.items() if one.scope is Scope.RECOVER
    }


def test_arguments_go_by_name_and_nothing_else_is_taken() -> None:
    selection = Selection(("agents",), merge=MergePolicy.KEEP_NEWER)
    body = encode_arguments("recover", name="latest", selection=selection, digest=None, reason="ä", limit=7)
    found = msgspec.structs.asdict(arguments_decoder("recover").decode(body))
    assert found == {"name": "latest", "selection": selection, "digest": None, "reason": "ä", "limit": 7}
    for wrong in (
        {"name": "latest", "limits": 3},
        {"name": 3},
        {},
        {"before": "a", "after": "b", "limit": LIMIT_MAX + 1},
        {"before": "a", "after": "b", "limit": -1},
        ["a", "b"],
        None,
    ):
        with pytest.raises(msgspec.DecodeError):
            arguments_decoder("diff").decode(msgspec.msgpack.encode(wrong))


def test_a_stream_of_frames_is_read_whatever_its_pieces_are() -> None:
    events = [
        CheckpointsRemoved(5, ("a", "b"), 7, "manual"),
        OperationProgressed(6, Progress("save", "reading", 1, 2, 3, "x")),
        CheckpointMarked(7, "a", True, ("t",)),
    ]
    sent = [Hello(1, "e", 0, False), *(event_frame(one, number) for number, one in enumerate(events, 1)), Beat()]
    data = b"".join(map(encoded, sent))
    for size in (1, 3, len(data)):
        reader = Reader()
        read = [frame for at in range(0, len(data), size) for frame in reader.feed(data[at : at + size])]
        told = [event_of(one) for one in read if isinstance(one, EventFrame | ProgressFrame)]
        assert told == events
        assert (read[0], read[-1], len(read)) == (sent[0], sent[-1], len(sent))


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"HTTP/1.1 200 OK", b"\0\0\0\1\xc1", b"\0\0\0\2\x90\x90"])
def test_what_is_no_stream_of_frames_is_refused(data: bytes) -> None:
    with pytest.raises(UnavailableError):
        list(Reader().feed(data))


def test_an_event_of_a_newer_engine_is_passed_over() -> None:
    assert event_of(EventFrame(1, "SomethingNew", {"at_ms": 1})) is None
    assert event_of(EventFrame(1, "CheckpointMarked", {"at_ms": "soon"})) is None
    known = {"at_ms": 1, "checkpoint": "a", "pinned": True, "tags": ["t"], "newer": 3}
    assert event_of(EventFrame(1, "CheckpointMarked", known)) == CheckpointMarked(1, "a", True, ("t",))
