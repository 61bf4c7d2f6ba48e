"""Telling listeners: nobody is held up, progress is thinned out, checkpoints never get lost."""

from __future__ import annotations

import threading

import pytest

from maos_ckpt.engine import feed as feeds
from maos_ckpt.engine.feed import Feed
from maos_ckpt.errors import ConflictError
from maos_ckpt.events import CheckpointCreated, Event, OperationProgressed, TicksMissed
from maos_ckpt.model import Progress
from maos_ckpt.seams import SYSTEM

WAIT_S = 10.0


class Listener:
    """Collects events; stands still at the first one until it is let go."""

    def __init__(self, *, held: bool = False, wanted: int = 1) -> None:
        self.events: list[Event] = []
        self.entered = threading.Event()
        self.go = threading.Event()
        self.enough = threading.Event()
        self._wanted = wanted
        if not held:
            self.go.set()

    def __call__(self, event: Event) -> None:
        self.entered.set()
        assert self.go.wait(WAIT_S)
        self.events.append(event)
        if len(self.events) >= self._wanted:
            self.enough.set()


def created(number: int) -> CheckpointCreated:
    return CheckpointCreated(number, f"cp_{number}", "manual", 1, 1, 1, 0.1, 0.0, False)


def progressed(number: int) -> OperationProgressed:
    return OperationProgressed(number, Progress("save", "read", number))


def test_events_arrive_in_order_at_every_listener() -> None:
    feed, one, two = Feed(), Listener(wanted=100), Listener(wanted=100)
    feed.subscribe(one)
    feed.subscribe(two)
    for number in range(100):
        feed.publish(created(number))
    assert one.enough.wait(WAIT_S)
    assert two.enough.wait(WAIT_S)
    assert one.events == two.events == [created(number) for number in range(100)]
    feed.close()


def test_a_listener_that_stands_still_holds_up_neither_engine_nor_others() -> None:
    feed, stuck, quick = Feed(), Listener(held=True), Listener(wanted=50)
    feed.subscribe(stuck)
    feed.subscribe(quick)
    for number in range(50):
        feed.publish(created(number))
    assert quick.enough.wait(WAIT_S)
    assert stuck.events == []
    stuck.go.set()
    feed.close()
    assert len(stuck.events) == 50


def test_of_progress_only_the_newest_waits() -> None:
    feed, listener = Feed(), Listener(held=True)
    feed.subscribe(listener)
    feed.publish(created(0))
    assert listener.entered.wait(WAIT_S)
    for number in range(10_000):
        feed.publish(progressed(number))
    listener.go.set()
    feed.close()
    assert listener.events == [created(0), progressed(9999)]


def test_progress_never_follows_the_event_it_led_to() -> None:
    feed, listener = Feed(), Listener(held=True)
    feed.subscribe(listener)
    feed.publish(created(0))
    assert listener.entered.wait(WAIT_S)
    feed.publish(progressed(1))
    feed.publish(created(2))
    listener.go.set()
    feed.close()
    assert listener.events == [created(0), created(2)]


def test_a_full_queue_drops_the_oldest_droppable_event_and_never_a_checkpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feeds, "EVENTS_QUEUED_MAX", 10)
    feed, listener = Feed(), Listener(held=True)
    feed.subscribe(listener)
    feed.publish(created(0))
    assert listener.entered.wait(WAIT_S)
    for number in range(1, 13):
        feed.publish(created(number))
        feed.publish(TicksMissed(number, 1, "test"))
    listener.go.set()
    feed.close()
    assert [event for event in listener.events if isinstance(event, CheckpointCreated)] == [
        created(number) for number in range(13)
    ]
    assert sum(isinstance(event, TicksMissed) for event in listener.events) < 12


def test_a_listener_that_fails_is_logged_and_goes_on_listening(caplog: pytest.LogCaptureFixture) -> None:
    feed, listener = Feed(), Listener()

    def failing(event: Event) -> None:
        listener(event)
        raise ValueError("broken screen")

    feed.subscribe(failing)
    feed.publish(created(0))
    feed.publish(created(1))
    feed.close()
    assert listener.events == [created(0), created(1)]
    assert "broken screen" in caplog.text


def test_whoever_has_left_hears_no_more_and_may_leave_twice() -> None:
    feed, listener = Feed(), Listener()
    leave = feed.subscribe(listener)
    feed.publish(created(0))
    leave()
    leave()
    feed.publish(created(1))
    feed.close()
    assert listener.events == [created(0)]


def test_a_listener_may_leave_from_inside() -> None:
    feed, seen, left = Feed(), [], threading.Event()

    def once(event: Event) -> None:
        seen.append(event)
        leave()
        left.set()

    leave = feed.subscribe(once)
    feed.publish(created(0))
    assert left.wait(WAIT_S)
    feed.publish(created(1))
    feed.close()
    assert seen == [created(0)]


def test_the_number_of_listeners_is_bounded() -> None:
    feed = Feed()
    for _ in range(feeds.SUBSCRIBERS_MAX):
        feed.subscribe(lambda event: None)
    with pytest.raises(ConflictError, match="listeners"):
        feed.subscribe(lambda event: None)
    feed.close()


def test_all_listeners_that_stand_still_hold_up_the_end_no_longer_than_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feeds, "_CLOSE_S", 0.2)
    feed, stuck = Feed(), [Listener(held=True) for _ in range(10)]
    for one in stuck:
        feed.subscribe(one)
    feed.publish(created(0))
    began_s = SYSTEM.clock.monotonic_s()
    feed.close()
    assert 0.2 <= SYSTEM.clock.monotonic_s() - began_s < 1.0
    for one in stuck:
        one.go.set()
