"""Keeps the console's model fresh, and its checkpoints from going: what to ask after which event, in a thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from maos_ckpt.client import EngineClient
from maos_ckpt.errors import CkptError
from maos_ckpt.model import Checkpoint, EngineStatus
from maos_ckpt.seams import Clock
from maos_ckpt_tui.viewmodel import ConsoleModel

#: News within this time are read together: at most four readings a second.
COALESCE_S = 0.25
#: The first round begins as soon as the first paint is out.
FIRST_S = 0.001
#: Without news, the status alone is read this often; another process may be the one that saves.
POLL_INTERVAL_S = 5.0
#: A hold lasts for a quarter of an hour; one that stays the same is renewed this often.
HOLD_INTERVAL_S = 60.0
EVENTS_MAX = 50
CHECKPOINTS_FIRST = 500
CHECKPOINTS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Reading:
    """What one round brought; None stands for not read."""

    status: EngineStatus
    checkpoints: list[Checkpoint] | None
    events: list[tuple[str, dict[str, object]]] | None


def read(
    client: EngineClient, limit: int, known: tuple[int, str], everything: bool, held: frozenset[str] | None = None
) -> Reading:
    """One round. Without `everything` only the status is read, and the lists where it shows that they have grown.

    Args:
        known: number of checkpoints and newest id that the console knows.
        held: checkpoints on open screens, which retention is to leave alone; None where it knows them already.
    """
    if held is not None:
        client.hold(held)
    status = client.status()
    newest = status.last_success.id if status.last_success else ""
    if not everything and known == (status.checkpoints, newest):
        return Reading(status, None, None)
    return Reading(status, client.checkpoints(limit), client.recent_events(EVENTS_MAX))


def known(model: ConsoleModel) -> tuple[int, str]:
    """What `read` compares with."""
    status = model.status
    if status is None or not model.loaded:
        return -1, ""
    return status.checkpoints, status.last_success.id if status.last_success else ""


class Host(Protocol):
    """What the refresher needs of the application."""

    clock: Clock

    def set_timer(self, delay: float, callback: Callable[[], None]) -> object:
        """Call once after `delay` seconds."""
        ...

    def ask_quietly(
        self, work: Callable[[], Any], then: Callable[[Any], None], failed: Callable[[CkptError], None]
    ) -> None:
        """Run a client call in a thread, and its outcome on the event loop."""
        ...

    def shown_checkpoints(self) -> frozenset[str]:
        """Full ids of the checkpoints that open screens refer to."""
        ...

    def model_replaced(self, *, news: bool) -> None:
        """A round is over; without `news` it found everything as it was."""
        ...


class Refresher:
    """Reads in rounds: one at a time, at most four a second; wishes that come during a round make the next one.

    A round also renews the engine's hold on the checkpoints in sight: at once where these are others than before, else
    once a minute. Nothing is asked before `begin`.
    """

    def __init__(self, client: EngineClient, model: ConsoleModel, host: Host) -> None:
        self._client = client
        self._model = model
        self._host = host
        self._begun = False
        self._reading = False
        self._wanted = ""
        self._held: frozenset[str] = frozenset()
        self._held_s = 0.0

    def begin(self) -> None:
        """The engine has started: read everything."""
        self._begun = True
        self.want(everything=True)

    def want(self, *, everything: bool) -> None:
        """Read soon: status, or everything."""
        if not self._begun:
            return
        pending = bool(self._wanted)
        self._wanted = "everything" if everything or self._wanted == "everything" else "status"
        if not pending and not self._reading:
            self._host.set_timer(COALESCE_S if self._model.loaded else FIRST_S, self._read)

    def want_all(self) -> None:
        """All checkpoints, as many as the console holds at all."""
        if self._model.limit < CHECKPOINTS_MAX:
            self._model.limit = CHECKPOINTS_MAX
            self.want(everything=True)

    def want_more(self) -> None:
        """A longer list of checkpoints."""
        if self._model.limit < CHECKPOINTS_MAX:
            self._model.limit = min(CHECKPOINTS_MAX, self._model.limit * 8)
            self.want(everything=True)

    def _read(self) -> None:
        everything, self._wanted, self._reading = self._wanted == "everything", "", True
        shown, now_s = self._host.shown_checkpoints(), self._host.clock.monotonic_s()
        due = shown != self._held or (shown and now_s - self._held_s >= HOLD_INTERVAL_S)
        work = partial(read, self._client, self._model.limit, known(self._model), everything, shown if due else None)
        self._host.ask_quietly(work, partial(self._done, (shown, now_s) if due else None), self._failed)

    def _done(self, held: tuple[frozenset[str], float] | None, reading: Reading) -> None:
        if held is not None:
            self._held, self._held_s = held
        news = reading.checkpoints is not None or reading.status != self._model.status
        news = news or self._model.problem is not None
        self._model.status, self._model.problem = reading.status, None
        if reading.checkpoints is not None:
            self._model.take_checkpoints(reading.checkpoints)
        if reading.events is not None:
            self._model.events = reading.events
        self._ended(news=news)

    def _failed(self, error: CkptError) -> None:
        # What was known stays on the screen; the status line says that it is old.
        news = self._model.problem is None or self._model.problem.message != error.message
        self._model.problem = error
        self._ended(news=news)

    def _ended(self, *, news: bool) -> None:
        self._reading = False
        self._host.model_replaced(news=news)
        if self._wanted:
            self._host.set_timer(COALESCE_S, self._read)
