"""Events as a stream: told as they happen, and taken up where they broke off, also by the next engine."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from maos_ckpt.api import broadcast
from maos_ckpt.api.event_shapes import entry_identity
from maos_ckpt.api.events import missed
from tests.api.house import House, house, workspace_at
from tests.api.rest.test_checkpoints import problem
from tests.engine.support import WAIT_S, wait_until


@dataclass
class Told:
    """One message of a stream."""

    event: str = ""
    id: str = ""
    data: dict[str, object] = field(default_factory=dict)


def messages(lines: Iterator[str]) -> Iterator[Told]:
    """The messages in the lines of a stream; comments and the waiting time are passed over."""
    told = Told()
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "event":
            told.event = value
        elif name == "id":
            told.id = value
        elif name == "data":
            told.data = json.loads(value)
        elif not line and told.event:
            yield told
            told = Told()


class Follower:
    """Reads a stream in a thread, until it is left."""

    def __init__(self, place: House, parameters: str = "", last_id: str = "") -> None:
        self.told: list[Told] = []
        url = httpx2.URL(place.url)
        self._connection = http.client.HTTPConnection(url.host, url.port, timeout=WAIT_S)
        headers = {"Authorization": f"Bearer {place.token}"} | ({"Last-Event-ID": last_id} if last_id else {})
        self._connection.request("GET", f"{url.path}/events{parameters}", headers=headers)
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200
        assert self._answer.headers["content-type"].startswith("text/event-stream")
        assert self._answer.readline().startswith(b"retry: ")
        self._thread = threading.Thread(target=self._follow)

    def __enter__(self) -> Follower:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(WAIT_S)
        self._answer.close()
        self._connection.close()

    def _follow(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            lines = iter(self._answer.readline, b"")
            for told in messages(line.decode().rstrip("\n") for line in lines):
                self.told.append(told)

    def names(self) -> list[str]:
        """Names of what was told."""
        return [one.event for one in self.told]


def test_what_happens_is_told_as_it_happens_with_its_fields(place: House) -> None:
    with Follower(place) as follower:
        saved = place.engine.save("told")
        wait_until(lambda: "checkpointCreated" in follower.names(), "the event")
    told = next(one for one in follower.told if one.event == "checkpointCreated")
    assert (told.data["event"], told.data["checkpoint"], told.data["trigger"]) == (
        "checkpointCreated",
        saved.id,
        "manual",
    )
    assert str(told.data["at"]).endswith("Z")
    assert told.id
    assert "operationProgressed" not in follower.names()


def test_progress_and_a_choice_of_events_are_told_where_asked_for(place: House) -> None:
    with Follower(place, "?progress=true&types=checkpointMarked") as follower:
        place.engine.save()
        place.engine.set_pinned(place.engine.checkpoint("latest").id, True)
        wait_until(lambda: "checkpointMarked" in follower.names(), "the event")
    assert set(follower.names()) == {"operationProgressed", "checkpointMarked"}
    progress = next(one for one in follower.told if one.event == "operationProgressed")
    assert progress.id == ""
    assert progress.data["progress"]["operation"] == "save"  # type: ignore[index]


def test_who_comes_back_is_told_what_was_missed_once_and_then_what_is_new(place: House, api: httpx2.Client) -> None:
    with Follower(place) as follower:
        place.engine.save("seen")
        wait_until(lambda: "checkpointCreated" in follower.names(), "the event")
    last = follower.told[-1].id
    missed_ = [place.engine.save(f"missed {number}").id for number in range(2)]
    with Follower(place, last_id=last) as back:
        wait_until(lambda: back.names().count("checkpointCreated") >= 2, "what was missed")
        new = place.engine.save("new").id
        wait_until(lambda: back.names().count("checkpointCreated") >= 3, "what is new")
    created = [one.data["checkpoint"] for one in back.told if one.event == "checkpointCreated"]
    assert created == [*missed_, new]
    assert "reset" not in back.names()


def test_a_stream_is_taken_up_again_at_the_next_engine(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path, 60_000, 10_000)
    with house(workspace) as first, Follower(first) as follower:
        first.engine.save("before")
        wait_until(lambda: "checkpointCreated" in follower.names(), "the event")
        last = follower.told[-1].id
    with house(workspace) as second, Follower(second, last_id=last) as back:
        wait_until(lambda: "checkpointCreated" in back.names(), "the new engine's checkpoint")
    assert back.names()[:2] == ["engineStopped", "engineStarted"]


def test_an_event_that_nobody_remembers_leads_to_a_reset(place: House, api: httpx2.Client) -> None:
    with Follower(place, last_id="1-0123456789ab") as follower:
        wait_until(lambda: len(follower.told) > 1, "the journal")
    assert follower.names()[0] == "reset"
    told = api.get("/journal", params={"limit": 1000}).json()["events"][::-1]
    assert [one.data for one in follower.told[1:]] == told
    problem(api.get("/events", headers={"last-event-id": "nonsense"}), 422)
    problem(api.get("/events", params={"types": "worldEnded"}), 422)


def test_what_lies_behind_an_event_is_told_oldest_first() -> None:
    entries: list[tuple[str, dict[str, object]]] = [("EngineStopped", {"at_ms": at_ms}) for at_ms in (5, 4, 3, 2, 1)]
    assert missed(entries, entry_identity(entries[2]), 3) == ([entries[1], entries[0]], True)
    assert missed(entries, "3-000000000000", 3) == ([entries[2], entries[1], entries[0]], False)


def test_listeners_that_go_leave_nothing_behind(place: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcast, "LISTENERS_MAX", 2)
    for _ in range(2):
        with Follower(place), Follower(place):
            with place.http() as client:
                refused = client.get("/events")
            assert refused.status_code == 503
            assert sum(thread.name == "events" for thread in threading.enumerate()) == 1
        wait_until(lambda: not any(one.name == "events" for one in threading.enumerate()), "the subscription to end")
