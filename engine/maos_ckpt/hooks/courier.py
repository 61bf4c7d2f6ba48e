"""Takes events from the journal to one hook, in order, at least once.

The journal is the queue: it is there before anything is sent, bounded, and survives a crash. How far this hook is
stands in a small file beside it. Where a hook does not take an event, it is tried again with growing pauses until its
budget is spent; from then on each event gets one try, until one arrives. So a hook that is away for a day costs no
memory, holds up nothing, and is told of what happens when it is back.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from maos_ckpt.journal import Entry, Journal, Position
from maos_ckpt.seams import Seams

_LOG = logging.getLogger(__name__)
#: How often the journal is looked at.
LOOK_S = 1.0
#: First pause after a failure; each further one doubles it, up to the longest. Up to half of it is left out at random.
PAUSE_S = 1.0
PAUSE_S_MAX = 60.0
#: What is older is not told any more.
AGE_S_MAX = 86_400.0
_BYTES_MAX = 64 << 10
_TEXT_MAX = 500

#: Hands an event over; what went wrong, or "".
Send = Callable[[Entry], str]


class Way(msgspec.Struct):
    """How far a hook is: the place in the journal, and how many of its events behind it are done; how it goes.

    Args:
        failing_ms: since when nothing arrives, 0 where the last one did.
        failure: what went wrong last, "" where nothing did.
        sent, given_up: events that arrived, and that did not.
        sent_ms: when one last arrived, 0 where none did.
    """

    inode: int = 0
    offset: int = 0
    done: int = 0
    sent: int = 0
    given_up: int = 0
    sent_ms: int = 0
    failing_ms: int = 0
    failure: str = ""


def way_of(journal: Path, name: str) -> Way | None:
    """How far the hook of that name is, as its file in the journal's directory says; None where it says nothing."""
    try:
        with (journal / f"{name}.json").open("rb") as file:
            return msgspec.json.decode(file.read(_BYTES_MAX), type=Way)
    except (OSError, msgspec.DecodeError):
        return None


class Courier:
    """One hook's deliveries, in a thread of their own from `start` to `close`.

    Args:
        name: of its file, `NAME.json` in the journal's directory.
        events: names of the events that are told; all others are passed over.
        budget_s: how long one event is tried.
    """

    def __init__(
        self, name: str, journal: Journal, seams: Seams, events: Collection[str], send: Send, budget_s: float
    ) -> None:
        self._name = name
        self._journal = journal
        self._seams = seams
        self._events = frozenset(events)
        self._send = send
        self._budget_s = budget_s
        self._ending = threading.Event()
        self._wake = threading.Event()
        self._way = Way()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def _first_way(self) -> Way:
        found = way_of(self._journal.directory, self._name)
        if found is None:
            # A new hook is told of what happens from now on.
            end = self._journal.end()
            found = Way(end.inode, end.offset)
            self._keep(found)
        return found

    def start(self) -> None:
        """Begin."""
        self._way = self._first_way()
        self._thread.start()

    def wake(self) -> None:
        """Something was written to the journal."""
        self._wake.set()

    def close(self, timeout_s: float) -> bool:
        """End; what is under way is sent again next time. False where `timeout_s` passed before the thread ended."""
        self._ending.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        while not self._ending.is_set():
            self._wake.clear()
            try:
                self._round()
            except OSError as error:
                _LOG.warning("the journal cannot be read for the %s: %s", self._name, error)
            except Exception:  # noqa: BLE001 - whatever it is, a hook must not end in silence
                _LOG.exception("the %s failed", self._name)
            self._wake.wait(LOOK_S)

    def _round(self) -> None:
        """Deliver all that is new."""
        way = self._way
        entries, position = self._journal.read(Position(way.inode, way.offset))
        wanted = [one for one in entries if one[0] in self._events]
        for entry in wanted[way.done :]:
            if not self._deliver(entry):
                return
            way.done += 1
            self._keep(way)
        if (way.inode, way.offset) != (position.inode, position.offset):
            way.inode, way.offset, way.done = position.inode, position.offset, 0
            # What told nobody anything need not be remembered at once.
            if wanted:
                self._keep(way)

    def _deliver(self, entry: Entry) -> bool:
        """Send one event until it arrives or is given up; False where this is ending."""
        clock, way = self._seams.clock, self._way
        at_ms = entry[1].get("at_ms")
        if isinstance(at_ms, int) and clock.now_ms() - at_ms > AGE_S_MAX * 1000:
            return True
        deadline_s = clock.monotonic_s() + (0.0 if way.failing_ms else self._budget_s)
        pause_s = PAUSE_S
        while True:
            failure = self._send(entry)
            if not failure:
                if way.failing_ms:
                    _LOG.info("the %s takes events again", self._name)
                way.sent, way.sent_ms, way.failing_ms, way.failure = way.sent + 1, clock.now_ms(), 0, ""
                return True
            if self._ending.is_set():
                return False
            way.failure = failure[:_TEXT_MAX]
            share = int.from_bytes(self._seams.random.token(2)) / 65_536
            wait_s = pause_s * (0.5 + share / 2)
            if clock.monotonic_s() + wait_s >= deadline_s:
                self._give_up(entry, failure)
                return True
            if self._ending.wait(wait_s):
                return False
            pause_s = min(pause_s * 2, PAUSE_S_MAX)

    def _give_up(self, entry: Entry, failure: str) -> None:
        way = self._way
        way.given_up += 1
        if not way.failing_ms:
            way.failing_ms = self._seams.clock.now_ms()
            _LOG.warning("the %s was not told of %s: %s", self._name, entry[0], failure)

    def _keep(self, way: Way) -> None:
        """Remember it; not synced, since what a power cut takes back is sent twice."""
        path = self._journal.directory / f"{self._name}.json"
        temporary = path.with_name(f".{path.name}.new")
        fs = self._seams.fs
        with contextlib.suppress(OSError):
            fs.unlink(temporary)
            fd = fs.create(temporary)
            try:
                fs.write(fd, msgspec.json.encode(way))
            finally:
                fs.close(fd)
            temporary.replace(path)
